from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim.diagnose.ddmin import sufficient
from halfsim.diagnose.search.search import _Rules, _Search
from halfsim.diagnose.search.units import DEFAULT, Hierarchy
from halfsim.diagnose.snapshot import Snapshot

OPS = ("add", "mul", "exp")
X = hs.tensor([1.0, 2.0], "fp32")


class Leaf(hs.nn.Module):
    """Two operations; the formats they were stored in are written down."""

    def __init__(self, seen: dict[str, str]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, x: Any) -> Any:
        a = x * 1.0
        b = hs.ops.exp(x)
        self.seen[f"{self._path}@mul"], self.seen[f"{self._path}@exp"] = a.format.name, b.format.name
        return X


class Block(hs.nn.Module):
    """Modules in a row, and an operation of its own."""

    def __init__(self, seen: dict[str, str], *parts: hs.nn.Module) -> None:
        super().__init__()
        self.seen = seen
        self.parts = hs.nn.Sequential(*parts)

    def forward(self, x: Any) -> Any:
        y = x + 1.0
        self.seen[f"{self._path}@add"] = y.format.name
        self.parts(X)
        return X


class Lab:
    """A model of which every operation's format is known, and a step that returns them."""

    def __init__(self, *shape: int) -> None:
        self.seen: dict[str, str] = {}
        if len(shape) == 1:
            self.model: Any = hs.nn.Sequential(*(Leaf(self.seen) for _ in range(shape[0])))
        else:
            inner = [[Leaf(self.seen) for _ in range(shape[1])] for _ in range(shape[0])]
            self.model = hs.nn.Sequential(*(Block(self.seen, *leaves) for leaves in inner))
        self.leaves = [path for path, module in self.model.named_modules() if isinstance(module, Leaf)]

    def step(self) -> dict[str, str]:
        self.seen.clear()
        self.model(X)
        self.seen["@neg"] = hs.ops.mul(X, 3.0).format.name
        self.seen["default"] = hs.tensor([1.0]).format.name
        return dict(self.seen)

    def step_under(self, policy: hs.Policy) -> dict[str, str]:
        with hs.precision(policy, override=True):
            return self.step()

    def search(self, accept: Callable[[set[str]], bool], **options: Any) -> Any:
        def accepted(formats: dict[str, str]) -> bool:
            return accept({place for place, fmt in formats.items() if fmt == "float32"})

        return hs.search_policy(self.step, accept=accepted, model=self.model, **options)


def whole(paths: Iterable[str]) -> set[str]:
    return {f"{path}@{op}" for path in paths for op in ("mul", "exp")}


def needs(*places: str) -> Callable[[set[str]], bool]:
    return lambda wide: wide.issuperset(places)


@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 6)])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_culprits_are_found_and_nothing_else(shape: tuple[int, ...], size: int) -> None:
    lab = Lab(*shape)
    for culprits in itertools.islice(itertools.combinations(lab.leaves, size), 0, None, 17):
        found = lab.search(needs(*whole(culprits)))
        assert found.found
        assert found.repeatable
        assert set(found.kept) == set(culprits)
        assert {place for place, fmt in lab.step_under(found.policy).items() if fmt == "float32"} == whole(culprits)


class Imagined(_Search):
    """A search among units that counts tries and runs nothing."""

    def __init__(self, places: Hierarchy, accept: Callable[[frozenset[Any]], bool], granularity: str) -> None:
        super().__init__(lambda: 0, _Rules("fp16", "fp32"), None, Snapshot(), inf, granularity, lambda n: 0, places)
        self.judge = accept
        self.asked: set[frozenset[Any]] = set()

    def holds(self, kept: frozenset[Any]) -> bool:
        self.asked.add(kept)
        return self.judge(kept)

    def cost(self) -> tuple[frozenset[Any], int]:
        """What is kept, and the tries it took: with the two that come first and the one that comes last."""
        everything = self.ran.all | {DEFAULT}
        kept = self.shrunk(everything)
        return kept, len(self.asked - {frozenset(), everything}) + 3


SHAPES = {"flat": (12,), "3 x 4": (3, 4), "4 x 3": (4, 3), "2 x 6": (2, 6), "6 x 2": (6, 2)}


