"""Digits that are known: of sums by their condition, of examples of the literature by exact fractions."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from fractions import Fraction
from math import log2, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.observer import observing
from halfsim.diagnose.compare.recorder import Recorder, Store
from halfsim.diagnose.digits.at_random import at_random
from halfsim.diagnose.digits.reasons import REASONS
from halfsim.diagnose.digits.result import SignificantDigits
from halfsim.diagnose.digits.sampler import Sampler
from halfsim.numerics.precision import Precision
from tests import pages

t = hs.tensor
PURE_FP32 = "storage=fp32, accumulate=fp32:sequential"
X = np.random.default_rng(0).standard_normal((16, 8))


def digits(run: Callable[[], Any], precision: Any = "fp16", **options: Any) -> SignificantDigits:
    return hs.significant_digits(run, precision, **options)


def right(value: float, exact: Fraction) -> float:
    """In how many bits a number is right."""
    error = abs(Fraction(value) - exact) / abs(exact)
    return 53.0 if not error else -log2(error)


@pytest.mark.parametrize("k", range(1, 22, 4))
def test_a_sum_loses_as_many_bits_as_its_condition_has(k: int) -> None:
    """2^k + 1/3 - 2^k: one rounding, to one of two neighbours 2^(k - 23) apart, then an exact difference."""

    def run() -> Any:
        return (t(2.0**k) + 1 / 3) - 2.0**k

    third = float(np.float32(1 / 3))
    ulp = 2.0 ** (k - 23)
    share = third / ulp % 1
    deviation = ulp * sqrt(share * (1 - share))
    row = digits(run, "fp32", runs=64)["result"]
    expected = min(24.0, -log2(deviation / third)) if deviation else 24.0
    assert row.bits == pytest.approx(expected, abs=0.6)
    assert row.lower <= right(row.run, Fraction(third)) + 0.1
    assert row.reason == ""


@pytest.mark.parametrize("order", [1, -1])
def test_the_figures_are_those_of_the_runs_by_hand(order: int) -> None:
    """The sum of 1/k^2, from the large ones on and from the small ones: the latter keeps more."""
    terms = 1.0 / np.arange(1, 200)[::order] ** 2

    def run() -> Any:
        return t(terms).sum()

    rule = Precision("pure_fp16")
    row = digits(run, rule)["result"]
    by_hand = []
    for i in range(8):
        with hs.precision(at_random(rule, 0, i)):
            by_hand.append(run().item())
    with hs.precision(rule):
        nearest = run().item()
    assert row.run == nearest
    assert row.mean == pytest.approx(np.mean(by_hand))
    bits = -log2(np.std(by_hand, ddof=1) / np.mean(by_hand))
    assert row.bits == pytest.approx(min(11.0, bits))
    assert row.lower == pytest.approx(bits - 1.996, abs=1e-3)
    assert row.held == pytest.approx(-log2(max(abs(y - nearest) for y in by_hand) / nearest))
    exact = sum((Fraction(float(x)) for x in hs.round_to(terms, "fp16")), Fraction(0))
    assert row.lower < right(row.mean, exact) < row.bits + 6
    assert row.digits == pytest.approx(row.lower * 0.30103, abs=1e-4)


def test_the_small_terms_first_leave_more_digits() -> None:
    terms = 1.0 / np.arange(1, 200) ** 2
    down, up = (digits(lambda x=x: t(x).sum(), "pure_fp16", runs=32)["result"].bits for x in (terms, terms[::-1]))
    assert up > down + 1


def muller(n: int, start: Any, second: Any, number: Callable[[Any], Any] = lambda x: x) -> Any:
    a, b = start, second
    for _ in range(n):
        a, b = b, 111 - (1130 - 3000 / a) / b
    return b


@pytest.mark.parametrize("n", range(1, 6))
def test_mullers_recurrence_is_as_right_as_is_told(n: int) -> None:
    """Its numbers go to 6, and in every arithmetic that rounds to 100 (Muller; CADNA's example 4)."""
    row = digits(lambda: muller(n, t(5.5), t(61.0) / 11), PURE_FP32)["result"]
    exact = muller(n, Fraction(11, 2), Fraction(61, 11))
    assert row.lower <= right(row.run, exact) + 0.5
    assert abs(right(row.run, exact) - row.bits) < 3.5


def test_where_mullers_recurrence_turns_no_digit_is_left_and_after_that_a_note_warns() -> None:
    turning = digits(lambda: muller(6, t(5.5), t(61.0) / 11), PURE_FP32)
    assert turning["result"].lower < 1
    settled = digits(lambda: muller(20, t(5.5), t(61.0) / 11), PURE_FP32)
    row = settled["result"]
    assert (row.run, row.reference) == (100.0, pytest.approx(100.0))
    assert row.lower == row.measured == 24  # and not one is right:
    assert right(row.run, muller(20, Fraction(11, 2), Fraction(61, 11))) < 0
    assert settled[""].lower == 0
    assert any(note.startswith("On the way no digit was left (step 1, forward, sub") for note in settled.notes)
    assert turning.notes == ()


def polynomial(x: Any, y: Any) -> Any:
    return 9 * x * x * x * x - y * y * y * y + 2 * y * y


def test_rumps_polynomial_has_no_digit_at_one_point_and_most_at_another() -> None:
    """CADNA's example 1: at (10864, 18817) it is 1, and float64 gives 2; at (1/3, 2/3) it is 65/81."""
    assert polynomial(Fraction(10864), Fraction(18817)) == 1
    lost = digits(lambda: polynomial(t(10864.0), t(18817.0)), PURE_FP32)["result"]
    assert (lost.lower, lost.reference, lost.reason) == (0.0, 2.0, "noise")
    kept = digits(lambda: polynomial(t(1.0) / 3, t(2.0) / 3), PURE_FP32)["result"]
    exact = polynomial(Fraction(1, 3), Fraction(2, 3))
    assert exact == Fraction(65, 81)
    assert 18 < kept.lower <= right(kept.run, exact)


def test_a_double_root_has_no_digit_in_its_discriminant_and_most_in_itself() -> None:
    """CADNA's example 2: 0.3 x^2 - 2.1 x + 3.675 has the discriminant 0, and the root 3.5 twice."""

    def run() -> Any:
        a, b, c = t(0.3), t(-2.1), t(3.675)
        return {"discriminant": b * b - 4 * a * c, "root": -b / (2 * a)}

    found = digits(run, PURE_FP32)
    assert (found["discriminant"].lower, found["discriminant"].reason) == (0.0, "noise")
    assert found["root"].lower > 20
    assert found["root"].run == pytest.approx(3.5)


def test_what_is_measured_is_what_a_trace_with_a_reference_measures() -> None:
    """Where no branch and no rounding of inputs comes between them."""
    x = t(np.arange(1.0, 9.0), "fp32")

    def run() -> Any:
        return ((x / 3).exp() * 0.7).sum()

    found = digits(run, "fp16")
    with hs.trace(reference="fp64") as trace, hs.precision("fp16"):
        run()
    total = next(t.total for place, t in trace.places.items() if place[2] == "sum")
    assert total is not None
    assert found["result"].measured == pytest.approx(min(11.0, -log2(total.relative)))


class Shifted(hs.nn.Module):
    def forward(self, x: Any) -> Any:
        return (x + 1000.0) - 1000.0


def test_each_module_has_its_digits_by_path() -> None:
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), Shifted(), hs.nn.Linear(16, 3))

    def run() -> Any:
        model.zero_grad()
        loss = (model(t(X)) ** 2).mean()
        loss.backward()
        return loss, model[0].weight.grad

    found = digits(run, "fp16")
    forward = {row.name: row for row in found.modules if row.phase == "forward"}
    assert [*forward] == ["0", "1", "2", ""]
    assert (forward["1"].op, found["1"]) == ("sub", forward["1"])
    assert forward["0"].lower > 8
    assert max(forward["1"].lower, forward["2"].lower) < 3
    assert {row.name for row in found.modules if row.phase == "backward"} == {"0", "1", "2", ""}
    assert [row.name for row in found.results] == ["[0]", "[1]"]
    assert found["[1]"].worst <= found["[1]"].bits
    assert len(found["[1]"].worst_at) == 2


