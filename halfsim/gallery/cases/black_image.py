"""A decoder's activations grow past 65504 from layer to layer; GroupNorm makes NaN of them and the image is black."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    hs.manual_seed(0)
    layers = [hs.nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(6)]
    with hs.no_grad():
        for conv in layers:
            conv.weight *= 6
    model = hs.nn.Sequential(*layers, hs.nn.GroupNorm(1, 4), hs.nn.Conv2d(4, 3, 1), hs.nn.Sigmoid())
    latent = np.random.default_rng(0).normal(size=(1, 4, 8, 8)) * 30
    return model(hs.tensor(latent))


def right():
    with hs.precision("fp64"):
        return flat(run())


CASE = Case(
    id="B49",
    name="black-image",
    link="https://github.com/Stability-AI/stablediffusion/issues/184",
    year=2023,
    layer="Conv2d, GroupNorm (VAE decoder)",
    seen="NaN",
    klass="overflow",
    op="conv2d",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda image: bool(np.isnan(flat(image)).all()),
    right=right,
    inferred=True,
    title="The image of a decoder in half is black: a convolution passed the largest half",
    title_zh="半精度解码器的图像全黑：某个卷积超出了半精度的上限",
    symptom="Stable Diffusion gives black images in fp16",
    symptom_zh="Stable Diffusion 用 fp16 出来的图全黑",
    message="Stable Diffusion black image fp16; --no-half; A tensor with all NaNs was produced in VAE",
    why="Each convolution makes its input larger, and in the last of the six, {v[overflow]} of {v[size]} numbers "
    "pass {fp16.max:,.0f}. The norm after them subtracts infinity from infinity, and all of the image is NaN, shown "
    "as black. bfloat16, or float32 for the layers that pass the limit, has the range for it.",
    why_zh="每个卷积都让数变大，到第六个，{v[size]} 个数里有 {v[overflow]} 个超过 {fp16.max:,.0f}。后面的归一化用无穷"
    "大减无穷大，整幅图成了 NaN，显示为黑色。bfloat16 的范围够用，或者让越限的几层用 float32。",
)
