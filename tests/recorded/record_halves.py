"""Record what PyTorch computes in half, as checksums: python -m tests.recorded.record_halves (torch 2.13, CPU).

With names of functions after it only theirs are recorded anew. At the operands where halfsim differs on purpose the
results are left out; these operands are recorded beside them.
"""

from __future__ import annotations

import sys
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
        leaves = [
            tensor(codes.reshape(case.shape or -1)).requires_grad_(k < case.free) for k, codes in enumerate(given)
        ]
        with torch.backends.mkldnn.flags(enabled=False):  # oneDNN, which takes gelu over where the processor has halves
            y = function(*leaves)
            y.backward(tensor(gradients(fmt, y.numel())[i].reshape(y.shape)))
        found += [codes_of(y)] * (not found)
        found += [codes_of(x.grad) for x in leaves if x.grad is not None]
    return found


def record(names: list[str]) -> dict[str, np.ndarray]:
    from tests.autograd.ops.test_halves import results as ours

    recorded: dict[str, np.ndarray] = {}
    for case in CASES:
        for fmt in FORMATS if not names or case.name in names else ():
            theirs = results(case, fmt)
            skip = np.flatnonzero(differing(ours(case, fmt), theirs, fmt))
            key = f"{case.label} {fmt}"
            recorded[f"{key} sums"], recorded[f"{key} skip"] = sums(theirs, fmt, skip), skip.astype(np.uint16)
    return recorded


if __name__ == "__main__":
    path = Path(__file__).with_name("halves.npz")
    with np.load(path) as file:
        ends = np.cumsum(file["lengths"])[:-1]
        before = dict(zip(file["names"].tolist(), np.split(file["values"], ends), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorded = before | record(sys.argv[1:])
    labels = {case.label for case in CASES}
    names = sorted(name for name in recorded if name.rsplit(" ", 2)[0] in labels)
    np.savez_compressed(
        path,
        names=np.array(names),
        lengths=np.array([len(recorded[name]) for name in names]),
        values=np.concatenate([recorded[name].astype(np.uint32) for name in names]),
    )
