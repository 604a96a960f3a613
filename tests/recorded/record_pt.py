"""Write zipped.pt and legacy.pt as PyTorch does: ``python -m tests.recorded.record_pt``."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from tests.recorded.settings import CODES


def content() -> dict[str, Any]:
    """Everything that `halfsim.load` reads, some of it twice."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    model(torch.randn(5, 3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    grid = torch.arange(12.0).reshape(3, 4)
    tensors: dict[str, Any] = {
        "transposed": grid.t(),
        "column": grid[:, 2],
        "same": grid,
        "expanded": torch.tensor([7.0]).expand(2, 3),
        "scalar": torch.tensor(3.0, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, 2.0]), requires_grad=False),
        "leaf": torch.tensor([0.5], dtype=torch.float64, requires_grad=True),
        "mask": torch.tensor([[True, False]]),
        "indices": torch.tensor([-(2**63), 2**63 - 1]),
    }
    for name in ("int32", "int16", "int8", "uint8"):
        tensors[name] = torch.tensor([0, 1, 127], dtype=getattr(torch, name))
    for name, codes in CODES.items():
        word = {8: torch.uint8, 16: torch.uint16, 32: torch.uint32, 64: torch.uint64}[8 * getattr(torch, name).itemsize]
        tensors[f"special.{name}"] = torch.tensor(codes, dtype=word).view(getattr(torch, name))
    plain = {
        "epoch": 3,
        "best": 0.5,
        "name": "ünïcode",
        "none": None,
        "flags": [True, False],
        "pair": (1, "a"),
        "set": {1, 2},
        "frozen": frozenset([3]),
        "bytes": b"\x00ab",
        "bytearray": bytearray(b"xy"),
        "complex": 1 - 2j,
        "huge": 10**40,
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "ordered": OrderedDict([("z", 1), ("a", 2)]),
        3: {"nested": [{}]},
    }
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "tensors": tensors, "plain": plain}


if __name__ == "__main__":
    here = Path(__file__)
    torch.save(content(), here.with_name("zipped.pt"))
    torch.save(content(), here.with_name("legacy.pt"), _use_new_zipfile_serialization=False)
