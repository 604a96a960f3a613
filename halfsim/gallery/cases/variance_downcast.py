"""A running variance of 1e5, rounded to half for the kernel, is infinite, and the layer's output silently zero."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    with hs.precision("fp32"):
        norm = hs.nn.BatchNorm1d(2).eval()
        norm.running_var[:] = 1e5  # from a checkpoint in float32
    return norm(hs.tensor([[1000.0, -123.4]]))


CASE = Case(
    id="B44",
    name="variance-downcast",
    link="https://github.com/apple/coreai-torch/pull/54",
    year=2026,
    layer="BatchNorm, model conversion",
    seen="zeros",
    klass="overflow",
    op="batch_norm",
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool((flat(y) == 0).all()),
    right=np.array([1000.0, -123.4]) / np.sqrt(1e5 + 1e-5),
    facts=lambda: {"variance": 1e5},
    title="A batch norm's running variance does not fit into half, and its output is zero",
    title_zh="BatchNorm 的滑动方差装不进半精度，输出全是零",
    symptom="a model converted to fp16 gives zeros after a BatchNorm; no NaN anywhere",
    symptom_zh="模型转成 fp16 后，BatchNorm 之后全是零，处处没有 NaN",
    message="convert model to fp16 output all zeros batch norm running_var",
    why="The converter casts all weights to float16, the running variance of {variance:,.0f} too, which becomes "
    "infinite. Whatever is divided by its root is zero; {reference[0]:.4g} was right. Statistics are not "
    "activations: leave them, and this layer, in float32. An OCR model that ships with such variances loses all "
    "its text so.",
    why_zh="转换工具把所有权重转成 float16，连滑动方差 {variance:,.0f} 也不例外，它变成无穷大。任何数除以它的平方根"
    "都是零；正确的是 {reference[0]:.4g}。统计量不是激活值，它们和这一层都要留在 float32。有一个发布的 OCR 模型就因"
    "这样的方差，一个字也认不出来。",
)
