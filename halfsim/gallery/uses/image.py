"""Images: blur, resize, gamma, edges, sums and means of a photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.uses.cases import Case, Fix, measured, under
from halfsim.gallery.uses.measures import RELATIVE, Array, psnr
from halfsim.gallery.uses.pictures import Picture, grey
from halfsim.gallery.uses.result import Application
from halfsim.gallery.uses.sources import PHOTO, photograph
from halfsim.text import percent

TITLE = Said("Images: a photograph filtered, resized and measured", "图像：对一张照片做滤波、缩放和统计")
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_INVISIBLE = 45.0  # dB: errors of a picture of 8 bits that nobody sees


def grey_levels(size: int) -> Array:
    """The photograph's brightness as integers from 0 to 255, float64."""
    return np.round(photograph(size) @ np.array(_LUMA))


def _planes(pixels: Any) -> Tensor:
    return tensor(pixels).reshape(1, 1, *pixels.shape)


def gaussian(sigma: float = 2.0, reach: int = 4) -> Array:
    """The weights of a blur, (2 * reach + 1) squared, whose sum is 1."""
    x = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma * sigma))
    return np.outer(x, x) / x.sum() ** 2


def blur(pixels: Array) -> Tensor:
    """Each pixel as the weighted mean of the 81 around it."""
    return ops.conv2d(_planes(pixels), tensor(gaussian()[None, None]))


def resize(pixels: Array) -> Tensor:
    """To 200 of each 512 pixels, bilinear with antialiasing."""
    side = len(pixels) * 200 // 512
    return ops.interpolate(_planes(pixels), size=(side, side), mode="bilinear", antialias=True)


def gamma(pixels: Array) -> Tensor:
    """To linear light and back."""
    return (tensor(pixels) ** 2.2) ** (1 / 2.2)


def linear(pixels: Array) -> Tensor:
    """To linear light, half as bright, back to what a screen takes."""
    return (tensor(pixels) ** 2.2 * 0.5) ** (1 / 2.2)


_SOBEL = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


def edges(pixels: Array) -> Tensor:
    """The length of the gradient by Sobel's weights: a root of two squares."""
    plane = _planes(pixels)
    across, down = (ops.conv2d(plane, tensor(w[None, None])) for w in (_SOBEL, _SOBEL.T))
    return ops.sqrt(across * across + down * down)


def naive_mean(pixels: Array) -> Tensor:
    """The sum by the count."""
    return tensor(pixels).sum() / pixels.size


def mean(pixels: Array) -> Tensor:
    """The mean as one operation."""
    return tensor(pixels).mean()


def mean_of_means(pixels: Array) -> Tensor:
    """The mean of each row's 16 parts' means, of which no partial sum is large."""
    parts = tensor(pixels).reshape(len(pixels), -1, min(32, len(pixels)))
    return parts.mean(-1).mean(-1).reshape(-1, min(32, len(pixels))).mean(-1).mean()


def integral_mean(pixels: Array, side: int = 16) -> Tensor:
    """Means over squares by the table of sums from the corner: four of its entries each."""
    sums = ops.cumsum(ops.cumsum(tensor(pixels), 0), 1)
    corner = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return corner / (side * side)


def box_mean(pixels: Array, side: int = 16) -> Tensor:
    """Means over squares, each added on its own."""
    return ops.avg_pool2d(_planes(pixels), side, stride=1)[0, 0, 1:, 1:]


def naive_variance(pixels: Array) -> Tensor:
    """The mean of the squares less the square of the mean."""
    x = tensor(pixels)
    return (x * x).mean() - x.mean() * x.mean()


def variance(pixels: Array) -> Tensor:
    """The mean of the squared distances from the mean."""
    x = tensor(pixels)
    away = x - x.mean()
    return (away * away).mean()


def _levels(out: Array, right: Array) -> Said:
    """How many pixels are another of 256 shades."""
    if not np.isfinite(out).all():
        return NOTHING
    share = percent(float(np.mean(np.round(255 * out) != np.round(255 * right))))
    return Said(f"{share} of the pixels have another shade of 256", f"{share} 的像素在 256 级灰度中变了")


def _overflows(pixels: Array) -> Callable[[Array, Array], Said]:
    """After how many pixels the running sum is infinite, or stands still."""

    def where(out: Array, right: Array) -> Said:
        sums = under("pure_fp16", lambda: ops.cumsum(tensor(pixels.ravel()), 0))
        endless = np.isinf(sums)
        if endless.any():
            n = int(np.argmax(endless)) + 1
            return Said(f"the sum is infinite from pixel {n:,} on", f"累加到第 {n:,} 个像素起为无穷大")
        last = int(np.argmax(sums == sums[-1])) + 1
        return Said(
            f"the sum stands still at {sums[-1]:,g} from pixel {last:,} on",
            f"累加到第 {last:,} 个像素起停在 {sums[-1]:,g}",
        )

    return where


_TO_ONE = Said("pixels from 0 to 1", "像素取 0 到 1")


