"""Deep Q-learning on a line of seven places: replay memory, target network, soft updates, epsilon-greedy steps."""

import math
import random
from collections import deque, namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))
device = torch.device("cpu")


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = deque([], maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)

    def __len__(self):
        return len(self.memory)


class DQN(nn.Module):
    def __init__(self, n_observations=7, n_actions=2):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 16)
        self.layer2 = nn.Linear(16, n_actions)

    def forward(self, x):
        return self.layer2(F.relu(self.layer1(x)))


class Line:
    def reset(self):
        self.place = 3
        return self.observe()

    def observe(self):
        return F.one_hot(torch.tensor(self.place), 7).float().unsqueeze(0)

    def step(self, action):
        self.place += 1 if action == 1 else -1
        done = self.place in (0, 6)
        return self.observe(), float(self.place == 6), done


def run():
    random.seed(0)
    torch.manual_seed(0)
    BATCH_SIZE, GAMMA, TAU, EPS_START, EPS_END, EPS_DECAY = 16, 0.9, 0.05, 0.9, 0.05, 40
    policy_net, target_net = DQN().to(device), DQN().to(device)
    target_net.load_state_dict(policy_net.state_dict())
    optimizer = optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
    memory, env, losses, rewards, steps_done = ReplayMemory(200), Line(), [], [], 0

    def select_action(state):
        nonlocal steps_done
        eps_threshold = EPS_END + (EPS_START - EPS_END) * math.exp(-1.0 * steps_done / EPS_DECAY)
        steps_done += 1
        if random.random() > eps_threshold:
            with torch.no_grad():
                return policy_net(state).max(1)[1].view(1, 1)
        return torch.tensor([[random.randrange(2)]], device=device, dtype=torch.long)

    def optimize_model():
        if len(memory) < BATCH_SIZE:
            return
        batch = Transition(*zip(*memory.sample(BATCH_SIZE)))
        non_final_mask = torch.tensor([s is not None for s in batch.next_state], device=device, dtype=torch.bool)
        non_final_next_states = torch.cat([s for s in batch.next_state if s is not None])
        state_batch, action_batch, reward_batch = (
            torch.cat(batch.state),
            torch.cat(batch.action),
            torch.cat(batch.reward),
        )
        state_action_values = policy_net(state_batch).gather(1, action_batch)
        next_state_values = torch.zeros(BATCH_SIZE, device=device)
        with torch.no_grad():
            next_state_values[non_final_mask] = target_net(non_final_next_states).max(1).values
        expected_state_action_values = (next_state_values * GAMMA) + reward_batch
        loss = nn.SmoothL1Loss()(state_action_values, expected_state_action_values.unsqueeze(1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
        optimizer.step()
        losses.append(loss.item())

    for episode in range(5):
        state, done, total = env.reset(), False, 0
        while not done:
            action = select_action(state)
            observation, reward, done = env.step(action.item())
            reward = torch.tensor([reward], device=device)
            memory.push(state, action, None if done else observation, reward)
            state = observation
            optimize_model()
            for target_param, param in zip(target_net.parameters(), policy_net.parameters()):
                target_param.data.copy_(TAU * param.data + (1.0 - TAU) * target_param.data)
            target_net_state_dict = target_net.state_dict()
            for key in policy_net.state_dict():
                target_net_state_dict[key] = policy_net.state_dict()[key] * TAU + target_net_state_dict[key] * (1 - TAU)
            target_net.load_state_dict(target_net_state_dict)
            total += reward.item()
        rewards.append(total)
    print(f"{len(losses)} losses, rewards {rewards}, last {losses[-1]:.5f}")
    return {"losses": losses, "rewards": rewards, "q": policy_net(env.reset()).detach().numpy().ravel().tolist()}


if __name__ == "__main__":
    run()
