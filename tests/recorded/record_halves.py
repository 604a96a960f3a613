"""Record what PyTorch computes in half, as checksums: python -m tests.recorded.record_halves (torch 2.13, CPU).

At the operands where halfsim differs on purpose the results are left out; these operands are recorded beside them.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from tests.recorded.halves import CASES, FORMATS, Case, differing, gradients, operands, sums


def results(case: Case, fmt: str) -> list[np.ndarray]:
    """The codes of the value, then for each gradient of the result those of the operands' gradients."""
    dtype = getattr(torch, fmt)

    def tensor(codes: np.ndarray) -> torch.Tensor:
        return torch.tensor(codes.view(np.int16)).view(dtype)

    def codes_of(x: torch.Tensor) -> np.ndarray:
        return x.detach().contiguous().reshape(-1).view(torch.int16).numpy().view(np.uint16).copy()

    torch.set_num_threads(1)
    found: list[np.ndarray] = []
    function = case.call(torch, lambda value: torch.full((1,), value, dtype=dtype))
    given = operands(case, fmt)
    for i in range(2):
        leaves = [tensor(codes.reshape(case.shape or -1)).requires_grad_() for codes in given]
        y = function(*leaves)
        y.backward(tensor(gradients(fmt, y.numel())[i].reshape(y.shape)))
        found += [codes_of(y)] * (not found)
        found += [codes_of(x.grad) for x in leaves if x.grad is not None]
    return found


def record() -> dict[str, np.ndarray]:
    from tests.autograd.ops.test_halves import results as ours

    recorded: dict[str, np.ndarray] = {}
    for case in CASES:
        for fmt in FORMATS:
            theirs = results(case, fmt)
            skip = np.flatnonzero(differing(ours(case, fmt), theirs, fmt))
            key = f"{case.label} {fmt}"
            recorded[f"{key} sums"], recorded[f"{key} skip"] = sums(theirs, fmt, skip), skip.astype(np.uint16)
    return recorded


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorded = record()
    names = sorted(recorded)
    np.savez_compressed(
        Path(__file__).with_name("halves.npz"),
        names=np.array(names),
        lengths=np.array([len(recorded[name]) for name in names]),
        values=np.concatenate([recorded[name].astype(np.uint32) for name in names]),
    )
