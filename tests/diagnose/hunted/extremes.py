"""Numbers that half cannot hold: too large, too small, not a number."""

from __future__ import annotations

from typing import Any

import numpy as np

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.hunted.rows import noise, told

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
