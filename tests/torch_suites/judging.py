"""One sample, judged: what ours did, beside what PyTorch did."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import halfsim as hs
from tests.torch_suites.values import (
    ConversionError,
    Converter,
    alike,
    flat,
    fresh,
    is_tensor,
    kind_of,
    same,
    values,
)

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

# From bad to good: what is reported first.
OUTCOMES = (
    "wrong value",
    "wrong gradient",
    "wrong dtype",
    "unclear error",
    "accepted",  # though PyTorch refuses
    "not a tensor",  # an array or a number where PyTorch gives a tensor
    "refused",
    "skipped",
    "right",
)
BAD = OUTCOMES[:6]

SEED = 5  # of what is drawn
SECONDS = 20  # for one sample
TOLERANCES = {
    "float64": 1e-9,
    "complex128": 1e-9,
    "float32": 3e-6,
    "complex64": 3e-6,
    "float16": 2e-3,
    "bfloat16": 2e-2,
}


@dataclass(frozen=True)
class Judged:
    """One sample of one suite: what came of it, why, and how it was called."""

    outcome: str
    why: str = ""
    call: str = ""
    size: int = 0


@dataclass
class Tally:
    """All that came of one name in one suite: counts, and the smallest sample of each kind of trouble."""

    counts: Counter[str] = field(default_factory=Counter)
    smallest: dict[tuple[str, str], Judged] = field(default_factory=dict)
    excused: Counter[str] = field(default_factory=Counter)  # of those that are right, as cuda_steps.py has it
    equal: int = 0  # of so many elements of half results, so many are the same
    compared: int = 0

    def add(self, judged: Judged) -> None:
        self.counts[judged.outcome] += 1
        if judged.outcome == "right":
            self.excused[judged.why] += bool(judged.why)
            return
        key = (judged.outcome, _kind(judged.why))
        if key not in self.smallest or judged.size < self.smallest[key].size:
            self.smallest[key] = judged

    @property
    def samples(self) -> int:
        return sum(self.counts.values()) - self.counts["skipped"]

    def troubles(self, outcomes: Sequence[str] = BAD) -> Iterator[Judged]:
        """The smallest sample of each kind of trouble, the worst kinds first."""
        found = [judged for judged in self.smallest.values() if judged.outcome in outcomes]
        yield from sorted(found, key=lambda judged: (OUTCOMES.index(judged.outcome), judged.size))


def _kind(why: str) -> str:
    """What troubles of one kind have in common: the words without the numbers."""
    return re.sub(r"[-+]?\d[\d.e+-]*|'[^']*'|\([^)]*\)|\[[^\]]*\]", "#", why)[:80]


# Whether an error is a refusal.


_CLEAR = re.compile(r"^[^\n]+: [^\n]*allowed[^\n]*: [^\n]+$")
_REFUSALS = (TypeError, ValueError, RuntimeError, IndexError)


def is_clear(error: BaseException) -> bool:
    """Whether an error is a refusal in one line, ``name: got is not allowed; allowed: ...``."""
    text = str(error)
    return isinstance(error, _REFUSALS) and len(text) <= 400 and bool(_CLEAR.match(text))


def raised(error: BaseException) -> tuple[str, str]:
    """The outcome for an error of ours, and its words."""
    words = f"{type(error).__name__}: {str(error)[:160]!r}"
    return ("refused" if is_clear(error) else "unclear error"), words


class TooLongError(Exception):
    """A sample that does not end."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Ends what takes longer than `SECONDS` (in the main thread), and keeps warnings quiet."""

    def stop(*_: Any) -> None:
        raise TooLongError(f"over {SECONDS} s")

    alarm = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
    before = signal.signal(signal.SIGALRM, stop) if alarm else None
    if alarm:
        signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        if alarm:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


# Samples.


@dataclass(frozen=True)
class Case:
    """A sample to run: PyTorch's function and ours, and PyTorch's arguments."""

    name: str
    theirs: Callable[..., Any]
    ours: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    call: str
    size: int
    random: bool = False  # results are compared in shape and dtype alone
    drawn: bool = False  # of numbers that both libraries draw from one seed
    invariant: Callable[[Any], Any] | None = None  # what of the result is unique
    exact: bool = False  # half results are compared bit for bit
    leaves: Sequence[tuple[Any, Any]] = ()  # parameters: PyTorch's and ours


