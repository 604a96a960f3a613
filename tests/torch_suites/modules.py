"""PyTorch's own samples of its layers (ModuleInfo), run through ours: forward and gradients in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import halfsim as hs
from tests.torch_suites.judging import Case, Judged, judge, limited, raised
from tests.torch_suites.ops import Entry, even, seed
from tests.torch_suites.report import WRONG, counts_table, sections
from tests.torch_suites.values import ConversionError, Converter, call_shown, elements, load

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

SUITES = ("train", "eval", "error")
CAP = {"nn.LinearCrossEntropyLoss": 60}  # PyTorch gives 857 samples of it


def run(only: Sequence[str] = (), progress: Callable[[str], None] = lambda _: None) -> dict[str, Entry]:
    """Every layer of PyTorch's list (or ``only`` those), judged."""
    from torch.testing._internal.common_modules import module_db

    torch.set_num_threads(1)
    results: dict[str, Entry] = {}
    for info in module_db:
        name = info.name
        if only and name not in only:
            continue
        kind = getattr(hs.nn, name.removeprefix("nn."), None)
        entry = results.setdefault(name, Entry(name, place(name)))
        if kind is None:
            continue
        progress(name)
        for training in (True, False):
            tally = entry.tally("train" if training else "eval")
            for given in inputs(info, training):
                tally.add(_judged(info, kind, given, training))
        if info.module_error_inputs_func is not None:
            for given in errors(info):
                entry.tally("error").add(_refused(info, kind, given))
    return results


def place(name: str) -> str:
    """Where our layer of a name is."""
    return f"hs.{name}" if hasattr(hs.nn, name.removeprefix("nn.")) else ""


def inputs(info: Any, training: bool) -> list[Any]:
    seed()
    found = list(
        info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=training)
    )
    return even(found, CAP.get(info.name, len(found)))


def built(info: Any, given: Any, training: bool) -> Any:
    """PyTorch's layer of a sample, in float64."""
    arguments = given.constructor_input
    kwargs = dict(arguments.kwargs)
    seed()
    try:
        made = info.module_cls(*arguments.args, **kwargs, device="cpu", dtype=torch.float64)
    except TypeError:  # layers without parameters take neither
        made = info.module_cls(*arguments.args, **kwargs)
    return made.double().train(training)


def _judged(info: Any, kind: Any, given: Any, training: bool) -> Judged:
    case = case_of(info, kind, given, training)
    return judge(case) if isinstance(case, Case) else case


def case_of(info: Any, kind: Any, given: Any, training: bool) -> Case | Judged:
    """A sample with both layers built, PyTorch's parameters in each; or why that cannot be."""
    arguments, forward = given.constructor_input, given.forward_input
    call = call_shown(info.name, arguments.args, arguments.kwargs) + call_shown("", forward.args, forward.kwargs)
    size = elements((forward.args, forward.kwargs))
    convert = Converter()
    try:
        args, kwargs = convert(arguments.args), convert(arguments.kwargs)
        theirs = built(info, given, training)
    except ConversionError as error:
        return Judged("skipped", f"no counterpart: {error}", call, size)
    except Exception as error:
        return Judged("skipped", f"torch refuses: {str(error)[:80]!r}", call, size)
    try:
        with limited():
            ours = kind(*args, **kwargs)
            if hasattr(ours, "train"):
                ours.train(training)
            _lazy(theirs, ours, forward)
            if any(True for _ in theirs.state_dict()):
                ours = load(ours, theirs)
    except ConversionError as error:
        return Judged("skipped", f"no counterpart: {error}", call, size)
    except Exception as error:
        outcome, words = raised(error)
        return Judged(outcome, f"construction: {words}", call, size)
    pairs = list(zip(theirs.parameters(), named(ours, "named_parameters", theirs), strict=True))
    return Case(
        info.name,
        with_buffers(theirs, buffers_of(theirs)),
        with_buffers(ours, buffers_of(theirs)),
        forward.args,
        forward.kwargs,
        call,
        size,
        "Fractional" in info.name,
        training and drops(theirs),
        leaves=pairs,
    )


def named(ours: Any, kind: str, theirs: Any) -> list[Any]:
    """Our parameters or buffers in the order of PyTorch's; ``AttributeError`` for one that is missing."""
    found = dict(getattr(ours, kind)()) if hasattr(ours, kind) else {}
    return [found[name] for name, _ in getattr(theirs, kind)()]


def buffers_of(theirs: Any) -> list[str]:
    """The names of the buffers of floats of PyTorch's module."""
    return [name for name, buffer in theirs.named_buffers() if buffer.is_floating_point()]


def with_buffers(module: Any, buffers: list[str]) -> Callable[..., Any]:
    """The module's results, and what its call left in its buffers."""

    def call(*args: Any, **kwargs: Any) -> Any:
        out = module(*args, **kwargs)
        return out, left(module, buffers)

    return call


def left(module: Any, buffers: list[str]) -> list[Any]:
    """What a call left in a module's buffers."""
    held = dict(module.named_buffers()) if buffers else {}
    return [held[name].detach() for name in buffers]


def drops(module: Any) -> bool:
    """Whether something in a module drops values: a Dropout, or a layer with a rate of its own."""
    rates = [getattr(m, "p", 0) for m in module.modules() if "Dropout" in type(m).__name__]
    rates += [getattr(m, "dropout", 0) for m in module.modules()]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def _lazy(theirs: Any, ours: Any, forward: Any) -> None:
    """Layers that learn their sizes from the first input are given it."""
    if isinstance(theirs, torch.nn.modules.lazy.LazyModuleMixin):
        theirs(*forward.args, **forward.kwargs)
        ours(*Converter()(forward.args))


def errors(info: Any) -> list[Any]:
    seed()
    return list(
        info.module_error_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=True)
    )


def _refused(info: Any, kind: Any, given: Any) -> Judged:
    """A layer, or a call of one, that PyTorch refuses."""
    from torch.testing._internal.common_modules import ModuleErrorEnum

    sample = given.module_error_input if hasattr(given, "module_error_input") else given.moduleInput
    arguments, forward = sample.constructor_input, sample.forward_input
    call = call_shown(info.name, arguments.args, arguments.kwargs)
    convert = Converter()
    try:
        args, kwargs = convert(arguments.args), convert(arguments.kwargs)
        with limited():
            ours = kind(*args, **kwargs)
            if given.error_on == ModuleErrorEnum.FORWARD_ERROR:
                call += call_shown("", forward.args, forward.kwargs)
                ours = ours.to("float64") if any(True for _ in ours.parameters()) else ours
                ours(*convert(forward.args), **convert(forward.kwargs))
    except ConversionError as error:
        return Judged("skipped", f"no counterpart: {error}", call)
    except Exception as error:
        outcome, words = raised(error)
        return Judged("right", "", call) if outcome == "refused" else Judged(outcome, words, call)
    return Judged("accepted", "torch refuses", call)


def work_list(results: dict[str, Entry]) -> Iterator[str]:
    """What is missing, and what is wrong of what is there."""
    absent = [name for name, entry in results.items() if not entry.place]
    yield f"layers: {len(results)}; found here {len(results) - len(absent)}; missing: {' '.join(absent)}"
    yield ""
    yield from counts_table(results, SUITES)
    yield from sections(results, _SECTIONS)


_SECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "LAYERS THAT DIFFER": (SUITES, WRONG),
    "LAYERS: unclear errors": (SUITES, ("unclear error",)),
    "LAYERS: accepted though torch refuses": (SUITES, ("accepted",)),
    "LAYERS: refused, or not run": (SUITES, ("refused", "skipped")),
}
