"""Record optimizers, schedules, clipping and loss scaling of PyTorch: python -m tests.recorded.record_training."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from tests.recorded.training import (
    NORM_TYPES,
    SCHEDULES,
    STEPS,
    TRAJECTORIES,
    WIDE_ONLY,
    rates,
    scaled_training,
    scheduled,
)

DTYPES = {"float16": torch.float16, "float64": torch.float64}


def trajectories(out: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(11)
    start = rng.standard_normal(64).astype(np.float16)
    grads = (rng.standard_normal((8, 64)) * np.exp(rng.standard_normal((8, 64)) - 2)).astype(np.float16)
    out["start"], out["grads"] = start, grads
    for name, (kind, options) in TRAJECTORIES.items():
        for dtype_name, dtype in DTYPES.items():
            if dtype_name == "float16" and name in WIDE_ONLY:
                continue
            size = 64 if dtype_name == "float16" else 8
            p = torch.nn.Parameter(torch.tensor(start[:size]).to(dtype))
            optimizer = getattr(torch.optim, kind)([p], foreach=False, **options)
            steps = []
            for grad in grads:
                p.grad = torch.tensor(grad[:size]).to(dtype)
                optimizer.step()
                steps.append(p.detach().numpy().copy())
            out[f"{name}.{dtype_name}"] = np.array(steps)
            if dtype_name == "float64":
                for key, value in optimizer.state_dict()["state"].get(0, {}).items():
                    out[f"{name}.state.{key}"] = np.asarray(value)


def schedules(out: dict[str, np.ndarray]) -> None:
    for name in SCHEDULES:
        groups = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
        made = scheduled(torch.optim.lr_scheduler, name, groups, torch.optim.SGD, torch.optim.Adam)
        out[f"schedule.{name}"] = np.array(rates(name, *made, range(STEPS)))


def clipping(out: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(12)
    grads = [rng.standard_normal(shape) for shape in ((3, 4), (5,), ())]
    for i, grad in enumerate(grads):
        out[f"clip.grad{i}"] = grad
    for order in NORM_TYPES:
        for limit in (0.75, 50.0):
            parameters = [torch.nn.Parameter(torch.zeros(grad.shape, dtype=torch.float64)) for grad in grads]
            for p, grad in zip(parameters, grads, strict=True):
                p.grad = torch.tensor(grad)
            total = torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type=order)
            flat = np.concatenate([p.grad.numpy().reshape(-1) for p in parameters])
            out[f"clip.{order}.{limit}"] = np.array([total.item(), *flat])


def scaler(out: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(13)
    x, y, w = (rng.standard_normal(shape) for shape in ((8, 4, 3), (8, 4, 2), (2, 3)))
    out.update({"scaler.x": x, "scaler.y": y, "scaler.w": w})
    p = torch.nn.Parameter(torch.tensor(w))

    def loss_of(step: int) -> torch.Tensor:
        d = torch.tensor(x[step]) @ p.T - torch.tensor(y[step])
        return (d * d).mean()

    def spoil() -> None:
        p.grad[0, 0] = float("inf")

    made = torch.amp.GradScaler("cpu", init_scale=128.0, growth_interval=1)
    clip = torch.nn.utils.clip_grad_norm_
    out["scaler.scales"] = np.array(scaled_training(torch.optim.SGD, made, [p], loss_of, spoil, clip))
    out["scaler.after"] = p.detach().numpy()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    recorded: dict[str, np.ndarray] = {}
    for part in (trajectories, schedules, clipping, scaler):
        part(recorded)
    np.savez_compressed(Path(__file__).with_name("training.npz"), **recorded)
