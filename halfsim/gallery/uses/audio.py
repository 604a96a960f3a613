"""Audio: a filter, a spectrum, loudness and a fade of a recorded sentence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.uses.cases import Case, Fix, measured, under
from halfsim.gallery.uses.measures import SNR, Array, off
from halfsim.gallery.uses.pictures import Picture, grey
from halfsim.gallery.uses.result import Application
from halfsim.gallery.uses.sources import SPEECH, speech

TITLE = Said("Audio: a spoken sentence filtered, transformed and metered", "音频：对一句话做滤波、变换和响度计量")
RATE = 16_000
_FRAME = 512
_CLEAN = 50.0  # dB: noise that speech hides
_PIECES = 64  # of the recording, filtered side by side
_DB = off("dB", "dB")


def low_pass(taps: int = 101, cutoff: float = 1000.0) -> Array:
    """A windowed sinc: the weights of a filter that keeps what is below ``cutoff`` Hz."""
    n = np.arange(taps) - (taps - 1) / 2
    x = 2 * cutoff / RATE * np.sinc(2 * cutoff / RATE * n) * np.hamming(taps)
    return x / x.sum()


def fir(sound: Array) -> Tensor:
    """The sound below 1 kHz, by 101 taps."""
    return ops.conv1d(tensor(sound).reshape(1, 1, -1), tensor(low_pass()[None, None]))


def frames(sound: Array) -> Array:
    """Windowed pieces of 512 samples, one after another."""
    return sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME) * np.hanning(_FRAME)


def fft(pieces: Array) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of each piece's transform, by the radix-2 algorithm: log2(n) stages of butterflies.

    Stockham's order: no bits are reversed. The twiddle factors are constants in the format of the arithmetic.
    """
    count, n = pieces.shape
    real, imag = tensor(pieces).reshape(count, n, 1), tensor(np.zeros((count, n, 1)))
    while n > 1:
        half = n // 2
        turn = -2 * np.pi * np.arange(half) / n
        c, s = tensor(np.cos(turn)[None, :, None]), tensor(np.sin(turn)[None, :, None])
        ar, ai, br, bi = real[:, :half], imag[:, :half], real[:, half:], imag[:, half:]
        dr, di = ar - br, ai - bi
        real = ops.stack([ar + br, dr * c - di * s], 2).reshape(count, half, -1)
        imag = ops.stack([ai + bi, dr * s + di * c], 2).reshape(count, half, -1)
        n = half
    return real.reshape(count, -1), imag.reshape(count, -1)


