"""FLOPs of products, against PyTorch's own counter, which counts grouped convolutions otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.costs.measure import measured

torch = pytest.importorskip("torch", reason="PyTorch's counter is the oracle")

MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (lambda nn: nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5)), (7, 20)),
    "convolutions": (
        lambda nn: nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3),
                                 nn.ConvTranspose2d(16, 4, 2, 2), nn.Flatten(),
                                 nn.Linear(4 * 12 * 12, 5)), (2, 3, 16, 16)),
    "one dimension": (lambda nn: nn.Sequential(nn.Conv1d(4, 6, 5, dilation=2), nn.GELU()), (3, 4, 20)),
    "three dimensions": (lambda nn: nn.Sequential(nn.Conv3d(2, 4, 2), nn.Tanh()), (2, 2, 5, 5, 5)),
    "rows of a stack": (lambda nn: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)), (2, 5, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_products_are_those_of_pytorch(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    make, shape = MODELS[name]
    theirs = FlopCounterMode(display=False)
    with theirs:
        make(torch.nn)(torch.ones(shape)).sum().backward()
    works = measured(make(hs.nn), (np.ones(shape, np.float32), None), "fp32", True).works
    assert sum(w.flops for w in works if w.product) == theirs.get_total_flops()
