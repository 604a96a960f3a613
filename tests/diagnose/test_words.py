"""The words of a finding: numbers that are true, roundings called what they are, advice that can be taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional

Run = Callable[[], Any]


def found(run: Run, rule: str = "fp16", reference: str | None = None) -> hs.Finding:
    """The verdict on a run."""
    with hs.precision(rule), hs.trace(reference=reference) as t:
        run()
    verdict = t.verdict()
    assert verdict is not None
    return verdict


def thousands(*shape: int) -> hs.Tensor:
    return hs.tensor(np.full(shape, 1000.0))


# Which rounding in which format made a count, and what became of the numbers.


@pytest.mark.parametrize(
    ("run", "rule", "klass", "words", "not_words"),
    [
        # operands of a product that a narrow format clips or loses
        (lambda: thousands(2, 2) @ thousands(2, 2), "fp8", "clipped",
         "operands of the product were clipped to 448, the largest number of float8_e4m3fn", "infinit"),
        (lambda: functional.linear(thousands(3, 2), np.full((2, 2), 2e3)), "fp8", "clipped", "to 448", "infinit"),
        (lambda: thousands(2, 2) @ thousands(2, 2), "storage=fp16, operands=e5m2, overflow=saturate", "clipped",
         "clipped to 65504", "infinit"),
        (lambda: thousands(2, 2) @ thousands(2, 2), "storage=bf16, operands=e4m3", "overflow",
         "became NaN, for float8_e4m3fn has no infinity", "became infinite"),
        # results that saturate
        (lambda: hs.tensor([300.0]) * 300.0, "storage=fp16, overflow=saturate", "clipped", "to 65504", "infinit"),
        (lambda: hs.tensor([300.0]) * 300.0, "storage=fp16, compute=fp32, rounding=toward_zero", "clipped",
         "1 of 1 values were clipped to 65504, the largest number of float16", "infinit"),
        (lambda: hs.tensor([-300.0]) * 300.0, "storage=fp16, rounding=upward", "clipped", "to 65504", "infinit"),
        (lambda: hs.tensor([300.0]) * 300.0, "storage=fp16, rounding=upward", "overflow", "became infinite", "clipped"),
        (lambda: hs.tensor([3e38]) * 3e38, "storage=fp32, overflow=saturate", "clipped", "to 3.40282e+38", "infinit"),
        # sums
        (lambda: thousands(100).sum(), "storage=fp16, accumulate=fp16:sequential, overflow=saturate", "clipped",
         "1 of 1 running sums were clipped to 65504", "infinit"),
        (lambda: thousands(100).sum(), "pure_fp16", "overflow", "1 of 1 running sums became infinite", "clipped"),
        (lambda: ops.cumsum(thousands(100)), "pure_fp16", "overflow", "running sums became infinite", "clipped"),
        (lambda: thousands(10, 90).sum(1), "pure_fp16", "overflow", "10 of 10 running sums became infinite", "clipped"),
        # data
        (lambda: hs.tensor([1e5, 1.0]), "fp16", "overflow", "1 of 2 values became infinite, past 65504", "clipped"),
        (lambda: hs.tensor([1e5, 1.0], "e4m3"), "fp16", "overflow", "NaN, for float8_e4m3fn has no infinity, past 448",
         "infinite"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reference", [None, "fp64"])
def test_what_became_of_numbers_past_the_largest(
    run: Run, rule: str, klass: str, words: str, not_words: str, reference: str | None
) -> None:
    told = found(run, rule, reference)
    assert told.klass == klass, f"{told}"
    assert words in told.message
    assert not_words not in told.message.replace("has no infinity", "")


@pytest.mark.parametrize(
    ("run", "rule"),
    [
        (lambda: thousands(100).sum(), "pure_fp16"), (lambda: thousands(2, 2) @ thousands(2, 2), "pure_fp16"),
        (lambda: hs.tensor(300.0) * 300.0, "pure_fp16"), (lambda: hs.tensor([300.0]) * 300.0, "pure_fp16"),
        (lambda: ops.exp(thousands(2)), "pure_fp16"), (lambda: ops.cumsum(thousands(90)), "pure_fp16"),
        (lambda: thousands(3, 90).mean(1), "pure_fp16"), (lambda: thousands(90).var(), "pure_fp16"),
        (lambda: functional.layer_norm(thousands(3, 90), (90,)), "pure_fp16"),
        (lambda: functional.softmax(thousands(3, 9) * 1e3), "pure_fp16"), (lambda: thousands(90).norm(), "pure_fp16"),
        (lambda: functional.mse_loss(thousands(9), -thousands(9)), "pure_fp16"),
        (lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "fp16"), (lambda: ops.log(hs.tensor([0.0, -1.0])), "fp16"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("extra", ["", "overflow=saturate", "subnormals=flush", "rounding=toward_zero"])
def test_no_count_exceeds_its_size(run: Run, rule: str, extra: str) -> None:
    base = "storage=fp16, compute=fp16, accumulate=fp16:sequential" if rule == "pure_fp16" else "storage=fp16"
    with hs.precision(f"{base}, {extra}" if extra else rule), hs.trace() as t:
        run()
    for event in t.events():
        c = event.counts
        assert max(c.overflow, c.divide_by_zero, c.invalid, c.clipped) <= c.size
        assert c.flushed <= c.nonzero
    for told in (t.verdict(), t.first()):
        for count, size in re.findall(r"([\d,]+) of ([\d,]+)", "" if told is None else told.message):
            assert int(count.replace(",", "")) <= int(size.replace(",", "")), told


@pytest.mark.parametrize(
    "extra", ["", ", overflow=saturate", ", subnormals=flush", ", overflow=saturate, subnormals=flush"]
)
@pytest.mark.parametrize(
    "run",
    [
        lambda: hs.tensor(np.full((4, 50), 1e-4)) @ hs.tensor(np.full((50, 4), 1e-5)),
        lambda: functional.linear(hs.tensor(np.full((4, 50), 2e-4)), np.full((4, 50), 1e-5)),
    ],
)
def test_sums_in_half_count_flushed_products_whatever_else_the_precision_says(run: Run, extra: str) -> None:
    told = found(run, f"storage=fp16, compute=fp16, accumulate=fp16:sequential{extra}")
    assert told.klass == "underflow", f"{told}"


def test_the_numbers_of_an_accumulation_error_agree_with_the_sentence() -> None:
    third = np.full(2000, 0.3337)
    told = found(lambda: hs.tensor(third).sum(), "storage=fp16, accumulate=fp16:sequential")
    assert told.klass == "accumulation order"
    assert told.values["error"] > 2 * told.values["likely"]
    assert told.values["error"] <= told.values["bound"]


@pytest.mark.parametrize("rule", ["fp16", "bf16"])
def test_the_numbers_of_rounding_agree_with_the_sentence(rule: str) -> None:
    rng = np.random.default_rng(0)

    def run() -> None:
        functional.linear(hs.tensor(rng.standard_normal((4, 64))), rng.standard_normal((4, 64)))

    told = found(run, rule, "fp64")
    assert told.klass == "benign rounding"
    assert (told.values["local"] <= told.values["bound"]) == ("within" in told.message)


def test_rows_with_nan_do_not_claim_an_error_of_zero() -> None:
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        ops.log(hs.tensor([-1.0, 2.3]))
    assert not [row for row in t.errors() if row.op == "log" and row.local.relative == 0]


# Advice.

FIXES: dict[str, tuple[Run, str]] = {
    "overflow": (lambda: hs.tensor([300.0]) * 300.0, "fp16"),
    "overflow in bfloat16": (lambda: hs.tensor([3e30]) * 3e30, "bf16"),
    "exponential": (lambda: ops.exp(hs.tensor([12.0])), "fp16"),
    "softmax by hand": (lambda: ops.exp(hs.tensor([12.0, 1.0])) / ops.exp(hs.tensor([12.0, 1.0])).sum(), "fp16"),
    "logarithm of softmax": (lambda: ops.log(ops.softmax(hs.tensor([0.0, 30.0]))), "fp16"),
    "pole": (lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "fp16"),
    "pole in bfloat16": (lambda: hs.tensor([1.0]) / hs.tensor([0.0]), "bf16"),
    "mask": (lambda: ops.softmax(ops.masked_fill(hs.tensor(np.ones(4)), np.ones(4, bool), -1e9)), "fp16"),
    "mask in bfloat16": (lambda: hs.tensor(np.ones(4)) * 3e38 * 3e38, "bf16"),
    "square": (lambda: hs.tensor([300.0]) ** 2, "fp16"),
    "underflow": (lambda: hs.tensor(np.full(4, 1e-4)) * hs.tensor(np.full(4, 1e-5)), "fp16"),
    "underflow in bfloat16": (lambda: hs.tensor(np.full(4, 1e-30)) * hs.tensor(np.full(4, 1e-30)), "bf16"),
    "lost eps": (lambda: 1.0 / (hs.tensor([0.0]) + 1e-9), "fp16"),
    "cancellation": (lambda: ops.log(hs.tensor([0.1] * 3) * 3.0 - 0.3), "bf16"),
    "long sum": (lambda: hs.tensor(np.ones(5000)).sum(), "pure_fp16"),
    "integers": (lambda: hs.tensor(np.arange(4097)) * 0.01, "fp16"),
    "integers in bfloat16": (lambda: hs.tensor(np.arange(4097)) * 0.01, "bf16"),
    "saturation": (lambda: hs.tensor([300.0]) * 300.0, "storage=fp16, overflow=saturate"),
    "operands in eight bits": (lambda: thousands(2, 2) @ thousands(2, 2), "fp8"),
}


@pytest.mark.parametrize("name", FIXES)
def test_advice_can_be_taken(name: str) -> None:
    run, rule = FIXES[name]
    told = found(run, rule)
    assert told.klass not in ("benign rounding",), f"{told}"
    for fix in told.fixes:
        text = fix.text.lower()
        assert "loss scale" not in text, "no scale is used here"
        if "bf" in rule:
            assert "bfloat16, of wider range" not in text
        assert not re.search(r"\b(fp16|bf16|e4m3|e5m2)\b", text.replace("'fp32'", "")), "formats are given in full"
        if told.klass in ("overflow", "underflow", "cancellation", "swamping", "clipped", "integer rounding"):
            assert not re.search(r"\beps of|eps=", text), "no constant was lost"
        if told.klass == "underflow":
            assert "scale the operands down" not in text
        for key in fix.option or {}:
            assert key in text or fix.how, key
        assert max(map(len, str(told).splitlines())) <= 100


@pytest.mark.parametrize("name", ["overflow", "underflow", "cancellation", "long sum", "exponential"])
def test_a_policy_that_is_printed_mends_its_run(name: str) -> None:
    run, rule = FIXES[name]
    fix = next(fix for fix in found(run, rule).fixes if fix.policy is not None)
    assert "@" in str(fix)
    with hs.precision(fix.policy), hs.trace() as t:
        run()
    after = t.verdict()
    assert after is None or after.klass in ("benign rounding", "overflow"), f"{after}"
    if name != "exponential":
        assert after is None or after.klass == "benign rounding", f"{after}"


def adam(**options: Any) -> Run:
    def run() -> None:
        w = hs.tensor([1.0, 1.0], "fp16", requires_grad=True)
        optimizer = hs.optim.Adam([w], **options)
        (w * hs.tensor([0.0, 1.0])).sum().backward()
        optimizer.step()

    return run


def test_options_are_named_as_they_are_typed() -> None:
    told = found(adam())
    assert (told.klass, told.phase) == ("eps lost", "optimizer")
    assert "master_weights=True" in told.fix
    assert told.fixes[0].option == {"master_weights": True}


def test_clipping_has_an_option_of_its_own() -> None:
    def run() -> None:
        p = hs.tensor(np.ones(200), "fp16", requires_grad=True)
        p.grad = hs.tensor(np.full(200, 6e4), "fp16")
        hs.nn.utils.clip_grad_norm_([p], 1.0)

    told = found(run)
    assert told.klass == "overflow"
    assert "safe=True" in told.fix, f"{told}"


# The line of the user's code.


def line_of(function: Run, words: str) -> str:
    """Where ``words`` stand in a function of this file, as a finding says it."""
    source = function.__code__
    text = Path(source.co_filename).read_text(encoding="utf-8").splitlines()
    first = source.co_firstlineno
    number = next(i for i in range(first, len(text) + 1) if words in text[i - 1])
    return f"test_words.py:{number}"


class Block(hs.nn.Module):
    def forward(self, x: hs.Tensor) -> hs.Tensor:
        y = x + 1.0
        return y * 300.0  # here


def in_a_function() -> None:
    x = hs.tensor([300.0])
    y = x * 300.0  # here
    y + 1.0


def in_a_module() -> None:
    Block()(hs.tensor([300.0]))


def in_a_layer() -> None:
    layer = hs.nn.Linear(2, 2)
    layer.weight.array = np.full((2, 2), 300.0, np.float32)
    layer(hs.tensor([[300.0, 300.0]]))  # here


def in_the_backward_pass() -> None:
    x = hs.tensor([0.1, 0.3], requires_grad=True)
    y = x * 300.0  # here
    z = y * 300.0
    z.backward(np.ones(2))


def in_an_optimizer() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=1e9)
    w.grad = hs.tensor([1.0], "fp16")
    optimizer.step()  # here


def in_the_data() -> None:
    hs.tensor([1e5, 1.0]) * 1.0  # here


def in_a_loop() -> None:
    total = hs.tensor([2048.0])
    for _ in range(100):
        total = total + 1.0  # here


def clipping() -> None:
    p = hs.tensor(np.ones(200), "fp16", requires_grad=True)
    p.grad = hs.tensor(np.full(200, 6e4), "fp16")
    hs.nn.utils.clip_grad_norm_([p], 1.0)  # here


def through_numpy() -> None:
    x = hs.tensor([300.0])
    np.multiply(x, 300.0)  # here


@pytest.mark.parametrize(
    ("run", "place"),
    [(in_a_function, in_a_function), (in_a_module, Block.forward), (in_a_layer, in_a_layer),
     (in_the_backward_pass, in_the_backward_pass), (in_an_optimizer, in_an_optimizer), (in_the_data, in_the_data),
     (in_a_loop, in_a_loop), (clipping, clipping), (through_numpy, through_numpy)],
)  # fmt: skip
@pytest.mark.parametrize("reference", [None, "fp64"])
def test_a_finding_names_the_line_of_the_callers_code(run: Run, place: Any, reference: str | None) -> None:
    told = found(run, "fp16", reference)
    assert told.where == line_of(place, "# here"), f"{told}"
    assert told.where in " ".join(str(told).split())
    assert told.to_dict()["where"] == told.where


def test_benign_rounding_has_a_line_too() -> None:
    assert found(lambda: hs.tensor([0.1]) * 0.3).where.startswith("test_words.py:")


def test_a_constant_that_half_cannot_hold_is_named_where_it_makes_infinities() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        closed = hs.tensor([[1.0, 1.0], [0.0, 0.0]])
        hs.ops.softmax(hs.tensor([[1.0, 2.0], [3.0, 4.0]]) + (1 - closed) * -1e9, -1)
    found = t.verdict()
    assert found is not None
    assert "take a constant that float16 holds, up to 65504, in place of -1e+09" in found.fix
    assert "scale the operands" not in found.fix
    with hs.precision(found.fixes[0].policy):
        closed = hs.tensor([[1.0, 1.0], [0.0, 0.0]])
        right = hs.ops.softmax(hs.tensor([[1.0, 2.0], [3.0, 4.0]]) + (1 - closed) * -1e9, -1)
    assert np.isfinite(right.array).all()


@pytest.mark.parametrize(
    ("rule", "run", "words"),
    [
        (
            "storage=fp32, compute=fp16",
            lambda: hs.tensor([300.0]) * 300.0,
            "steps on the way became infinite in float16, past 65504",
        ),
        (
            "storage=bf16, operands=float8_e5m2",
            lambda: hs.tensor([[1e5]]) @ hs.tensor([[1.0]]),
            "operands of the product became infinite in float8_e5m2, past 57344",
        ),
    ],
)
def test_the_format_that_a_number_was_too_large_for_is_named(rule: str, run: Any, words: str) -> None:
    with hs.precision(rule), hs.trace() as t:
        run()
    assert words in t.verdict().message


def test_a_comparison_takes_infinities_for_what_they_are_and_not_what_nan_comes_of_them() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        side = hs.tensor([300.0, 10.0])
        assert ((side * side) > 4.0).all()
    assert t.verdict().klass == "benign rounding"
    assert [event.op for event in t.left_out()] == ["mul"]
    with hs.precision("fp16"), hs.trace() as t:
        area = hs.tensor([300.0, 10.0]) * hs.tensor([300.0, 10.0])
        assert not ((area / (area + area - area)) > 0.5)[0], "NaN, where the overlap is whole"
    assert (t.verdict().klass, t.verdict().op) == ("overflow", "mul")
