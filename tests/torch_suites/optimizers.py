"""PyTorch's own inputs for its optimizers (OptimizerInfo), run here and there: python -m tests.torch_suites.optimizers.

Every set of options that PyTorch's tests give an optimizer, those for GPUs included (where ``capturable``, which
PyTorch's CPU refuses, is given to ours alone), steps three parameters five times by the same gradients. In float64
the weights must agree to 1e-9; in float16 and bfloat16 to the bit with PyTorch's kernels, see `opmath`, where an
optimizer is made of elementwise kernels. Betas that are float32 tensors allow 1e-6, the accuracy of their powers. What
PyTorch must refuse must be refused here, in one line that says what is allowed. ``--write`` records the results.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import halfsim as hs

RECORD = Path(__file__).with_name("recorded_optimizers.json")
OUTCOMES = ("right", "wrong", "unclear error", "refused clearly")
FORMATS = ("float64", "float16", "bfloat16")
SUMMING = {"Adafactor", "Muon", "LBFGS"}  # made of sums too, whose order is not PyTorch's
STEPS = 5
SHOWN = 2  # how many weights of each parameter are recorded


def counts() -> dict[str, dict[str, int]]:
    """How many of each optimizer's recorded runs came to which outcome."""
    found: dict[str, Counter[str]] = {}
    for line in recorded():
        outcomes = line["outcome"]
        tally = found.setdefault(line["optimizer"], Counter(dict.fromkeys(OUTCOMES, 0)))
        tally.update(outcomes.values() if isinstance(outcomes, dict) else [outcomes])
    return {name: dict(tally) for name, tally in sorted(found.items())}


def recorded() -> list[dict[str, Any]]:
    return json.loads(RECORD.read_text())


def started(optimizer: str) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Parameters, and the gradients of each step, all numbers of float16 and few of them equal."""
    rng = np.random.default_rng(2026)
    shapes: list[tuple[int, ...]] = [(3, 4), (4, 2)] if optimizer == "Muon" else [(3, 4), (5,), ()]

    def drawn() -> list[np.ndarray]:
        return [np.asarray(rng.standard_normal(shape), np.float16) for shape in shapes]

    return drawn(), [drawn() for _ in range(STEPS)]


def ours(optimizer: str, options: dict[str, Any], fmt: str) -> list[np.ndarray]:
    """The weights after all steps."""
    start, gradients = started(optimizer)
    parameters = [hs.tensor(x, fmt, requires_grad=True) for x in start]
    made = getattr(hs.optim, optimizer)(parameters, **options)
    for grads in gradients:
        made.step(_closure(made, parameters, grads, lambda x: hs.tensor(x, fmt)))
    return [p.array.astype(np.float64) for p in parameters]


def theirs(optimizer: str, options: dict[str, Any], fmt: str) -> list[np.ndarray]:
    """The same of PyTorch, its kernels for halves as a GPU's."""
    import contextlib

    import torch

    from tests.torch_suites.opmath import opmath

    start, gradients = started(optimizer)
    dtype = getattr(torch, fmt)
    parameters = [torch.nn.Parameter(torch.tensor(x).to(dtype)) for x in start]
    options = {key: value for key, value in options.items() if key != "capturable"}
    plain = {} if optimizer in ("Muon", "LBFGS") else {"foreach": False}
    made = getattr(torch.optim, optimizer)(parameters, **options, **plain)
    with contextlib.nullcontext() if fmt == "float64" else opmath():
        for grads in gradients:
            made.step(_closure(made, parameters, grads, lambda x: torch.tensor(x).to(dtype)))
    return [p.detach().double().numpy() for p in parameters]


def _closure(made: Any, parameters: list[Any], grads: list[np.ndarray], tensor: Any) -> Any:
    """A loss that L-BFGS can minimize; others get their gradients at once, and call nothing."""
    if type(made).__name__ != "LBFGS":
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = tensor(grad)
        return None
    goals = [tensor(grad) for grad in grads]

    def closure() -> Any:
        made.zero_grad()
        losses = [((p - goal) * (p - goal) + p * p * p * p).sum() for p, goal in zip(parameters, goals, strict=True)]
        loss = losses[0] + losses[1] + losses[2]
        loss.backward()
        return loss.detach()

    return closure


def judged(optimizer: str, options: dict[str, Any], fmt: str, expected: list[np.ndarray]) -> str:
    """The outcome of a run of ours whose weights should be ``expected``."""
    try:
        got = ours(optimizer, options, fmt)
    except Exception as error:
        return "refused clearly" if clear(error) else "unclear error"
    return "right" if all(map(agrees(options, fmt), got, expected)) else "wrong"