def spectrum(pieces: Array) -> Tensor:
    """Both parts of the transform, the lower half of its frequencies."""
    return ops.stack([part[:, : _FRAME // 2] for part in fft(pieces)])


def power(pieces: Array, unit: float = 1.0) -> Tensor:
    """The power of each frequency, of sound in multiples of ``unit``."""
    real, imag = (part[:, : _FRAME // 2] for part in fft(pieces / unit))
    return real * real + imag * imag


def level(sound: Array, unit: float = 1.0) -> Tensor:
    """Loudness in dB below full scale: of the mean square of 16-bit samples, in multiples of ``unit``."""
    x = tensor(sound / unit)
    return _decibels((x * x).mean(), 32768.0 / unit)


def _decibels(square: Tensor, peak: float) -> Tensor:
    return 10 * ops.log10(square) - 20 * float(np.log10(peak))


def level_of_blocks(sound: Array, unit: float) -> Tensor:
    """The same, as means of 16 squares, of 16 such means, and so on; what lacks to whole blocks is silence."""
    length = 16
    while length < len(sound):
        length *= 16
    x = tensor(np.pad(sound, (0, length - len(sound))) / unit)
    means = x * x
    while len(means) > 1:
        means = means.reshape(-1, 16).mean(-1)
    return _decibels(means[0], 32768.0 / unit * (len(sound) / length) ** 0.5)  # silence adds nothing


def _pieces(sound: Array) -> Array:
    return sound[: len(sound) // _PIECES * _PIECES].reshape(_PIECES, -1).T / 32768


def _coefficients(cutoff: float = 60.0) -> tuple[Array, Array]:
    """A high-pass of second order (Butterworth's) by the bilinear transform."""
    g = np.tan(np.pi * cutoff / RATE)
    norm = 1 / (1 + np.sqrt(2) * g + g * g)
    return np.array([1, -2, 1]) * norm, np.array([2 * (g * g - 1), 1 - np.sqrt(2) * g + g * g]) * norm


def biquad(sound: Array) -> Tensor:
    """A high-pass at 60 Hz, as textbooks have it: direct form, two feedback coefficients near -2 and 1."""
    b, a = _coefficients()
    x = _pieces(sound)
    b0, b1, b2, a1, a2 = (tensor(v) for v in (*b, *a))
    s1 = s2 = tensor(np.zeros(_PIECES))
    out = []
    for row in x:
        now = tensor(row)
        y = b0 * now + s1
        s1 = b1 * now - a1 * y + s2
        s2 = b2 * now - a2 * y
        out.append(y)
    return ops.stack(out)


def state_variable(sound: Array) -> Tensor:
    """The same filter with two integrators, whose coefficients are small numbers (Zavalishin's form)."""
    g, k = np.tan(np.pi * 60 / RATE), np.sqrt(2)
    a1, a2, a3 = (tensor(v) for v in (1 / (1 + g * (g + k)), g / (1 + g * (g + k)), g * g / (1 + g * (g + k))))
    low = band = tensor(np.zeros(_PIECES))
    kt, out = tensor(k), []
    for row in _pieces(sound):
        now = tensor(row)
        v3 = now - low
        v1 = a1 * band + a2 * v3
        v2 = low + a2 * band + a3 * v3
        band, low = v1 + v1 - band, v2 + v2 - low
        out.append(now - kt * v1 - v2)
    return ops.stack(out)


def fade(length: int) -> Tensor:
    """A gain that shrinks by one part in 10,000 each sample."""
    gain, step, out = tensor(1.0), tensor(0.9999), []
    for _ in range(length):
        gain = gain * step
        out.append(gain)
    return 20 * ops.log10(ops.stack(out))


def fade_by_time(length: int) -> Tensor:
    """The same gain, computed of the sample's number in blocks of 256, each from its own start."""
    n = np.arange(length)
    start = 0.9999 ** (1 + n - n % 256)  # constants of the blocks, made in advance
    return 20 * ops.log10(tensor(start) * ops.exp(tensor(np.log(0.9999) * (n % 256))))


def _stands(out: Array, right: Array) -> Said:
    if np.ptp(out) == 0:
        return Said("the gain never moves: 0.9999 rounds to 1", "增益不变：0.9999 舍入为 1")
    return NOTHING


def cases(sound: Array) -> Iterator[Case]:
    """The operations, on samples from -1 to 1 or on integers of 16 bits."""
    one, integers = sound / 32768, sound.astype(np.float64)
    scaled = Said("samples from -1 to 1", "样本取 -1 到 1")
    yield Case(Said("low-pass FIR filter, 101 taps", "FIR 低通滤波，101 抽头"), partial(fir, one), SNR, _CLEAN,
               (Fix(Said("in float32", "用 float32"), precision="fp32"),))  # fmt: skip
    yield Case(Said("FFT of 512 samples", "512 点 FFT"), partial(spectrum, frames(one)), SNR, _CLEAN,
               (Fix(Said("in float32", "用 float32"), precision="fp32"),))  # fmt: skip
    yield Case(
        Said("power spectrum of 16-bit integers", "16 位整数的功率谱"), lambda: power(frames(integers)) * (1 / 32768) * (1 / 32768),
        SNR, 40.0, (Fix(scaled, lambda: power(frames(one))), Fix(Said("in float32", "用 float32"), precision="fp32")),
    )  # fmt: skip
    yield Case(
        Said("loudness (mean square) of 16-bit integers", "16 位整数的响度（均方）"), partial(level, integers), _DB, 0.1,
        (Fix(Said("samples / 1024", "样本除以 1024"), partial(level, integers, 1024.0)),
         Fix(Said("samples / 1024, means of means", "样本除以 1024，均值的均值"), partial(level_of_blocks, integers, 1024.0))),
    )  # fmt: skip
    yield Case(
        Said("high-pass at 60 Hz, direct form", "60 Hz 高通滤波，直接型"), partial(biquad, sound), SNR, 40.0,
        (Fix(Said("state-variable form", "状态变量型"), partial(state_variable, sound)),
         Fix(Said("in float32", "用 float32"), precision="fp32")), precisions=("fp16", "bf16"),
    )  # fmt: skip
    yield Case(
        Said("fade-out: gain *= 0.9999", "淡出：gain *= 0.9999"), partial(fade, min(len(sound), RATE // 2)), _DB, 0.1,
        (Fix(Said("gain computed from the time, in blocks", "按时间分块计算增益"), partial(fade_by_time, min(len(sound), RATE // 2))),
         Fix(Said("in float32", "用 float32"), precision="fp32")), _stands, ("fp16", "bf16"),
    )  # fmt: skip


def pictures(sound: Array) -> tuple[Picture, ...]:
    """The spectrogram of integers and of samples from -1 to 1, in half."""
    integers = frames(sound.astype(np.float64))

    def shown(words: str, unit: float) -> Array:
        with np.errstate(all="ignore"):
            decibels = 10 * np.log10(under(words, partial(power, integers, unit)) * (unit / 32768) ** 2 + 1e-12)
        return np.repeat(np.repeat(grey(decibels.T[::-1], -60, 30), 2, 1)[-128:], 2, 0)

    panels = (
        (Said("float64", "float64"), shown("fp64", 1.0)),
        (Said("float16, 16-bit integers", "float16，16 位整数"), shown("fp16", 1.0)),
        (Said("float16, samples from -1 to 1", "float16，样本 -1 到 1"), shown("fp16", 32768.0)),
    )
    caption = Said("The spectrogram (0 to 4 kHz) of the sentence: of integers it is infinite (pink) wherever there is sound.",
                   "这句话的频谱图（0 到 4 kHz）：直接用整数时，凡有声音处都是无穷大（粉色）。")  # fmt: skip
    return (Picture("spectrogram", caption, panels),)


def application(small: bool, lang: str) -> Application:
    """Measured on the whole sentence, or with ``small`` on 2,048 samples of it."""
    sound = speech(2048 if small else None)
    rows = measured(cases(sound))
    direct = next(r for r in rows if r.operation.en.startswith("high-pass"))
    best = next(r for r in rows if r.operation.en.startswith("low-pass"))
    summary = Said(
        f"An FIR filter in fp16 keeps {best.measure.shown(best.value)} above its noise, but squares of 16-bit samples overflow, "
        f"a recursive filter with poles near 1 keeps {direct.measure.shown(direct.value)} until it is written in another form, and "
        "a gain that shrinks by 0.01 % never shrinks.",
        f"fp16 的 FIR 滤波信噪比为 {best.measure.shown(best.value)}；但 16 位样本的平方会溢出，极点接近 1 的递归滤波器只有 "
        f"{direct.measure.shown(direct.value)}，换一种形式才好，每次减小 0.01 % 的增益则永不减小。",
    )
    return Application("audio", TITLE, summary, rows, (), pictures(sound), (SPEECH,), lang=lang)
