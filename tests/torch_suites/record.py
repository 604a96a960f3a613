"""What came of PyTorch's samples, and a few of these samples with PyTorch's results, for machines without it.

Of each operation two samples in float64 with gradients, one of integers, one in half where that is compared bit for
bit, and one that PyTorch refuses; of each layer two. Small ones: the smallest of a few numbers, and the one with most
options. ``python -m tests.torch_suites --write`` writes them.
"""

from __future__ import annotations

import gzip
import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import halfsim as hs
from tests.torch_suites import modules, ops
from tests.torch_suites.judging import SEED, Case, Pulled, called, compared, limited, pull, raised
from tests.torch_suites.names import INVARIANTS, find
from tests.torch_suites.portable import (
    Ours,
    Plain,
    array,
    plain_array,
    plain_result,
    recorded,
    resolve,
    result,
)
from tests.torch_suites.values import (
    ConversionError,
    array_of,
    call_shown,
    elements,
    flat,
    fresh,
    load_arrays,
    name_of,
)

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

OPS = Path(__file__).with_name("recorded_ops.json.gz")
MODULES = Path(__file__).with_name("recorded_modules.json.gz")
WANTED = {"float64": 2, "int64": 1, "float16": 1, "error": 1}  # samples of each operation
SMALL, LARGEST = 160, 11_000  # numbers in a sample, results and gradients included: if there is a choice, and at all
TRIES = 12


@cache
def read(path: Path) -> dict[str, Any]:
    """A record: the version of PyTorch, the date, and under "names" counts and samples of each name."""
    return json.loads(gzip.decompress(path.read_bytes()))


def write(found: dict[str, ops.Entry], layers: dict[str, ops.Entry]) -> None:
    """Both records, of what came of a whole run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _write(OPS, found, op_samples(found))
        _write(MODULES, layers, layer_samples(layers))


def _write(path: Path, found: dict[str, ops.Entry], samples: dict[str, list[Any]]) -> None:
    names = {
        name: {
            "place": entry.place,
            "suites": {suite: dict(tally.counts) for suite, tally in entry.suites.items() if tally.counts},
            "equal": {suite: [tally.equal, tally.compared] for suite, tally in entry.suites.items() if tally.compared},
            "excused": {s: sum(t.excused.values()) for s, t in entry.suites.items() if any(t.excused.values())},
            "samples": samples.get(name, []),
        }
        for name, entry in found.items()
    }
    head = {
        "torch": torch.__version__.split("+")[0],
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    text = json.dumps({**head, "names": names}, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


# Choosing and writing down.


@dataclass(frozen=True)
class Candidate:
    """A sample that may be recorded: how it is called, its size and options, and what makes a line of it."""

    call: str
    size: int
    options: int
    line: Callable[[], dict[str, Any] | None]


def chosen(candidates: Iterable[Candidate], wanted: int) -> list[dict[str, Any]]:
    """Lines of the smallest sample of a few numbers, and of those with most options; of samples that hold."""
    found = [one for one in candidates if 0 < one.size <= LARGEST]
    small = sorted(found, key=lambda one: (one.size < 4, one.size))
    rich = sorted(found, key=lambda one: (-one.options, one.size < 4, one.size))
    in_turn = {one.call: one for pair in zip(small, rich, strict=True) for one in pair}
    lines = [line for one in itertools.islice(in_turn.values(), TRIES) if (line := one.line()) is not None]
    return [line for line in lines if length(line) <= SMALL][:wanted] or sorted(lines, key=length)[:1]


def length(line: Any) -> int:
    """How many numbers and words some JSON holds."""
    if isinstance(line, dict):
        line = list(line.values())
    return sum(map(length, line)) if isinstance(line, list) else 1


def op_samples(found: dict[str, ops.Entry]) -> dict[str, list[Any]]:
    samples: dict[str, list[Any]] = {}
    for info in ops.infos():
        function, place = find(info.name)
        if function is None or info.name not in found:
            continue
        held = samples.setdefault(info.name, [])
        for suite, wanted in WANTED.items():
            wanted -= sum(line["suite"] == suite for line in held)
            if wanted > 0:
                ops.seed()
                held += chosen(_op_candidates(info, function, suite, place), wanted)
    return samples


def _op_candidates(info: Any, function: Callable[..., Any], suite: str, place: str) -> Iterator[Candidate]:
    cases = ops.refusals(info, function) if suite == "error" else ops.cases(info, function, suite)
    make = _refusal_line if suite == "error" else _op_line
    for case in cases:
        head = {"suite": suite, "key": ops.key_of(info), "call": case.call}
        yield Candidate(case.call, case.size, _options(case.args, case.kwargs), partial(make, case, head, place))


def _options(*given: Any) -> int:
    return sum(not isinstance(x, torch.Tensor) for x in flat(given))


def _op_line(case: Case, head: dict[str, Any], place: str) -> dict[str, Any] | None:
    """A sample of an operation with PyTorch's results; nothing if it is too large, or ours differ."""
    plain = Plain()
    try:
        given, options = fresh((case.args, case.kwargs), {})
        asked = {"args": plain(given), "kwargs": plain(options)}
        with limited():
            expected = called(case, *given, **options)
            if case.invariant is not None:
                expected = case.invariant(expected)
        line = {**head, **asked, **_results(expected, plain, [], case.random)}
    except Exception:  # PyTorch's, or of what has no counterpart
        return None
    return line if length(line) <= LARGEST and judged_op(place, line)[0] == "right" else None


