"""Large-scale data: statistics of ten million rows, streamed in blocks, naive and stable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.tensor import Tensor
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.uses.cases import Case, Fix, measured
from halfsim.gallery.uses.measures import RELATIVE, Array
from halfsim.gallery.uses.result import Application, Fact
from halfsim.gallery.uses.sources import CELLS, cells

TITLE = Said("Data analysis: ten million rows", "数据分析：一千万行")
_CLOSE = 0.01  # relative error: two digits
_BINS = 20


@dataclass(frozen=True)
class Stream:
    """Rows drawn with replacement from a table, block by block: the same rows each time, one block in memory."""

    area: Array
    perimeter: Array
    rows: int
    block: int

    def drawn(self) -> Iterator[Array]:
        """Which row of the table each row is, block by block."""
        for i in range(self.rows // self.block):
            yield np.random.default_rng(i).integers(0, len(self.area), self.block, np.uint16)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return ((self.area[rows], self.perimeter[rows]) for rows in self.drawn())

    def areas(self, unit: float = 1.0) -> Iterator[Tensor]:
        """The first column, a tensor a block, in multiples of ``unit``."""
        return (tensor((self.area / unit)[rows]) for rows in self.drawn())


def naive_mean(stream: Stream, unit: float = 1.0) -> Tensor:
    """One running total over all rows, divided at the end."""
    total = tensor(0.0)
    for x in stream.areas(unit):
        total = total + x.sum()
    return total / stream.rows * unit


def tree_mean(x: Tensor) -> Tensor:
    """Means of ten values, of ten such means, and so on: no partial sum is larger than ten values."""
    while x.size > 1:
        x = x.reshape(-1, 10 if x.size % 10 == 0 else x.size).mean(-1)
    return x[0]


def stable_mean(stream: Stream) -> Tensor:
    """The mean of each block as means of means, and the mean of the blocks'."""
    return tree_mean(ops.stack([tree_mean(x) for x in stream.areas()]))


def naive_variance(stream: Stream, unit: float = 1.0) -> Tensor:
    """E[x * x] - E[x] ** 2 from two running totals."""
    total, squares = tensor(0.0), tensor(0.0)
    for x in stream.areas(unit):
        total, squares = total + x.sum(), squares + (x * x).sum()
    mean = total / stream.rows
    return (squares / stream.rows - mean * mean) * unit * unit


def stable_variance(stream: Stream, unit: float = 1024.0) -> Array:
    """Two passes: the mean first, then the mean of squared distances from it; the result in float64's range."""
    mean = stable_mean(stream) / unit
    parts = []
    for x in stream.areas(unit):
        away = x - mean
        parts.append(tree_mean(away * away))
    return np.asarray(np.float64(tree_mean(ops.stack(parts)).numpy()) * unit * unit)


def naive_correlation(stream: Stream, unit: float = 1.0) -> Tensor:
    """By five running totals, as textbooks have it."""
    n = stream.rows
    x_, y_, xx, yy, xy = (tensor(0.0) for _ in range(5))
    for area, perimeter in stream:
        x, y = tensor(area / unit), tensor(perimeter / unit)
        x_, y_, xx, yy, xy = x_ + x.sum(), y_ + y.sum(), xx + (x * x).sum(), yy + (y * y).sum(), xy + (x * y).sum()
    return (xy / n - x_ / n * (y_ / n)) / ops.sqrt((xx / n - (x_ / n) ** 2) * (yy / n - (y_ / n) ** 2))


def stable_correlation(stream: Stream, units: tuple[float, float] = (1024.0, 128.0)) -> Tensor:
    """Two passes: means first, then means of products of the distances from them, in multiples of ``units``."""
    one, other = units
    means = [[tree_mean(tensor(area / one)), tree_mean(tensor(perimeter / other))] for area, perimeter in stream]
    a, p = (tree_mean(ops.stack(list(column))) for column in zip(*means, strict=True))
    sums = []
    for area, perimeter in stream:
        x, y = tensor(area / one) - a, tensor(perimeter / other) - p
        sums.append([tree_mean(x * y), tree_mean(x * x), tree_mean(y * y)])
    xy, xx, yy = (tree_mean(ops.stack(list(column))) for column in zip(*sums, strict=True))
    return xy / (ops.sqrt(xx) * ops.sqrt(yy))


def _places(stream: Stream) -> Iterator[Tensor]:
    places = np.minimum((stream.area / 2600 * _BINS).astype(np.int64), _BINS - 1)
    return (tensor(places[rows]) for rows in stream.drawn())


def naive_histogram(stream: Stream) -> Array:
    """Twenty counts in the arithmetic's format, one added for each row; as shares of all rows."""
    counts = tensor(np.zeros(_BINS))
    one = tensor(np.ones(stream.block))
    for places in _places(stream):
        counts = ops.index_add(counts, 0, places, one)
    return counts.numpy().astype(np.float64) / stream.rows


