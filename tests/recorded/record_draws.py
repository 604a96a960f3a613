"""Write draws.npz, what PyTorch draws on the CPU: ``python -m tests.recorded.record_draws``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.recorded.draws import DRAWS, SEEDS, Draw


def _of(draw: Draw, g: torch.Generator) -> torch.Tensor:
    size, given = draw.size, draw.parameters
    dtype = getattr(torch, draw.fmt) if draw.fmt else None
    if draw.name in ("uniform", "normal", "exponential"):
        return getattr(torch.empty(size, dtype=dtype), f"{draw.name}_")(*given, generator=g)
    if draw.name == "integers":
        return torch.randint(*given, (size,), generator=g)
    if draw.name == "permutation":
        return torch.randperm(size, generator=g)
    if draw.name == "bernoulli":
        return torch.empty(size, dtype=torch.bool).bernoulli_(*given, generator=g)
    if draw.name == "bernoulli_each":
        return torch.bernoulli(torch.linspace(0, 1, size, dtype=dtype), generator=g).bool()
    return torch.multinomial(torch.tensor(size, dtype=dtype), *given, generator=g)


def results(seed: int) -> list[np.ndarray[Any, Any]]:
    """Of one generator, one after the other."""
    g = torch.Generator().manual_seed(seed)
    found = [_of(draw, g) for draw in DRAWS]
    return [x.double().numpy() if x.is_floating_point() else x.numpy() for x in found]


if __name__ == "__main__":
    drawn = {
        f"{seed}/{draw.label}": x
        for seed in SEEDS[::2]
        for draw, x in zip(DRAWS, results(seed), strict=True)
        if 0 < x.size <= 100
    }
    g = torch.Generator().manual_seed(SEEDS[1])
    torch.randn(5, generator=g)
    drawn["state"] = g.get_state().numpy()
    np.savez_compressed(Path(__file__).with_name("draws.npz"), **drawn)