def cases(levels: Array) -> Iterator[Case]:
    """The operations, on integers from 0 to 255 where pictures are kept so, else from 0 to 1."""
    one = levels / 255
    shade, bytes_ = psnr(1), psnr(255)
    yield Case(Said("blur, 9 x 9", "模糊，9 x 9"), partial(blur, one), shade, _INVISIBLE, where=_levels)
    yield Case(Said("resize to 200 x 200", "缩放到 200 x 200"), partial(resize, one), shade, _INVISIBLE, where=_levels)
    yield Case(Said("gamma 2.2 and back", "gamma 2.2 往返"), partial(gamma, one), shade, _INVISIBLE, where=_levels)
    yield Case(
        Said("half the light (gamma, times 0.5, back)", "光强减半（gamma、乘 0.5、还原）"), partial(linear, one), shade,
        _INVISIBLE, where=_levels,
    )  # fmt: skip
    yield Case(
        Said("edges (Sobel) of pixels from 0 to 255", "边缘（Sobel），像素 0 到 255"), partial(edges, levels), bytes_, _INVISIBLE,
        (Fix(_TO_ONE, lambda: edges(one) * 255.0),
         Fix(Said("pixels from 0 to 1, squares in float32", "像素取 0 到 1，平方用 float32"), lambda: edges(one) * 255.0, "fp32")),
    )  # fmt: skip
    yield Case(
        Said("sum / count, pixels from 0 to 255", "总和 / 个数，像素 0 到 255"), partial(naive_mean, levels), RELATIVE, 0.004,
        (Fix(Said("one mean() in place of sum() / n", "用 mean() 代替 sum() / n"), partial(mean, levels)),
         Fix(Said("means of means", "均值的均值"), partial(mean_of_means, levels))), _overflows(levels),
    )  # fmt: skip
    yield Case(
        Said("mean, pixels from 0 to 1", "均值，像素 0 到 1"), partial(mean, one), RELATIVE, 0.004,
        (Fix(Said("means of means", "均值的均值"), partial(mean_of_means, one)),), _overflows(one),
    )  # fmt: skip
    yield Case(
        Said("means of 16 x 16 by a table of sums", "用积分图求 16 x 16 均值"), partial(integral_mean, one), shade, _INVISIBLE,
        (Fix(Said("add each square on its own", "每个方块单独相加"), partial(box_mean, one)),),
    )  # fmt: skip
    yield Case(
        Said("contrast: mean of squares - square of mean", "对比度：平方的均值 - 均值的平方"),
        partial(naive_variance, levels), RELATIVE, 0.01,
        (Fix(Said("squares of x - mean", "先减均值再平方"), partial(variance, levels)),
         Fix(Said("squares of x - mean, means of means", "先减均值再平方，均值的均值"),
             lambda: mean_of_means_of_squares(one) * 255.0 * 255.0)),
    )  # fmt: skip


def mean_of_means_of_squares(pixels: Array) -> Tensor:
    """The mean of the squared distances from the mean, as means of means throughout."""
    parts = tensor(pixels).reshape(len(pixels), -1, min(32, len(pixels)))
    away = parts - mean_of_means(pixels)
    return (away * away).mean(-1).mean(-1).reshape(-1, min(32, len(pixels))).mean(-1).mean()


def pictures(levels: Array) -> tuple[Picture, ...]:
    """Edges and the table of sums, right and in half."""
    one, words = levels / 255, "fp16"
    wide, half, mended = (
        under("fp64", partial(edges, levels)),
        under(words, partial(edges, levels)),
        under(words, lambda: edges(one) * 255.0),
    )
    cut = slice(None, None, 2)
    shown = [grey(x[0, 0, cut, cut], 0, 600) for x in (wide, half, mended)]
    flat = under("fp64", partial(box_mean, one)), under("fp16", partial(integral_mean, one))
    boxes = [grey(x[cut, cut], 0, 1) for x in (flat[0], flat[1], under("fp16", partial(box_mean, one)))]
    float64, fixed = Said("float64", "float64"), Said("float16, fixed", "float16，补救后")
    return (
        Picture("edges", Said("Edges of pixels from 0 to 255: squares past 65,504 are infinite (pink); from 0 to 1 nothing is.",
                              "像素取 0 到 255 的边缘：平方超过 65,504 即为无穷大（粉色）；取 0 到 1 则不会。"),
                tuple(zip((float64, Said("float16", "float16"), fixed), shown, strict=True))),
        Picture("sums", Said("Means over 16 x 16 pixels by a table of sums, whose entries grow to the lower right until their last bits "
                             "are larger than a square's sum; added square by square nothing is lost.",
                             "用积分图求 16 x 16 均值：表中的数向右下增长，直到末位比一个方块的和还大；逐块相加则不损失。"),
                tuple(zip((float64, Said("float16", "float16"), fixed), boxes, strict=True))),
    )  # fmt: skip


def application(small: bool, lang: str) -> Application:
    """Measured on the photograph, or with ``small`` on 64 x 64 pixels of it."""
    levels = grey_levels(64 if small else 512)
    rows = measured(cases(levels))
    worst, good = (
        next(r for r in rows if r.precision == p and r.operation.en.startswith("blur")) for p in ("bf16", "fp16")
    )
    summary = Said(
        f"Filters, scaling and gamma in fp16 are beyond what eyes see (blur: {good.measure.shown(good.value)}; in bf16 "
        f"{worst.measure.shown(worst.value)}); what breaks are sums and squares of pixels from 0 to 255, and means whose "
        "sums are kept in half.",
        f"fp16 下的滤波、缩放和 gamma 误差肉眼不可见（模糊：{good.measure.shown(good.value)}；bf16 为 "
        f"{worst.measure.shown(worst.value)}）；出错的是 0 到 255 像素的求和与平方，以及用半精度累加的均值。",
    )
    return Application("image", TITLE, summary, rows, (), pictures(levels), (PHOTO,), lang=lang)
