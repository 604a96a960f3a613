"""A load restores everything or nothing, and says in one line what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import checkpoint
from tests.checkpoint.test_tree import exactly


class Part:
    """Something with state, in the layout of an optimizer's; it may break off in the middle of a load."""

    def __init__(self, value: float = 0.0) -> None:
        self.state = {"state": {0: {"step": 3, "exp_avg": hs.tensor([value, -0.0], "bf16")}}, "param_groups": [value]}
        self.broken: BaseException | None = None
        self.loads = 0

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loads += 1
        self.state["param_groups"] = state["param_groups"]
        if self.broken is not None and self.loads == 1:
            raise self.broken
        self.state["state"] = state["state"]


def model(seed: int = 0, fmt: str = "fp16") -> hs.nn.Module:
    hs.manual_seed(seed)
    return hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.BatchNorm1d(2)).to(fmt)


def bits(*parts: Any) -> Any:
    return [exactly(part.state_dict()) for part in parts]


def test_every_part_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    first = model(), Part(1.0), hs.amp.GradScaler(init_scale=8.0), Part(2.0), Part(3.0)
    checkpoint.save(path, *first, step=5, extra={"best": 0.25})
    other = model(1), Part(), hs.amp.GradScaler(), Part(), Part()
    found = checkpoint.load(path, *other)
    assert bits(*other) == bits(*first)
    assert (found.step, found.extra, found.version) == (5, {"best": 0.25}, 1)
    assert found.names == ("model", "optimizer", "scaler", "scheduler", "ema")
    assert exactly(found.state["model"]) == exactly(first[0].state_dict())
    assert "state=" not in repr(found)
    with pytest.raises(AttributeError):
        found.step = 6  # type: ignore[misc]


def test_without_objects_it_only_reads(tmp_path: Path) -> None:
    hs.manual_seed(0)
    checkpoint.save(tmp_path / "x.npz", model())
    drawn = hs.nn.Linear(2, 2).state_dict()
    assert checkpoint.load(tmp_path / "x.npz").names == ("model",)
    assert exactly(hs.nn.Linear(2, 2).state_dict()) != exactly(drawn)


