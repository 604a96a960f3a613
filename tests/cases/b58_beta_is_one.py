"""LAMB's beta2 of 0.999 is 1 in bfloat16, so that its bias correction divides by 1 - 1."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

GRADIENT = np.array([0.3, -0.2, 0.05])


class Lamb(hs.optim.Optimizer):
    def __init__(self, params, cast, lr=1e-2):
        super().__init__(params, {"lr": lr})
        self.cast = cast

    def step(self):
        with hs.no_grad():
            for p in self.param_groups[0]["params"]:
                state = self.state.setdefault(p, {"t": 0, "m": p * 0, "v": p * 0})
                state["t"] += 1
                state["m"] = state["m"] + (p.grad - state["m"]) * (1 - 0.9)
                state["v"] = state["v"] + (p.grad * p.grad - state["v"]) * (1 - 0.999)
                m = state["m"] / (1 - self.cast(0.9) ** state["t"])
                v = state["v"] / (1 - self.cast(0.999) ** state["t"])
                update = m / (np.sqrt(v) + 1e-6)
                p -= update * (np.linalg.norm(p) / np.linalg.norm(update)) * self.param_groups[0]["lr"]


def train(cast):
    w = hs.nn.Parameter(hs.tensor([1.0, 0.5, -0.5]))
    optimizer = Lamb([w], cast)
    for _ in range(3):
        optimizer.zero_grad()
        (w * hs.tensor(GRADIENT)).sum().backward()
        optimizer.step()
    return w


def right():
    w = np.array([1.0, 0.5, -0.5])
    for _ in range(3):  # of one gradient the corrected moments are that gradient and its square
        update = GRADIENT / (np.abs(GRADIENT) + 1e-6)
        w = w - 1e-2 * update * np.linalg.norm(w) / np.linalg.norm(update)
    return w


CASE = Case(
    id="B58",
    name="beta-is-one",
    title="A decay rate of 0.999 is 1 in bfloat16, and the bias correction divides by zero",
    link="https://github.com/keras-team/keras/pull/21238",
    year=2025,
    precision="bf16",
    run=lambda: train(hs.tensor),
    broken=lambda w: bool(np.isnan(flat(w)).all()),
    right=right(),
    klass="constant changed",
    op="tensor",
    phase="optimizer",
    advice="float32",
    fixed=lambda: train(float),
    missing="LAMB",
    note="an optimizer of the user's own; bias corrections of Python floats, as hs.optim.Adam has them, mend it, "
    "no Policy does",
)
