"""Record what PyTorch's functions give in float64, and their gradients: python -m tests.recorded.record_functions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.recorded.functions import CASES, EQUATIONS, Case, numbers


def to_torch(x: Any) -> Any:
    return torch.tensor(x) if isinstance(x, np.ndarray) else x


def called(case: Case, tensors: list[torch.Tensor]) -> torch.Tensor:
    places = {"F": torch.nn.functional, "T": torch, "S": torch.special, "L": torch.linalg}
    module: Any = places[case.place]
    rest = [to_torch(x) for x in case.rest]
    options = {name: to_torch(x) for name, x in case.options.items()}
    inputs = [tensors] if case.many else tensors
    return getattr(module, case.name)(*inputs, *rest, **options)


def results(function: Any, arrays: list[np.ndarray]) -> np.ndarray:
    """The output, then every gradient of its product with `numbers`, as one vector."""
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = function(tensors)
    y.backward(torch.tensor(numbers(tuple(y.shape), 3)))
    parts = [y.detach(), *(x.grad for x in tensors if x.grad is not None)]
    return np.concatenate([p.numpy().reshape(-1) for p in parts])


def everything() -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kl_div warns of its mean
        found = {case.label: results(lambda x, case=case: called(case, x), case.inputs) for case in CASES}
        for equation, shapes in EQUATIONS.items():
            arrays = [numbers(shape, seed) for seed, shape in enumerate(shapes)]
            found[equation] = results(lambda x, e=equation: torch.einsum(e, *x), arrays)
    return found


if __name__ == "__main__":
    found = everything()
    np.savez_compressed(
        Path(__file__).with_name("functions.npz"),
        labels=np.array(list(found)),
        lengths=np.array([len(values) for values in found.values()]),
        values=np.concatenate(list(found.values())),
    )
