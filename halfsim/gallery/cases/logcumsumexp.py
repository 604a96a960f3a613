"""A running logsumexp made of exp, cumsum and log: everything above 11.09 is infinite.

A shift by the one maximum, as the thread proposes, makes -inf of the first elements in half; a shift by the running
maximum would do.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor([1.0, 5.0, 10.0, 12.0, 15.0, 20.0, 50.0])
    return x.exp().cumsum(-1).log()


CASE = Case(
    id="N11",
    name="logcumsumexp",
    link="https://github.com/apple/coremltools/issues/2729",
    year=2026,
    layer="logcumsumexp",
    seen="infinity",
    klass="overflow",
    op="exp",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isfinite(flat(y)[:3]).all() and np.isposinf(flat(y)[3:]).all()),
    right=np.logaddexp.accumulate([1.0, 5.0, 10.0, 12.0, 15.0, 20.0, 50.0]),
    facts=lambda: {"edge": np.log(float(hs.float16.max))},
    title="logcumsumexp without a shift is infinite for inputs above 11.09",
    title_zh="没有平移的 logcumsumexp 对大于 11.09 的输入是无穷大",
    symptom="logcumsumexp is inf from one element on, and for all that follow",
    symptom_zh="logcumsumexp 从某个元素起成了 inf，后面全是",
    message="logcumsumexp inf Core ML fp16",
    why="The exponential passes {fp16.max:,.0f} at {edge:.2f}, and a running sum that has become infinite stays so: "
    "the fourth value is {observed[3]:g}, where {reference[3]:.4g} is right. All three steps in float32 mend these "
    "inputs. A shift by the running maximum mends any.",
    why_zh="指数在 {edge:.2f} 处超过 {fp16.max:,.0f}，而累加和一旦成了无穷大就再也回不来：第四个值得到 "
    "{observed[3]:g}，正确的是 {reference[3]:.4g}。三步都用 float32 能救这些输入；按滑动的最大值平移则什么输入都行"
    "。",
)