def test_a_gradient_that_is_zero_but_for_rounding_is_measured_by_its_module() -> None:
    """Of a bias in front of a normalisation, beside the gradient of the weight."""
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.BatchNorm1d(16), hs.nn.Linear(16, 3))

    def run() -> None:
        model.zero_grad()
        (model(t(X)) ** 3).mean().backward()

    row = next(row for row in digits(run, "fp16").modules if (row.name, row.phase) == ("0", "backward"))
    assert row.lower > 4


def test_an_array_names_its_worst_element() -> None:
    def run() -> Any:
        return (t([1.0, 2.0, 5.0, 4.0]) / 3 + t([0.0, 0.0, 500.0, 0.0])) - t([0.0, 0.0, 500.0, 0.0])

    row = digits(run, "pure_fp16", runs=32)["result"]
    assert row.worst_at == (2,)
    assert row.worst < row.bits
    assert (row.run, row.size) == (None, 4)


@pytest.mark.parametrize("precision", ["amp", "amp_bf16", "promote", {"default": "fp32", "0": "fp16"}, "bf16", "fp8"])
def test_a_policy_rounds_at_random_too(precision: Any) -> None:
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.Linear(16, 3))
    if precision == "promote":
        model.half()
    found = digits(lambda: model(t(X, "fp16") if precision == "promote" else t(X)), precision)
    assert 0 < found["result"].lower < 24
    assert found["result"].bits < 12
    assert found["result"].reason == ""


