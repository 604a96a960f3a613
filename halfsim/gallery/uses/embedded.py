"""Embedded, mobile, things: a network of a touch pad's size and sensors' sums on the arithmetic of small Arm cores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from halfsim import nn, optim
from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import precision
from halfsim.autograd.tensor import Tensor
from halfsim.costs.cost import cost
from halfsim.data import digits
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.uses.cases import Case, Fix, measured, under
from halfsim.gallery.uses.measures import ACCURACY, AGREEMENT, Array, off
from halfsim.gallery.uses.pictures import Picture, grey
from halfsim.gallery.uses.result import Application, Fact
from halfsim.gallery.uses.sources import DIGITS, SPEECH, TERRAIN, elevations, speech

TITLE = Said("Embedded, mobile and things: small Arm cores", "嵌入式、移动与物联网：小型 Arm 内核")
CORES = ("fp32", "M55", "M55 FZ16", "M4F", "M4F AHP")
DEVICES = ("Cortex-M55", "Cortex-A76", "Cortex-M4F")
_FRAME = 256  # samples of 16 ms
_DB = off("dB", "dB")


def network() -> nn.Module:
    """Two depthwise separable convolutions of 8 x 8 pixels, as keyword spotters have them: 2,298 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 16, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 32, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


@cache
def trained(epochs: int = 20) -> nn.Module:
    """The network after some epochs of Adam in float32."""
    data, order = digits(), np.random.default_rng(0)
    manual_seed(0)
    net = network()
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    with precision("fp32"):
        for _ in range(epochs):
            for rows in np.array_split(order.permutation(len(data.x_train)), 22):
                optimizer.zero_grad()
                nn.cross_entropy(net(_pictures(data.x_train[rows])), data.y_train[rows]).backward()
                optimizer.step()
    return net


def _pictures(images: Array) -> Tensor:
    return tensor(images).reshape(-1, 1, 8, 8)


def answers(net: nn.Module, images: Array) -> Tensor:
    """Which digit each picture is."""
    return net(_pictures(images)).argmax(-1)


def contrast(images: Array, eps: float = 1e-5) -> Tensor:
    """Each column of pixels to mean 0 and variance 1, as normalisations do it; one without ink has variance 0."""
    pixels = tensor(images).reshape(-1, 8, 8)
    away = pixels - pixels.mean(1, keepdim=True)
    return away / ops.sqrt((away * away).mean(1, keepdim=True) + eps)


def loudness(sound: Array, unit: float) -> Tensor:
    """The level of each 16 ms in dB, of samples in multiples of ``unit``: by it a core decides whether to wake up."""
    frames = tensor(sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME) / unit)
    return 10 * ops.log10((frames * frames).mean(-1)) + 20 * float(np.log10(unit / 32768))


def energy(sound: Array, unit: float) -> Tensor:
    """The sum of squares of each 16 ms in dB."""
    frames = tensor(sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME) / unit)
    return 10 * ops.log10((frames * frames).sum(-1)) + 20 * float(np.log10(unit / 32768))


def smoothed(heights: Array, share: float = 1 / 64) -> Tensor:
    """An altimeter's heights, smoothed: y += (x - y) / 64."""
    y, part, out = tensor(heights[0]), tensor(share), []
    for x in heights:
        y = y + (tensor(x) - y) * part
        out.append(y)
    return ops.stack(out)


def smoothed_from(heights: Array, share: float = 1 / 64) -> Array:
    """The same with heights from an integer near the first, and with what each addition loses kept (Kahan 1965)."""
    base = float(np.round(heights[0]))
    y, lost, part, out = tensor(heights[0] - base), tensor(0.0), tensor(share), []
    for x in heights - base:
        due = (tensor(x) - y) * part - lost
        moved = y + due
        lost, y = (moved - y) - due, moved
        out.append(base + float(y.numpy()))
    return np.array(out)


def _missing(out: Array, right: Array) -> Said:
    bad = int(np.isnan(out).all(1).sum())
    if not bad:
        return NOTHING
    return Said(f"{bad:,} columns have no ink: 0 / sqrt(0 + 1e-5), and 1e-5 is flushed to 0",
                f"{bad:,} 列没有墨迹：0 / sqrt(0 + 1e-5)，而 1e-5 被清为 0")  # fmt: skip