def called(case: Case, *args: Any, **kwargs: Any) -> Any:
    """What PyTorch gives."""
    if case.drawn:
        torch.manual_seed(SEED)
    return case.theirs(*args, **kwargs)


Pairs = list[tuple[Any, Any]]


def judge(case: Case, tally: Tally | None = None, pairs: Pairs | None = None) -> Judged:
    """Run one sample both ways and compare results, dtypes and gradients.

    With ``pairs``, a list, ours and theirs are put there, of each result and each gradient, and not compared.
    """

    def found(outcome: str, why: str = "") -> Judged:
        return Judged(outcome, why, case.call, case.size)

    convert = Converter()
    given, options = fresh((case.args, case.kwargs), {})
    try:
        args, kwargs = convert(given), convert(options)
    except ConversionError as error:
        return found("skipped", f"no counterpart: {error}")
    try:
        with limited():
            expected = called(case, *given, **options)
    except Exception as error:
        return found("skipped", f"torch refuses: {str(error).splitlines()[:1]}")
    try:
        with limited():
            hs.manual_seed(SEED)
            got = case.ours(*args, **kwargs)
            if case.invariant is not None:
                got, expected = case.invariant(got), case.invariant(expected)
    except Exception as error:
        return found(*raised(error))
    theirs, leaves = list(flat(expected)), [*convert.leaves, *case.leaves]

    def pulled() -> Pulled | None:
        return pull(theirs, [leaf for leaf, _ in leaves])

    try:
        return found(*compared(case, theirs, list(flat(got)), leaves, pulled, tally, pairs))
    except ConversionError as error:
        return found("skipped", f"no counterpart: {error}")


def compared(
    case: Case,
    theirs: list[Any],
    ours: list[Any],
    leaves: list[tuple[Any, Any]],
    pulled: Callable[[], Pulled | None],
    tally: Tally | None = None,
    pairs: Pairs | None = None,
) -> tuple[str, ...]:
    """The outcome and why, of results and then of the gradients of leaves (PyTorch's, ours)."""
    trouble = _compare(theirs, ours, case, tally, pairs)
    if (trouble is not None and trouble[0] != "not a tensor") or case.random:
        return trouble or ("right",)
    return _gradients(theirs, ours, leaves, pulled(), case, tally, pairs) or trouble or ("right",)


def _compare(
    theirs: list[Any], ours: list[Any], case: Case, tally: Tally | None, pairs: Pairs | None
) -> tuple[str, str] | None:
    """What is wrong of results, if anything."""
    if len(theirs) != len(ours):
        return "wrong value", f"{len(ours)} results, torch {len(theirs)}"
    later: tuple[str, str] | None = None
    for t, o in zip(theirs, ours, strict=True):
        if (t is None) != (o is None):
            return "wrong value", f"{_brief(o)}, torch {_brief(t)}"
        if t is None:
            continue
        a, b = values(o), values(t)
        if a.shape != b.shape:
            return "wrong value", f"shape {a.shape}, torch {b.shape}"
        if pairs is not None:
            pairs.append((a, b))
        elif not case.random:
            exact = case.exact and kind_of(t) in ("float16", "bfloat16")
            if exact and a.dtype.kind == "f":
                _count(tally, a, b)
            if a.dtype.kind == "O" or not same(a, b, None if exact else TOLERANCES.get(kind_of(t), 1e-9)):
                return "wrong value", _difference(a, b)
        if kind_of(o) != kind_of(t) and b.dtype.kind not in "USO":
            later = later or ("wrong dtype", f"{kind_of(o)}, torch {kind_of(t)}")
        if is_tensor(t) and not is_tensor(o):
            later = later or ("not a tensor", f"{type(o).__name__}, torch a tensor")
    return later


@dataclass(frozen=True)
class Pulled:
    """What PyTorch's gradients are for a fixed cotangent of each differentiable output."""

    outputs: list[int]
    cotangents: list[Any]
    gradients: list[Any]  # of each leaf; None where there is none


