"""LBFGS with a closure, a straight-through estimator, k folds, weights' moving averages, checkpoints, a range test of rates."""

import copy
import io

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Subset, TensorDataset, WeightedRandomSampler, random_split


class BinarizeSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return torch.where(input >= 0, torch.ones_like(input), -torch.ones_like(input))

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input.abs() > 1] = 0
        return grad_input


class EMA:
    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {k: v.clone().detach() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model):
        for k, v in model.state_dict().items():
            if v.dtype.is_floating_point:
                self.shadow[k].mul_(self.decay).add_(v, alpha=1 - self.decay)
            else:
                self.shadow[k].copy_(v)


def lbfgs(x, y):
    model = nn.Linear(3, 1).double()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x.double()).squeeze(-1), y.double())
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(3):
        optimizer.step(closure)
    return losses


def binary(x, y):
    w = torch.randn(3, 4, requires_grad=True)
    v = nn.Parameter(torch.randn(4) / 2)
    optimizer = torch.optim.SGD([{"params": [w]}, {"params": [v], "lr": 0.05}], lr=0.1)
    losses = []
    for _ in range(5):
        loss = ((BinarizeSTE.apply(x @ w) @ v - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def folds(dataset, k=3):
    scores, indices = [], np.random.RandomState(0).permutation(len(dataset))
    for fold in np.array_split(indices, k):
        rest = np.setdiff1d(indices, fold)
        model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
        ema = EMA(model, 0.8)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=1e-3)
        for xb, yb in DataLoader(Subset(dataset, rest.tolist()), batch_size=8, shuffle=True):
            loss = nn.MSELoss()(model(xb).squeeze(), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ema.update(model)
        shadow = copy.deepcopy(model)
        shadow.load_state_dict(ema.shadow)
        shadow.eval()
        with torch.no_grad():
            xv, yv = next(iter(DataLoader(Subset(dataset, fold.tolist()), batch_size=len(fold))))
            scores.append(nn.MSELoss()(shadow(xv).squeeze(), yv).item())
    return scores


def resume(dataset):
    train_set, val_set = random_split(dataset, [20, 10], generator=torch.Generator().manual_seed(42))
    weights = torch.tensor([1.0 + (y > 0).item() for _, y in train_set])
    sampler = WeightedRandomSampler(weights, num_samples=16, replacement=True)
    loader = DataLoader(train_set, batch_size=8, sampler=sampler)

    def build():
        model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        return model, optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.3)

    def epoch(model, optimizer, scheduler):
        total = 0.0
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = nn.L1Loss()(model(xb).flatten(), yb)
            loss.backward()
            optimizer.step()
            total += loss.item()
        scheduler.step()
        return total / len(loader)

    model, optimizer, scheduler = build()
    losses = [epoch(model, optimizer, scheduler) for _ in range(2)]
    file = io.BytesIO()
    checkpoint = {
        "epoch": 2,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "losses": losses,
    }
    torch.save(checkpoint, file)
    on = [epoch(model, optimizer, scheduler) for _ in range(2)]
    file.seek(0)
    checkpoint = torch.load(file)
    model, optimizer, scheduler = build()
    model.load_state_dict(checkpoint["model_state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    torch.set_rng_state(checkpoint["rng"])
    again = [epoch(model, optimizer, scheduler) for _ in range(2)]
    assert on == again, (on, again)
    return checkpoint["losses"] + again + [scheduler.get_last_lr()[0], len(val_set)]


def find_lr(x, y, start=1e-4, end=10.0, steps=12):
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=start)
    mult, losses, avg = (end / start) ** (1 / steps), [], 0.0
    for i in range(steps):
        loss = torch.nn.functional.smooth_l1_loss(model(x)[:, 0], y)
        avg = 0.9 * avg + 0.1 * loss.item()
        smoothed = avg / (1 - 0.9 ** (i + 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(smoothed)
        for group in optimizer.param_groups:
            group["lr"] *= mult
    return losses


def run():
    torch.manual_seed(21)
    x = torch.randn(30, 3)
    y = torch.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + 0.1 * torch.randn(30)
    dataset = TensorDataset(x, y)
    found = {
        "lbfgs": lbfgs(x, y),
        "binary": binary(x, y),
        "folds": folds(dataset),
        "resume": resume(dataset),
        "range": find_lr(x, y),
    }
    for name, values in found.items():
        print(f"{name:<8}" + " ".join(f"{v:9.5f}" for v in values[:6]))
    return found


if __name__ == "__main__":
    run()
