"""normalize clamps the norm by 1e-12, which is zero in half, and a zero vector becomes NaN."""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def run():
    x = hs.tensor([[0.3, -1.1, 0.7], [0.0, 0.0, 0.0]])
    return hs.nn.functional.normalize(x, dim=-1)  # eps=1e-12


x = np.array([0.3, -1.1, 0.7])

CASE = Case(
    id="B28",
    name="normalize-eps",
    link="https://github.com/pytorch/pytorch/issues/32137",
    year=2020,
    layer="F.normalize",
    seen="NaN",
    klass="eps lost",
    op=("normalize", "clamp"),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda y: bool(np.isnan(flat(y)[3:]).all()),
    right=[*(x / np.linalg.norm(x)), 0.0, 0.0, 0.0],
    title="normalize's eps of 1e-12 is zero in half",
    title_zh="normalize 的 eps 1e-12 在半精度里是零",
    symptom="a zero vector normalised in half is NaN; in float32 it stays zero",
    symptom_zh="零向量在半精度里归一化得 NaN，float32 里仍是零",
    message="torch.nn.functional.normalize epsilon too small for half precision",
    why="The norm is clamped from below by `1e-12`. The smallest positive float16 is {fp16.smallest_subnormal:.2g}, "
    "so the guard is {v[became]:g}, and a zero vector becomes zero divided by zero. An eps of `1e-4` does guard: the "
    "zero vector stays zero, and the other one does not notice.",
    why_zh="范数以 `1e-12` 为下限。float16 最小的正数是 {fp16.smallest_subnormal:.2g}，下限成了 {v[became]:g}，零向"
    "量就是零除以零。eps 取 `1e-4` 就有效：零向量仍是零，另一个向量不受影响。",
)