def pull(theirs: list[Any], leaves: list[Any]) -> Pulled | None:
    """PyTorch's gradients of its results, if it has them."""
    outputs = [i for i, t in enumerate(theirs) if isinstance(t, torch.Tensor) and t.requires_grad]
    outputs = [i for i in outputs if not torch.is_complex(theirs[i])]
    if not leaves or not outputs:
        return None
    generator = torch.Generator().manual_seed(7)
    cotangents = [
        torch.rand(theirs[i].shape, generator=generator, dtype=torch.float64).mul(2).sub(0.9).to(theirs[i].dtype)
        for i in outputs
    ]
    try:
        with limited():
            found = torch.autograd.grad([theirs[i] for i in outputs], leaves, cotangents, allow_unused=True)
    except Exception:
        return None  # PyTorch has no such gradient
    return Pulled(outputs, [values(c) for c in cotangents], [None if g is None else values(g) for g in found])


def _gradients(
    theirs: list[Any],
    ours: list[Any],
    leaves: list[tuple[Any, Any]],
    pulled: Pulled | None,
    case: Case,
    tally: Tally | None,
    pairs: Pairs | None,
) -> tuple[str, str] | None:
    """What is wrong of the gradients, if anything."""
    if pulled is None:
        return None
    outputs = pulled.outputs
    try:
        with limited():
            for n, (i, cotangent) in enumerate(zip(outputs, pulled.cotangents, strict=True)):
                if not getattr(ours[i], "requires_grad", False):
                    if all(g is None or not g.any() for g in pulled.gradients):
                        continue
                    return "wrong gradient", "no gradient, torch has one"
                ours[i].backward(cotangent, retain_graph=n + 1 < len(outputs))
    except Exception as error:
        outcome, words = raised(error)
        return outcome, f"backward: {words}"
    for (leaf, mine), g in zip(leaves, pulled.gradients, strict=True):
        b = np.zeros(tuple(leaf.shape)) if g is None else g
        a = np.zeros(b.shape) if mine.grad is None else values(mine.grad)
        if a.shape != b.shape:
            return "wrong gradient", f"shape {a.shape}, torch {b.shape}"
        exact = case.exact and kind_of(leaf) in ("float16", "bfloat16")
        if exact and a.shape != tuple(theirs[outputs[0]].shape):
            continue  # a sum over what was broadcast, in an order of PyTorch's own
        if pairs is not None:
            pairs.append((a, b))
            continue
        if exact:
            _count(tally, a, b)
        if not same(a, b, None if exact else 10 * max(TOLERANCES.get(kind_of(t), 1e-9) for t in (leaf, *theirs))):
            return "wrong gradient", _difference(a, b)
    return None


def _count(tally: Tally | None, a: Any, b: Any) -> None:
    if tally is not None:
        tally.equal += int(np.count_nonzero(alike(a, b)))
        tally.compared += b.size


def _difference(a: Any, b: Any) -> str:
    """The first place where two arrays differ most."""
    if a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return f"{_brief(a)}, torch {_brief(b)}"
    with np.errstate(all="ignore"):
        gap = np.abs(a.astype(np.complex128) - b.astype(np.complex128))
        gap = np.where(np.isnan(a) & np.isnan(b), -1.0, np.where(np.isnan(gap), np.where(a == b, -1.0, np.inf), gap))
        gap = np.where((gap == 0) & (np.signbit(a.real) != np.signbit(b.real)), 1e-300, gap)
    at = int(np.argmax(gap)) if gap.size else 0
    count = int(np.count_nonzero(gap > 0))
    return f"{_number(a.ravel()[at])}, torch {_number(b.ravel()[at])} ({count} of {b.size} differ)"


def _number(x: Any) -> str:
    return f"{x:.9g}" if np.asarray(x).dtype.kind == "f" else str(x)


def _brief(x: Any) -> str:
    return repr(x).replace("\n", " ")[:60]


def judge_refusal(case: Case) -> Judged:
    """Run a sample that PyTorch refuses: ours must refuse it in one clear line."""
    convert = Converter()
    try:
        args, kwargs = convert(case.args), convert(case.kwargs)
    except ConversionError as error:
        return Judged("skipped", f"no counterpart: {error}", case.call, case.size)
    try:
        with limited():
            case.ours(*args, **kwargs)
    except Exception as error:
        outcome, words = raised(error)
        return (
            Judged("right", "", case.call, case.size)
            if outcome == "refused"
            else Judged(outcome, words, case.call, case.size)
        )
    return Judged("accepted", "torch refuses", case.call, case.size)
