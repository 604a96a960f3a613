"""An average of weights with decay 0.9999, kept in half, stands still. 5000 steps, half as many as in the thread."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    model = hs.nn.Linear(3, 1, bias=False)
    model.load_state_dict({"weight": np.ones((1, 3))})
    ema = hs.optim.EMA(model, decay=0.9999)
    model.load_state_dict({"weight": np.full((1, 3), 2.0)})  # training moved them
    for _ in range(5000):
        ema.update()
    return ema.averages


CASE = Case(
    id="B40",
    name="ema-stands-still",
    link="https://github.com/d8ahazard/sd_dreambooth_extension/pull/1417",
    year=2023,
    layer="EMA of weights",
    seen="no change",
    klass="swamping",
    op="average",
    phase="optimizer",
    precision="fp16",
    run=run,
    broken=lambda averages: bool((flat(averages) == 1).all()),
    right=np.full(3, 2 - 0.9999**5000),
    facts=lambda: {"step": 1 - 0.9999, "gap": float(hs.float16.eps)},
    title="A moving average kept in half does not move",
    title_zh="半精度的滑动平均一动不动",
    symptom="the EMA model stays what it was at the start, however long one trains",
    symptom_zh="EMA 模型停在初始状态，训练多久都一样",
    message="EMA weights not updating fp16; ema decay 0.9999 half precision",
    why="Each update adds {step:.4f} of the difference, which is one here. The next float16 above one is {gap:.2g} "
    "away, and half of that is more than the step: every update is rounded away, and after all of them the average "
    "is {observed[0]:g}. Kept in float32 it is {fixed[0]:.4g}.",
    why_zh="每次更新加上差值的 {step:.4f}，这里差值是一。比一大的下一个 float16 相差 {gap:.2g}，它的一半比这一步大：每"
    "次更新都被舍掉，到最后平均值还是 {observed[0]:g}。存成 float32 则是 {fixed[0]:.4g}。",
)
