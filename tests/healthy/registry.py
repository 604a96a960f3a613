"""Runs that are as right as their format allows, as data: a function, one line of words, and how right is right.

A body is written once, for any precision::

    @healthy("softmax regression on digits, SGD", "fp16", "bf16", ulps=8)
    def regression(use: Use) -> Result: ...

and registers one `Healthy` for each precision named. The body makes its own inputs, in float64, and rounds them with
``use.tensor``; its result is one array or several by name. `Healthy.off` is the proof of health: how far the result
is from what it ought to be, ``right()`` where an independent function is given, else the same body in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

import halfsim as hs

Array = np.ndarray[Any, np.dtype[Any]]
Result = Array | Mapping[str, Array]


@dataclass(frozen=True)
class Use:
    """What a body computes in: the ``rule`` in force, the format of ``data`` and weights, the ulp it answers for."""

    rule: str
    data: str
    ulp: float

    @property
    def exact(self) -> bool:
        """Whether this is float64, which the others are held to."""
        return self.rule == "fp64"

    def tensor(self, x: Any, requires_grad: bool = False) -> hs.Tensor:
        """``x`` rounded to the format of the data."""
        return hs.tensor(x, self.data, requires_grad=requires_grad)

    def model(self, module: Any) -> Any:
        """``module`` with its weights in the format of the data."""
        return module.to(self.data)


MOVED = 0.1  # weights go where they ought to: lost updates, or gradients, would show as a half or more

_HALF, _BF16 = 2.0**-10, 2.0**-7
USES = {
    use.rule: use
    for use in (
        Use("fp64", "fp64", 2.0**-52),
        Use("fp32", "fp32", 2.0**-23),
        Use("tf32", "fp32", 2.0**-10),
        Use("fp16", "fp16", _HALF),
        Use("pure_fp16", "fp16", _HALF),
        Use("bf16", "bf16", _BF16),
        Use("amp", "fp32", _HALF),
        Use("amp_bf16", "fp32", _BF16),
        Use("fp8", "bf16", 2.0**-3),  # that of float8_e4m3fn, in which operands of products are
    )
}


@dataclass(frozen=True)
class Healthy:
    """A run that works: ``run()`` gives the result, ``right()`` the one it ought to be within ``ulps`` of, in norm.

    ``name`` is that of the body and its precision, ``subject`` that of the file.
    """

    name: str
    subject: str
    title: str
    precision: str
    body: Callable[[Use], Result]
    ulps: float
    other: Callable[[], Result] | None = None

    def run(self) -> dict[str, Array]:
        """The results in half precision, by name; the same bits each time."""
        return self._in(USES[self.precision])

    def right(self) -> dict[str, Array]:
        """The results as they ought to be."""
        return self._in(USES["fp64"]) if self.other is None else _named(self.other())

    def tolerance(self, result: str) -> float:
        """The relative error in norm that is allowed to a result; one named "moved" is what became of weights."""
        allowed = self.ulps * USES[self.precision].ulp
        return max(allowed, MOVED) if result == "moved" else allowed

    def off(self, run: dict[str, Array]) -> dict[str, float]:
        """How far each result of a ``run()`` is from the right one, in norm; infinite where not finite alike."""
        right = self.right()
        assert run.keys() == right.keys()
        return {name: distance(run[name], right[name]) for name in run}

    def wrong(self, run: dict[str, Array]) -> dict[str, str]:
        """The results of a ``run()`` that are off by more than allowed, in words; empty where it is healthy indeed."""
        off = self.off(run)
        return {name: f"{x:.2g} is past {self.tolerance(name):.2g}" for name, x in off.items()
                if not x <= self.tolerance(name)}  # fmt: skip

    def _in(self, use: Use) -> dict[str, Array]:
        hs.manual_seed(7)
        with hs.precision(use.rule):
            return _named(self.body(use))


def distance(run: Array, right: Array) -> float:
    """The norm of the difference over that of what is right; infinite where they are not finite alike.

    >>> distance(np.array([3.0, 4.5]), np.array([3.0, 4.0]))
    0.1
    """
    assert run.shape == right.shape, f"{run.shape} is not {right.shape}"
    same = (run == right) | (np.isfinite(run) & np.isfinite(right)) | (np.isnan(run) & np.isnan(right))
    if not same.all():
        return float("inf")
    finite = np.isfinite(right)
    apart = float(np.linalg.norm(run[finite] - right[finite]))
    return apart / (float(np.linalg.norm(right[finite])) or 1.0)


def _named(result: Result) -> dict[str, Array]:
    given = result if isinstance(result, Mapping) else {"result": result}
    return {name: plain(value) for name, value in given.items()}


def plain(x: Any) -> Array:
    """Numbers in float64, of a tensor, an array or a list of numbers."""
    return np.asarray(x.numpy() if isinstance(x, hs.Tensor) else x, np.float64)


RUNS: dict[str, Healthy] = {}

_Body = TypeVar("_Body", bound=Callable[[Use], Any])


def healthy(
    title: str, *precisions: str, ulps: float = 4, right: Callable[[], Result] | None = None
) -> Callable[[_Body], _Body]:
    """Register a body as healthy in each of ``precisions``, its results within ``ulps`` of ``right``, in norm.

    The default of four ulps is what sixty operations in a row are likely to make, each off by half an ulp (Higham and
    Mary 2019); where one is longer, or divides by small differences, ``ulps`` is two to four times what was measured.
    """

    def register(body: _Body) -> _Body:
        subject = body.__module__.rpartition(".")[2]
        for precision in precisions:
            assert precision in USES, precision
            name = f"{body.__name__}, {precision}"
            assert name not in RUNS, f"{name} is there already"
            RUNS[name] = Healthy(name, subject, title, precision, body, ulps, right)
        return body

    return register


def listing() -> str:
    """One line a body, by subject: what it is, and in which precisions."""
    lines: list[str] = []
    subject = ""
    for run in RUNS.values():
        if run.subject != subject:
            subject = run.subject
            lines += ["", f"**{subject.replace('_', ' ')}**", ""]
        if lines[-1].startswith(f"- {run.title} ("):
            lines[-1] = f"{lines[-1][:-1]}, {run.precision})"
        else:
            lines.append(f"- {run.title} ({run.precision})")
    return "\n".join(lines[1:])
