"""The scaler's step finds no gradient at all and says only that no inf checks were recorded."""

import halfsim as hs
from tests.cases.case import Case, flat


def run():
    weight = hs.nn.Parameter(hs.tensor([0.3, 0.7]))
    optimizer, scaler = hs.optim.SGD([weight], lr=0.1), hs.amp.GradScaler()
    loss = (weight.detach() * 2.0).sum()  # the graph was cut, so the loss knows nothing of the weight
    scaler.scale(loss)
    try:
        scaler.step(optimizer)
    except AssertionError as error:
        return [float("gradient" in str(error))]  # whether the message names the cause
    return [0.0]


CASE = Case(
    id="N18",
    name="no-gradient",
    title="'No inf checks were recorded': the message does not say that no parameter has a gradient",
    link="https://github.com/SheldonTsui/GOF_NeurIPS2021/issues/2",
    year=2021,
    precision="amp",
    run=run,
    broken=lambda named: flat(named)[0] == 0.0,
    right=[1.0],
    klass="",
    op=(),
    phase="",
    note="An error raised, not a wrong number: no verdict is expected. The message is PyTorch's, word for word; 'none "
    "of the parameters has a gradient' would help.",
)