def _results(expected: Any, plain: Plain, parameters: list[Any], random: bool) -> dict[str, Any]:
    theirs, leaves = list(flat(expected)), [*(t for t in plain.tensors if t.requires_grad), *parameters]
    pulled = None if random else pull(theirs, leaves)
    return {
        "tensors": plain.lines,
        "results": [plain_result(x, random) for x in theirs],
        **({"random": True} if random else {}),
        **({} if pulled is None else {"pulled": _pulled_line(pulled, theirs, leaves)}),
    }


def _pulled_line(pulled: Pulled, theirs: list[Any], leaves: list[Any]) -> dict[str, Any]:
    outputs = [theirs[i] for i in pulled.outputs]
    return {
        "outputs": pulled.outputs,
        "cotangents": [plain_array(c, name_of(y.dtype)) for c, y in zip(pulled.cotangents, outputs, strict=True)],
        "gradients": [
            None if g is None else plain_array(g, name_of(x.dtype))
            for g, x in zip(pulled.gradients, leaves, strict=True)
        ],
    }


def _refusal_line(case: Case, head: dict[str, Any], place: str) -> dict[str, Any] | None:
    plain = Plain()
    try:
        line = {**head, "args": plain(case.args), "kwargs": plain(case.kwargs), "tensors": plain.lines}
    except ConversionError:
        return None
    return line if length(line) <= LARGEST and judged_op(place, line)[0] == "right" else None


def layer_samples(found: dict[str, ops.Entry]) -> dict[str, list[Any]]:
    from torch.testing._internal.common_modules import module_db

    samples: dict[str, list[Any]] = {}
    for info in module_db:
        if not found[info.name].place:
            continue
        for training in (True, False):
            held = samples.setdefault(info.name, [])
            held += chosen(_layer_candidates(info, training), 1)
    return samples


def _layer_candidates(info: Any, training: bool) -> Iterator[Candidate]:
    for given in modules.inputs(info, training):
        made, forward = given.constructor_input, given.forward_input
        call = call_shown(info.name, made.args, made.kwargs) + call_shown("", forward.args, forward.kwargs)
        head = {"suite": "train" if training else "eval", "call": call}
        size, options = elements((forward.args, forward.kwargs)), _options(made.args, made.kwargs)
        yield Candidate(call, size, options, partial(_layer_line, info, given, training, head))


