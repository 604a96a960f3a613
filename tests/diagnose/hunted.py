"""Programs as people report them, with what must be said of each: class, operation and phase were written down first.

Every run returns its result, so that what mends it can be measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.inputs import Rows

ROWS = Rows()
told, calm = ROWS.told, ROWS.calm


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


# Overflow.


@told("overflow", "mul", "fp16")
def embeddings_times_the_root_of_the_width() -> Any:
    table = hs.tensor(1200 + 100 * noise(6, 16))
    x = table * 3072**0.5
    return x * ops.rsqrt((x * x * (1 / 4096)).mean(-1, keepdims=True) + 1e-6)


@told("overflow", "add", "fp16")
def a_residual_stream_that_grows() -> Any:
    x = hs.tensor(20000 + noise(4, 8))
    for _ in range(4):
        x = x + hs.tensor(13000 + noise(4, 8, seed=1))
    return functional.layer_norm(x, (8,))


@told("overflow", "pow", "fp16")
def decibels_back_to_power() -> Any:
    db = hs.tensor([10.0, 35.0, 52.0, 3.0])
    power = 10 ** (db / 10)
    return power / power.sum()


@told("overflow", "exp", "fp16")
def the_density_of_thin_slices() -> Any:
    raw = hs.tensor([11.5, 12.0, 11.8, 11.3])
    return 1.0 - ops.exp(-(ops.exp(raw) * 1e-5))


@told("overflow", "exp", "fp16", "pure_fp16")
def contrast_at_a_small_temperature() -> Any:
    z = noise(6, 16)
    z = hs.tensor(z / np.linalg.norm(z, axis=1, keepdims=True))
    e = ops.exp((z @ z.transpose(0, 1)) / 0.05)
    return -ops.log(e / e.sum(-1, keepdims=True)).diagonal().mean()


@told("overflow", "exp", "fp16")
def a_clipped_policy_ratio_whose_gradient_is_nan() -> Any:
    new = hs.tensor([-1.0, -0.5, -2.0, -0.1], requires_grad=True)
    ratio = ops.exp(new - hs.tensor([-1.1, -0.6, -15.0, -0.2]))
    gain = hs.tensor([0.5, 0.3, 0.7, 0.2])
    ops.minimum(ratio * gain, ops.clamp(ratio, 0.8, 1.2) * gain).mean().backward()
    return new.grad


@told("overflow", "mul", "fp16")
def a_wide_gaussian_window() -> Any:
    d = hs.tensor([0.0, 100.0, 200.0, 300.0])
    w = ops.exp(-(d * d) / (2 * 200.0**2))
    return w / w.sum()


@told("overflow", "mse_loss", "fp16")
def the_loss_of_prices_in_dollars() -> Any:
    return functional.mse_loss(hs.tensor([100.0, 250.0, 180.0]), hs.tensor([900.0, 700.0, 420.0]))


@told("overflow", "mul", "fp16")
def a_loss_scaled_by_hand() -> Any:
    w = hs.tensor([0.5, 0.25], requires_grad=True)
    loss = ((w * 3.0 + 1.0) * hs.tensor([1.0, 2.0])).sum()
    (loss * 65536.0).backward()
    return w.grad / 65536.0


@told("overflow", "reciprocal", "fp16")
def disparities_of_near_points() -> Any:
    depth = hs.tensor([0.5, 1.2, 1e-5, 3.0])
    return ops.clamp(1.0 / depth, max=10.0) * (1.0 / depth)


@told("overflow", "matmul", "fp16", "amp")
def points_through_a_camera() -> Any:
    k = hs.tensor([[1200.0, 0.0, 960.0], [0.0, 1200.0, 540.0], [0.0, 0.0, 1.0]])
    p = k @ hs.tensor([[60.0, -10.0], [20.0, 5.0], [40.0, 30.0]])
    return p[:2] / p[2:]


@told("overflow", "mul", "fp16")
def an_inverse_sine_by_its_formula() -> Any:
    x = hs.tensor([0.5, 3.0, 400.0])
    return ops.log(x + ops.sqrt(x * x + 1.0))


@told("overflow", "cosh", "fp16", "pure_fp16")
def the_logarithm_of_a_cosh() -> Any:
    return ops.log(ops.cosh(hs.tensor([0.3, -1.0, 14.0]))).mean()


@told("overflow", "div", "fp16")
def logits_at_a_temperature_of_nearly_zero() -> Any:
    return ops.softmax(hs.tensor([80.0, 20.0, 10.0]) / 1e-3, -1)


@told("overflow", "prod", "fp16")
def the_volume_of_a_flow() -> Any:
    return ops.log(hs.tensor(np.full(24, 1.9)).prod())


@told("overflow", "var", "fp16")
def the_variance_of_salaries() -> Any:
    x = hs.tensor([1200.0, 3400.0, 2500.0, 5200.0])
    return (x - x.mean()) / ops.sqrt(x.var())


@told("overflow", "div", "fp16", "pure_fp16")
def an_inverse_sigmoid_of_reference_points() -> Any:
    x = ops.clamp(hs.tensor([0.2, 0.5, 1.0]), 0, 1)
    return ops.log(ops.clamp(x, min=1e-5) / ops.clamp(1.0 - x, min=1e-5))


@told("overflow", "mul", "fp16")
def a_scale_for_eight_bits() -> Any:
    x = hs.tensor([1e-3, -5e-4, 2e-4])
    scale = 448.0 / x.abs().max()
    return (x * scale) / scale


@told("overflow", "mul", "fp16", phase="backward")
def a_steep_slope() -> Any:
    w = hs.tensor([1e-5, 2e-5, 3e-5], requires_grad=True)
    (ops.tanh(w * 1000.0) * 100.0).sum().backward()
    return w.grad


@told("overflow", "tensor", "fp16")
def timestamps_of_today() -> Any:
    t = hs.tensor([1.7e9, 1.7e9 + 60, 1.7e9 + 120])
    return t[1:] - t[:-1]


@told("overflow", "sqrt", "fp16", "fp32", phase="backward")
def the_gradient_of_a_distance_of_nothing() -> Any:
    a = hs.tensor([[0.1, 0.2], [0.3, 0.4]], requires_grad=True)
    b = hs.tensor([[0.1, 0.2], [0.5, 0.1]])
    d = a - b
    ops.sqrt((d * d).sum(-1)).sum().backward()
    return a.grad


@told("overflow", "mul", "fp16")
def a_gradient_norm_by_hand() -> Any:
    w = hs.tensor([0.5, 0.2, 0.1], requires_grad=True)
    (w * hs.tensor([400.0, 30.0, 1.0])).sum().backward()
    g = w.grad
    return g * (1.0 / ops.sqrt((g * g).sum()))


@told("overflow", "cast", "fp16")
def keys_cached_in_e5m2() -> Any:
    k = hs.tensor([61500.0, 100.0, -3.0])
    return k.to("float8_e5m2") * 1e-3


@told("overflow", "matmul", "fp16")
def a_bilinear_form() -> Any:
    q = hs.tensor(np.full((2, 64), 40.0))
    return ops.softmax(ops.einsum("id,jd->ij", q, q) / 8.0, -1)


# Underflow.


@told("underflow", "prod", "fp16")
def the_likelihood_of_a_sentence() -> Any:
    return ops.log(hs.tensor(np.full(16, 0.1)).prod())


@told("underflow", "mul", "fp16")
def a_forward_pass_over_frames() -> Any:
    alpha = hs.tensor([0.5, 0.5])
    for _ in range(30):
        alpha = (alpha.sum() * hs.tensor([0.3, 0.2])) * 0.5
    return ops.log(alpha.sum())


@told("underflow", "exp", "fp16")
def weights_by_distance() -> Any:
    d = hs.tensor([20.0, 21.0, 22.5])
    w = ops.exp(-d)
    return w / w.sum()


@told("underflow", "exp", "fp16")
def transport_with_little_entropy() -> Any:
    k = ops.exp(-hs.tensor(0.3 + 0.1 * np.abs(noise(4, 4))) / 0.01)
    u = hs.tensor(np.ones(4))
    for _ in range(3):
        v = 1.0 / (k.transpose(0, 1) @ u)
        u = 1.0 / (k @ v)
    return u


@told("underflow", "mul", "fp16")
def the_norm_of_small_gradients() -> Any:
    g = hs.tensor(1e-4 * np.abs(1 + 0.1 * noise(50)))
    return ops.sqrt((g * g).sum())


@told("underflow", "mul", "fp16")
def magnitudes_of_a_quiet_spectrum() -> Any:
    re, im = hs.tensor(1e-4 * noise(32)), hs.tensor(1e-4 * noise(32, seed=1))
    return ops.sqrt(re * re + im * im)


@told("underflow", "exp", "fp16")
def a_divergence_of_confident_gaussians() -> Any:
    variance = ops.exp(hs.tensor([-20.0, -21.0, -19.0]))
    return ((hs.tensor([1e-4, 2e-4, 1e-4])) * 1e-4 / variance).mean()


@told("underflow", "sigmoid", "fp16")
def the_logarithm_of_a_certain_no() -> Any:
    return -ops.log(ops.sigmoid(hs.tensor([-20.0, -19.0, -25.0]))).mean()


@told("underflow", "div", "fp16")
def the_scale_of_small_weights_in_int8() -> Any:
    w = hs.tensor([2e-6, -1e-6, 3e-6])
    scale = w.abs().max() / 127.0
    return ops.round(w / scale) * scale


@told("underflow", "mul", "fp16")
def gravity_in_si_units() -> Any:
    m = hs.tensor([70.0, 80.0, 60.0])
    return (m * 6.67e-11) * 1e9


@told("underflow", "mul", "fp16", phase="backward")
def pixels_of_a_mean_over_an_image() -> Any:
    x = hs.tensor(noise(64, 1024), requires_grad=True)
    (x * hs.tensor(1e-3 * (1 + np.abs(noise(64, 1024, seed=1))))).mean().backward()
    return x.grad


@told("underflow", "mul", "fp16")
def an_auxiliary_loss_with_a_tiny_weight() -> Any:
    z = ops.logsumexp(hs.tensor(0.3 * noise(8, 4)), -1)
    return ((z * z) * 1e-8).sum() * 1e6


# Swamping.


@told("swamping", "add", "fp16", "bf16", "pure_fp16")
def a_clock() -> Any:
    t = hs.tensor([0.0])
    for _ in range(6000):
        t = t + 0.001
    return t


@told("swamping", "add", "fp16")
def a_histogram_by_ones() -> Any:
    counts = hs.tensor([0.0, 0.0, 0.0])
    for i in range(4000):
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
    return ops.softmax(hs.tensor(0.01 * noise(2, 8192)), -1).max(-1)[0]


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
    for n in range(1, 5001):
        mean = mean + (n / 5000 - mean) / n
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


# NaN.


@told("NaN propagation", "acos", "fp16")
def the_angle_of_a_vector_with_itself() -> Any:
    angles = np.array([1.2947683835248298, 0.4495678358060772, 0.18642491474934592])  # of length 1 before rounding
    v = hs.tensor(np.stack([np.cos(angles), np.sin(angles)], 1))
    return ops.acos((v * v).sum(-1))


@told("NaN propagation", "div", "fp16", "fp32", "pure_fp16")
def a_sinc_by_its_formula() -> Any:
    x = hs.tensor([-1.5, 0.0, 0.5]) * 3.14159
    return ops.sin(x) / x


# Constants.


@told("eps lost", "add", "fp16", "pure_fp16")
def advantages_that_are_all_the_same() -> Any:
    a = hs.tensor([2.0, 2.0, 2.0, 2.0])
    return (a - a.mean()) / (a.std() + 1e-8)


@told("eps lost", "add", "fp16")
def the_logarithm_of_an_empty_bin() -> Any:
    p = hs.tensor([0.5, 0.5, 0.0])
    return -(p * ops.log(p + 1e-9)).sum()


@told("constant changed", "mul", "pure_fp16")
def microseconds_by_a_factor() -> Any:
    return hs.tensor([0.001, 0.002, 0.005]) * 1e6 / 1000.0


@told("constant changed", "clamp", "bf16")
def an_inverse_tanh_of_clamped_actions() -> Any:
    a = ops.clamp(hs.tensor([0.3, -0.2, 1.0]), -0.999, 0.999)
    return 0.5 * ops.log((1.0 + a) / (1.0 - a))


@told("constant changed", "mul", "bf16")
def discounts_of_a_long_episode() -> Any:
    g = hs.tensor([1.0])
    for _ in range(300):
        g = g * 0.999
    return g


@told("constant changed", "add", "fp16")
def a_mask_of_the_smallest_float32() -> Any:
    scores = hs.tensor(noise(2, 3))
    mask = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    bias = ops.where(mask > 0, hs.tensor(np.zeros((2, 3))) + -3.4e38, 0.0)
    return ops.softmax(scores + bias, -1)


# Integers.


@told("integer rounding", "add", "fp16", "bf16")
def the_flat_index_of_a_pixel() -> Any:
    y, x = np.mgrid[0:96, 0:96].astype(float)
    return hs.tensor(y) * 96.0 + hs.tensor(x)


@told("integer rounding", "cumsum", "fp16", "bf16")
def positions_from_a_mask() -> Any:
    return ops.cumsum(hs.tensor(np.ones((1, 4096))), -1) - 1.0


# Scaler and optimizers.


@told("overflow", "addcmul", "pure_fp16", "fp16", phase="optimizer")
def squares_of_large_gradients() -> Any:
    w = hs.tensor([0.5, 0.3, 0.1], requires_grad=True)
    (w * 9000.0).sum().backward()
    hs.optim.Adam([w], lr=1e-3).step()
    return w


@told("eps lost", "RMSprop", "pure_fp16", phase="optimizer")
def a_dead_unit_under_rmsprop() -> Any:
    w = hs.tensor([0.5, 0.3, 0.1], requires_grad=True)
    (w * hs.tensor([0.5, 0.0, 0.2])).sum().backward()
    hs.optim.RMSprop([w], lr=1e-3).step()
    return w


# Healthy.


@calm("fp16", "bf16")
def a_mask_of_minus_a_billion() -> Any:
    mask = np.triu(np.ones((4, 4)), 1)
    return ops.softmax(hs.tensor(noise(4, 4)) + hs.tensor(mask) * -1e9, -1)


@calm("fp16")
def a_narrow_gaussian_window() -> Any:
    d = hs.tensor([0.0, 10.0, 20.0, 300.0])
    w = ops.exp(-(d * d) / (2 * 10.0**2))
    return w / w.sum()


@calm("pure_fp16", "fp16", "bf16")
def a_compensated_sum() -> Any:
    total, lost = hs.tensor([0.0]), hs.tensor([0.0])
    for x in 1 + 0.1 * noise(3000):
        y = float(x) - lost
        t = total + y
        lost = (t - total) - y
        total = t
    return total


@calm("amp")
def contrast_by_hand_under_autocast() -> Any:
    z = noise(6, 16)
    z = hs.tensor(z / np.linalg.norm(z, axis=1, keepdims=True), requires_grad=True)
    e = ops.exp((z @ z.transpose(0, 1)) / 0.07)
    loss = -ops.log(e.diagonal() / e.sum(-1)).mean()
    loss.backward()
    return loss


@calm("fp16", "bf16")
def moments_in_one_pass() -> Any:
    mean, m2 = hs.tensor([0.0]), hs.tensor([0.0])
    for n, x in enumerate(3 + noise(50), 1):
        d = float(x) - mean
        mean = mean + d / n
        m2 = m2 + d * (float(x) - mean)
    return m2 / 50


@calm("fp16", "bf16", "amp")
def an_adversary_on_logits() -> Any:
    w = hs.tensor(noise(8, 1), requires_grad=True)
    real, fake = hs.tensor(noise(16, 8, seed=1)) @ w, hs.tensor(noise(16, 8, seed=2)) @ w
    (functional.softplus(-real).mean() + functional.softplus(fake).mean()).backward()
    return w.grad


@calm("fp16", "bf16")
def a_router_with_its_two_losses() -> Any:
    logits = hs.tensor(noise(64, 8), requires_grad=True)
    p = ops.softmax(logits, -1)
    loss = (p.mean(0) * p.mean(0)).sum() * 8.0 + (ops.logsumexp(logits, -1) ** 2).mean() * 1e-3
    loss.backward(np.float32(1024.0))
    return loss


@calm("fp16", "bf16")
def the_root_by_newton() -> Any:
    a = hs.tensor([2.0, 3.0, 5.0])
    x = a * 0.5
    for _ in range(8):
        x = x - (x * x - a) / (2.0 * x)
    return x


@calm("fp16", "bf16")
def a_rendered_ray() -> Any:
    sigma = hs.tensor([0.5, 2.0, 5.0, 9.0])
    alpha = 1.0 - ops.exp(-sigma * 0.4)
    clear = ops.exp(-ops.cumsum(sigma * 0.4) + sigma * 0.4)
    return (alpha * clear * hs.tensor([0.1, 0.5, 0.9, 0.3])).sum()


@calm("fp8")
def a_scaled_layer_in_eight_bits() -> Any:
    return functional.linear(hs.tensor(noise(4, 16)), hs.tensor(noise(8, 16, seed=1)))


@calm("fp16")
def pixels_that_lie_on_the_grid() -> Any:
    x = hs.tensor(np.arange(40.0) * 3)
    return x - ops.floor(x)


@calm("fp16", "bf16")
def chances_of_a_large_vocabulary() -> Any:
    return ops.softmax(hs.tensor(8 * noise(2, 3000)), -1)


@calm("fp16", "bf16")
def preferences_by_logarithms() -> Any:
    policy = hs.tensor([-11.3, -9.2, -12.8, -10.1], requires_grad=True)
    margin = (policy - hs.tensor([-12.0, -8.1, -14.3, -9.0])) * 0.1
    loss = -functional.logsigmoid(margin).mean()
    loss.backward()
    return loss


@calm("bf16")
def large_numbers_in_bfloat16() -> Any:
    return (hs.tensor([1e20, 2e25, 3e18]) * 1e-20).mean()


@calm("fp16", "bf16")
def distances_with_a_guard() -> Any:
    a = hs.tensor([[0.1, 0.2], [0.3, 0.4]], requires_grad=True)
    d = a - hs.tensor([[0.1, 0.2], [0.5, 0.1]])
    ops.sqrt((d * d).sum(-1) + 1e-4).sum().backward()
    return a.grad


@calm("fp16", "bf16")
def dead_rectifiers() -> Any:
    x = hs.tensor(-np.abs(noise(8, 4)), requires_grad=True)
    (ops.relu(x) * 3.0).sum().backward()
    return x.grad


@calm("fp16", "bf16")
def the_best_path_through_a_chain() -> Any:
    step = np.log([[0.9, 0.1], [0.2, 0.8]])
    score = hs.tensor(np.log([0.5, 0.5]))
    for _ in range(20):
        score = (score.reshape(2, 1) + hs.tensor(step)).max(0)[0] + hs.tensor(np.log([0.7, 0.3]))
    return score


@calm("pure_fp16")
def a_small_network_in_use() -> Any:
    hs.manual_seed(3)
    model = hs.nn.Sequential(
        hs.nn.Conv2d(1, 4, 3), hs.nn.GroupNorm(2, 4), hs.nn.GELU(), hs.nn.Flatten(), hs.nn.Linear(144, 5)
    ).to("fp16")
    return ops.softmax(model(hs.tensor(noise(2, 1, 8, 8))), -1)


@calm("fp16", "bf16")
def a_ratio_that_stays_near_one() -> Any:
    new = hs.tensor([-1.0, -0.5, -2.0, -0.1], requires_grad=True)
    ratio = ops.exp(new - hs.tensor([-1.1, -0.6, -2.2, -0.2]))
    gain = hs.tensor([0.5, -0.3, 0.7, 0.2])
    loss = -ops.minimum(ratio * gain, ops.clamp(ratio, 0.8, 1.2) * gain).mean()
    loss.backward()
    return loss


@calm("fp16", "bf16")
def a_constant_column_standardised() -> Any:
    x = hs.tensor(np.full((8, 3), 0.1))
    return (x - x.mean(0)) / (x.std(0) + 1e-3)


@calm("fp16", "bf16")
def gates_that_are_shut() -> Any:
    z = ops.sigmoid(hs.tensor([12.0, 11.0, 14.0]))
    h = hs.tensor([0.3, -0.2, 0.8])
    return (1.0 - z) * hs.tensor([0.5, 0.1, -0.7]) + z * h


@calm("fp16", "bf16", "pure_fp16")
def compensated_sums_of_small_addends() -> Any:
    total, lost = hs.tensor([100.0, 200.0]), hs.tensor([0.0, 0.0])
    for x in 0.01 + 0.001 * noise(300):
        y = float(x) - lost
        t = total + y
        lost = (t - total) - y
        total = t
    return total / 3.0


@calm("fp16", "bf16")
def weights_that_have_arrived() -> Any:
    w, goal = hs.tensor([0.5, -0.3, 0.8]), hs.tensor([0.1, 0.2, 0.3])
    for _ in range(60):
        w = w - (w - goal) * 0.5
    return w / 0.7


@calm("fp16")
def a_kernel_of_far_points() -> Any:
    x = hs.tensor(300 * noise(5, 3))
    return ops.exp(-((x.reshape(5, 1, 3) - x.reshape(1, 5, 3)) ** 2).sum(-1) / 2.0)


@calm("fp16", "bf16")
def a_mask_by_the_smallest_float32() -> Any:
    mask = np.triu(np.ones((4, 4), bool), 1)
    return ops.softmax(hs.tensor(noise(4, 4)) + ops.where(mask, hs.tensor(np.zeros((4, 4))) - 1e5, 0.0), -1)


@calm("fp16")
def progress_in_percent() -> Any:
    before, after = hs.tensor([0.31, 0.52, 0.77]), hs.tensor([0.31, 0.52, 0.75])
    return (1.0 - after / before) * 100.0


@calm("amp")
def a_step_with_the_scaler() -> Any:
    hs.manual_seed(1)
    model = hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.SiLU(), hs.nn.Linear(16, 1))
    optimizer, scaler = hs.optim.AdamW(model.parameters(), lr=1e-2), hs.amp.GradScaler()
    x = noise(32, 8)
    for _ in range(10):
        optimizer.zero_grad()
        loss = functional.mse_loss(model(hs.tensor(x)), hs.tensor(x[:, :1] * 2 - 1))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return loss