def units_of(shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Twelve modules, blocks around them that add, and a loss outside."""
    paths = [".".join(map(str, at)) for at in itertools.product(*map(range, shape))]
    blocks = [(str(i), "add") for i in range(shape[0])] if len(shape) > 1 else []
    return [*[(path, "linear") for path in paths], *blocks, ("", "cross_entropy")]


# The most tries that any set of so many culprits among 12 modules takes, all sets and five models tried: 1 to 4.
WORST = {1: 14, 2: 25, 3: 32, 4: 41}


@pytest.mark.parametrize("size", WORST)
def test_no_set_of_culprits_takes_more_tries_than_this(size: int) -> None:
    most = 0
    for shape in SHAPES.values():
        places = Hierarchy(units_of(shape))
        leaves = [unit for unit in places.units if unit[1] == "linear"]
        for culprits in itertools.combinations(leaves, size):
            kept, tries = Imagined(places, frozenset(culprits).issubset, "both").cost()
            assert kept == frozenset(culprits)
            most = max(most, tries)
    assert most == WORST[size] <= 60


@st.composite
def judgements(draw: st.DrawFn) -> tuple[Hierarchy, Callable[[frozenset[Any]], bool]]:
    """Units, and a judgement that takes all of them, and of the rest whatever it likes, for no reason at all."""
    places = Hierarchy(units_of(draw(st.sampled_from(list(SHAPES.values())))))
    seed, share = draw(st.integers(0, 999)), draw(st.sampled_from([0.02, 0.3, 0.7]))
    everything = places.all | {DEFAULT}

    def judge(kept: frozenset[Any]) -> bool:
        chance = random.Random(f"{seed} {sorted(kept)}").random()
        return kept == everything or (bool(kept) and chance < share)

    return places, judge


@settings(max_examples=60)
@given(judgements(), st.sampled_from(["both", "modules", "ops"]))
def test_where_judgement_is_erratic_the_result_holds_and_nothing_in_it_is_spare(case: Any, granularity: str) -> None:
    places, judge = case
    kept, _ = Imagined(places, judge, granularity).cost()
    assert judge(kept)
    assert not any(judge(kept - part) for part in places.names(kept, granularity == "ops").values())


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "a.x", "a.y", "a.y.p", "b.x"]), st.sampled_from(["add", "mul", "exp"])
        ),
        unique=True,
    ),
    st.data(),
)
def test_a_policy_keeps_exactly_what_it_is_made_for(units: list[tuple[str, str]], data: st.DataObject) -> None:
    places = Hierarchy(units)
    kept = frozenset(data.draw(st.sets(st.sampled_from([*units, DEFAULT]))))
    policy = hs.Policy({name: "fp32" if keep else "fp16" for name, keep in places.rules(kept).items()})
    for path, op in units:
        assert (policy.precision(op, path).storage.name == "float32") is ((path, op) in kept), str(policy)
    assert (policy.default == hs.FP32) is (DEFAULT in kept)
    assert frozenset().union(*places.names(kept).values()) == kept
    by_op = [frozenset(unit for unit in units if unit[1] == op) for op in OPS]
    some = frozenset().union(*data.draw(st.sets(st.sampled_from(by_op))))
    rules = places.rules(some | (kept & {DEFAULT}), by_op=True)
    policy = hs.Policy({name: "fp32" if keep else "fp16" for name, keep in rules.items()})
    for path, op in units:
        assert (policy.precision(op, path).storage.name == "float32") is ((path, op) in some), str(policy)


@settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_halves_find_the_culprits_of_any_list(n: int, data: st.DataObject) -> None:
    culprits = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n))
    calls = []

    def holds(some: list[int]) -> bool:
        calls.append(1)
        return culprits.issubset(some)

    assert set(sufficient(range(n), holds)) == culprits
    k = len(culprits)
    assert len(calls) <= 2 * k * max(np.log2(n / k), 0) + 4 * k


def test_operations_within_a_module_outside_all_modules_and_of_a_block() -> None:
    lab = Lab(2, 2)
    assert set(lab.search(needs("1.parts.0@exp")).kept) == {"1.parts.0@exp"}
    assert set(lab.search(needs("1.parts.0@exp"), granularity="modules").kept) == {"1.parts.0"}
    assert set(lab.search(needs("1.parts.0@exp"), granularity="ops").kept) == {"@exp"}
    found = lab.search(needs("@neg", "0@add"))
    assert set(found.kept) == {"@mul", "0@add"}
    wide = {place for place, fmt in lab.step_under(found.policy).items() if fmt == "float32"}
    assert wide == {"@neg", "0@add"}
    found = lab.search(needs("@neg", "0@add", "1.parts.1@exp"), granularity="modules")
    assert set(found.kept) == {"@mul", "0", "1.parts.1"}


def test_precisions_inside_are_overridden() -> None:
    lab = Lab(3)
    lab.model[0].precision = "fp32"

    def step() -> Any:
        with hs.precision("fp32"):
            return lab.step()

    found = hs.search_policy(step, accept=lambda formats: formats["1@exp"] == "float32", model=lab.model)
    assert found.kept == ("1@exp",)
    assert found.evidence[0].value["0@exp"] == "float16"


def test_tensors_that_the_step_makes() -> None:
    lab = Lab(3)
    found = lab.search(needs("default", "1@exp"))
    assert found.kept == ("default", "1@exp")
    wide = {place for place, fmt in lab.step_under(found.policy).items() if fmt == "float32"}
    assert wide == {"default", "1@exp"}
    found = lab.search(needs("default"))
    assert found.kept == ("default",)
    assert "stands for the tensors that the step makes" in str(found).replace("\n", " ")
    by_op = lab.search(needs("default", "1@exp"), granularity="ops")
    assert by_op.kept == ("default", "@exp")


def test_non_monotone_judgement() -> None:
    """Either of two will do, and all three together will not, short of everything."""
    lab = Lab(12)

    def accept(wide: set[str]) -> bool:
        inner = {place.partition("@")[0] for place in wide} & set(lab.leaves)
        return len(inner) > 10 or (("3" in inner) != ("7" in inner) and "5" not in inner)

    found = lab.search(accept, granularity="modules")
    assert set(found.kept) in ({"3"}, {"7"})


def test_nothing_to_keep_and_nothing_to_be_had() -> None:
    lab = Lab(3)
    free = lab.search(lambda wide: True)
    assert (free.found, free.kept, free.evaluations, str(free.policy)) == (True, (), 1, "fp16")
    assert str(free).startswith("Nothing must stay in fp32: everything runs in fp16 (1 try, ")
    none = lab.search(lambda wide: False)
    assert (none.found, none.policy, none.kept, none.evaluations) == (False, None, (), 2)
    assert str(none).startswith("No policy found: rejected with everything in fp32: not accepted (2 tries, ")
    none = hs.search_policy(lambda: hs.tensor([1.0]) / 0.0)
    assert none.reason == "rejected with everything in fp32: overflow in div"
    assert hs.search_policy(lambda: inf).reason.endswith("returned a number that is not finite")


def overflowing() -> tuple[Any, Any]:
    """Queries that pass 65504, in a layer of eight modules."""
    hs.manual_seed(0)
    model = hs.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model.self_attn.in_proj_weight.array[:16] *= 1.2e5  # queries and keys
    x = hs.tensor(np.random.default_rng(0).standard_normal((2, 5, 8)), "fp32")
    optimizer = hs.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, {"model": model, "optimizer": optimizer}


def test_the_default_judgement_on_a_transformer() -> None:
    step, given_ = overflowing()
    before = {name: value.numpy() for name, value in given_["model"].state_dict().items()}
    found = hs.search_policy(step, **given_)
    assert found.kept
    assert all(name.startswith("self_attn") for name in found.kept), found.kept
    assert found.evaluations <= 60
    assert found.repeatable
    for name, value in given_["model"].state_dict().items():
        assert np.array_equal(value.numpy(), before[name])
    assert not given_["optimizer"].state
    assert all(p.grad is None for p in given_["model"].parameters())
    with hs.precision(found.policy, override=True), hs.trace() as t:
        assert np.isfinite(step().item())
    assert t.first("overflow") is None
    step, given_ = overflowing()
    again = hs.search_policy(step, **given_)
    assert (again.kept, again.evaluations) == (found.kept, found.evaluations)
    assert hs.search_policy(step, **given_, granularity="modules").kept == ("self_attn",)
    assert "@linear" in hs.search_policy(step, **given_, granularity="ops").kept


def test_what_a_result_says() -> None:
    step, given_ = overflowing()
    found = hs.search_policy(step, **given_)
    text = str(found)
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("Keep self_attn")
    assert "overflow in" in text
    assert set(found.without) == set(found.kept)
    assert not any(one.accepted for one in found.without.values())
    first, second = found.evidence[:2]
    assert (first.kept, first.accepted, second.kept, second.accepted) == ((), False, ("default",), True)
    document = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert all(part in found.page() for part in ("What happens without", found.evidence[0].reason, *found.kept))
    assert document["evidence"][0]["value"] == "nan"
    assert document["policy"] == str(found.policy)
    assert len(document["evidence"]) == found.evaluations


def test_a_step_that_raises() -> None:
    lab = Lab(4)

    def step() -> None:
        formats = lab.step()
        if formats["2@exp"] == "float16":
            raise RuntimeError("loss is\nnan")

    found = hs.search_policy(step, accept=lambda value: True, model=lab.model)
    assert found.kept == ("2@exp",)
    assert found.evidence[0].reason == "raised RuntimeError: loss is nan"
    with pytest.raises(ZeroDivisionError), hs.precision("fp16"):
        1 / 0  # noqa: B018
    none = hs.search_policy(lambda: 1 / 0)
    assert none.reason == "rejected with everything in fp32: raised ZeroDivisionError: division by zero"

    def broken() -> None:
        raise KeyError("typo")

    with pytest.raises(KeyError):
        hs.search_policy(broken)


def test_when_tries_run_out_the_best_so_far_is_returned() -> None:
    lab = Lab(12)
    for most in range(1, 12):
        found = lab.search(needs("7@mul"), max_evaluations=most)
        assert found.evaluations <= most
        if most == 1:
            assert not found.found
            assert found.reason == "the tries ran out before one was accepted"
        else:
            assert lab.step_under(found.policy)["7@mul"] == "float32"
    assert not lab.search(needs("7@mul"), max_evaluations=4).complete
    assert "The tries ran out" in str(lab.search(needs("7@mul"), max_evaluations=4))


def test_a_step_that_goes_on_from_its_own_state_is_told() -> None:
    calls = itertools.count()

    def step() -> float:
        return next(calls) + (hs.tensor([1.0], "fp32") * 1.0).format.bits

    found = hs.search_policy(step, accept=lambda value: value % 1 == 0 and hs.ops.mul(X, 1.0).format is not None)
    assert found.found
    lab = Lab(2)

    def drifting() -> Any:
        return {**lab.step(), "call": next(calls)}

    found = hs.search_policy(drifting, accept=lambda value: value["1@exp"] == "float32", model=lab.model)
    assert not found.repeatable
    assert "Caution" in str(found)


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    lab, told = Lab(4), []
    found = lab.search(needs("2@exp"), progress=told.append)
    assert told == list(range(1, found.evaluations + 1))
    lab.search(needs("2@exp"), progress=False)
    assert capsys.readouterr() == ("", "")


def test_other_targets() -> None:
    lab = Lab(4)
    assert lab.search(needs("2@exp"), target="pure_fp16", fallback="storage=fp32").kept == ("2@exp",)
    assert str(lab.search(needs("2@exp"), target="bf16").policy) == "default: bf16; 2@exp: fp32"
    found = lab.search(needs(*whole("0123")), target="amp")
    assert found.kept == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "fp15"}, "precision: 'fp15' is not allowed .did you mean"),
        ({"fallback": "fp16"}, "fallback: fp16 is the target too; allowed: another precision"),
        ({"target": hs.Policy({"a": "fp16"})}, "a policy of several rules is not allowed inside another"),
        ({"granularity": "module"}, "granularity: 'module' is not allowed .did you mean 'modules'..; allowed: both"),
        ({"max_evaluations": 0}, "max_evaluations: 0 is not allowed; allowed: integers from 1"),
        ({"max_evaluations": 1.5}, "max_evaluations: 1.5 is not allowed; allowed: integers"),
        ({"model": 3}, "state: int is not allowed; allowed: Module, Optimizer, GradScaler"),
        ({"accept": 3}, "accept: 3 is not allowed; allowed: a function, None"),
        ({"accept": lambda value: None}, "accept: it returned NoneType; allowed: a bool"),
        ({"progress": 3}, "progress: 3 is not allowed; allowed: a function, True, False, None"),
        ({"step": 3}, "step: 3 is not allowed; allowed: a function"),
        ({"step": object}, "step: it returned object; allowed: numbers, tensors, or accept="),
    ],
)
def test_careless_words(options: dict[str, Any], message: str) -> None:
    given_ = {"step": lambda: 1.0, **options}
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        hs.search_policy(**given_)
    assert "\n" not in str(caught.value)


def test_not_inside_another_override() -> None:
    with hs.precision("fp16", override=True), pytest.raises(ValueError, match="allowed: outside it"):
        hs.search_policy(lambda: 1.0)


def test_several_models_have_no_paths_in_common() -> None:
    small, large = Lab(2), Lab(4)

    def step() -> Any:
        small.step()
        return large.step()

    with pytest.raises(ValueError, match="step: it runs several models; allowed: one, which holds them all"):
        hs.search_policy(step, accept=lambda formats: formats["3@exp"] == "float32")
