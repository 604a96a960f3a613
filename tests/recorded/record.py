"""Record what PyTorch computes, for tests on machines that lack it: python -m tests.recorded.record (torch 2.13, CPU).

Hyper-parameters of the float16 runs are halves, because PyTorch's CPU kernels round ``alpha`` to the tensor's dtype
while its CUDA kernels (which halfsim follows) keep it wide. Arrays have whole vectors of elements, because the same
CPU kernels round the product once more in the elements that are left over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.recorded.settings import OPTIMIZERS

DTYPES = {"float16": torch.float16, "float64": torch.float64}


def optimizers(out: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(7)
    with np.errstate(over="ignore"):
        start = (rng.standard_normal(320) * np.exp(2 * rng.standard_normal(320))).astype(np.float16)
        grads = (rng.standard_normal((12, 320)) * np.exp(4 * rng.standard_normal((12, 320)) - 4)).astype(np.float16)
    grads[~np.isfinite(grads)] = 1
    grads[:, :20] = 0
    out["start"], out["grads"] = start, grads
    for name, (kind, options) in OPTIMIZERS.items():
        for dtype_name, dtype in DTYPES.items():
            p = torch.nn.Parameter(torch.tensor(start).to(dtype))
            optimizer = getattr(torch.optim, kind)([p], foreach=False, **options)
            steps = []
            for grad in grads:
                p.grad = torch.tensor(grad).to(dtype)
                optimizer.step()
                steps.append(p.detach().numpy().copy())
            out[f"{name}_{dtype_name}"] = np.array(steps)


def network(out: dict[str, np.ndarray]) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4)).double()
    x, y = torch.randn(7, 6, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2, 0, 3])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    out["x"], out["y"] = x.numpy(), y.numpy()
    out.update({f"before.{k}": v.numpy().copy() for k, v in model.state_dict().items()})
    losses = []
    for step in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if step == 0:
            out.update({f"grad.{k}": p.grad.numpy().copy() for k, p in model.named_parameters()})
        optimizer.step()
        losses.append(loss.item())
    out["losses"] = np.array(losses)
    out.update({f"after.{k}": v.numpy().copy() for k, v in model.state_dict().items()})


def scaler(out: dict[str, np.ndarray]) -> None:
    """The scale after each of 40 steps with infinities at some, and the weight they leave."""
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([p], lr=0.125)
    scaler = torch.amp.GradScaler("cpu", init_scale=128.0, growth_interval=3, growth_factor=4.0, backoff_factor=0.25)
    scales, weights = [], []
    for step in range(40):
        optimizer.zero_grad()
        factor = float("inf") if step in (2, 9, 10, 11, 25) else float("nan") if step == 30 else 1.0
        scaler.scale((p * p).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
        weights.append(p.detach().numpy().copy())
    out["scales"], out["scaled_weights"] = np.array(scales), np.array(weights)


if __name__ == "__main__":
    recorded: dict[str, np.ndarray] = {}
    for part in (optimizers, network, scaler):
        part(recorded)
    np.savez_compressed(Path(__file__).with_name("torch.npz"), **recorded)
