"""Physics, graphics and sound."""

from __future__ import annotations

import numpy as np

import halfsim as hs
from halfsim import ops
from tests.healthy.material import normal, pixels, sound
from tests.healthy.registry import Array, Result, Use, healthy


def _orbit() -> Result:
    x, v = np.array([1.0, 0.1]), np.array([0.05, 0.9])
    for _ in range(40):
        v = v - 0.0125 * x / np.sqrt(x @ x) ** 3
        x = x + 0.025 * v
        v = v - 0.0125 * x / np.sqrt(x @ x) ** 3
    return {"place": x, "speed": v}


@healthy("forty steps of a planet by leapfrog", "fp16", "fp32", ulps=8, right=_orbit)
def leapfrog(use: Use) -> Result:
    x, v = use.tensor([1.0, 0.1]), use.tensor([0.05, 0.9])
    for _ in range(40):
        v = v - 0.0125 * x / x.norm() ** 3
        x = x + 0.025 * v
        v = v - 0.0125 * x / x.norm() ** 3
    return {"place": x.numpy(), "speed": v.numpy()}


def _heat() -> Result:
    u = 20 + 60 * np.exp(-((np.linspace(-1, 1, 32) / 0.3) ** 2))
    for _ in range(20):
        u[1:-1] = u[1:-1] + 0.25 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return {"u": u}


@healthy("heat that spreads along a rod, in degrees", "fp16", "fp32", ulps=4, right=_heat)
def heat(use: Use) -> Result:
    u = use.tensor(20 + 60 * np.exp(-((np.linspace(-1, 1, 32) / 0.3) ** 2)))
    for _ in range(20):
        inner = 0.25 * u[2:] + 0.5 * u[1:-1] + 0.25 * u[:-2]
        u = ops.cat([u[:1], inner, u[-1:]])
    return {"u": u.numpy()}


@healthy("the same, by second differences", "fp16", right=_heat)
def heat_by_differences(use: Use) -> Result:
    u = use.tensor(20 + 60 * np.exp(-((np.linspace(-1, 1, 32) / 0.3) ** 2)))
    for _ in range(20):
        inner = u[1:-1] + 0.25 * (u[2:] - 2 * u[1:-1] + u[:-2])
        u = ops.cat([u[:1], inner, u[-1:]])
    return {"u": u.numpy()}


def _thrown() -> Result:
    t = np.linspace(0, 2, 21)
    return {"height": 1.8 + 12.3 * t - 0.5 * 9.81 * t**2}


@healthy("a ball that is thrown", "fp16", "bf16", right=_thrown)
def thrown(use: Use) -> Result:
    t = use.tensor(np.linspace(0, 2, 21))
    return {"height": (1.8 + 12.3 * t - 0.5 * 9.81 * ops.square(t)).numpy()}


def _spring() -> Result:
    x, v, xs = 1.0, 0.0, []
    for _ in range(60):
        v = v - 0.1 * x - 0.02 * v
        x = x + 0.1 * v
        xs.append(x)
    return {"x": np.array(xs)}


@healthy("a damped spring", "fp16", right=_spring)
def spring(use: Use) -> Result:
    x, v, xs = use.tensor(1.0), use.tensor(0.0), []
    for _ in range(60):
        v = v - 0.1 * x - 0.02 * v
        x = x + 0.1 * v
        xs.append(x.item())
    return {"x": np.array(xs)}


