from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.trace.counts import Counts
from halfsim.data import Split
from halfsim.demo import RECIPES, Run, Settings, report, train
from halfsim.demo.page import _LINES, page

SHORT = Settings(epochs=2, hidden=8)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [train(recipe, SHORT) for recipe in RECIPES.values()]


@pytest.fixture(scope="module")
def failing() -> list[Run]:
    return [
        train(RECIPES[name], Settings(optimizer="adam", epochs=1, hidden=8)) for name in ("fp32", "fp16", "pure_fp16")
    ]


def test_all_recipes_learn_alike_from_the_same_start(runs: list[Run]) -> None:
    for run in runs:
        assert run.losses[0] == pytest.approx(runs[0].losses[0], rel=0.01)
        assert math.log(10) > run.losses[0] > run.losses[1] > 0, "ten classes; the mean over each epoch"
        assert run.test_accuracy > 0.5
        assert run.steps == 2 * 23
        assert not run.broken


def test_bytes_are_those_of_the_formats(runs: list[Run]) -> None:
    by_name = {run.recipe.name: run for run in runs}
    count = 64 * 8 + 8 + 8 * 10 + 10
    assert by_name["fp32"].parameter_bytes == by_name["amp"].parameter_bytes == 4 * count
    assert by_name["fp16"].parameter_bytes == by_name["pure_fp16"].parameter_bytes == 2 * count
    assert by_name["fp16"].optimizer_bytes == 2 * count
    assert by_name["fp32"].activation_bytes > by_name["fp16"].activation_bytes


@pytest.mark.parametrize("name", ["pure_fp16"])
def test_the_same_seed_gives_the_same_bits(name: str, runs: list[Run]) -> None:
    again = train(RECIPES[name], SHORT)
    before = next(run for run in runs if run.recipe.name == name)
    assert again.losses == before.losses
    assert again.trace.totals == before.trace.totals
    other = train(RECIPES[name], Settings(epochs=2, hidden=8, seed=1))
    assert other.losses != before.losses


def test_lost_updates_are_those_of_the_bits() -> None:
    """One step of fp16 SGD by hand, in NumPy's float16, from the gradients that the engine left."""
    hs.manual_seed(0)
    data = hs.data.digits()
    model = hs.nn.Sequential(hs.nn.Linear(64, 8), hs.nn.ReLU(), hs.nn.Linear(8, 10)).to("fp16")
    optimizer = hs.optim.SGD(model.parameters(), lr=1e-3)
    with hs.precision("fp16"), hs.trace() as t:
        hs.nn.cross_entropy(model(hs.tensor(data.x_train[:64])), data.y_train[:64]).backward()
        before = [p.numpy() for p in model.parameters()]
        optimizer.step()
    lost = meant = 0
    for p, old in zip(model.parameters(), before, strict=True):
        assert p.grad is not None
        new = (old.astype(np.float32) - np.float32(1e-3) * p.grad.numpy().astype(np.float32)).astype(np.float16)
        np.testing.assert_array_equal(new.view(np.uint16), p.bits())
        meant += int(np.count_nonzero(p.grad.numpy()))
        lost += int(np.count_nonzero((p.grad.numpy() != 0) & (new == old)))
    total = Counts()
    for key, counts in t.totals.items():
        if key[2] == "update":
            total += counts
    assert (total.updates, total.lost) == (total.addends, total.swamped) == (meant, lost), (
        "no momentum, so all are live"
    )
    assert lost > meant / 2


def test_adam_in_half_fails_at_the_first_step_and_says_why(failing: list[Run]) -> None:
    assert failing[0].trace.first_event() is None
    for run in failing[1:]:
        facts = run.to_dict()
        assert run.broken
        assert facts["final_loss"] is None
        trouble = facts["first_trouble"]
        assert (trouble["step"], trouble["phase"], trouble["path"], trouble["op"]) == (
            1,
            "optimizer",
            "0.weight",
            "Adam",
        )
        assert (trouble["class"], trouble["tensor"]) == ("eps lost", "eps")
        assert "eps = 1e-08 is zero in float16" in trouble["message"]
        assert "divides by zero in 0.weight at step 1" in run.advice()
        assert facts["overflows"] > 0
        assert facts["nans"] > 0


