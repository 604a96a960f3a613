"""A table of noise levels is halved with the model: its last entry, 4.897e-8, becomes the smallest subnormal.

No number became zero; the conversion report counts it among 17 subnormals, with a relative error of 0.217.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def levels():
    bar = np.sqrt(np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2))
    bar = ((bar - bar[-1]) * bar[0] / (bar[0] - bar[-1])) ** 2  # zero terminal SNR
    return np.append(bar[:-1], 4.8973451890853435e-08)  # a hair above zero, for the samplers


def sigma(format):
    bar = hs.tensor(levels(), format).float()  # every sampler goes on in float32
    return ((1 - bar) / bar).sqrt()[-1]


def run():
    return sigma("fp16")  # as model.half() makes of the table


def fixed():
    return sigma("fp32")


CASE = Case(
    id="N24",
    name="halved-schedule",
    link="https://github.com/AUTOMATIC1111/stable-diffusion-webui/issues/14071",
    year=2023,
    layer="Noise schedule (diffusion), model.half()",
    seen="wrong numbers",
    klass="underflow",
    op=("cast", "tensor", "half", "to"),
    phase="forward",
    precision="fp32",
    run=run,
    broken=lambda sigma: bool(abs(flat(sigma)[0] - 4096) < 1),
    right=lambda: ((1 - levels()) / levels())[-1] ** 0.5,
    fixed=fixed,
    advice="float32",
    title="Halving a table of noise levels with the model changes the first and strongest noise",
    title_zh="噪声表随模型一起转成半精度，最初最强的噪声变了",
    symptom="images of a zero-SNR diffusion model are slightly wrong in half",
    symptom_zh="零信噪比扩散模型在半精度下出图略有不对",
    message="alphas_cumprod half zero terminal snr; model.half() wrong images",
    why="`model.half()` rounds buffers too. The last noise level lies among the subnormal numbers of float16, which "
    "are {fp16.smallest_subnormal:.3g} apart, and the nearest of them is off by {v[off]:.0%}. No number became zero, "
    "and the error of the table as a whole does not show; but the noise is the root of a quotient with this number "
    "below, and comes out as {observed[0]:,.0f} instead of {reference[0]:,.0f}. Leave such a table in float32.",
    why_zh="`model.half()` 连缓冲区也会舍入。最后一个噪声水平落在 float16 的次正规数里，那里的间隔是 "
    "{fp16.smallest_subnormal:.3g}，最近的数偏了 {v[off]:.0%}。没有数变成零，整张表的误差也看不出来；可是噪声是以这个"
    "数为分母的商的平方根，于是得到 {observed[0]:,.0f}，而不是 {reference[0]:,.0f}。这样的表要留在 float32。",
)