def test_what_rounds_at_random_already_is_drawn_anew_for_each_run() -> None:
    def run() -> Any:
        return (t(X) / 3).sum()

    for precision in ("storage=fp16, rounding=stochastic", {"default": "storage=fp16, rounding=stochastic(seed=3)"}):
        found = digits(run, precision)
        assert 6 < found["result"].lower < 11
        assert found.to_dict() == digits(run, precision).to_dict()


def test_an_optimizer_under_a_policy_rounds_at_random_too() -> None:
    """A weight of 1 that moves by 2e-4 a step stays in half; at random it moves on average."""

    def run() -> Any:
        w = t([1.0] * 64, "fp16", requires_grad=True)
        optimizer = hs.optim.SGD([w], lr=2e-4)
        for _ in range(50):
            optimizer.zero_grad()
            w.sum().backward()
            optimizer.step()
        return w.detach().mean()

    row = digits(run, {"default": "fp16", "@exp": "fp32"})["result"]
    assert (row.run, row.reference) == (1.0, pytest.approx(0.99))
    assert row.mean == pytest.approx(0.99, abs=1e-3)


def test_float64_stays_as_it_is_and_is_told() -> None:
    found = digits(lambda: t([1.0], "fp64") / 3, {"default": "fp64", "@exp": "fp16"})
    assert found["result"].bits == 53
    assert "Operations in float64 were not rounded at random: the host rounds them to nearest." in found.notes
    for precision in ("fp64", "storage=fp16, accumulate=fp64:sequential"):
        with pytest.raises(ValueError, match=r"^precision: float64, which the host rounds to nearest, is not allowed;"):
            digits(lambda: t([1.0]) / 3, precision)


def test_sums_in_float32_are_rounded_at_random_where_they_show() -> None:
    found = digits(lambda: t(np.linspace(-1.0, 1.01, 300) / 3).sum(), "fp32")
    assert found["result"].bits < 22
    assert found.notes == (
        "Sums that the BLAS forms in an order of its own were formed pairwise under random rounding.",
    )
    assert digits(lambda: t([1.0]) / 3, "fp32").notes == ()


def test_the_precision_in_force_is_taken() -> None:
    with hs.precision("bf16"):
        found = hs.significant_digits(lambda: t([1.0]) / 3)
    assert found.precision == "bf16"
    assert found["result"].bits < 10
    with pytest.raises(ValueError, match=r"^precision: none is in force; allowed: one, as 'fp16', or a call inside of"):
        hs.significant_digits(lambda: t([1.0]) / 3)


def test_the_same_seed_gives_the_same_figures() -> None:
    def run() -> Any:
        return (t(X) / 3).exp().sum()

    first, second, other = digits(run), digits(run), digits(run, seed=1)
    assert first.to_dict() == second.to_dict()
    assert first["result"].lower != other["result"].lower
    assert first["result"].run == other["result"].run


def test_runs_draw_the_same_and_leave_all_as_it_was() -> None:
    hs.manual_seed(7)
    model = hs.nn.Sequential(hs.nn.Linear(8, 4), hs.nn.BatchNorm1d(4), hs.nn.Dropout(0.5))
    optimizer = hs.optim.Adam(model.parameters())
    rng, seen, log = np.random.default_rng(3), set(), []

    def run() -> None:
        x = hs.randn(16, 8)
        seen.add((tuple(x.numpy().astype(np.float16).ravel()), rng.random(), np.random.random()))
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
        log.append(1)

    before = {name: p.numpy().copy() for name, p in model.state_dict().items()}
    state, theirs = hs.get_rng_state(), rng.bit_generator.state
    found = digits(run, "fp16", model=model, optimizer=optimizer)
    assert len(seen) == 1
    assert log == []
    assert (hs.get_rng_state() == state).all()
    assert rng.bit_generator.state == theirs
    assert all((p.numpy() == before[name]).all() for name, p in model.state_dict().items())
    assert not optimizer.state
    assert all(p.grad is None for p in model.parameters())
    assert [row.name for row in found.results][:2] == ["0.weight", "0.bias"]
    assert {row.phase for row in found.modules} == {"forward", "backward", "optimizer"}


