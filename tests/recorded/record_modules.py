"""Record PyTorch's normalisation and embedding: python -m tests.recorded.record_modules (torch 2.13, CPU)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.recorded.modules import HALVES, LAYERS, MIXED

Arrays = dict[str, np.ndarray]


def drawn(module: torch.nn.Module, rng: np.random.Generator) -> torch.nn.Module:
    for p in module.parameters():
        p.array = torch.tensor(rng.standard_normal(tuple(p.shape)), dtype=torch.float64)
    return module.double()


def state(out: Arrays, prefix: str, module: torch.nn.Module) -> None:
    out.update({f"{prefix}.{key}": value.numpy().copy() for key, value in module.state_dict().items()})


def layer(out: Arrays, name: str, kind: str, args: tuple[Any, ...], options: dict[str, Any], shape: Any) -> None:
    """Two training steps, the second with gradients, then one in evaluation with gradients.

    ``in`` holds the inputs of the three steps and the gradient of the output, ``out`` output and gradient of the input
    in training, then in evaluation.
    """
    rng = np.random.default_rng(len(name))
    module = drawn(getattr(torch.nn, kind)(*args, **options), rng)
    state(out, f"{name}.before", module)
    xs, g = 3 * rng.standard_normal((3, *shape)) + 1, rng.standard_normal(shape)
    out[f"{name}.in"], results = np.array([*xs, g]), []
    module(torch.tensor(xs[0]))
    for phase, values in (("train", xs[1]), ("eval", xs[2])):
        module.train(phase == "train").zero_grad()
        x = torch.tensor(values, requires_grad=True)
        y = module(x)
        y.backward(torch.tensor(g))
        results += [y.detach().numpy(), x.grad.numpy()]
        out.update({f"{name}.{phase}.d{key}": p.grad.numpy().copy() for key, p in module.named_parameters()})
    out[f"{name}.out"] = np.array(results)
    state(out, f"{name}.after", module)


def halves(out: Arrays) -> None:
    """Some of them for float16, forward; inputs small enough to see eps, and larger ones."""
    for name in HALVES + MIXED:
        kind, args, options, shape = LAYERS[name]
        rng = np.random.default_rng(17)
        module = drawn(getattr(torch.nn, kind)(*args, **options), rng).to(
            torch.float16 if name in HALVES else torch.float32
        )
        state(out, f"{name}.half", module)
        for scale in (2.0**-10, 4.0):
            x = (rng.standard_normal(shape) * scale).astype(np.float16)
            out[f"{name}.half.x{scale}"] = x
            out[f"{name}.half.y{scale}"] = module(torch.tensor(x)).detach().numpy()


def embedding(out: Arrays) -> None:
    rng = np.random.default_rng(5)
    module = drawn(torch.nn.Embedding(7, 3, padding_idx=2), rng)
    indices, g = rng.integers(0, 7, (4, 6)), rng.standard_normal((4, 6, 3))
    y = module(torch.tensor(indices))
    y.backward(torch.tensor(g))
    state(out, "embedding", module)
    out.update({"embedding.x": indices, "embedding.g": g, "embedding.y": y.detach().numpy()})
    out["embedding.dweight"] = module.weight.grad.numpy()


if __name__ == "__main__":
    recorded: Arrays = {}
    for name, row in LAYERS.items():
        layer(recorded, name, *row)
    halves(recorded)
    embedding(recorded)
    np.savez_compressed(Path(__file__).with_name("modules.npz"), **recorded)
