"""Muon casts a gradient of 1.2e5 to half before it divides by its norm: infinity by infinity, and NaN weights."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

GRADIENT = np.array([[3.0, 4.0], [0.0, 1.0]]) * 3e4


def cast_first(g):
    x = g.half()
    return x / (np.linalg.norm(x) + 1e-7)


def cast_last(g):
    return (g / (np.linalg.norm(g) + 1e-7)).half()


class Muon(hs.optim.Optimizer):
    def __init__(self, params, normalise, lr=0.1):
        super().__init__(params, {"lr": lr})
        self.normalise = normalise

    def step(self):
        with hs.no_grad():
            for p in self.param_groups[0]["params"]:
                p -= newton_schulz(self.normalise(p.grad)) * self.param_groups[0]["lr"]


def newton_schulz(x):
    for _ in range(5):
        s = x @ x.T
        x = 3.4445 * x + (-4.7750 * s + 2.0315 * (s @ s)) @ x
    return x


def train(normalise):
    w = hs.nn.Parameter(hs.tensor([[1.0, 0.0], [0.0, 1.0]]))
    (w * hs.tensor(GRADIENT)).sum().backward()
    Muon([w], normalise).step()
    return w


CASE = Case(
    id="B61",
    name="muon-casts-first",
    title="A finite gradient becomes infinite in half just before it would be divided by its norm",
    link="https://github.com/deepspeedai/DeepSpeed/pull/8533",
    year=2026,
    precision="amp",
    run=lambda: train(cast_first),
    broken=lambda w: bool(np.isnan(flat(w)).any()),
    right=np.eye(2) - 0.1 * newton_schulz(GRADIENT / np.linalg.norm(GRADIENT)),
    klass="overflow",
    op="cast",
    phase="optimizer",
    advice="scale",
    fixed=lambda: train(cast_last),
    missing="Muon",
    note="an optimizer of the user's own; x = g without the cast mends it too, no Policy does",
)