def test_what_the_run_raises_is_raised_and_all_is_as_before() -> None:
    layer = hs.nn.Linear(2, 2)
    before = layer.weight.numpy().copy()

    def run() -> None:
        layer.weight.array = layer.weight.array * 0
        raise LookupError("no data")

    with pytest.raises(LookupError, match="no data"):
        digits(run)
    assert (layer.weight.numpy() == before).all()


def test_a_run_is_run_as_often_as_is_said() -> None:
    calls = np.zeros(1)
    count = {1}

    def run() -> Any:
        count.add(len(count) + 1)
        return t([1.0]) / 3 + float(calls[0])

    digits(run, runs=5)
    assert len(count) == 1 + 5 + 2


ODD: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "run: it returned NoneType and computed nothing; allowed: numbers, tensors"),
    (lambda: "0.1", "run: it returned str and computed nothing; allowed: numbers, tensors"),
    (list, "run: it returned list and computed nothing; allowed: numbers, tensors"),
    (lambda: np.zeros((0, 3)), "run: it returned ndarray and computed nothing; allowed: numbers, tensors"),
]


@pytest.mark.parametrize(("run", "words"), ODD)
def test_a_run_that_gives_nothing_is_refused(run: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match="^" + words):
        digits(run)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"runs": 1}, ValueError, "runs: 1 is not allowed; allowed: integers from 2"),
        ({"runs": "8"}, TypeError, "runs: '8' is not allowed; allowed: integers"),
        ({"seed": -1}, ValueError, "seed: -1 is not allowed; allowed: integers from 0"),
        ({"probability": 1.0}, ValueError, "probability: 1.0 is not allowed; allowed: numbers above 0 and below 1"),
        ({"confidence": float("nan")}, ValueError, "confidence: nan is not allowed; allowed: numbers above 0 and be"),
        ({"precision": "fp17"}, ValueError, "precision: 'fp17'"),
        ({"reference": "amp"}, ValueError, "reference: amp is not allowed; allowed: a precision, as"),
        ({"model": 3}, TypeError, "model: int is not allowed; allowed: Module, None"),
    ],
)
def test_odd_options_are_refused_in_one_line(options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        hs.significant_digits(lambda: t([1.0]) / 3, **{"precision": "fp16", **options})
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^run: Tensor \(1,\) is not allowed; allowed: a function"):
        digits(t([1.0]))


def test_numbers_of_all_kinds_are_told() -> None:
    def run() -> Any:
        x = t([1.0, 2.0, 4.0]) / 3
        return {"a": x, "b": [x.sum().item(), 3], "c": (x.numpy(), "text"), "d": x.argmax(), "e": t([]) / 3, "f": x[0]}

    found = digits(run)
    assert [row.name for row in found.results] == ["a", "b", "c[0]", "d", "f"]
    assert found["d"].lower == found["d"].measured == 11
    assert found["f"].run == pytest.approx(1 / 3, abs=1e-3)
    assert found["c[0]"].bits > 9
    assert found["a"].worst_at in {(0,), (1,), (2,)}


def test_what_other_libraries_compute_is_said_not_to_be_rounded() -> None:
    found = digits(lambda: np.float16(1) / np.float16(3))
    assert found.notes == ("No operation of halfsim ran: what other libraries compute is not rounded at random.",)
    assert found["result"].bits == 11


def test_a_run_that_returns_nothing_has_the_digits_of_its_operations() -> None:
    found = digits(lambda: (t([1.0]) / 3) and None)
    assert found.results == ()
    assert found[""].op == "div"
    assert "The run returned no number: digits are those of its operations." in found.notes


def test_a_name_that_is_not_there_is_refused() -> None:
    found = digits(lambda: {"loss": t([1.0]) / 3})
    assert found["loss"].name == "loss"
    with pytest.raises(ValueError, match="^name: 'los' is not allowed"):
        found["los"]


def test_it_is_text_page_and_data(tmp_path: Path) -> None:
    found = digits(lambda: {"sum": t([0.1] * 64).cumsum(0)[-1]}, "pure_fp16")
    head = "pure_fp16, 8 runs under random rounding, beside fp64\n\nresult  bits  lower  digits  held  fp64  why\n"
    assert str(found).startswith(head)
    assert found.table().splitlines()[1].startswith("sum ")
    assert found.title == "halfsim: digits left in pure_fp16, 8 runs under random rounding"
    data = json.loads(found.to_json(tmp_path / "digits.json"))
    row = data["results"][0]
    assert row["digits"]["lower"] == pytest.approx(row["lower"] * 0.30103, abs=1e-4)
    assert (data["kind"], data["runs"], data["seed"]) == ("significant digits", 8, 0)
    found.to_html(tmp_path / "digits.html")
    page = (tmp_path / "digits.html").read_text("utf-8")
    assert "<h2>Results</h2>" in page
    assert "sum" in found._repr_html_()
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()


def test_many_results_are_cut_to_the_fewest_digits() -> None:
    found = digits(lambda: {f"x{i}": (t([1.0]) / 3 + 2.0**i) - 2.0**i for i in range(20)}, "fp32")
    lines = str(found).splitlines()
    assert "(12 of 20)" in lines
    assert any(line.startswith("x19 ") for line in lines)
    assert not any(line.startswith("x0 ") for line in lines)
    assert len(found.results) == 20


def test_what_is_kept_of_a_run_has_the_keys_of_a_comparison() -> None:
    def run() -> None:
        hs.manual_seed(1)
        model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.LayerNorm(16), hs.nn.Dropout(0.3), hs.nn.Linear(16, 3))
        optimizer, scaler = hs.optim.Adam(model.parameters(), lr=0.01), hs.amp.GradScaler()
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(hs.nn.cross_entropy(model(t(X)), [0, 1] * 8)).backward()
            scaler.step(optimizer)
            scaler.update()

    store = Store()
    recorder, sampler = Recorder(store.put, store.wants, events=True), Sampler(store.steps.__contains__)
    for observer in (recorder, sampler):
        with hs.precision("amp"), observing(observer):
            run()
    recorder.finish()
    assert [*store.steps] == [*sampler.steps] == [1, 2, 3]
    for number, step in store.steps.items():
        mine = sampler.steps[number].results
        assert [*step.results] == [*mine]
        assert all(np.array_equal(kept.values, mine[key].values) for key, kept in step.results.items())