def test_parts_in_the_file_that_nobody_wants_are_passed_over(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.npz", model(), Part(1.0))
    part = Part()
    checkpoint.load(tmp_path / "x.npz", optimizer=part)
    assert bits(part) == bits(Part(1.0))
    with pytest.raises(ValueError, match=r"x\.npz: holds no scaler, no ema; it holds: model, optimizer$"):
        checkpoint.load(tmp_path / "x.npz", scaler=hs.amp.GradScaler(), ema=Part())
    checkpoint.save(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"x\.npz: holds no ema; it holds: nothing$"):
        checkpoint.load(tmp_path / "x.npz", ema=Part())


@pytest.mark.parametrize("error", [ValueError("two\nlines"), KeyError("key"), RuntimeError("no"), KeyboardInterrupt()])
def test_if_one_part_does_not_fit_nothing_changes(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "x.npz"
    checkpoint.save(path, model(), Part(1.0), hs.amp.GradScaler(init_scale=8.0), Part(2.0), Part(3.0))
    here = model(1), Part(4.0), hs.amp.GradScaler(), Part(5.0), Part(6.0)
    here[3].broken = error
    before, drawn = bits(*here), hs.get_rng_state().tolist()
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ValueError) as caught:
        checkpoint.load(path, *here)
    if isinstance(caught.value, ValueError):
        assert str(caught.value).startswith(f"{path}: scheduler: ")
        assert str(caught.value).endswith("; nothing was changed")
        assert "\n" not in str(caught.value)
    assert bits(*here) == before
    assert hs.get_rng_state().tolist() == drawn


def test_a_model_that_does_not_fit_is_named_with_all_that_is_wrong(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.npz", model(), Part(1.0))
    other, part = hs.nn.Sequential(hs.nn.Linear(4, 2)), Part()
    before = bits(other, part)
    with pytest.raises(
        ValueError, match=r"x\.npz: model: state: .*0\.weight has shape.*unexpected 1\.bias.*unexpected"
    ):
        checkpoint.load(tmp_path / "x.npz", other, part)
    assert bits(other, part) == before
    with pytest.raises(ValueError, match=r"0\.weight has shape"):
        checkpoint.load(tmp_path / "x.npz", other, strict=False)


def test_not_strict_takes_what_has_a_place(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.npz", model())
    other = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.Identity(), hs.nn.Linear(2, 2))
    own = other.state_dict()
    checkpoint.load(tmp_path / "x.npz", other, strict=False)
    saved = model().state_dict()
    for key, value in other.state_dict().items():
        assert value.tolist() == (saved if key in saved else own)[key].tolist()


def test_weights_are_not_rounded_without_saying_so(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.npz", model(fmt="fp32"))
    half = model(1)
    before = bits(half)
    with pytest.raises(
        ValueError, match=r"x\.npz: model: 0\.weight is float32 in the file, float16 here; .*strict=False"
    ):
        checkpoint.load(tmp_path / "x.npz", half)
    assert bits(half) == before
    checkpoint.load(tmp_path / "x.npz", half, strict=False)
    assert bits(half) == bits(model(fmt="fp32").half())
    checkpoint.save(tmp_path / "x.npz", half)
    wide = model(1, "fp64")
    checkpoint.load(tmp_path / "x.npz", wide)
    assert wide.state_dict()["0.weight"].format is hs.float64
    assert wide.state_dict()["0.weight"].tolist() == half.state_dict()["0.weight"].tolist()


@pytest.mark.parametrize("spec", ["fp64", "fp32", "pure_fp16", "storage=fp16, rounding=upward"])
def test_the_precision_in_force_changes_no_weight(tmp_path: Path, spec: str) -> None:
    first, other = model(), model(1)
    with hs.precision(spec, override=True):
        checkpoint.save(tmp_path / "x.npz", first)
        checkpoint.load(tmp_path / "x.npz", other)
    assert bits(other) == bits(first)


def test_special_values_and_integers_of_a_model(tmp_path: Path) -> None:
    first, other = model(), model(1)
    values = hs.decode([0x8000, 0x7C00, 0xFC00, 0x7E01, 0x0001, 0xFE00])
    first.load_state_dict({**first.state_dict(), "0.weight": hs.tensor(values.reshape(2, 3), "fp16")})
    first(hs.tensor(np.ones((4, 3))))
    checkpoint.save(tmp_path / "x.npz", first)
    checkpoint.load(tmp_path / "x.npz", other)
    assert bits(other) == bits(first)
    assert other.state_dict()["1.num_batches_tracked"] == 1


def test_what_is_no_part_is_refused(tmp_path: Path) -> None:
    for act in (checkpoint.save, checkpoint.load):
        with pytest.raises(
            TypeError, match=r"^optimizer: int is not allowed; allowed: objects with state_dict and load"
        ):
            act(tmp_path / "x.npz", optimizer=3)
    with pytest.raises(TypeError, match=r"^step: 1\.5 is not allowed"):
        checkpoint.save(tmp_path / "x.npz", step=1.5)  # type: ignore[arg-type]
    part = Part()
    part.state["state"][0]["f"] = len
    with pytest.raises(TypeError, match=r"^optimizer\.state\.0\.f: builtin_function_or_method is not allowed"):
        checkpoint.save(tmp_path / "x.npz", optimizer=part)
    assert list(tmp_path.iterdir()) == []


def test_what_was_loaded_is_not_shared_with_what_was_returned(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.npz", optimizer=Part(1.0))
    part = Part()
    found = checkpoint.load(tmp_path / "x.npz", optimizer=part)
    part.state["param_groups"].append(9)
    assert found.state["optimizer"]["param_groups"] == [1.0]


# Random streams.


def test_the_generator_goes_on(tmp_path: Path) -> None:
    hs.manual_seed(3)
    checkpoint.save(tmp_path / "x.npz", optimizer=Part())
    checkpoint.save(tmp_path / "y.npz", optimizer=Part(), random=False)
    drawn = exactly(hs.nn.Linear(2, 2).state_dict())
    checkpoint.load(tmp_path / "x.npz", optimizer=Part())
    assert exactly(hs.nn.Linear(2, 2).state_dict()) == drawn
    for name, random in (("y", True), ("x", False)):
        checkpoint.load(tmp_path / f"{name}.npz", optimizer=Part(), random=random)
        assert exactly(hs.nn.Linear(2, 2).state_dict()) != drawn


STOCHASTIC = "storage=fp16, rounding=stochastic(seed=5, bits=16)"


def rounded() -> Any:
    return exactly(hs.tensor(np.linspace(0, 1, 100), "fp16") / 3)


@pytest.mark.parametrize("spec", [STOCHASTIC, {"default": "fp32", "@mul": STOCHASTIC, "@div": STOCHASTIC}])
def test_stochastic_rounding_goes_on(tmp_path: Path, spec: Any) -> None:
    path = tmp_path / "x.npz"
    with hs.precision(spec):
        rounded()
        checkpoint.save(path, optimizer=Part())
        after = [rounded(), rounded()]
        assert after[0] != after[1]
    with hs.precision(spec):
        checkpoint.load(path, optimizer=Part())
        assert [rounded(), rounded()] == after
    part = Part()
    with pytest.raises(
        ValueError, match=r"x\.npz: random: stochastic rounding of the precision in force.* is not; all"
    ):
        checkpoint.load(path, optimizer=part)
    with (
        hs.precision("storage=fp16, rounding=stochastic(seed=6, bits=16)"),
        pytest.raises(ValueError, match="was stoch"),
    ):
        checkpoint.load(path, optimizer=part)
    assert part.loads == 0
    checkpoint.load(path, optimizer=part, random=False)


def test_stochastic_rounding_of_modules_goes_on(tmp_path: Path) -> None:
    first, other = model(), model(1)
    x = hs.tensor(np.linspace(0, 1, 12).reshape(4, 3), "fp16")
    for net in (first, other):
        net.assign({"0": STOCHASTIC})
    first(x)
    checkpoint.save(tmp_path / "x.npz", first)
    expected = exactly(first(x))
    checkpoint.load(tmp_path / "x.npz", other)
    assert exactly(other(x)) == expected
    with pytest.raises(ValueError, match=r"random: stochastic rounding of module '0' was .* is not;"):
        checkpoint.load(tmp_path / "x.npz", model())
