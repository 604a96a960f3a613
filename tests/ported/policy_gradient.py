"""REINFORCE and an actor-critic step on a bandit, with distributions."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical, Normal, kl_divergence


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(4, 16)
        self.action_head, self.value_head = nn.Linear(16, 3), nn.Linear(16, 1)
        self.log_std = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def run():
    torch.manual_seed(543)
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    losses, actions = [], []
    for episode in range(4):
        saved, rewards = [], []
        state = torch.randn(4)
        for t in range(6):
            probs, value = model(state)
            m = Categorical(probs)
            action = m.sample()
            saved.append((m.log_prob(action), value, m.entropy()))
            actions.append(action.item())
            rewards.append(1.0 if action.item() == 1 else -0.1)
            state = torch.roll(state, 1) * 0.9
        R, returns = 0, []
        for r in rewards[::-1]:
            R = r + 0.9 * R
            returns.insert(0, R)
        returns = torch.tensor(returns)
        returns = (returns - returns.mean()) / (returns.std() + 1e-6)
        policy_losses = [-log_prob * (R - value.item()) for (log_prob, value, _), R in zip(saved, returns)]
        value_losses = [F.smooth_l1_loss(value, torch.tensor([R])) for (_, value, _), R in zip(saved, returns)]
        entropy = torch.stack([e for _, _, e in saved]).mean()
        loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum() - 0.01 * entropy
        gaussian = Normal(torch.zeros(3), model.log_std.exp())
        noise = gaussian.rsample()
        loss = loss - 0.01 * gaussian.log_prob(noise).sum() + 0.1 * kl_divergence(gaussian, Normal(0.5, 1.0)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"losses {' '.join(f'{x:.4f}' for x in losses)} actions {actions}")
    return {"losses": losses, "actions": actions, "std": model.log_std.item()}


if __name__ == "__main__":
    run()