def test_text_fits_a_hundred_columns_and_json_is_strict(runs: list[Run], failing: list[Run]) -> None:
    for some, settings in ((runs, SHORT), (failing, Settings(optimizer="adam", epochs=1, hidden=8))):
        text = report.text(some, settings)
        assert max(map(len, text.splitlines())) <= 100
        for run in some:
            assert text.count(f"\n{run.recipe.name} ") == 1
            assert text.count(f"\n  {run.recipe.name} ") == 2
        facts = json.loads(json.dumps(report.to_dict(some, settings), allow_nan=False))
        assert [run["recipe"] for run in facts["runs"]] == [run.recipe.name for run in some]
        required = {
            "recipe",
            "test_accuracy",
            "final_loss",
            "updates_lost",
            "gradients_flushed",
            "overflows",
            "first_trouble",
        }
        assert all(required <= run.keys() for run in facts["runs"])


def test_the_page_is_whole_and_needs_no_network(runs: list[Run], failing: list[Run]) -> None:
    for some in (runs, failing, runs[:1]):
        content = page(some, SHORT)
        assert content.startswith("<!doctype html>")
        assert content.rstrip().endswith("</html>")
        assert "://" not in content
        assert "<script" not in content
        assert "nan" not in content.split("<svg", 2)[2].split("</svg>")[0]


def test_of_lines_upon_each_other_every_one_is_seen() -> None:
    for (_, wide, dashes), (_, thin, others) in pairwise(_LINES):
        assert thin < 2 / 3 * wide or (thin == wide and others and not dashes)


def test_data_that_cannot_be_learned_from_are_refused() -> None:
    good = hs.data.digits()
    bad = good.x_train.copy()
    bad[3, 5] = math.nan
    for data, text in (
        (good._replace(x_train=bad), r"x_train: nan at \[3, 5\]; allowed: finite numbers"),
        (good._replace(x_test=good.x_test[:0], y_test=good.y_test[:0]), r"x_test: shape \(0, 64\)"),
        (good._replace(y_train=good.y_train[:-1]), r"x_train: shape \(1438, 64\) with labels \(1437,\)"),
    ):
        assert isinstance(data, Split)
        with pytest.raises(ValueError, match=text):
            train(RECIPES["fp32"], SHORT, data)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"optimizer": "sdg"}, "did you mean 'sgd'"), ({"lr": 0.0}, "lr: 0.0"), ({"lr": math.nan}, "lr: nan"),
        ({"epochs": 0}, "epochs: 0 is not allowed; allowed: integers from 1"), ({"seed": -1}, "seed: -1"),
    ],
)  # fmt: skip
def test_settings_have_ranges(change: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Settings(**change)  # type: ignore[arg-type]


def test_progress_hears_every_step() -> None:
    heard: list[int] = []
    train(RECIPES["fp32"], Settings(epochs=1, hidden=4), progress=heard.append)
    assert heard == list(range(1, 24))


def test_overflow_at_a_huge_scale_is_skipped_and_told() -> None:
    run = train(RECIPES["amp"], Settings(epochs=3, hidden=8, lr=4.0))
    assert run.skipped > 0
    assert run.overflows > 0
    assert run.trace.first_event("overflow") is None, "how a scaler finds its scale is no trouble"
    assert not run.broken


def test_momentum_that_dies_out_is_told_apart(runs: list[Run]) -> None:
    """A buffer of 4 subnormal steps times 0.9 rounds back to 4: it never dies, and never moves a weight."""
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=0.1, momentum=0.9)
    with hs.trace() as t:
        for gradient in [1e-3] + [0.0] * 200:
            w.grad = hs.tensor([gradient], "fp16")
            optimizer.step()
    assert optimizer.state[w]["momentum_buffer"].bits().tolist() == [4]
    counts = t.totals["optimizer", "", "update", ""]
    assert counts.updates == 201
    assert counts.addends == 1
    assert counts.lost > 150
    for run in runs:
        assert run.live_updates_lost <= run.updates_lost


def test_internal_underflow_of_a_right_result_is_no_trouble() -> None:
    """exp(-200) is zero inside log_softmax, and the result is right."""
    x = np.zeros((64, 10))
    x[:, 0] = 200
    for rule in ("fp32", "fp16", "pure_fp16", "amp"):
        with hs.precision(rule), hs.trace() as t:
            hs.ops.log_softmax(hs.tensor(x))
        assert t.first() is None, rule
        assert t.count().nonzero <= t.count().size