def turn(angle: float, shift: tuple[float, float, float]) -> Array:
    """A turn about the z axis, then a shift, as a matrix for homogeneous coordinates."""
    m = np.eye(4)
    m[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    m[:3, 3] = shift
    return m


def corners() -> Array:
    return np.concatenate([2.7 * normal(1, 50, 3), np.ones((50, 1))], 1)


def _placed() -> Result:
    m = turn(0.7, (3.3, -1.2, 0.4)) @ turn(-1.1, (0.1, 5.7, 2.2))
    seen = corners() @ m.T
    return {"seen": seen, "flat": seen[:, :2] / (seen[:, 2:3] + 20)}


@healthy("points of a scene turned, moved and seen in perspective", "fp16", "bf16", right=_placed)
def placed(use: Use) -> Result:
    m = use.tensor(turn(0.7, (3.3, -1.2, 0.4))) @ use.tensor(turn(-1.1, (0.1, 5.7, 2.2)))
    seen = use.tensor(corners()) @ m.T
    return {"seen": seen.numpy(), "flat": (seen[:, :2] / (seen[:, 2:3] + 20)).numpy()}


def _lit() -> Result:
    n = normal(1, 64, 3)
    n = n / np.linalg.norm(n, axis=1, keepdims=True)
    light = np.array([0.48, 0.6, 0.64])
    mirror = 2 * (n @ light)[:, None] * n - light
    shine = np.maximum(mirror @ np.array([0, 0, 1.0]), 0) ** 16
    return {"colour": 0.1 + 0.7 * np.maximum(n @ light, 0) + 0.2 * shine}


@healthy("normals made of length one, and light on them with a highlight", "fp16", ulps=4, right=_lit)
def lit(use: Use) -> Result:
    n = use.tensor(normal(1, 64, 3))
    n = n / n.norm(axis=1, keepdims=True)
    light = use.tensor([0.48, 0.6, 0.64])
    towards = n @ light
    mirror = 2 * towards[:, None] * n - light
    shine = ops.relu(mirror @ use.tensor([0.0, 0.0, 1.0])) ** 16
    return {"colour": (0.1 + 0.7 * ops.relu(towards) + 0.2 * shine).numpy()}


def _crossed() -> Result:
    a, b = normal(1, 40, 3), normal(2, 40, 3)
    return {"normal": np.cross(a, b)}


@healthy("normals of triangles by the vector product", "fp16", "bf16", right=_crossed)
def crossed(use: Use) -> Result:
    a, b = use.tensor(normal(1, 40, 3)), use.tensor(normal(2, 40, 3))
    left, right = ops.roll(a, -1, 1) * ops.roll(b, -2, 1), ops.roll(a, -2, 1) * ops.roll(b, -1, 1)
    return {"normal": (left - right).numpy()}


def _grey() -> Result:
    rgb = np.stack([pixels(4)[:, 0], pixels(8)[4:, 0], 255 - pixels(4)[:, 0]], -1)
    return {"grey": rgb @ np.array([0.2126, 0.7152, 0.0722])}


@healthy("colours from 0 to 255 turned grey", "fp16", "bf16", right=_grey)
def grey(use: Use) -> Result:
    rgb = np.stack([pixels(4)[:, 0], pixels(8)[4:, 0], 255 - pixels(4)[:, 0]], -1)
    return {"grey": (use.tensor(rgb) @ use.tensor([0.2126, 0.7152, 0.0722])).numpy()}


def _blended() -> Result:
    a, b, alpha = pixels(4) / 255, pixels(8)[4:] / 255, 0.3
    over = alpha * a + (1 - alpha) * b
    return {"image": np.where(over <= 0.0031308, 12.92 * over, 1.055 * np.maximum(over, 1e-3) ** (1 / 2.4) - 0.055)}


@healthy("two images blended and given the gamma of a screen", "fp16", right=_blended)
def blended(use: Use) -> Result:
    a, b = use.tensor(pixels(4) / 255), use.tensor(pixels(8)[4:] / 255)
    over = ops.lerp(b, a, 0.3)
    bright = 1.055 * ops.clamp(over, 1e-3) ** (1 / 2.4) - 0.055
    return {"image": ops.where(over <= 0.0031308, 12.92 * over, bright).numpy()}


def _curve() -> Result:
    t, p = np.linspace(0, 1, 33)[:, None], normal(1, 4, 2) * 10
    return {"points": (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]}


@healthy("a Bezier curve", "fp16", "bf16", right=_curve)
def curve(use: Use) -> Result:
    t, p = use.tensor(np.linspace(0, 1, 33)[:, None]), use.tensor(normal(1, 4, 2) * 10)
    a = 1 - t
    return {"points": (a**3 * p[0] + 3 * a**2 * t * p[1] + 3 * a * t**2 * p[2] + t**3 * p[3]).numpy()}


def taps() -> Array:
    return np.hamming(21) * np.sinc(0.25 * np.arange(-10, 11)) / 4


def _filtered() -> Result:
    return {"sound": np.convolve(sound(), taps(), "valid")}


@healthy("16-bit sound, scaled to 1, through a filter of 21 taps", "fp16", "bf16", right=_filtered)
def filtered(use: Use) -> Result:
    out = ops.conv1d(use.tensor(sound()[None, None]), use.tensor(taps()[::-1].copy()[None, None]))
    return {"sound": out[0, 0].numpy()}


def _raw() -> Result:
    return {"sound": np.convolve(sound() * 32768, taps(), "valid")}


@healthy("16-bit sound as whole numbers up to 32,767, through the same filter", "fp16", "bf16", right=_raw)
def raw_sound(use: Use) -> Result:
    out = ops.conv1d(use.tensor(sound()[None, None] * 32768), use.tensor(taps()[::-1].copy()[None, None]))
    return {"sound": out[0, 0].numpy()}


def _frames() -> Result:
    x = (sound() * np.repeat([1, 1e-4, 0.3, 1e-4], 64)).reshape(8, 32)
    return {"energy": (x**2).sum(1)}


@healthy("energies of frames of sound, half of them all but silent", "fp16", "bf16", right=_frames)
def frames(use: Use) -> Result:
    x = use.tensor((sound() * np.repeat([1, 1e-4, 0.3, 1e-4], 64)).reshape(8, 32))
    return {"energy": ops.square(x).sum(1).numpy()}


def _mixed() -> Result:
    a, b = sound(), 0.5 * np.roll(sound(), 37)
    mix = a * 0.7 + b * 0.4
    return {"mix": np.tanh(mix), "decibels": 20 * np.log10(np.sqrt(np.mean(mix**2)))}


@healthy("two sounds mixed, limited, and their loudness in decibels", "fp16", "bf16", right=_mixed)
def mixed(use: Use) -> Result:
    a, b = use.tensor(sound()), use.tensor(0.5 * np.roll(sound(), 37))
    mix = a * 0.7 + b * 0.4
    loudness = 20 * ops.log10(ops.sqrt(ops.square(mix).mean()))
    return {"mix": ops.tanh(mix).numpy(), "decibels": loudness.numpy()}


def _spectrum() -> Result:
    x = sound(64) * np.hanning(64)
    return {"power": np.abs(np.fft.rfft(x)) ** 2}


@healthy("the spectrum of a sound by a matrix of sines and cosines", "fp16", right=_spectrum)
def spectrum(use: Use) -> Result:
    angle = 2 * np.pi * np.outer(np.arange(33), np.arange(64)) / 64
    x = use.tensor(sound(64) * np.hanning(64))
    power = ops.square(use.tensor(np.cos(angle)) @ x) + ops.square(use.tensor(np.sin(angle)) @ x)
    return {"power": power.numpy()}


def _echo() -> Result:
    x = sound(128)
    y = x.copy()
    for i in range(16, 128):
        y[i] = x[i] + 0.4 * y[i - 16]
    return {"sound": y}


@healthy("sound with an echo that comes back", "fp16", ulps=2, right=_echo)
def echo(use: Use) -> Result:
    x = use.tensor(sound(128))
    parts = [x[:16]]
    for i in range(16, 128, 16):
        parts.append(x[i : i + 16] + 0.4 * parts[-1])
    return {"sound": ops.cat(parts).numpy()}


def clock() -> Array:
    """Times of day in seconds, one sample each 0.25 s, of a recording that began at nine."""
    return 32400 + np.arange(64) * 0.25


def _timed() -> Result:
    t = clock() - clock()[0]
    return {"phase": np.sin(0.8 * t), "time": t}


@healthy("timestamps counted from the first in float64, then in half", "fp16", "bf16", right=_timed)
def timed(use: Use) -> Result:
    t = use.tensor(clock() - clock()[0])
    return {"phase": ops.sin(0.8 * t).numpy(), "time": (t * 1.0).numpy()}


@healthy("positions in a window counted in half and normalised", "fp16", "bf16", ulps=2,
         right=lambda: {"share": np.arange(200) / 199})  # fmt: skip
def window_positions(use: Use) -> Result:
    return {"share": (use.tensor(np.arange(200.0)) / 199).numpy()}


def _walls() -> Result:
    x, v = 4 * normal(1, 30), 2 * normal(2, 30)
    for _ in range(10):
        x = x + 0.1 * v
        v = np.where((x > 5) & (v > 0) | (x < -5) & (v < 0), -0.9 * v, v)
    return {"place": x, "speed": v}


@healthy("particles that bounce off walls", "fp16", ulps=4, right=_walls)
def walls(use: Use) -> Result:
    x, v = use.tensor(4 * normal(1, 30)), use.tensor(2 * normal(2, 30))
    for _ in range(10):
        x = x + 0.1 * v
        places, speeds = np.asarray(x.numpy()), np.asarray(v.numpy())
        out = (places > 5) & (speeds > 0) | (places < -5) & (speeds < 0)
        v = ops.where(out, -0.9 * v, v)
    return {"place": x.numpy(), "speed": v.numpy()}


def _charges() -> Result:
    x = normal(1, 12, 2) * 3
    d = x[:, None] - x
    far = np.sqrt((d**2).sum(-1) + 0.01)
    return {"force": (d / far[..., None] ** 3).sum(1)}


@healthy("forces between softened charges, each on itself being zero", "fp16", "bf16", ulps=8, right=_charges)
def charges(use: Use) -> Result:
    x = use.tensor(normal(1, 12, 2) * 3)
    d = x[:, None] - x
    far = ops.sqrt(ops.square(d).sum(-1) + 0.01)
    return {"force": (d / far[..., None] ** 3).sum(1).numpy()}


@healthy("gradients of the energy of softened charges", "fp16", "bf16", ulps=7,
         right=lambda: {"force": -2 * plain_force()})  # fmt: skip
def charges_by_gradient(use: Use) -> Result:
    x = use.tensor(normal(1, 12, 2) * 3, requires_grad=True)
    d = x[:, None] - x
    energy = (1 / ops.sqrt(ops.square(d).sum(-1) + 0.01) * use.tensor(1 - np.eye(12))).sum()
    energy.backward()
    return {"force": x.grad.numpy()}  # type: ignore[union-attr]


def plain_force() -> Array:
    found = _charges()
    assert isinstance(found, dict)
    return found["force"]


@healthy("a height field kept in half from a simulation in float32", "fp32")
def stored_half(use: Use) -> Result:
    field = hs.tensor(1 + 0.1 * normal(1, 64), "fp64" if use.exact else "fp32")
    for _ in range(5):
        field = 0.5 * field + 0.25 * (ops.roll(field, 1, 0) + ops.roll(field, -1, 0))
    return {"field": field.numpy()}


def _emphasised() -> Result:
    x = sound()
    return {"sound": x[1:] - 0.97 * x[:-1]}


@healthy("sound with its high tones raised, x[t] - 0.97 x[t-1]", "fp16", "bf16", right=_emphasised)
def emphasised(use: Use) -> Result:
    x = use.tensor(sound())
    return {"sound": (x[1:] - 0.97 * x[:-1]).numpy()}


def _variation() -> Result:
    x = pixels() / 255
    return {"variation": np.abs(np.diff(x, axis=2)).sum((1, 2, 3)) + np.abs(np.diff(x, axis=3)).sum((1, 2, 3))}


@healthy("total variation of images, whose neighbours are often equal", "fp16", "bf16", right=_variation)
def total_variation(use: Use) -> Result:
    x = use.tensor(pixels() / 255)
    down, across = ops.abs(x[:, :, 1:] - x[:, :, :-1]), ops.abs(x[:, :, :, 1:] - x[:, :, :, :-1])
    return {"variation": (down.sum((1, 2, 3)) + across.sum((1, 2, 3))).numpy()}
