"""nanmean of 4,350 temperatures near 270 K in float16, written out as NumPy computes it: the sum is infinite."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    a = np.random.default_rng(18).normal(270, 9, (4350, 3))  # temperatures in kelvin
    a[100:140, 1] = np.nan
    a = hs.tensor(a)
    missing = np.isnan(a)
    return np.where(missing, 0.0, a).sum(axis=0) / (~missing).sum(axis=0)


def temperatures():
    a = np.random.default_rng(18).normal(270, 9, (4350, 3))
    a[100:140, 1] = np.nan
    return a


CASE = Case(
    id="B18",
    name="nanmean",
    link="https://github.com/numpy/numpy/issues/23075",
    year=2023,
    layer="nanmean",
    seen="infinity",
    klass="overflow",
    op="sum",
    phase="forward",
    precision="pure_fp16",
    run=run,
    broken=lambda mean: bool(np.isinf(flat(mean)).all()),
    right=lambda: np.nanmean(temperatures(), axis=0),
    facts=lambda: {"sum": np.nansum(temperatures()[:, 0]), "rows": len(temperatures())},
    title="nanmean sums in half and overflows",
    title_zh="nanmean 在半精度里求和，上溢",
    symptom="np.nanmean of float16 data is inf where np.mean is right",
    symptom_zh="float16 数据的 np.nanmean 是 inf，而 np.mean 是对的",
    message="RuntimeWarning: overflow encountered in reduce",
    why="np.mean keeps its sum in float32; np.nanmean replaces the missing numbers by zeros and sums in the format "
    "of the data. The sum of {rows:,} temperatures is {sum:,.0f}, past {fp16.max:,.0f}, though their mean is only "
    "{reference[0]:.1f}.",
    why_zh="np.mean 用 float32 求和；np.nanmean 先把缺失值换成零，再用数据本身的格式求和。{rows:,} 个温度之和是 "
    "{sum:,.0f}，超过 {fp16.max:,.0f}，而均值只有 {reference[0]:.1f}。",
)
