"""PyTorch's own samples of its operations (OpInfo, which ships in its wheel), run through ours.

``suites`` of an entry: float64 (values and gradients, to 1e-9), int64 and bool (values and dtypes), float16 and
bfloat16 of elementwise functions (bit for bit, gradients too), error (what PyTorch refuses), method (the first sample
through the tensor's method). All of an entry's samples run, and of its reference inputs, which are thousands, an even
selection.
"""

from __future__ import annotations

import inspect
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.torch_suites.cuda_steps import excused
from tests.torch_suites.judging import Case, Judged, Tally, judge, judge_refusal, limited
from tests.torch_suites.names import (
    CALLS,
    DRAWN,
    ELEMENTWISE,
    EMPTY,
    INTERNAL,
    INVARIANTS,
    RANDOM,
    THEIRS,
    find,
    method_of,
)
from tests.torch_suites.values import call_shown, elements, flat

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

SUITES = ("float64", "int64", "bool", "float16", "bfloat16", "error", "method")
REFERENCES = 24  # reference inputs of an entry and dtype, at most
LARGEST = 20_000  # numbers in a reference input
HALVES = 60  # samples of an entry in half and in bfloat16, at most
INTEGERS = 60  # and in int64 and bool


@dataclass
class Entry:
    """What came of one name: where ours is, and a tally for each suite."""

    name: str
    place: str
    suites: dict[str, Tally] = field(default_factory=dict)

    def tally(self, suite: str) -> Tally:
        return self.suites.setdefault(suite, Tally())


def infos() -> list[Any]:
    """PyTorch's list, where its random samples may be drawn twice."""
    from torch.testing._internal import common_methods_invocations

    common_methods_invocations.wrapper_set_seed = lambda op, *args, **kwargs: op(*args, **kwargs)
    return list(common_methods_invocations.op_db)


def run(
    only: Sequence[str] = (), suites: Sequence[str] = SUITES, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Entry]:
    """Every entry of PyTorch's list by name (or ``only`` those), judged."""
    torch.set_num_threads(1)
    results: dict[str, Entry] = {}
    for info in infos():
        if only and info.name not in only:
            continue
        function, place = find(info.name)
        entry = results.setdefault(info.name, Entry(info.name, place))
        if function is None:
            continue
        progress(info.name)
        for suite in suites:
            tally = entry.tally(suite)
            for judged in _suite(info, function, suite, tally):
                tally.add(judged)
    return results


def _suite(info: Any, function: Callable[..., Any], suite: str, tally: Tally) -> Iterator[Judged]:
    seed()
    if suite == "error":
        for case in refusals(info, function):
            yield judge_refusal(case)
    elif suite == "method":
        yield from _method(info)
    else:
        for case in cases(info, function, suite):
            yield excused(case, suite, judge(case, tally))


def seed() -> None:
    """One state of every generator that samples are drawn from."""
    torch.manual_seed(0)
    np.random.seed(0)  # the one that PyTorch's samples use
    random.seed(0)


def key_of(info: Any) -> str:
    return f"{info.name}/{info.variant_test_name}" if info.variant_test_name else info.name


