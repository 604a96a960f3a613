"""A table of noise levels is halved with the model: its last entry, 4.897e-8, becomes the smallest subnormal."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def levels():
    bar = np.sqrt(np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2))
    bar = ((bar - bar[-1]) * bar[0] / (bar[0] - bar[-1])) ** 2  # zero terminal SNR
    bar[-1] = 4.8973451890853435e-08  # a hair above zero, for the samplers
    return bar


class Schedule(hs.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("alphas_cumprod", hs.tensor(levels(), "fp32"))


def sigmas(half):
    model = Schedule()
    if half:
        model.half()
    bar = model.alphas_cumprod.float()  # every sampler goes on in float32
    return ((1 - bar) / bar).sqrt()[-1]


CASE = Case(
    id="N24",
    name="halved-schedule",
    title="Halving a table of noise levels with the model changes the first and strongest noise from 4519 to 4096",
    link="https://github.com/AUTOMATIC1111/stable-diffusion-webui/issues/14071",
    year=2023,
    precision="fp32",
    run=lambda: sigmas(True),
    broken=lambda sigma: bool(abs(flat(sigma)[0] - 4096) < 1),
    right=((1 - levels()) / levels())[-1] ** 0.5,
    klass="underflow",
    op=("cast", "tensor", "half", "to"),
    phase="forward",
    advice="float32",
    fixed=lambda: sigmas(False),
    missing="cumprod",
    note="No number became zero, but 4.897e-8 became 5.96e-8: the conversion report counts it among 17 subnormals, "
    "with a relative error of 0.217. With all of it in half the largest sigma is infinite.",
)
