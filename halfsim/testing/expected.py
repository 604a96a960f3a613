"""The error that a format, an order of sums and the inputs make inevitable, and a test that takes it for tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, pi, sqrt
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.observer import Observer
from halfsim.autograd.policy import Rule, as_rule, rule_name
from halfsim.autograd.tensor import Tensor, format_of
from halfsim.card import Card
from halfsim.diagnose.reach import reached
from halfsim.diagnose.snapshot import Snapshot, run_under
from halfsim.hardware import device as find_device
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.neighbours import ulp
from halfsim.numerics.precision import Precision, replace_roles
from halfsim.numerics.quantize import Array, round_to
from halfsim.options import shown
from halfsim.testing.assertions import Mismatch, described, failed, numbers_of
from halfsim.testing.cause import cause, same
from halfsim.testing.perturbed import Noise, Perturbing, unstored

_CERTAIN, _LIKELY, _RANDOM = 128, 64, 16  # runs of each kind
_SMALL = 2.0**-14  # of a rounding, in the runs that measure slopes: no curvature is seen
FAILURE = 1e-3  # the probability that any element passes its probabilistic bound, roundings being independent

__tracebackhide__ = True  # pytest shows the line of the test that failed, not those in here


@dataclass(frozen=True)
class Expected(Card):
    """The error that a computation may have, element by element, as absolute numbers in float64.

    ``deterministic`` is what it can be at most, every rounding being as large as it can and all of one sign;
    ``probabilistic`` what it passes with a probability of 1e-3 at most in any element, roundings being independent and
    right on average. Both are of first order, and hold for every order of operations that the precision allows.
    ``spread`` is the largest error that was seen in runs under random roundings, ``simulated`` what the simulator gives
    and ``reference`` what no rounding gives. ``limit`` is the tolerance that follows.

    >>> import halfsim as hs
    >>> found = expected_error(lambda x: x.sum(), [[1.0] * 64], "pure_fp16")
    >>> bool(found.spread <= found.probabilistic <= found.deterministic)
    True
    """

    reference: Array
    simulated: Array
    deterministic: Array
    probabilistic: Array
    spread: Array
    limit: Array
    format: Format
    precision: str

    @property
    def ulps(self) -> Array:
        """``limit`` in units in the last place of ``format`` at the reference."""
        with np.errstate(all="ignore"):
            return np.asarray(self.limit / ulp(self.reference, self.format))

    def __str__(self) -> str:
        unit = ulp(self.reference, self.format)
        with np.errstate(all="ignore"):
            rows = [
                f"{name:<14}{np.nanmedian(x / unit):>10.3g}{np.nanmax(x / unit):>10.3g}"
                for name in ("deterministic", "probabilistic", "spread", "limit")
                for x in [getattr(self, name)]
                if x.size
            ]
        head = f"expected error in ulp of {self.format} under {self.precision}"
        return "\n".join([head, f"{'':<14}{'median':>10}{'largest':>10}", *rows])


def expected_error(
    f: Callable[..., Any],
    inputs: Any,
    precision: object = "fp16",
    *,
    accumulate: object = None,
    device: str | None = None,
) -> Expected:
    """The error that computing ``f(*inputs)`` in ``precision`` makes inevitable, for each element of the result.

    ``f`` takes halfsim tensors, one for each of ``inputs`` (a sequence of arrays, or one array), and gives one tensor
    of any shape. Inputs are rounded to the storage of the precision first, as a kernel has them; those of integers and
    bools stay. What ``f`` is made of says what may be stored between: ``hs.ops.softmax(x)`` is one kernel, ``e /
    e.sum()`` two. ``precision`` is a Precision, a Policy, or what `halfsim.precision` takes; ``accumulate`` puts
    another accumulator in it ("fp16:pairwise"), ``device`` takes both from a named device ("A100").

    Where the reference is infinite or NaN the result has to be the same. Where the simulator overflows on the way to a
    finite reference, `assert_within_precision` takes infinities and NaN beside what is within the limit.
    Zeros of either sign are equal; below the smallest normal number an ulp is the smallest subnormal.

    Sensitivities are measured, not derived by rules: ``f`` runs 128 times in float64 with every rounding replaced by a
    small multiple of its bound drawn from Cauchy's distribution, whose sums have the sum of the scales for scale (the
    Cauchy deviates of Trejo and Kreinovich, 2001); 64 times with normal numbers, whose sums have the root of the sum of
    squares; and 16 times with random roundings of full size (Monte Carlo arithmetic, Parker 1997). See
    docs/testing/tolerance.md. ``TypeError`` where ``f`` gives no tensor of floats, ``ValueError`` for a precision
    that stores float64, for which float64 is no reference.

    >>> found = expected_error(lambda x: x.exp(), [[0.5, 4.0]], "fp16")
    >>> [round(float(u), 2) for u in found.ulps]
    [0.5, 0.5]
    """
    with Run(f, inputs, _rule(precision, accumulate, device)) as run:
        return run.expected()


def assert_within_precision(
    actual: Any,
    f: Callable[..., Any],
    inputs: Any,
    precision: object = "fp16",
    *,
    accumulate: object = None,
    device: str | None = None,
) -> None:
    """Fail where ``actual`` is further from ``f(*inputs)`` than ``precision`` makes inevitable.

    ``actual`` is what the kernel under test gave: an array or a tensor of the shape that ``f`` gives. The other
    arguments are those of `expected_error`, whose ``limit`` is the tolerance; there is none to choose. NaN and
    infinities have to be where exact arithmetic has them, or may be where the simulator's overflowed; so may an
    infinity where the limit reaches past the largest number. Both zeros are equal. The message names the worst element,
    its bits and neighbours, how far off it is, and what would explain it: the operation of ``f`` that gives these
    numbers with a narrower accumulator, with narrower steps, rounded toward zero, or flushed; else the operation that
    has the largest part in the error to be expected. ``AssertionError``, also for another shape.

    >>> import halfsim as hs
    >>> x = np.full(4096, 1.0, np.float16)
    >>> assert_within_precision(np.float16(4096), lambda x: x.sum(), [x])
    >>> try:
    ...     assert_within_precision(np.float16(2048), lambda x: x.sum(), [x])
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[-1].partition("with ")[2])
    accumulate=float16:sequential gives these very numbers
    """
    with Run(f, inputs, _rule(precision, accumulate, device)) as run:
        expected = run.expected()
        fmt = expected.format
        given = numbers_of("actual", actual, fmt)
        if given.shape != expected.reference.shape:
            raise Mismatch(f"actual: shape {given.shape} is not allowed; allowed: {expected.reference.shape}")
        excess = exceeded(given, expected)
        if not (excess > 1).any():
            return
        worst = int(np.argmax(excess))
        values = (x.reshape(-1)[worst] for x in (expected.reference, expected.limit, expected.ulps, expected.simulated))
        reference, limit, ulps, simulated = (float(x) for x in values)
        lines = [
            failed(excess > 1, f"further from the reference than {expected.precision} makes inevitable"),
            *described(given, worst, expected.reference, fmt),
            f"allowed: {limit:.3g}, {ulps:.3g} ulp; the simulator gives {simulated:.9g}, "
            f"off by {abs(simulated - reference):.3g}",
            cause(run, given, expected, worst),
        ]
    raise AssertionError("\n".join(line for line in lines if line))


def exceeded(given: Array, expected: Expected) -> Array:
    """The error of each element over its limit: at most 1 where it is within, infinite where no limit would do."""
    reference, limit, fmt = expected.reference, expected.limit, expected.format
    with np.errstate(all="ignore"):
        error = np.abs(given - reference)
        excess = np.where(error == 0, 0.0, error / limit)
        rounded = np.asarray(round_to(reference, fmt))
        meant = [same(given, x) for x in (reference, rounded, expected.simulated)]
        half = 0.5 * ulp(np.array([reference, np.full_like(reference, fmt.max)]), fmt)
        edge = (np.abs(reference) + limit - half[0] >= fmt.max + half[1]) & (given * reference > 0)
        lost = np.isfinite(rounded) & ~np.isfinite(expected.simulated)  # on the way to a result that has a number
        fine = meant[0] | meant[1] | meant[2] | (~np.isfinite(given) & (edge | lost))
    return np.asarray(
        np.where(fine, np.minimum(np.nan_to_num(excess), 1.0), np.where(np.isnan(excess), np.inf, excess))
    )


def _rule(precision: object, accumulate: object, device: str | None) -> Rule:
    rule = as_rule(precision)
    if device is not None:
        if not isinstance(precision, str):
            raise TypeError(
                f"precision: {shown(precision)} is not allowed with device=; allowed: its inputs, as 'fp16'"
            )
        rule = find_device(device).precision(precision)
    if accumulate is not None:
        if not isinstance(rule, Precision):
            raise ValueError(f"accumulate: {shown(accumulate)} is not allowed with a policy; allowed: with a precision")
        rule = replace_roles(rule, accumulate=accumulate)
    if isinstance(rule, Precision) and rule.storage == float64:
        raise ValueError(
            "precision: a storage of float64 is not allowed, for it is the reference; allowed: narrower ones"
        )
    return rule


class Run:
    """A function with its inputs, to be run under one rule or another from the same state."""

    def __init__(self, f: Callable[..., Any], inputs: Any, rule: Rule) -> None:
        if not callable(f):
            raise TypeError(f"f: {shown(f)} is not allowed; allowed: a function of tensors")
        inputs = [inputs] if isinstance(inputs, (np.ndarray, Tensor)) else inputs
        if isinstance(inputs, (str, bytes)) or not isinstance(inputs, Sequence):
            raise TypeError(f"inputs: {shown(inputs)} is not allowed; allowed: a sequence of arrays, an array")
        self.f, self.rule = f, rule
        storage = rule.storage if isinstance(rule, Precision) else None
        self.inputs = [_input(x, storage) for x in inputs]
        self.snapshot = Snapshot(*reached(f).objects)
        self.random = np.random.default_rng(0)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self.snapshot.restore()

    def run(self, rule: Rule, observer: Observer) -> Tensor:
        """The tensor that ``f`` gives under ``rule``."""
        self.snapshot.restore()
        fresh = [Tensor(x.array, x.format) for x in self.inputs]
        with np.errstate(all="ignore"):
            found = run_under(lambda: self.f(*fresh), rule, observer, self.snapshot, None)
        if not isinstance(found, Tensor) or not isinstance(found.format, Format):
            raise TypeError(f"f: it gave {shown(found)}; allowed: one tensor of floats")
        return found

    def moved(self, noise: Noise) -> tuple[Array, bool]:
        """What ``f`` gives with ``noise``, before it is stored if that is known, and whether it is."""
        out = self.run(self.rule, Perturbing(noise))
        before = unstored(out)
        return np.asarray(out.array if before is None else before, np.float64), before is not None

    def slopes(self, draw: Any, runs: int, likely: bool, reference: Array, only: int | None = None) -> Array:
        """How far results move, a row a run, in units of the roundings' bounds."""
        found = [self.moved(Noise(draw, _SMALL, likely, only))[0] - reference for _ in range(runs)]
        return np.abs(np.stack(found)) / _SMALL

    def expected(self) -> Expected:
        """See `expected_error`."""
        plain = self.run(self.rule, Observer())
        fmt, simulated = plain.format, np.asarray(plain.array, np.float64)
        reference, stored = self.moved(Noise())
        with np.errstate(all="ignore"):
            last = 0.5 * _ulp(reference, fmt) if stored else np.zeros_like(reference)
            cauchy = self.slopes(self._cauchy, _CERTAIN, False, reference)
            certain = np.median(cauchy, axis=0) * exp(2 * pi / 2 / sqrt(_CERTAIN))
            normal = self.slopes(self.random.standard_normal, _LIKELY, True, reference)
            square = np.sqrt(np.mean(normal**2, axis=0)) * (1 + 2 / sqrt(2 * _LIKELY))
            likely = sqrt(2 * log(2 * max(reference.size, 1) / FAILURE)) * square
            seen = [self.moved(Noise(self._uniform, 1.0, True))[0] - reference for _ in range(_RANDOM)]
            spread = np.max(np.abs(np.nan_to_num(np.stack(seen), nan=0.0, posinf=0.0, neginf=0.0)), axis=0)
            certain, likely, spread = (np.where(np.isfinite(x), x, 0.0) for x in (certain, likely, spread))
            inner = np.maximum(np.minimum(certain, likely), spread)
            last = np.maximum(last, 0.5 * _ulp(np.abs(reference) + inner, fmt) if stored else 0.0)
            own = np.abs(simulated - reference)
            limit = np.maximum(inner + last, np.where(np.isfinite(own), own, 0.0))
        return Expected(
            reference, simulated, certain + last, likely + last, spread + last, limit, fmt, rule_name(self.rule)
        )

    def _cauchy(self, shape: tuple[int, ...]) -> Array:
        return np.clip(self.random.standard_cauchy(shape), -1e6, 1e6)

    def _uniform(self, shape: tuple[int, ...]) -> Array:
        return self.random.uniform(-1.0, 1.0, shape)


def _ulp(x: Array, fmt: Format) -> Array:
    return np.where(np.isfinite(x), ulp(x, fmt), 0.0)


def _input(x: Any, storage: Format | None) -> Tensor:
    """An input as a tensor: in ``storage``, by default in a format of its own; integers and bools as they are."""
    made = x if isinstance(x, Tensor) else tensor(x)
    if not isinstance(made.format, Format):
        return made.detach()
    own = made.format if isinstance(x, Tensor) else format_of(x) if isinstance(x, np.ndarray) else float32
    return tensor(x, storage or own).detach()
