"""A decoder's activations grow past 65504 from layer to layer; GroupNorm makes NaN of them and the image is black."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat


def decoder():
    hs.manual_seed(0)
    layers = [hs.nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(6)]
    with hs.no_grad():
        for conv in layers:
            conv.weight *= 6
    return hs.nn.Sequential(*layers, hs.nn.GroupNorm(1, 4), hs.nn.Conv2d(4, 3, 1), hs.nn.Sigmoid())


def decode(model):
    latent = np.random.default_rng(0).normal(size=(1, 4, 8, 8)) * 30
    return model(hs.tensor(latent))


def run():
    return decode(decoder())


def fixed():
    with hs.precision(hs.Policy({"default": "fp16", "@conv2d": "fp32", "@group_norm": "fp32"})):
        return decode(decoder())


def right():
    with hs.precision("fp64"):
        return flat(decode(decoder()))


CASE = Case(
    id="B49",
    name="black-image",
    title="The image of a decoder in half is black: a convolution passed the largest half",
    link="https://github.com/Stability-AI/stablediffusion/issues/184",
    year=2023,
    precision="fp16",
    run=run,
    broken=lambda image: bool(np.isnan(flat(image)).all()),
    right=right(),
    klass="overflow",
    op="conv2d",
    phase="forward",
    advice="float32",
    fixed=fixed,
    note="the mechanism is inferred: the thread says only that the latent is NaN; Policy keys: @conv2d, @group_norm",
)
