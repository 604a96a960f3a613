"""Addends that change nothing, and differences that lose their digits."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.hunted.rows import noise, told

# Swamping.


@told("swamping", "add", "fp16", "bf16", "pure_fp16")
def a_clock() -> Any:
    t = hs.tensor([0.0])
    for _ in range(4000):
        t = t + 0.001
    return t


@told("swamping", "add", "fp16")
def a_histogram_by_ones() -> Any:
    counts = hs.tensor([0.0, 0.0, 0.0])
    for i in range(3000):
        counts = counts + hs.tensor([1.0, float(i % 2), 0.0])
    return counts / counts.sum()


@told("swamping", "add", "bf16")
def a_loss_summed_for_the_log() -> Any:
    total = hs.tensor([0.0])
    for loss in 2.3 + 0.1 * noise(1000):
        total = total + float(loss)
    return total / 1000.0


@told("swamping", "softmax", "pure_fp16")
def attention_over_a_long_context() -> Any:
    return ops.softmax(hs.tensor(0.01 * noise(2, 8192)), -1).amax(-1)[0]


@told("swamping", "layer_norm", "pure_fp16")
def a_wide_layer_norm() -> Any:
    return functional.layer_norm(hs.tensor(1.0 + 0.3 * noise(2, 12000)), (12000,))


@told("swamping", "norm", "pure_fp16")
def the_norm_of_a_wide_layer() -> Any:
    return hs.tensor(1.0 + 0.1 * noise(12000)).norm()


@told("swamping", "linear", "pure_fp16")
def a_layer_of_many_inputs() -> Any:
    return functional.linear(hs.tensor(np.full((2, 12000), 1.1)), hs.tensor(np.full((3, 12000), 0.5)))


@told("swamping", "sum", "pure_fp16")
def five_thousand_equal_numbers() -> Any:
    return hs.tensor(np.full(5000, 1.1)).sum()


@told("swamping", "add", "fp16")
def the_mean_of_what_rises() -> Any:
    mean = hs.tensor([0.0])
    for n in range(1, 3001):
        mean = mean + (n / 3000 - mean) / n
    return mean


@told("swamping or constant changed", "add", "bf16")
def a_teacher_that_does_not_follow() -> Any:
    teacher, student = hs.tensor(np.full(8, 0.5)), hs.tensor(np.full(8, 1.5))
    for _ in range(400):
        teacher = teacher + (student - teacher) * 0.001
    return teacher


@told("cancellation", "sub", "fp16")
def a_derivative_by_a_step_that_is_lost() -> Any:
    x = hs.tensor([1.5, 1.75, 1.25])
    y = x + 1e-4
    return (y * y - x * x) / 1e-4


@told("swamping", "add", "fp16")
def the_logarithm_of_one_and_a_little() -> Any:
    x = hs.tensor([1e-4, 2e-4, 1.5e-4])
    return ops.log(1.0 + x) / x


@told("swamping", "mean", "pure_fp16")
def the_mean_of_many_probabilities() -> Any:
    return hs.tensor(np.full(9000, 0.7)).mean()


# Cancellation.


@told("cancellation", "sub", "fp16")
def the_area_of_a_small_triangle() -> Any:
    a, b, c = (hs.tensor(100 + np.array(p)) for p in ([0.01, 0.02], [0.13, 0.05], [0.07, 0.21]))
    u, v = b - a, c - a
    return (u[0:1] * v[1:2] - u[1:2] * v[0:1]) * 0.5


@told("cancellation", "sub", "fp16", "pure_fp16")
def a_derivative_by_differences() -> Any:
    x = hs.tensor(np.linspace(1.01, 1.97, 40))
    h = 2.0**-9
    return ((x + h) * (x + h) - x * x) / h


@told("cancellation", "sub", "fp16", "bf16")
def one_minus_a_cosine() -> Any:
    x = hs.tensor([0.02, 0.015, 0.017])
    return (1.0 - ops.cos(x)) / (x * x)


@told("cancellation", "sub", "fp16", "bf16")
def the_logarithm_of_what_a_sigmoid_leaves() -> Any:
    return -ops.log(1.0 - ops.sigmoid(hs.tensor([9.0, 9.5, 10.0]))).mean()


@told("cancellation", "sub", "bf16", "fp16")
def a_correlation_by_sums() -> Any:
    x = 20 + noise(64)
    y = hs.tensor(x + 0.3 * noise(64, seed=1))
    x = hs.tensor(x)
    above = (x * y).mean() - x.mean() * y.mean()
    return above / ops.sqrt(((x * x).mean() - x.mean() ** 2) * ((y * y).mean() - y.mean() ** 2))


@told("cancellation", "sub", "bf16", "fp16")
def seconds_between_events() -> Any:
    t = hs.tensor([10000.25, 10000.5, 10001.0, 10001.75])
    return t[1:] - t[:-1]


@told("cancellation", "sub", "fp16")
def small_changes_on_a_large_offset() -> Any:
    x = hs.tensor(1000 + 0.3 * noise(64))
    d = x - x.mean()
    return (d * d).mean()


@told("cancellation", "add", "fp16")
def the_smaller_root_of_a_quadratic() -> Any:
    b, c = hs.tensor([30.0, 25.0, 41.0]), hs.tensor([0.01, 0.02, 0.015])
    return (-b + ops.sqrt(b * b - 4.0 * c)) * 0.5


@told("cancellation", "sub", "fp16")
def the_inverse_of_a_softplus() -> Any:
    return ops.log(ops.exp(hs.tensor([1e-4, 2e-4, 1.5e-4])) - 1.0)


@told("cancellation", "sub", "fp16")
def weights_between_pixels() -> Any:
    x = hs.tensor([1500.37, 1204.61, 1801.25, 1999.83])
    return x - ops.floor(x)


@told("cancellation", "sub", "bf16")
def energies_of_two_states() -> Any:
    return hs.tensor([1000.3, 1001.9, 1002.7]) - hs.tensor([1000.1, 1000.4, 1001.2])


@told("cancellation", "sub", "fp16", "bf16")
def an_exponential_less_one_over_its_exponent() -> Any:
    x = hs.tensor([1e-4, 2e-4, 1.5e-4])
    return (ops.exp(x) - 1.0) / x


@told("cancellation", "sub", "fp16", "pure_fp16")
def the_same_of_one_number() -> Any:
    x = hs.tensor(1e-4)
    return (ops.exp(x) - 1.0) / x


@told("swamping or cancellation", "sub", "fp16", "bf16")
def a_root_less_one() -> Any:
    x = hs.tensor([1e-4, 2e-4, 1.5e-4])
    return (ops.sqrt(x + 1.0) - 1.0) / x


@told("cancellation", "sub", "bf16")
def seconds_since_the_start() -> Any:
    t = hs.tensor([1.7e9 + 0.5, 1.7e9 + 2.25, 1.7e9 + 7.75])
    return t - t[0]


@told("cancellation", "sub", "fp16")
def a_slope_of_one_number() -> Any:
    x, h = hs.tensor(2.3), 2e-3
    return ((x + h) * (x + h) - x * x) / h


@told("overflow", "pow", "fp16")
def distances_between_clouds() -> Any:
    x, y = hs.tensor(300 * noise(5, 3)), hs.tensor(300 * noise(4, 3, seed=1))
    return ops.sqrt(((x.reshape(5, 1, 3) - y.reshape(1, 4, 3)) ** 2).sum(-1))


@told("overflow", "sum", "fp16")
def energy_of_a_long_signal() -> Any:
    x = hs.tensor(np.full(4000, 5.0))
    return x / ops.sqrt((x * x).sum())
