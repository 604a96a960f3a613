"""Record what PyTorch computes with windows, in float64: python -m tests.recorded.record_windows (torch 2.13, CPU)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.recorded.window_cases import CASES, operands, seed_of

if __name__ == "__main__":
    recorded: dict[str, np.ndarray] = {}
    for name, (function, _, options) in CASES.items():
        tensors = [torch.tensor(a, requires_grad=True) for a in operands(name)]
        given = {key: torch.tensor(v) if isinstance(v, np.ndarray) else v for key, v in options.items()}
        y = getattr(torch.nn.functional, function)(*tensors, **given)
        y.backward(torch.tensor(seed_of(name, tuple(y.shape))))
        recorded[f"{name}.y"] = y.detach().numpy()
        for i, t in enumerate(tensors):
            recorded[f"{name}.grad{i}"] = t.grad.numpy()
    np.savez_compressed(Path(__file__).with_name("windows.npz"), **recorded)