def caller(key: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Our function, called with the arguments of a sample."""
    adapt = CALLS.get(key) or CALLS.get(key.split("/")[0])
    return function if adapt is None else lambda *args, **kwargs: adapt(function, *args, **kwargs)


def is_elementwise(info: Any) -> bool:
    from torch.testing._internal.opinfo.core import BinaryUfuncInfo, UnaryUfuncInfo

    return isinstance(info, (UnaryUfuncInfo, BinaryUfuncInfo)) or info.name in ELEMENTWISE


def cases(info: Any, function: Callable[..., Any], suite: str) -> Iterator[Case]:
    dtype, half = getattr(torch, suite), suite in ("float16", "bfloat16")
    if not info.supports_dtype(dtype, "cpu") or (half and not is_elementwise(info)):
        return
    for sample in _samples(info, dtype, half):
        args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
        if half and "reduction" in _parameters(info.op):
            kwargs["reduction"] = "none"
        yield Case(
            info.name,
            THEIRS.get(info.name, info.op),
            caller(key_of(info), function),
            args,
            kwargs,
            call_shown(info.name, args, kwargs),
            elements((args, kwargs)),
            info.name in EMPTY or (info.name in RANDOM and _varies(info.op, args, kwargs)),
            info.name in DRAWN,
            INVARIANTS.get(info.name),
            half,
        )


def _parameters(op: Any) -> Any:
    try:
        return inspect.signature(op).parameters
    except (TypeError, ValueError):
        return {}


def _samples(info: Any, dtype: Any, half: bool) -> Iterator[Any]:
    """All samples and some reference inputs; in half and of integers, some of all."""
    wide = dtype == torch.float64
    gradients = info.supports_autograd and dtype.is_floating_point and dtype in info.supported_backward_dtypes("cpu")
    found = _drawn(info.sample_inputs, dtype, gradients)
    if gradients and wide:
        without = _drawn(info.sample_inputs, dtype, False)
        if len(without) > len(found):
            found += without
    yield from found if wide else even(found, HALVES if half else INTEGERS)
    if info.reference_inputs_func is not None:
        further = [s for s in _drawn(info.reference_inputs, dtype, gradients) if elements(s.input) <= LARGEST]
        yield from even(further, REFERENCES)


def _drawn(source: Callable[..., Any], dtype: Any, gradients: bool) -> list[Any]:
    found = []
    try:
        for sample in itertools.islice(source("cpu", dtype, requires_grad=gradients), 4000):
            found.append(sample)  # noqa: PERF402  # what was drawn before an error stays
    except Exception:  # a dtype or a library that this build of PyTorch lacks
        return found
    return found


def even(items: list[Any], count: int) -> list[Any]:
    """At most ``count`` of the items, evenly over the list."""
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]


def _varies(op: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    """Whether PyTorch gives something else for another seed."""
    first: list[Any] = []
    for number in range(12):
        torch.manual_seed(number)
        try:
            found = list(flat(op(*(a.clone() if isinstance(a, torch.Tensor) else a for a in args), **kwargs)))
        except Exception:
            return True
        first = first or found
        if any(isinstance(a, torch.Tensor) and not torch.equal(a, b) for a, b in zip(first, found, strict=True)):
            return True
    return False


def refusals(info: Any, function: Callable[..., Any]) -> Iterator[Case]:
    if info.error_inputs_func is None:
        return
    try:
        found = list(info.error_inputs("cpu"))
    except Exception:
        return
    for given in found:
        sample = given.sample_input
        args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
        if "out" in kwargs or not any(isinstance(x, torch.Tensor) for x in flat((args, kwargs))):
            continue  # no out= here; numbers alone are operands here, of PyTorch's functions they are not
        if not _refuses(info.op, args, kwargs):
            continue
        shown, size = call_shown(info.name, args, kwargs), elements((args, kwargs))
        yield Case(info.name, info.op, caller(key_of(info), function), args, kwargs, shown, size)


def _refuses(op: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    """Whether PyTorch refuses what its list says it does; on a CPU it takes some of it."""
    try:
        with limited():
            op(*args, **kwargs)
    except Exception:
        return True
    return False


def _method(info: Any) -> Iterator[Judged]:
    """The first sample through the method of the same name."""
    import halfsim as hs

    method, name = info.method_variant, method_of(info.name)
    if method is None or name is None or info.name in CALLS or not info.supports_dtype(torch.float64, "cpu"):
        return
    sample = next(iter(_drawn(info.sample_inputs, torch.float64, False)), None)
    if sample is None or not isinstance(sample.input, torch.Tensor):
        return
    args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
    shown, size = call_shown(f"Tensor.{name}", args, kwargs), elements((args, kwargs))
    if not hasattr(hs.Tensor, name):
        yield Judged("unclear error", "no such method", shown, size)
        return
    random, drawn, invariant = info.name in RANDOM or info.name in EMPTY, info.name in DRAWN, INVARIANTS.get(name)

    def ours(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    yield judge(Case(name, method, ours, args, kwargs, shown, size, random, drawn, invariant))


def missing(results: dict[str, Entry]) -> list[str]:
    """Names that are not found here, ATen's own apart."""
    return [name for name, entry in results.items() if not entry.place and name not in INTERNAL]
