"""A softplus written as log(1 + exp(x)) is infinite from x = 11.09 on. The backend then returned 0."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor([12.0, 11.1, 3.3, -8.0])
    return np.log(1 + np.exp(x))


CASE = Case(
    id="B12",
    name="softplus",
    link="https://github.com/sbryngelson/ANEForge/issues/113",
    year=2026,
    layer="Softplus",
    seen="infinity",
    klass="overflow",
    op="exp",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isinf(flat(y)[:2]).all()),
    right=np.log1p(np.exp([12.0, 11.1, 3.3, -8.0])),
    facts=lambda: {"edge": np.log(hs.float16.max)},
    title="A softplus by its formula overflows at 11.09",
    title_zh="照公式写的 softplus 在 11.09 处上溢",
    symptom="softplus is inf (on one device 0) for inputs above eleven",
    symptom_zh="输入大于十一时 softplus 为 inf（某个设备上为零）",
    message="softplus returns 0 for inputs >= 11; softplus fp16 inf",
    why="`log(1 + exp(x))` is about x for large x, but the exponential on the way passes {fp16.max:,.0f} at "
    "{edge:.2f}. At the other end it loses everything too: `1 + exp(-8)` is one, so the last value is "
    "{observed[3]:g} where {reference[3]:.3g} is right. `max(x, 0) + log1p(exp(-abs(x)))` has neither fault.",
    why_zh="x 很大时 `log(1 + exp(x))` 约等于 x，但途中的指数在 {edge:.2f} 处就超过了 {fp16.max:,.0f}。另一头也全丢"
    "了：`1 + exp(-8)` 等于一，最后一个值得到 {observed[3]:g}，而正确的是 {reference[3]:.3g}。"
    "`max(x, 0) + log1p(exp(-abs(x)))` 两头都没有问题。",
)
