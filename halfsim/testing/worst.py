"""The worst input of a function that hypothesis can find, made small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from halfsim.autograd.scope import precision
from halfsim.autograd.tensor import Tensor, format_of
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.minimize.minimize import minimize
from halfsim.diagnose.minimize.script import script
from halfsim.diagnose.trace import trace
from halfsim.document import Document, attributes, jsonable
from halfsim.markup import Lines, sections
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array
from halfsim.testing._hypothesis import HealthCheck, Phase, given, seed, settings, st, target
from halfsim.testing.assertions import distance
from halfsim.testing.drawn import Strategy, refused

__all__ = ["WorstCase", "worst_case"]


@dataclass(frozen=True)
class WorstCase(Document):
    """The worst input that a search found, and a small one that is nearly as bad; it prints as a script.

    ``error`` is that of ``inputs`` in ulps of the result's format, infinite where the result is infinite or NaN and the
    right one is not; ``found`` is the largest error before the input was made small. ``finding`` says which
    operation of halfsim's made the trouble, None where ``f`` does not use it or nothing is wrong; ``runs`` is how many
    inputs were tried.
    """

    title = "halfsim: the worst input found"

    inputs: Any
    error: float
    found: float
    script: str
    finding: Finding | None
    runs: int

    def __str__(self) -> str:
        finding = f"\n# {self.finding.klass}: {self.finding.located}" if self.finding is not None else ""
        return f"# {self._story()}{finding}\n{self.script}"

    def _story(self) -> str:
        return f"{self.error:.4g} ulp (the worst of {self.runs:,} inputs: {self.found:.4g} ulp)"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, tensors and arrays as lists; numbers that are not finite are strings."""
        return jsonable({"schema": 1, "kind": "worst case", **attributes(self)})

    def _body(self) -> Iterator[str]:
        yield from sections([("", self._story()), ("A script that shows it", Lines(self.script))])


def worst_case(
    f: Callable[..., Any],
    strategy: Strategy[Any],
    *,
    reference: Callable[..., Any] | None = None,
    max_examples: int = 500,
    max_evaluations: int = 500,
) -> WorstCase:
    """The worst input of ``f`` that hypothesis finds, steered by the error in ulps, made small, as a script.

    ``strategy`` draws the argument of ``f``, or a tuple of its arguments. ``reference`` takes the same arguments and
    gives the right result; without it, it is ``f`` in the precision "fp64", with arrays of halves and floats widened to
    float64. Where the exact result overflows its format, an infinity is right. A result whose error is infinite ends
    the search. The input found is made small by `halfsim.minimize` as long as its error stays at least half as large;
    the search is the same in every run. ``InvalidArgument`` for another thing than a strategy, and for ``max_examples``
    below 1.

    >>> import numpy as np
    >>> from halfsim.testing import strategies as st
    >>> halves = st.arrays("float16", 3, elements={"min_value": 1, "max_value": 1024})
    >>> worst = worst_case(np.linalg.norm, halves)
    >>> worst.error, len(worst.inputs[0]) <= 3
    (inf, True)
    """
    if not isinstance(strategy, st.SearchStrategy):
        raise refused("strategy", strategy, "a strategy")
    if not callable(f):
        raise refused("f", f, "a function")
    if max_examples < 1:
        raise refused("max_examples", max_examples, "integers from 1")
    right = reference if reference is not None else lambda *args: _widened(f, args)
    best: list[Any] = [-1.0, None]
    runs = 0

    @given(strategy)
    @seed(0)
    @settings(max_examples=max_examples, database=None, deadline=None, phases=[Phase.generate, Phase.target],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def search(drawn: Any) -> None:
        nonlocal runs
        if np.isinf(best[0]):
            return
        runs += 1
        args = drawn if isinstance(drawn, tuple) else (drawn,)
        error = _error(f, right, args)
        if np.isfinite(error):
            target(error, label="ulp")
        if error > best[0]:
            best[:] = error, args

    search()
    found, args = best
    if found <= 0:
        return WorstCase(args, max(found, 0.0), max(found, 0.0), "", _finding(f, args), runs)

    small = minimize(partial(_beside, f, right), args, partial(_as_bad, found / 2),
                     max_evaluations=max_evaluations)  # fmt: skip
    inputs = small.inputs
    result, wanted = _beside(f, right, *inputs)
    text = script(f, inputs, {}, ArithmeticError(), None)[0]
    checked = f"print(result)  # right is {np.asarray(wanted).tolist()}\n"
    return WorstCase(inputs, _worst(result, wanted), found, text + checked, _finding(f, inputs), runs)


def _beside(f: Callable[..., Any], right: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    with np.errstate(all="ignore"):
        return f(*args), right(*args)


def _as_bad(least: float, pair: tuple[Any, Any]) -> bool:
    return _worst(*pair) >= least


def _widened(f: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What ``f`` gives in float64."""
    with precision("fp64", override=True):
        return f(*map(_wide, args))


def _wide(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x if not x.is_floating_point() else Tensor(x.array.astype(np.float64), _FLOAT64, x.requires_grad)
    if isinstance(x, (np.ndarray, np.floating)) and x.dtype.kind == "f":
        return x.astype(np.float64)
    return x


_FLOAT64 = format_of(np.float64(0))


def _error(f: Callable[..., Any], right: Callable[..., Any], args: Any) -> float:
    return _worst(*_beside(f, right, *args))


def _worst(result: Any, wanted: Any) -> float:
    """The largest error of one result or several, in ulps of the result's format."""
    if isinstance(result, (tuple, list)):
        return max((_worst(a, b) for a, b in zip(result, wanted, strict=True)), default=0.0)
    found = result.array if isinstance(result, Tensor) else np.asarray(result)
    fmt: Format = result.format if isinstance(result, Tensor) else format_of(found)
    exact: Array = np.asarray(wanted.array if isinstance(wanted, Tensor) else wanted, np.float64)
    if found.shape != exact.shape:
        raise refused("reference", exact.shape, f"results of shape {found.shape}")
    return float(distance(found.astype(np.float64), exact, fmt).max(initial=0.0))


def _finding(f: Callable[..., Any], args: Any) -> Finding | None:
    with trace() as seen, np.errstate(all="ignore"):
        f(*args)
    return seen.verdict()
