"""Inputs that were judged wrongly once, and neighbours of each: verdicts on one operation or a few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import ops
from tests.diagnose.inputs import Row, Rows, check, traced

ROWS = Rows()
told, calm = ROWS.told, ROWS.calm


# A reference must not turn real trouble into benign rounding, whatever rounding made the inputs.


@told("overflow", "mul", "fp16", "pure_fp16")
def a_product() -> Any:
    hs.tensor([300.1]) * 1000.0


@told("overflow", "mul", "fp16")
def a_product_of_one_number() -> Any:
    hs.tensor(300.1) * 1000.0


@told("overflow", "mul", "bf16")
def a_product_in_bfloat16() -> Any:
    hs.tensor([3.1e30, 0.3]) * 1e10


@told("overflow", "exp", "fp16", "pure_fp16")
def an_exponential() -> Any:
    ops.exp(hs.tensor([11.2, 0.3]))


@told("overflow", "sum", "fp16", "pure_fp16")
def a_sum() -> Any:
    hs.tensor(np.full(100, 1000.3)).sum()


@told("overflow", "matmul", "amp")
def a_matrix_product_under_autocast() -> Any:
    x = hs.tensor(np.full((4, 4), 300.1))
    x @ x


@told("overflow", "linear", "fp16", "amp")
def a_layer() -> Any:
    layer = hs.nn.Linear(4, 2)
    layer.weight.array = np.full((2, 4), 300.1, np.float32)
    layer(hs.tensor(np.full((3, 4), 100.1)))


@told("overflow", "mul", "fp16", phase="backward")
def a_gradient() -> Any:
    x = hs.tensor([0.1, 0.3], requires_grad=True)
    ((x * 300.1) * 300.1).backward(np.ones(2))


@told("overflow", "add", "fp16", phase="optimizer")
def a_step() -> Any:
    w = hs.tensor([0.3, 0.1], requires_grad=True)
    (w * 0.3).sum().backward()
    hs.optim.SGD([w], lr=1e6).step()


@told("overflow", "div", "fp16", "bf16", "fp32")
def one_over_zero() -> Any:
    hs.tensor([0.1, 0.3]) / hs.tensor([0.0, 0.7])


@told("overflow", "log", "fp16", "bf16", "fp32")
def the_logarithm_of_zero() -> Any:
    ops.log(hs.tensor([0.1, 0.3]) * 0.0)


@told("NaN propagation", "sqrt", "fp16", "bf16", "fp32")
def the_root_of_a_negative_number() -> Any:
    ops.sqrt(hs.tensor([-0.1, 0.3]))


@told("underflow", "mul", "fp16")
def products_that_vanish() -> Any:
    hs.tensor(np.full(8, 1.1e-4)) * hs.tensor(np.full(8, 1.3e-5))


@told("swamping", "sum", "pure_fp16")
def a_long_sum() -> Any:
    hs.tensor(np.full(20000, 1.1)).sum()


@told("integer rounding", "tensor", "fp16", "bf16")
def positions() -> Any:
    ops.sin(hs.tensor(np.arange(4097)) * 0.1)


# Blame is by what explains the symptom: magnitude is not lost digits.


@told("overflow", "mul", "fp16")
def the_energy_of_sound() -> Any:
    x = hs.tensor(np.arange(-32767, 32767, 4097))
    x * x


@told("overflow", "mul", "fp16")
def squared_coordinates() -> Any:
    x = hs.tensor(np.arange(4095))
    x * x


@told("overflow", "pow", "fp16")
def squared_coordinates_by_a_power() -> Any:
    hs.tensor(np.arange(4095)) ** 2


@told("overflow", "mul", "fp16", "pure_fp16")
def a_residual_of_which_three_cancel() -> Any:
    d = hs.tensor([1.001, 1.002, 1.003, 400.1]) - hs.tensor([1.0, 1.0, 1.0, 100.0])
    d * d


@told("overflow", "exp", "fp16")
def an_exponential_of_a_residual() -> Any:
    ops.exp(hs.tensor([1.001, 1.002, 1.003, 112.1]) - hs.tensor([1.0, 1.0, 1.0, 100.0]))


@told("overflow", "mul", "bf16")
def a_residual_in_bfloat16() -> Any:
    d = hs.tensor([1.001, 1.01, 1.003, 4e20]) - hs.tensor([1.0, 1.0, 1.0, 1e20])
    d * d


@told("overflow", "sum", "fp16")
def a_sum_beside_flushed_numbers() -> Any:
    (hs.tensor([1e-5, 1e-5, 60000.0, 60000.0]) * hs.tensor([1e-4, 1e-4, 1.0, 1.0])).sum()


@told("underflow", "mul", "fp16")
def one_over_a_flushed_product() -> Any:
    1.0 / (hs.tensor([1.1e-5, 1.0]) * hs.tensor([1e-4, 1.0]))


@told("underflow", "mul", "fp16")
def zero_over_zero_of_flushed_products() -> Any:
    x = hs.tensor([1.1e-5, 1.0]) * hs.tensor([1e-4, 1.0])
    x / x


@told("cancellation", "sub", "fp16", "bf16")
def one_over_a_cancelled_difference() -> Any:
    1.0 / (hs.tensor([1.0001, 1.0001]) * hs.tensor([1.0, 1.0]) - hs.tensor([1.0, 1.0]))


# NaN and infinities that the formula takes away itself.


@calm("fp32", "fp16", "bf16")
def a_norm_at_zero() -> Any:
    hs.tensor(np.zeros(4), requires_grad=True).norm().backward()


@calm("fp32", "fp16")
def norms_of_parameters_with_a_zero_bias() -> Any:
    model = hs.nn.Linear(4, 3)
    model.bias.array = np.zeros(3, np.float32)
    if hs.tensor([1.0]).format != hs.float32:
        model.to("fp16")
    sum(p.norm() for p in model.parameters()).backward()


@calm("fp32", "fp16")
def the_deviation_of_constants() -> Any:
    hs.tensor(np.ones(4), requires_grad=True).std().backward()


@calm("fp16", "fp32", "bf16")
def roots_that_where_does_not_take() -> Any:
    x = hs.tensor([-1.0, 4.0, 9.1])
    ops.where(x.array > 0, ops.sqrt(x), 0.0).sum()


@calm("fp16", "bf16")
def logarithms_of_zero_below_a_maximum() -> Any:
    ops.maximum(ops.log(hs.tensor([0.0, 0.3, 1.0])), -10.0).sum()


@calm("fp16")
def an_exponential_that_a_comparison_ends() -> Any:
    x = hs.tensor([12.1, 1.0])
    for _ in range(4):
        if (x > 60000.0).any():
            break
        x = ops.exp(x)


@calm("fp16", "bf16")
def poles_that_are_masked() -> Any:
    x = hs.tensor([0.0, 0.3, 1.1])
    ops.masked_fill(1.0 / x, x.array == 0, 0.0).sum()


@calm("fp16")
def scores_that_are_masked_by_minus_infinity() -> Any:
    scores = hs.tensor(np.linspace(-1, 1, 16).reshape(4, 4))
    ops.softmax(ops.masked_fill(scores, np.triu(np.ones((4, 4), bool), 1), -np.inf)).sum()


@calm("pure_fp16")
def cosine_similarities() -> Any:
    rng = np.random.default_rng(0)
    hs.nn.functional.cosine_similarity(*(hs.tensor(rng.standard_normal((4, 8))) for _ in range(2)))


@told("overflow", "mul", "pure_fp16")
def trouble_after_cosine_similarities() -> Any:
    rng = np.random.default_rng(0)
    s = hs.nn.functional.cosine_similarity(*(hs.tensor(rng.standard_normal((4, 8))) for _ in range(2)))
    (s * 0.0 + 300.0) * 300.0


@calm("bf16", "fp16")
def a_divergence() -> Any:
    rng = np.random.default_rng(0)
    mu, log_var = (hs.tensor(0.3 * rng.standard_normal((16, 8)), requires_grad=True) for _ in range(2))
    (-0.5 * (1.0 + log_var - mu * mu - ops.exp(log_var)).sum(-1).mean()).backward()


# Trouble of which nothing was told.


@told("cancellation or swamping", "sum", "pure_fp16")
def a_sum_that_loses_its_smallest_term() -> Any:
    hs.tensor([1e-5, 100, -100], "fp16").sum()


@told("cancellation or swamping", "cumsum", "pure_fp16")
def a_running_sum_that_loses_its_smallest_term() -> Any:
    ops.cumsum(hs.tensor([1e-5, 100, -100], "fp16"))


@told("cancellation or swamping", "sum", "storage=bf16, accumulate=bf16:sequential")
def a_sum_in_bfloat16_that_loses_its_smallest_term() -> Any:
    hs.tensor([1e-3, 100, -100], "bf16").sum()


@told("cancellation or swamping", "matmul", "pure_fp16")
def a_dot_product_that_loses_its_smallest_term() -> Any:
    hs.tensor([[1e-5, 100, -100]], "fp16") @ hs.tensor([[1.0], [1.0], [1.0]], "fp16")


@told("swamping", "add", "bf16")  # the new number is less than half an ulp of the sum from n = 257 on
def a_running_mean() -> Any:
    rng = np.random.default_rng(0)
    acc = hs.tensor([0.0], "bf16")
    for n, x in enumerate(rng.uniform(3, 4.4, 600)):
        acc = (acc * n + float(x)) / (n + 1)


@told("overflow", "batch_norm", "fp16")
def an_infinity_in_a_buffer() -> Any:
    layer = hs.nn.BatchNorm1d(4).to("fp16").eval()
    layer.running_var.array = np.full(4, np.inf, np.float32)
    layer(hs.tensor(np.full((3, 4), 1000.0)))


@told("underflow", "tensor", "fp16")
def inputs_that_vanish_before_a_division() -> Any:
    1.0 / hs.tensor([1e-9, *np.ones(60)])


@told("underflow", "tensor", "fp16")
def inputs_that_vanish_before_a_logarithm() -> Any:
    ops.log(hs.tensor([*np.ones(60), 1e-9]))


@told("integer rounding", "add", "fp16")
def offsets_of_boxes() -> Any:
    corners = hs.tensor(np.arange(0.0, 40.0).reshape(10, 4))
    corners + hs.tensor(np.arange(10.0).reshape(10, 1)) * 4096.0


@told("constant changed", "mul", "pure_fp16")
def a_decay_that_is_one() -> Any:
    x = hs.tensor([1.0, 0.3])
    for _ in range(6000):
        x = x * (1 - 1e-5)


@told("constant changed", "sub", "pure_fp16")
def a_guard_that_is_one() -> Any:
    iou = hs.tensor([1.0, 0.5])
    v = hs.tensor([0.0, 0.5])
    v / ((1 + 1e-5) - iou + v)


# One number is as good as many.


@told("cancellation", "sub", "fp16", "bf16")
def the_logarithm_of_a_difference_of_one() -> Any:
    ops.log(hs.tensor([0.1]) * 3.0 - 0.3)


@told("cancellation", "sub", "fp16", "bf16")
def the_logarithm_of_a_difference_of_two() -> Any:
    ops.log(hs.tensor([0.1] * 2) * 3.0 - 0.3)


@told("cancellation", "sub", "fp16")
def the_logarithm_of_a_difference_without_axes() -> Any:
    ops.log(hs.tensor(0.1) * 3.0 - 0.3)


@told("cancellation", "sub", "fp16", "bf16")
def a_deviation_as_the_difference_of_moments() -> Any:
    x = hs.tensor(5 + 0.01 * np.random.default_rng(0).standard_normal(64))
    ops.sqrt(ops.abs((x * x).mean() - x.mean() * x.mean()))


@pytest.mark.parametrize("row", ROWS.params())
def test_the_verdict_is_the_known_one_with_and_without_a_reference(row: Row) -> None:
    check(row)


@pytest.mark.parametrize("rule", ["fp32", "fp16", "bf16", "pure_fp16", "amp"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: hs.nn.BatchNorm1d(4), (8, 4)), (lambda: hs.nn.BatchNorm2d(2), (3, 2, 4, 4)),
        (lambda: hs.nn.InstanceNorm1d(2), (3, 2, 8)), (lambda: hs.nn.InstanceNorm2d(2), (3, 2, 4, 4)),
        (lambda: hs.nn.LayerNorm(4), (3, 4)), (lambda: hs.nn.PReLU(), (3, 4)), (lambda: hs.nn.PReLU(2), (3, 2, 5)),
        (lambda: hs.nn.PReLU(4), (3, 4)), (lambda: hs.nn.Dropout(0.3), (30, 4)),
    ],
)  # fmt: skip
def test_layers_run_under_a_reference_and_keep_their_bits(make: Any, shape: tuple[int, ...], rule: str) -> None:
    data, weights = np.random.default_rng(0).standard_normal((2, *shape))

    def run(**options: Any) -> tuple[bytes, Any]:
        hs.manual_seed(0)
        layer = make().to("fp32" if rule in ("fp32", "amp") else "bf16" if rule == "bf16" else "fp16")
        with hs.precision(rule), hs.trace(**options) as t:
            x = hs.tensor(data, requires_grad=True)
            y = layer(x)
            (y * weights).sum().backward()
        bits = [y.array, x.grad.array, *(p.grad.array for p in layer.parameters())]
        return b"".join(array.tobytes() for array in bits), t

    plain, plain_trace = run()
    watched, trace = run(reference="fp64")
    assert watched == plain
    assert getattr(trace.verdict(), "klass", None) == getattr(plain_trace.verdict(), "klass", None)
    unit = {"fp32": 2**-23, "bf16": 2**-8}.get(rule, 2**-10)
    assert max(row.local.relative for row in trace.errors()) < 100 * unit


def test_what_was_left_out_is_known_and_no_trouble() -> None:
    row = ROWS.rows["roots_that_where_does_not_take, fp16"]
    assert [event.op for event in traced(row, None).left_out()] == ["sqrt"]
    assert traced(row, None).report().findings == ()
