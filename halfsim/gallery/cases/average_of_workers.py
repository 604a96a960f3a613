"""Gradients of 1024 workers summed in half and then divided: the sum passes 65504 though the average is 100.

One process plays all workers, in a hook on the gradient.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def train(all_reduce):
    w = hs.nn.Parameter(hs.tensor([1.0, 1.0]))
    w.register_hook(all_reduce)
    (w * hs.tensor([100.0, 3e-5])).sum().backward()  # every worker has the same gradient here
    return w.grad


def run():
    return train(lambda g: hs.ops.expand(g, (1024, 2)).sum(0) / 1024)


CASE = Case(
    id="B45",
    name="average-of-workers",
    link="https://github.com/horovod/horovod/issues/1699",
    year=2020,
    layer="all-reduce",
    seen="infinity",
    klass="overflow",
    op="sum",
    phase="backward",
    precision="fp16",
    run=run,
    broken=lambda g: bool(np.isinf(flat(g)[0])),
    right=[100.0, 3e-5],
    facts=lambda: {"workers": 1024, "sum": 1024 * 100.0, "small": 3e-5 / 1024},
    title="The sum of a thousand workers' gradients is infinite, their average is not",
    title_zh="一千个进程的梯度之和是无穷大，平均值却不是",
    symptom="training in fp16 breaks when workers are added, with the same data on each",
    symptom_zh="fp16 训练在增加进程数之后崩溃，每个进程的数据并没有变",
    message="horovod fp16 allreduce overflow average; gradient inf many workers",
    why="{workers:,} gradients of {reference[0]:g} add up to {sum:,.0f}, past {fp16.max:,.0f}, before they are "
    "divided. Dividing first has the opposite fault: `3e-5` by {workers:,} is {small:.1e}, which float16 does not "
    "have. Dividing by the root of the number before the sum and again after it keeps both, and so does a sum in "
    "float32.",
    why_zh="{workers:,} 个 {reference[0]:g} 的梯度加起来是 {sum:,.0f}，还没相除就超过了 {fp16.max:,.0f}。先除再加则"
    "毛病相反：`3e-5` 除以 {workers:,} 是 {small:.1e}，float16 里没有这样的数。求和前后各除以个数的平方根，两头都保"
    "得住；用 float32 求和也行。",
)