def stable_histogram(stream: Stream) -> Tensor:
    """Counts as integers, divided by the number of rows into shares that are rounded once."""
    counts = sum(ops.bincount(places, minlength=_BINS).numpy() for places in _places(stream))
    return tensor(counts / stream.rows) * 1.0


def _running(stream: Stream, unit: float) -> Callable[[Array, Array], Said]:
    """At which row a running total in half is infinite, or where it stands still."""

    def where(out: Array, right: Array) -> Said:
        total = 0.0
        for i, rows in enumerate(stream.drawn()):
            sums = total + np.cumsum(stream.area[rows] / unit)
            if sums[-1] >= 65520:
                row = i * stream.block + int(np.argmax(sums >= 65520)) + 1
                return Said(f"the true total passes 65,504 at row {row:,}", f"真实总和在第 {row:,} 行超过 65,504")
            total = float(sums[-1])
        return NOTHING

    return where


def _full(out: Array, right: Array) -> Said:
    if not np.isfinite(out).all():
        return NOTHING
    share = float(out.sum())
    return Said(
        f"{share:.3%} of the rows are counted".replace("%", " %"), f"只数到 {share:.3%} 的行".replace("%", " %")
    )


def cases(stream: Stream) -> Iterator[Case]:
    """The statistics of the mean area of a sample's nuclei, and its correlation with the perimeter."""
    yield Case(
        Said("mean: one running total", "均值：一个累加总和"), partial(naive_mean, stream), RELATIVE, _CLOSE,
        (Fix(Said("means of means of ten", "逐十求均值的均值"), partial(stable_mean, stream)),), _running(stream, 1.0),
    )  # fmt: skip
    yield Case(
        Said("mean of area / 1024: one running total", "面积 / 1024 的均值：一个累加总和"), partial(naive_mean, stream, 1024.0), RELATIVE,
        _CLOSE, (Fix(Said("means of means of ten", "逐十求均值的均值"), partial(stable_mean, stream)),), _running(stream, 1024.0),
    )  # fmt: skip
    yield Case(
        Said("variance: E[x*x] - E[x]*E[x]", "方差：E[x*x] - E[x]*E[x]"), partial(naive_variance, stream), RELATIVE, _CLOSE,
        (Fix(Said("two passes over x / 1024, means of means", "对 x / 1024 两遍扫描，均值的均值"), partial(stable_variance, stream)),),
        lambda out, right: Said("squares past 65,504 from an area of 256 on", "面积超过 255 时平方即超过 65,504") if not np.isfinite(out).all() else NOTHING,
    )  # fmt: skip
    yield Case(
        Said("correlation with the perimeter: five totals", "与周长的相关系数：五个总和"), partial(naive_correlation, stream), RELATIVE, _CLOSE,
        (Fix(Said("two passes over scaled columns, means of means", "对缩放后的列两遍扫描，均值的均值"), partial(stable_correlation, stream)),),
    )  # fmt: skip
    yield Case(
        Said("histogram of 20 bins: shares", "20 个区间的直方图：占比"), partial(naive_histogram, stream), RELATIVE, _CLOSE,
        (Fix(Said("counts as integers", "用整数计数"), partial(stable_histogram, stream)),), _full,
    )  # fmt: skip


def application(small: bool, lang: str) -> Application:
    """Measured on ten million rows, or with ``small`` on ten thousand."""
    rows = 10_000 if small else 10_000_000
    stream = Stream(*cells(), rows, rows // 10)
    found = measured(cases(stream))
    means = {row.precision: row for row in found if row.operation.en.startswith("mean: ")}
    broken = sum(not row.fine for row in found)
    mended = sum(row.fixed is not None and row.measure.fine(row.fixed, row.enough) for row in found)
    summary = Said(
        f"{broken} of {len(found)} naive statistics of {rows:,} rows are wrong: {means['fp16'].where.en or 'the mean is right'}. "
        f"Written another way, with every value still a half, {mended} of them are right to two digits.",
        f"{rows:,} 行的 {len(found)} 项朴素统计中有 {broken} 项出错：{means['fp16'].where.zh or '均值正确'}。"
        f"换一种写法、仍全用半精度，其中 {mended} 项有两位有效数字。",
    )
    facts = [
        Fact(Said(f"a column of {rows:,} rows in {name}", f"{rows:,} 行的一列，{name}"), rows * width / 1e6, "MB")
        for name, width in (("float16", 2), ("float32", 4), ("float64", 8))
    ]
    facts.append(Fact(Said("rows in memory at a time", "同时在内存中的行数"), stream.block, ""))
    return Application("tables", TITLE, summary, found, facts, (), (CELLS,), lang=lang)