def agrees(options: dict[str, Any], fmt: str) -> Any:
    """Whether weights are as near as they must be."""
    rtol = 0.0 if fmt != "float64" else 1e-6 if hasattr(options.get("betas", (0,))[0], "shape") else 1e-9
    return lambda got, expected: np.allclose(got, expected, rtol, 1e-12 if rtol else 0.0, equal_nan=True)


def clear(error: BaseException) -> bool:
    """An error of one line that says what is allowed."""
    return isinstance(error, (TypeError, ValueError)) and "allowed" in str(error) and "\n" not in str(error)


# Options as JSON holds them, as ours and as PyTorch's.


def plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # a tensor
        return {"tensor": value.tolist()}
    return [plain(x) for x in value] if isinstance(value, (tuple, list)) else value


def built(value: Any, tensor: Any) -> Any:
    if isinstance(value, dict):
        return tensor(value["tensor"])
    return tuple(built(x, tensor) for x in value) if isinstance(value, list) else value


def options_of(line: dict[str, Any], tensor: Any = lambda x: hs.tensor(np.array(x, np.float32))) -> dict[str, Any]:
    return {key: built(value, tensor) for key, value in line["options"].items()}


# Live runs.


def inputs() -> list[dict[str, Any]]:
    """What PyTorch gives its optimizers, as JSON holds it."""
    from torch.testing._internal.common_optimizers import optim_db

    return [
        {"optimizer": info.name, "about": given.desc, "options": {k: plain(v) for k, v in given.kwargs.items()}}
        for info in optim_db
        for given in info.optim_inputs_func("cuda")
    ]


def compared(line: dict[str, Any]) -> dict[str, Any]:
    """A line of inputs with outcomes, and the last weights of PyTorch."""
    import torch

    name, outcomes, weights = line["optimizer"], {}, {}
    for fmt in FORMATS[: 1 if name in SUMMING else None]:
        expected = None if name == "SparseAdam" else theirs(name, options_of(line, torch.tensor), fmt)
        outcomes[fmt] = judged(name, options_of(line), fmt, expected or [])
        if expected:
            digits = 12 if fmt == "float64" else 17  # a half is recorded as it is
            weights[fmt] = [[float(f"{w:.{digits}g}") for w in x.reshape(-1)[:SHOWN]] for x in expected]
    return {**line, "outcome": outcomes, **({"weights": weights} if weights else {})}


def refused() -> list[dict[str, Any]]:
    """What PyTorch's tests expect to be refused, and what ours make of it."""
    import torch
    from torch.testing._internal.common_optimizers import optim_db

    lines = []
    for info in optim_db:
        for given in info.optim_error_inputs_func("cpu", torch.float32):
            inner = given.optimizer_error_input
            line = {"optimizer": info.name, "about": inner.desc, "error": given.error_type.__name__}
            lines.append({**line, "outcome": _refusal(info.name, inner, given.error_type)})
    return lines


def _refusal(optimizer: str, given: Any, expected: type) -> str:
    known: dict[int, Any] = {}

    def ported(x: Any) -> Any:
        import torch

        if isinstance(x, torch.Tensor):
            if id(x) not in known:
                dense = x.detach().to_dense() if x.layout is torch.sparse_coo else x.detach()
                known[id(x)] = hs.tensor(dense.numpy(), requires_grad=True)
                known[id(x)].grad = None if x.grad is None else hs.tensor(x.grad.numpy())
            return known[id(x)]
        if isinstance(x, dict):
            return {key: ported(value) for key, value in x.items()}
        return type(x)(map(ported, x)) if isinstance(x, (list, tuple)) else x

    try:
        parameters = given.params if given.params is not None else [hs.tensor(np.ones((2, 2)), requires_grad=True)]
        getattr(hs.optim, optimizer)(ported(parameters), **ported(given.kwargs)).step()
    except Exception as error:
        if not clear(error):
            return "unclear error"
        return "refused clearly" if issubclass(expected, Warning) else "right"
    return "wrong"


def main() -> None:
    lines = [*map(compared, inputs()), *refused()]
    if "--write" in sys.argv:
        RECORD.write_text("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n")
    for name, tally in counts().items():
        print(f"{name:12}", "  ".join(f"{tally[outcome]:3} {outcome}" for outcome in OUTCOMES))
    for line in lines:
        outcomes = line["outcome"].values() if isinstance(line["outcome"], dict) else [line["outcome"]]
        if {"wrong", "unclear error"} & {*outcomes}:
            print(line)


if __name__ == "__main__":
    main()
