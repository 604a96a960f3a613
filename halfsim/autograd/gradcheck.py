"""Gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.scope import no_grad, precision
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.quantize import Array
from halfsim.options import guarded_names


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of ``fn`` at ``inputs`` agree with central differences, all in float64.

    ``inputs`` is a Tensor or a sequence of arguments of ``fn``; the Tensors in it that require a gradient (all
    Tensors, if none does) and floating-point arrays are checked, in float64 copies, under ``precision("fp64",
    override=True)``. ``fn`` returns a Tensor or a tuple of them and must be deterministic. Each element of the
    Jacobian, by differences ``(f(x + eps) - f(x - eps)) / (2 eps)``, must be within ``atol + rtol * |difference|``
    of the gradient; NaN agrees with nothing. ``AssertionError`` that names the input, the output and the worst
    element otherwise, or False with ``raise_exception=False``; ``ValueError`` if there is nothing to check. Infinities
    in ``inputs`` are as wrong as NaN, both zeros are zero, subnormal numbers are far below ``eps``.

    >>> import halfsim as hs
    >>> gradcheck(lambda x: (x * x).sum(), hs.tensor([1.0, -2.0], requires_grad=True))
    True
    """
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps: {eps} is not allowed; allowed: finite numbers above 0")
    given = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    with precision("fp64", override=True), np.errstate(all="ignore"):
        arguments, checked = _arguments(given)
        outputs = _outputs(fn, arguments)
        for k, out in enumerate(outputs):
            analytic = _analytic(out, [arguments[i] for i in checked])
            for i, jacobian in zip(checked, analytic, strict=True):
                message = _compare(jacobian, _numeric(fn, arguments, i, k, eps), atol, rtol)
                if message:
                    if raise_exception:
                        raise AssertionError(f"gradcheck: output {k}, input {i}: {message}")
                    return False
    return True


def _arguments(given: Sequence[Any]) -> tuple[list[Any], list[int]]:
    wanted = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    wanted = wanted or [i for i, x in enumerate(given) if isinstance(x, Tensor) or _is_float(x)]
    if not wanted:
        raise ValueError("inputs: nothing to check; allowed: a tensor or a floating-point array among them")
    return [tensor(x, "fp64", requires_grad=True) if i in wanted else x for i, x in enumerate(given)], wanted


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _outputs(fn: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Tensor, ...]:
    result = fn(*arguments)
    outputs = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    for out in outputs:
        if not isinstance(out, Tensor):
            raise TypeError(f"fn: returned {type(out).__name__}; allowed: a Tensor or a tuple of them")
    return outputs


def _analytic(out: Tensor, leaves: Sequence[Tensor]) -> list[Array]:
    """The Jacobian of ``out`` with respect to each leaf, (out.size, leaf.size), a backward pass a row."""
    rows: list[list[Array]] = [[] for _ in leaves]
    for seed in _units(out.shape, out.size):
        for leaf in leaves:
            leaf.grad = None
        if out.requires_grad:
            out.backward(seed, retain_graph=True)
        for row, leaf in zip(rows, leaves, strict=True):
            row.append(np.zeros(leaf.size) if leaf.grad is None else leaf.grad.array.reshape(-1))
    return [np.array(row).reshape(out.size, leaf.size) for row, leaf in zip(rows, leaves, strict=True)]


def _units(shape: tuple[int, ...], size: int) -> Iterator[Array]:
    for i in range(size):
        unit = np.zeros(size)
        unit[i] = 1
        yield unit.reshape(shape)


def _numeric(fn: Callable[..., Any], arguments: Sequence[Any], i: int, k: int, eps: float) -> Array:
    columns = []
    with no_grad():
        for unit in _units(arguments[i].shape, arguments[i].size):
            ends = []
            for step in (eps, -eps):
                moved = Tensor(arguments[i].array + step * unit, arguments[i].format)
                ends.append(_outputs(fn, [*arguments[:i], moved, *arguments[i + 1 :]])[k].array.reshape(-1))
            columns.append((ends[0] - ends[1]) / (2 * eps))
    return np.array(columns).T if columns else np.zeros((0, 0))


def _compare(analytic: Array, numeric: Array, atol: float, rtol: float) -> str:
    if not analytic.size:
        return ""
    error = np.abs(analytic - numeric)
    wrong = ~(error <= atol + rtol * np.abs(numeric))
    if not wrong.any():
        return ""
    row, column = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1)), wrong.shape)
    where = f"d out[{row}] / d in[{column}] (flat indices)"
    return f"{where} is {analytic[row, column]:.6g} by the gradient, {numeric[row, column]:.6g} by differences"


guarded_names(globals(), ["gradcheck"])