def test_the_page_has_every_reason() -> None:
    page = (pages.ROOT / "docs" / "digits.md").read_text("utf-8")
    told = [line.split(" | ")[0].lstrip("| ") for line in page.partition("| why | what it is |")[2].splitlines()]
    assert {name for name in told if name and "---" not in name} >= {reason.name for reason in REASONS}


def test_the_chinese_page_has_the_same_programs_and_reasons() -> None:
    both = [(pages.ROOT / "docs" / name).read_text("utf-8") for name in ("digits.md", "digits.zh-CN.md")]
    fences = [re.findall(r"```(?:python|text).*?\n```", page, re.S) for page in both]
    assert fences[0] == fences[1]
    assert all(f"| {reason.name}\uff08" in both[1] for reason in REASONS)


def test_the_page_prints_what_it_says(tmp_path: Path) -> None:
    page = pages.ROOT / "docs" / "digits.md"
    found = [*pages.printed(page, tmp_path)]
    assert len(found) >= 3
    for block, printed in found:
        assert pages.agrees(str(block.told), printed), f"{block.code}\nprints\n{printed}"


def test_a_run_that_is_not_the_same_each_time_is_told() -> None:
    """Numbers drawn without a seed spread too, and not by rounding."""
    numbers = iter(range(1, 100))
    for run in (
        lambda: t(np.random.default_rng().standard_normal(3)) * 2,
        lambda: t([float(next(numbers))]) * 2,
        lambda: np.random.default_rng().standard_normal(3),
    ):
        assert any(note.startswith("The run is not the same each time") for note in digits(run).notes)
    generator = np.random.default_rng(3)
    for run in (
        lambda: t(generator.standard_normal(3)) / 3,  # which a run begins anew
        lambda: t(np.random.default_rng(0).standard_normal(3)) / 3,
        lambda: hs.randn(3) / 3,
        lambda: 0.1,
        lambda: t(X, "fp32").to("fp16").sum(),
    ):
        assert not any(note.startswith("The run is not the same") for note in digits(run).notes)


def test_a_result_without_a_number_agrees_in_no_bit() -> None:
    for run in (lambda: t(0.0) / 0.0, lambda: float("nan"), lambda: t([np.inf, np.nan]) * 1.0):
        assert digits(run)["result"].measured == 0
    assert digits(lambda: t([np.inf, 1.0]) * 1.0)["result"].measured == 11