def _silent(out: Array, right: Array) -> Said:
    bad = int(np.isneginf(out).sum())
    if not bad:
        return NOTHING
    return Said(
        f"{bad} of {out.size} pieces are silence: every square is 0", f"{out.size} 段中有 {bad} 段变成静音：平方全为 0"
    )


def _full(out: Array, right: Array) -> Said:
    bad = int((right - out > 1).sum())
    if not bad or np.isinf(out).any():
        return NOTHING
    return Said(
        f"{bad} of {out.size} pieces stay at 131,008, and nothing says so",
        f"{out.size} 段中有 {bad} 段停在 131,008，且没有任何提示",
    )


def _behind(out: Array, right: Array) -> Said:
    far = float(np.abs(out - right).max())
    still = int((np.diff(out) == 0).sum())
    return Said(f"up to {far:.3g} m off; in {still} of {len(out) - 1} steps it does not move",
                f"最多偏差 {far:.3g} 米；{len(out) - 1} 步中有 {still} 步不动")  # fmt: skip


def of_digits(small: bool) -> Iterator[Case]:
    """A touch pad's network, and the normalisation before such a one."""
    data = digits()
    images, labels = (data.x_test[:60], data.y_test[:60]) if small else (data.x_test, data.y_test)
    net = trained(2 if small else 20)
    right = under("fp32", partial(answers, net, images))
    good = float(np.mean(right == labels))
    yield Case(Said(f"{len(images)} digits on a pad of 8 x 8", f"8 x 8 触摸板上的 {len(images)} 个数字"), partial(answers, net, images),
               ACCURACY, good - 0.01, precisions=CORES, right=lambda: labels)  # fmt: skip
    yield Case(Said("digits: the same answers as in float32", "数字：与 float32 相同的答案"), partial(answers, net, images),
               AGREEMENT, 0.99, precisions=CORES[1:], right=lambda: right)  # fmt: skip
    larger = Said("pixels 16 times as large, 2.56e-3 in place of 1e-5", "像素放大 16 倍，用 2.56e-3 代替 1e-5")
    yield Case(Said("contrast of each column: x / sqrt(variance + 1e-5)", "逐列对比度归一化：x / sqrt(方差 + 1e-5)"),
               partial(contrast, images), off("", ""), 0.1, (Fix(larger, partial(contrast, images * 16, 1e-5 * 256)),), _missing, CORES)  # fmt: skip


def of_speech(small: bool) -> Iterator[Case]:
    """What an ear that is always on adds up."""
    sound = speech(2048 if small else None).astype(np.float64)
    scaled = Said("samples from -32 to 32", "样本取 -32 到 32")
    yield Case(Said("wake-up level of 16 ms, samples from -1 to 1: mean of squares", "16 毫秒的唤醒电平，样本 -1 到 1：均方"),
               partial(loudness, sound, 32768.0), _DB, 1.0, (Fix(scaled, partial(loudness, sound, 1024.0)),), _silent, CORES)  # fmt: skip
    yield Case(Said("energy of 16 ms, samples from -128 to 128: sum of squares", "16 毫秒的能量，样本 -128 到 128：平方和"),
               partial(energy, sound, 256.0), _DB, 1.0, (Fix(scaled, partial(energy, sound, 1024.0)),), _full, CORES)  # fmt: skip


def of_heights(small: bool) -> Iterator[Case]:
    """What a thing on a mast or a drone smooths."""
    heights = elevations()[200, : 40 if small else 400]
    yield Case(Said("altitude, smoothed: y += (x - y) / 64", "平滑高度：y += (x - y) / 64"), partial(smoothed, heights), off("m", "米"), 1.0,
               (Fix(Said("heights from the first one, Kahan's sum", "以起点为基准的高度，Kahan 求和"), partial(smoothed_from, heights)),),
               _behind, CORES)  # fmt: skip


