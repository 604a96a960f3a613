"""Every context of the package: entered again, inside itself, left in any order, in other threads, by exceptions."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.scope import carried_in

W = hs.tensor([1.0])
AVERAGED = hs.optim.EMA([W], decay=0.5)
W.array = np.array([3.0], np.float32)


def product() -> hs.Tensor:
    """Exact in every format, and recorded for gradients unless that is off."""
    return hs.tensor([2.0], requires_grad=True) * 4.0


def counts_flags() -> bool:
    from halfsim.numerics.flags import watching

    return watching()


# By name: how to make it, what can be seen of it from outside, and whether that is so while it is in force.
CONTEXTS: dict[str, tuple[Any, Any]] = {
    "precision": (lambda: hs.precision("fp16"), lambda: product().format.name == "float16"),
    "precision override": (lambda: hs.precision("fp16", override=True), lambda: product().format.name == "float16"),
    "autocast": (hs.autocast, lambda: (hs.tensor([[1.0]]) @ hs.tensor([[1.0]])).format.name == "float16"),
    "no_grad": (hs.no_grad, lambda: not product().requires_grad),
    "inference_mode": (hs.inference_mode, lambda: not product().requires_grad),
    "set_grad_enabled": (lambda: hs.set_grad_enabled(False), lambda: not product().requires_grad),
    "reproducible": (hs.reproducible, lambda: hs.autograd.scope.scope().reproducible),
    "carried_in": (lambda: carried_in(hs.float64), lambda: hs.tensor([1.0], "fp16").format.name == "float64"),
    "flags": (hs.flags, counts_flags),
    "errstate": (lambda: hs.errstate(all="warn"), counts_flags),
    "trace": (hs.trace, lambda: hs.autograd.observer.around() is not None),
    "EMA.swap": (AVERAGED.swap, lambda: W.item() == 1.0),
}
PLAIN = {"detect_anomaly": hs.autograd.detect_anomaly, "device": lambda: hs.device("cpu")}
PAIRS = [
    (a, b)
    for a, b in itertools.product(CONTEXTS, CONTEXTS)
    if not {"precision override"} & {a, b} or not {"autocast", "precision"} & {a, b}  # one may hide the other
]
SAME = ({"precision", "autocast", "precision override"}, {"no_grad", "inference_mode", "set_grad_enabled"},
        {"flags", "errstate"})  # fmt: skip


def unlike(a: str, b: str) -> bool:
    """Whether what is seen of one tells nothing of the other."""
    return a != b and not any({a, b} <= group for group in SAME)


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """Whatever a test does, nothing is in force after it."""
    yield
    for name, (_, seen) in CONTEXTS.items():
        assert not seen(), name


@pytest.mark.parametrize("name", CONTEXTS)
def test_it_holds_inside_and_not_after(name):
    make, seen = CONTEXTS[name]
    with make():
        assert seen()
    assert not seen()


@pytest.mark.parametrize("name", CONTEXTS)
def test_one_object_may_be_entered_again_and_inside_itself(name):
    make, seen = CONTEXTS[name]
    context = make()
    for _ in range(2):
        with context:
            with context:
                assert seen()
            assert seen()
        assert not seen()


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_may_be_left_in_the_order_in_which_they_were_entered(first, second):
    one, other = CONTEXTS[first][0](), CONTEXTS[second][0]()
    seen, still = CONTEXTS[first][1], CONTEXTS[second][1]
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert still()
    if unlike(first, second):
        assert not seen()
    other.__exit__(None, None, None)
    assert not still()
    assert not seen()


@pytest.mark.parametrize("name", CONTEXTS)
def test_an_exception_leaves_it(name):
    make, seen = CONTEXTS[name]
    with pytest.raises(KeyError, match="mine"), make():
        raise KeyError("mine")
    assert not seen()


@pytest.mark.parametrize("name", CONTEXTS)
def test_generators_that_take_turns(name):
    make, seen = CONTEXTS[name]

    def steps():
        with make():
            yield seen()
            yield seen()

    one, other = steps(), steps()
    assert [next(one), next(other), next(one), next(other)] == [True] * 4
    one.close()
    other.close()


@pytest.mark.parametrize("name", CONTEXTS)
def test_as_a_decorator_it_holds_while_the_function_runs(name):
    make, seen = CONTEXTS[name]

    @make()
    def once(depth: int) -> bool:
        return seen() and (depth == 0 or once(depth - 1))

    @make()
    def steps():
        yield seen()
        got = yield seen()
        try:
            yield got and seen()
        except KeyError:
            yield seen()
        return "end"

    @make()
    async def task():
        await asyncio.sleep(0)
        return seen()

    assert once(2)
    assert not seen()
    generator = steps()
    for step in (lambda: next(generator), lambda: next(generator), lambda: generator.send(True)):
        assert step()
        assert not seen()
    assert generator.throw(KeyError("x"))
    assert not seen()
    with pytest.raises(StopIteration, match="end"):
        next(generator)
    assert asyncio.run(task())
    assert not seen()


@pytest.mark.parametrize("name", [name for name in CONTEXTS if name not in ("EMA.swap",)])
def test_left_in_another_thread_it_says_so_in_one_line(name):
    make, seen = CONTEXTS[name]
    context, errors = make(), []
    context.__enter__()

    def leave() -> None:
        try:
            context.__exit__(None, None, None)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    (error,) = errors
    assert "left where it was not entered; allowed: in the thread" in error
    assert "\n" not in error
    if name != "trace":  # which is over, and inert
        assert seen()
        context.__exit__(None, None, None)
    else:
        assert not seen()
        with pytest.raises(RuntimeError, match="left where it was not entered"):
            context.__exit__(None, None, None)


@pytest.mark.parametrize("name", [name for name in CONTEXTS if name != "set_grad_enabled"])
def test_left_without_being_entered(name):
    with pytest.raises(RuntimeError, match="left where it was not entered; allowed: "):
        CONTEXTS[name][0]().__exit__(None, None, None)


@pytest.mark.parametrize("name", PLAIN)
def test_contexts_that_change_nothing(name):
    context = PLAIN[name]()
    with context, context:
        pass
    with context:
        pass


@pytest.mark.parametrize("name", [name for name in CONTEXTS if name != "EMA.swap"])
def test_a_context_can_be_pickled(name):
    make, seen = CONTEXTS[name]
    context = make()
    with context:
        again = pickle.loads(pickle.dumps(context))
    with again:
        assert seen()


def test_a_closed_trace_is_inert():
    one, other = hs.trace(), hs.trace()
    first, second = one.__enter__(), other.__enter__()
    product()
    one.__exit__(None, None, None)
    before = first.to_json()
    product()
    other.__exit__(None, None, None)
    product()
    assert first.to_json() == before
    assert {place[2]: counts.size for place, counts in second.totals.items()} == {"mul": 2}


def test_each_entry_gives_a_trace_and_counts_of_its_own():
    for make in (hs.trace, hs.flags):
        context = make()
        with context as one, context as other:
            assert one is not other
    with hs.flags() as outer:
        hs.round_to(0.1, "float16")
        with hs.flags() as inner:
            hs.round_to(0.1, "float16")
    assert (outer.inexact, inner.inexact) == (2, 1)


def test_a_trace_of_ones_own_is_entered_once():
    from halfsim.autograd.trace.trace import Trace, tracing

    context = tracing(Trace())
    with context, pytest.raises(RuntimeError, match="trace: it was entered before; allowed: a new one"):
        context.__enter__()
    with pytest.raises(RuntimeError, match="entered before"):
        context.__enter__()


def test_set_grad_enabled_as_a_switch_lasts_to_the_end_of_the_block():
    with hs.no_grad():
        hs.set_grad_enabled(True)
        assert hs.is_grad_enabled()
    assert hs.is_grad_enabled()
    with hs.enable_grad():
        hs.set_grad_enabled(False)
        assert not hs.is_grad_enabled()
    assert hs.is_grad_enabled()
    for _ in range(20_000):
        hs.set_grad_enabled(False)
        hs.set_grad_enabled(True)
    assert hs.is_grad_enabled()


def test_an_asynchronous_generator_is_refused():
    async def steps():
        yield 1

    with pytest.raises(TypeError, match="asynchronous generator is not allowed"):
        hs.no_grad()(steps)


def test_threads_do_not_see_each_others_contexts():
    seen: list[str] = []
    with hs.precision("fp16"), hs.trace() as t:
        thread = threading.Thread(target=lambda: seen.append(product().format.name))
        thread.start()
        thread.join()
        assert not t.totals
    assert seen == ["float32"]


def test_hooks_are_taken_away_once():
    layer, x = hs.nn.Linear(1, 1), hs.tensor([1.0], requires_grad=True)
    for handle in (layer.register_forward_hook(lambda *given: None), x.register_hook(lambda g: g)):
        with handle, handle:
            pass
        handle.remove()
        with handle:
            pass
    assert not layer._hooks
    assert not x.hooks
