"""A cast to E4M3 without saturation: what is past 464 has no number to go to and becomes NaN.

E4M3 has no infinity: what overflows is NaN, everything past 464, halfway to the missing 480. With saturation 672 is
448; rounded toward zero it is 448 without saturation too. Also sgl-project/sglang#40581.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor([0.3, 464.0, 480.0, 672.0, -57344.0], "bf16")
    return x.to("float8_e4m3fn")


def fixed():
    x = [0.3, 464.0, 480.0, 672.0, -57344.0]
    return hs.tensor(hs.round_to(x, "float8_e4m3fn", overflow="saturate"))


CASE = Case(
    id="N07",
    name="fp8-cast",
    link="https://github.com/ucb-bar/saturn-vectors/pull/101",
    year=2026,
    layer="Conversion to float8",
    seen="NaN",
    klass="overflow",
    op="cast",
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda x: bool(np.isnan(flat(x)[2:]).all() and flat(x)[1] == 448),
    right=[0.3125, 448.0, 448.0, 448.0, -448.0],
    fixed=fixed,
    advice="saturate",
    title="A conversion to eight bits makes NaN of numbers that it was told to clamp to 448",
    title_zh="转成八位时，本该钳到 448 的数成了 NaN",
    symptom="weights or activations are NaN after a cast to float8, the largest ones",
    symptom_zh="转成 float8 后，最大的那些权重或激活成了 NaN",
    message="float8_e4m3fn cast nan; fp8 quantization nan overflow saturate",
    why="E4M3 has no infinity, so that everything past its largest number, {fp8.max:g}, by more than half a step "
    "becomes NaN: {v[overflow]} of {v[size]} numbers here. Two conventions exist, to saturate and not to; the one "
    "that was promised gives {fixed[3]:g} for the fourth number. Scale to the range first, and say which of the two "
    "is meant.",
    why_zh="E4M3 没有无穷大，凡是比最大值 {fp8.max:g} 还大出半格以上的数都变成 NaN：这里 {v[size]} 个数里有 "
    "{v[overflow]} 个。饱和与不饱和两种约定都有人用；按所承诺的那种，第四个数应是 {fixed[3]:g}。先缩放到范围之内，并写"
    "明用的是哪一种约定。",
)