def _layer_line(info: Any, given: Any, training: bool, head: dict[str, Any]) -> dict[str, Any] | None:
    """A sample of a layer with its parameters and PyTorch's results; nothing if it is too large, or ours differ."""
    plain, made, forward = Plain(), given.constructor_input, given.forward_input
    try:
        theirs = modules.built(info, given, training)
        if isinstance(theirs, torch.nn.modules.lazy.LazyModuleMixin):
            theirs(*forward.args, **forward.kwargs)
            head = {**head, "lazy": True}
        args, kwargs = fresh((forward.args, forward.kwargs), {})
        buffers = modules.buffers_of(theirs)
        line = {
            **head,
            "made": [plain(tuple(made.args)), plain(dict(made.kwargs))],
            "args": plain(args),
            "kwargs": plain(kwargs),
            "state": {key: plain_array(array_of(x), name_of(x.dtype)) for key, x in theirs.state_dict().items()},
            "parameters": [name for name, _ in theirs.named_parameters()],
            "buffers": buffers,
        }
        with limited():
            torch.manual_seed(SEED)
            expected = modules.with_buffers(theirs, buffers)(*args, **kwargs)
        line |= _results(expected, plain, list(theirs.parameters()), "Fractional" in info.name)
    except Exception:  # PyTorch's, or of what has no counterpart
        return None
    return line if length(line) <= LARGEST and judged_layer(info.name, line)[0] == "right" else None


# Judging what was written down.


def judged_op(place: str, line: dict[str, Any]) -> tuple[str, ...]:
    """The outcome of a recorded sample of an operation, and why."""
    ours = Ours(line["tensors"])
    function = ops.caller(line["key"], resolve(place))
    name = line["key"].split("/")[0]
    try:
        args, kwargs = ours(line["args"]), ours(line["kwargs"])
        with limited():
            hs.manual_seed(SEED)
            got = function(*args, **kwargs)
            if name in INVARIANTS and line["suite"] != "error":
                got = INVARIANTS[name](got)
    except Exception as error:
        outcome, why = raised(error)
        return ("right",) if outcome == "refused" and line["suite"] == "error" else (outcome, why)
    if line["suite"] == "error":
        return "accepted", "torch refuses"
    return _judged(name, line, got, ours.leaves)


def judged_layer(name: str, line: dict[str, Any]) -> tuple[str, ...]:
    """The outcome of a recorded sample of a layer, and why."""
    ours = Ours(line["tensors"])
    try:
        args, kwargs = map(ours, line["made"])
        with limited():
            layer = resolve(f"hs.{name}")(*args, **kwargs)
            if hasattr(layer, "train"):
                layer.train(line["suite"] == "train")
            if "lazy" in line:
                layer(*Ours(line["tensors"])(line["args"]))
            if line["state"]:
                load_arrays(layer, {key: recorded(x) for key, x in line["state"].items()})
            hs.manual_seed(SEED)
            got = modules.with_buffers(layer, line["buffers"])(*ours(line["args"]), **ours(line["kwargs"]))
    except Exception as error:
        return raised(error)
    named = dict(layer.named_parameters()) if line["parameters"] else {}
    leaves = [(recorded(line["state"][key]), named[key]) for key in line["parameters"]]
    return _judged(name, line, got, [*ours.leaves, *leaves])


def _judged(name: str, line: dict[str, Any], got: Any, leaves: list[tuple[Any, Any]]) -> tuple[str, ...]:
    theirs = [result(x) for x in line["results"]]
    exact = line["suite"] in ("float16", "bfloat16")
    case = Case(name, resolve, resolve, (), {}, line["call"], 0, line.get("random", False), exact=exact)
    return compared(case, theirs, list(flat(got)), leaves, lambda: _pulled(line))


def _pulled(line: dict[str, Any]) -> Pulled | None:
    found = line.get("pulled")
    if found is None:
        return None
    gradients = [None if g is None else array(g) for g in found["gradients"]]
    return Pulled(found["outputs"], [array(c) for c in found["cotangents"]], gradients)
