"""Everything public is copied, copied deeply and pickled: what comes back is of the same type and worth the same."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.hostile import made, values

CALLS = json.loads((Path(__file__).parent / "hostile" / "known_calls.json").read_text("utf-8"))
NAMES: dict[str, Any] = {"np": np, "hs": hs, "made": made}
exec(values.PRELUDE, NAMES)


def is_class(name: str) -> bool:
    found: Any = hs
    if not name.startswith("hs."):
        return False
    try:
        for part in name.split(".")[1:]:
            found = getattr(found, part)
    except AttributeError:
        return False
    return inspect.isclass(found) and found.__module__.startswith("halfsim")


def made_by(name: str) -> Any:
    """An instance, by the first call of the constructor that is known to work."""
    for call in CALLS[name]:
        try:
            given = {key: eval(text, NAMES) for key, text in call.items()}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return eval(name, NAMES)(**given)
        except Exception:  # arguments by position alone, or drawn for another call
            continue
    return None


# Those made in RESULTS, and those that hold a function of the caller's, which a pickle finds by its name alone.
ELSEWHERE = {
    "hs.Tensor",
    "hs.elementary.Function",
    "hs.optim.lr_scheduler.LambdaLR",
    "hs.optim.lr_scheduler.MultiplicativeLR",
}
CLASSES = sorted(name for name, calls in CALLS.items() if calls and is_class(name) and name not in ELSEWHERE)
ENUMS = (hs.Rounding, hs.Flag)


def trained() -> Any:
    model = hs.nn.Linear(2, 1)
    optimizer = hs.optim.Adam(model.parameters())
    model(hs.tensor([[1.0, 2.0]])).sum().backward()
    optimizer.step()
    return optimizer


def traced(reference: object = None) -> Any:
    with hs.trace(reference) as t:
        trained()
        hs.tensor([300.0], "fp16") * 300
    return t


def once() -> Any:
    return hs.tensor([300.0], "fp16") * 300


def mean() -> float:
    return float(hs.ops.mean(hs.tensor([1.0, 2.0])))


# What functions give, which no constructor makes.
RESULTS: dict[str, Callable[[], Any]] = {
    "leaf": lambda: hs.tensor([0.5, -0.0], "fp16", requires_grad=True),
    "result of an operation": lambda: hs.tensor([0.5], "bf16") * 3,
    "integers": lambda: hs.tensor([1, 2]),
    "gradient": lambda: (x := hs.tensor([2.0], requires_grad=True), (x * x).backward())[0],
    "elementary function": lambda: hs.elementary.exp,
    "schedule with a function": lambda: hs.optim.lr_scheduler.LambdaLR(made.optimizer(), abs),
    "device": lambda: hs.hardware.device("A100"),
    "catalogue": hs.hardware.devices,
    "trace": traced,
    "trace with a reference": lambda: traced("fp64"),
    "finding": lambda: traced().verdict(),
    "fix": lambda: traced().verdict().fixes[0],
    "report": lambda: traced().report(),
    "table": lambda: traced().table(),
    "errors": lambda: traced("fp64").errors(),
    "comparison": lambda: hs.compare(once, "fp16"),
    "search": lambda: hs.search_policy(mean, target="fp16", fallback="fp32", accept=bool),
    "mend": lambda: hs.mend(once, target="fp16"),
    "cost": lambda: hs.cost(hs.nn.Linear(4, 2), hs.tensor(np.ones((4, 4))), "A100"),
    "explanation": lambda: hs.explain("1 + 0.0004"),
    "optimizer": trained,
    "own format": lambda: hs.Format("mine", 4, 3),
    "stochastic precision": lambda: hs.Precision("storage=fp16, rounding=stochastic(seed=3)"),
    "used stochastic": lambda: (s := hs.Stochastic(3), hs.round_to(np.ones(5) / 3, rounding=s))[0],
    "policy": lambda: hs.Policy({"default": "fp32", "a.*": "fp16", "@softmax": "fp32"}),
    "values and indices": lambda: hs.max(hs.tensor([[1.0, 2.0]]), 1),
    "random_split": lambda: hs.utils.data.random_split([1, 2, 3], [2, 1])[0],
    **{str(member): lambda member=member: member for kind in ENUMS for member in kind},
}


def worth(x: Any, seen: tuple[int, ...] = ()) -> Any:
    """What an object holds, as something that can be compared."""
    if id(x) in seen or len(seen) > 12:
        return "..."
    inner = (*seen, id(x))
    if isinstance(x, hs.Tensor):
        grad = None if x.grad is None else worth(x.grad, inner)
        return "Tensor", str(x.format), x.array.tobytes(), x.requires_grad and x.is_leaf, grad
    if isinstance(x, np.ndarray):
        return str(x.dtype), x.shape, x.tobytes() if x.dtype != object else [worth(y, inner) for y in x.flat]
    if isinstance(x, dict) or type(x).__name__ == "mappingproxy":
        return [(worth(k, inner), worth(v, inner)) for k, v in x.items() if not isinstance(k, hs.Tensor)]
    if isinstance(x, (set, frozenset)):
        x = sorted(x, key=repr)
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [worth(y, inner) for y in x]
    if isinstance(x, (str, int, float, complex, bytes, type(None), type)):
        return repr(x)
    if isinstance(x, (np.random.SFC64, np.random.MT19937, np.random.PCG64)):
        return repr(x.state)
    if inspect.isroutine(x):
        return x.__qualname__
    if not type(x).__module__.startswith(("halfsim", "tests")):
        return type(x).__name__
    slots = [name for kind in type(x).__mro__ for name in getattr(kind, "__slots__", ())]
    held = {**getattr(x, "__dict__", {}), **{name: getattr(x, name) for name in slots if hasattr(x, name)}}
    return type(x).__name__, [(name, worth(held[name], inner)) for name in sorted(held) if name not in PASSING]


# The tape, what a trace notes on a tensor, and what a policy has looked up already.
PASSING = {"__weakref__", "node", "shadow", "_checked", "_undo"}
WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


def held(x: Any) -> None:
    before = worth(x)
    for name, way in WAYS.items():
        again = way(x)
        assert type(again) is type(x), name
        assert worth(again) == before, name
        assert worth(x) == before, name


@pytest.mark.parametrize("name", CLASSES)
def test_an_instance_of_every_public_class(name: str) -> None:
    x = made_by(name)
    if x is None:
        pytest.skip("made by position alone")
    held(x)


@pytest.mark.parametrize("name", RESULTS)
def test_what_functions_give(name: str) -> None:
    held(RESULTS[name]())


def test_most_public_classes_are_among_them() -> None:
    assert len(CLASSES) > 200


def test_a_pickled_stream_goes_on_where_it_was() -> None:
    s = hs.Stochastic(3)
    hs.round_to(np.ones(5) / 3, rounding=s)
    again = pickle.loads(pickle.dumps(s))
    x = np.random.default_rng(0).normal(size=100)
    assert np.array_equal(hs.round_to(x, rounding=s), hs.round_to(x, rounding=again))


def test_a_copied_optimizer_moves_its_own_parameters() -> None:
    model = hs.nn.Linear(2, 1)
    optimizer = hs.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model2, optimizer2 = copy.deepcopy((model, optimizer))
    before = model.weight.array.copy()
    for m, o in ((model2, optimizer2),):
        m(hs.tensor([[1.0, 2.0]])).sum().backward()
        o.step()
    assert np.array_equal(model.weight.array, before)
    assert not np.array_equal(model2.weight.array, before)


def test_results_are_copied_as_in_pytorch() -> None:
    """A leaf keeps that it takes a gradient; of what operations gave, a deep copy is refused or has no tape."""
    leaf = hs.tensor([1.0], requires_grad=True)
    assert copy.deepcopy(leaf).requires_grad
    assert copy.deepcopy(leaf).is_leaf
    again = pickle.loads(pickle.dumps(leaf * 2))
    assert again.node is None
    assert again.tolist() == [2.0]