def pictures(sound: Array) -> Picture:
    """The wake-up level of each 16 ms as a bar, from -100 dB up; where it is silence, a pink line."""

    def shown(word: str, unit: float) -> Array:
        levels = under(word, partial(loudness, sound, unit))
        up = np.arange(100)[::-1, None] < np.where(np.isfinite(levels), levels, 0) + 100
        bars = np.where(np.isfinite(levels), np.where(up, 70.0, 235.0), np.inf)
        return grey(bars, 0, 255)

    panels = (
        (Said("Cortex-M55", "Cortex-M55"), shown("M55", 32768.0)),
        (Said("Cortex-M55 with FZ16", "Cortex-M55，打开 FZ16"), shown("M55 FZ16", 32768.0)),
        (Said("with FZ16, samples from -32 to 32", "打开 FZ16，样本 -32 到 32"), shown("M55 FZ16", 1024.0)),
    )
    caption = Said("How loud each 16 ms of the sentence are, above -100 dB. With FZ16 quiet ones are silence without a level (pink).",
                   "这句话每 16 毫秒的响度（-100 dB 以上）。打开 FZ16 后，较轻的部分成为没有电平的静音（粉色）。")  # fmt: skip
    return Picture("level", caption, panels)


def bills(small: bool) -> Iterator[Fact]:
    """Bytes, and by the roofline the time and the energy of one answer, in float32 and in half, on each core."""
    net, one = trained(2 if small else 20), digits().x_test[:1].reshape(1, 1, 8, 8)
    recipes = {"fp32": "float32", "fp16": "float16"}
    found = {name: cost(net, one, name, recipes=recipes).inference for name in DEVICES}
    for recipe, word in recipes.items():
        bill = found[DEVICES[0]][recipe]
        yield Fact(Said(f"weights in {word}", f"{word} 权重"), bill.parameters, "B")
        yield Fact(Said(f"results between layers in {word}", f"{word} 层间结果"), bill.activations, "B")
    for name, bill_of in found.items():
        for recipe, word in recipes.items():
            took = bill_of[recipe].total
            yield Fact(Said(f"{name}, time of an answer in {word} by the roofline", f"{name}，一次 {word} 推理按屋顶线模型的时间"),
                       took.seconds * 1e6, "µs")  # fmt: skip
            yield Fact(
                Said(f"{name}, energy of an answer in {word}", f"{name}，一次 {word} 推理的能量"),
                took.joules * 1e6,
                "µJ",
            )


def application(small: bool, lang: str) -> Application:
    """Measured on all test digits, the whole sentence and 36 km of terrain, or with ``small`` on less."""
    missing: list[str] = []
    rows, sources = [], []
    for source, part in ((DIGITS, of_digits), (SPEECH, of_speech), (TERRAIN, of_heights)):
        try:
            rows += measured(part(small))
            sources.append(source)
        except ModuleNotFoundError as error:
            missing.append(str(error))
    facts = [*bills(small)]
    shown = (pictures(speech(2048 if small else None).astype(np.float64)),) if SPEECH in sources else ()
    times = [fact.value for fact in facts if fact.unit == "µs"]
    right = next(row for row in rows if row.precision == "M55")
    flushed, bad = (sum(row.precision == word and not row.fine for row in rows) for word in ("M55 FZ16", "M55"))
    mended = sum(row.fixed is not None and row.measure.fine(row.fixed, row.enough) for row in rows)
    broken = sum(not row.fine for row in rows)
    summary = Said(
        f"A network of a touch pad's size loses nothing in half on a Cortex-M55 ({right.measure.shown(right.value)} are right) and "
        f"is {times[0] / times[1]:.1f} times as fast there, {times[4] / times[5]:.2f} times on a Cortex-M4F, which only stores halves. "
        f"Sums of sensors break: {bad} of the operations on a Cortex-M55, {flushed} with its flag FZ16. Written another way, "
        f"{mended} of {broken} broken results are good.",
        f"触摸板大小的网络在 Cortex-M55 上用半精度毫无损失（{right.measure.shown(right.value)} 正确），速度为 {times[0] / times[1]:.1f} 倍；"
        f"在只能存储半精度的 Cortex-M4F 上为 {times[4] / times[5]:.2f} 倍。传感器求和会出错：Cortex-M55 上有 {bad} 项，打开 FZ16 后有 {flushed} 项。"
        f"换一种写法，{broken} 个出错结果中有 {mended} 个变好。",
    )
    return Application("embedded", TITLE, summary, rows, facts, shown, sources, missing, lang)
