"""Diffusion time steps cast to bfloat16, where integers from 512 on lie 4 apart, before their embedding in float32."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def embedded(format=None):
    t = hs.tensor([999.0, 937.0, 833.0, 625.0], format)
    with hs.precision("fp32"):
        angles = t[:, None] * hs.tensor(10000.0 ** (-np.arange(8) / 8))
        return [t, hs.ops.cat([angles.cos(), angles.sin()], dim=-1)]


def run():
    return embedded()


def fixed():
    return embedded("fp32")


STEPS = np.array([999.0, 937.0, 833.0, 625.0])
angles = STEPS[:, None] * 10000.0 ** (-np.arange(8) / 8)

CASE = Case(
    id="B25",
    name="timesteps",
    link="https://github.com/utensils/mold/issues/786",
    year=2026,
    layer="Time embedding (diffusion)",
    seen="wrong numbers",
    klass="integer rounding",
    op="tensor",
    phase="forward",
    precision="bf16",
    run=run,
    broken=lambda value: list(flat(value)[:4]) == [1000, 936, 832, 624],
    right=[*STEPS, *np.concatenate([np.cos(angles), np.sin(angles)], axis=1).ravel()],
    fixed=fixed,
    advice="float32",
    tolerance=1e-4,
    facts=lambda: {"gap": float(hs.spacing(999.0, "bfloat16")), "low": 2.0**9, "high": 2.0**10},
    title="Time steps change when they are cast to bfloat16",
    title_zh="时间步转成 bfloat16 后变了",
    symptom="a few-step diffusion model gives washed-out images in bfloat16",
    symptom_zh="少步数的扩散模型在 bfloat16 下出图发灰",
    message="diffusion timestep bf16 wrong images; Lightning 4 steps bfloat16",
    why="Between {low:g} and {high:g} the numbers of bfloat16 lie {gap:g} apart. The steps {reference[0]:g}, "
    "{reference[1]:g}, {reference[2]:g} and {reference[3]:g} become {observed[0]:g}, {observed[1]:g}, "
    "{observed[2]:g} and {observed[3]:g}, and the sines of other numbers are other sines. The embedding is in "
    "float32 already; only the cast before it is wrong.",
    why_zh="在 {low:g} 与 {high:g} 之间，bfloat16 的数间隔是 {gap:g}。时间步 {reference[0]:g}、{reference[1]:g}、"
    "{reference[2]:g}、{reference[3]:g} 变成 {observed[0]:g}、{observed[1]:g}、{observed[2]:g}、{observed[3]:g}，正"
    "弦的自变量变了，正弦值自然也变。嵌入本身已经用 float32；错的只是它前面的转换。",
)
