"""The scaler's step finds no gradient at all and says only that no inf checks were recorded, as PyTorch's does.

An error raised, not a wrong number: what the trace tells is that nothing is wrong with the numbers.
"""

import halfsim as hs
from halfsim.gallery.case import Case, flat


def step(detached):
    weight = hs.nn.Parameter(hs.tensor([0.3, 0.7], "fp32"))
    head = hs.nn.Parameter(hs.tensor([0.5, -0.5], "fp32"))
    optimizer, scaler = hs.optim.SGD([weight], lr=0.1), hs.amp.GradScaler(init_scale=1024.0)
    features = weight.detach() if detached else weight
    scaler.scale((features * head).sum()).backward()
    try:
        scaler.step(optimizer)
    except AssertionError as error:
        print(error)
    return weight


def run():
    return step(detached=True)


def fixed():
    return step(detached=False)


CASE = Case(
    id="N18",
    name="no-gradient",
    link="https://github.com/SheldonTsui/GOF_NeurIPS2021/issues/2",
    year=2021,
    layer="GradScaler",
    seen="an error",
    klass="benign rounding",
    op=(),
    phase="forward",
    precision="amp",
    run=run,
    broken=lambda w: bool(abs(flat(w) - [0.3, 0.7]).max() < 1e-6),
    right=[0.25, 0.75],
    fixed=fixed,
    title="'No inf checks were recorded': the message does not say that no parameter has a gradient",
    title_zh="“No inf checks were recorded”：它没有说出口的是，没有一个参数有梯度",
    symptom="scaler.step raises an AssertionError; the loss and the backward pass are fine",
    symptom_zh="scaler.step 抛出 AssertionError，而损失和反向都正常",
    message="AssertionError: No inf checks were recorded for this optimizer.",
    why="The scaler looks for infinities in the gradients of the optimizer's parameters, and none of them has a "
    "gradient: the graph was cut by `detach()`. The numbers are fine, and so says the trace; the weight stays at "
    "{observed[0]:.3g}. Print which parameters have `grad is None`. Attached, the weight moves to {fixed[0]:.3g}.",
    why_zh="scaler 要在优化器各参数的梯度里找无穷大，可是没有一个参数有梯度：计算图被 `detach()` 切断了。数值没有问"
    "题，跟踪也是这么说的；权重停在 {observed[0]:.3g}。查一查哪些参数 `grad is None`。接上之后，权重走到 "
    "{fixed[0]:.3g}。",
)
