"""NaN that numbers make, and NaN that was there."""

from __future__ import annotations

import math

import numpy as np

import halfsim as hs
from halfsim import ops
from halfsim.nn import functional
from tests.diagnose.faults.registry import fault, inside


@inside("mlp", "NaN propagation", "div")
def zero_over_zero(x: hs.Tensor) -> hs.Tensor:
    row = hs.tensor(np.zeros((32, 32)), "fp16")
    return x + row / row.sum(-1, keepdims=True)


@fault("NaN propagation", "forward", "", "tensor")
def nan_in_the_data() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(4, 4), hs.nn.ReLU(), hs.nn.Linear(4, 2)).to("fp16")
    with hs.precision("fp16"), hs.trace() as t:
        functional.cross_entropy(model(hs.tensor([[1.0, np.nan, 0.0, 2.0]])), [1]).backward()
    return t


@fault("NaN propagation", "forward", "2", "linear")
def nan_in_a_weight() -> hs.Trace:
    model = hs.nn.Sequential(hs.nn.Linear(4, 4), hs.nn.ReLU(), hs.nn.Linear(4, 2)).to("fp16")
    model[2].weight.array[0, 0] = np.nan
    with hs.precision("fp16"), hs.trace() as t:
        functional.cross_entropy(model(hs.tensor([[1.0, 1.0, 0.0, 2.0]])), [1]).backward()
    return t


@inside("cnn", "NaN propagation", "log")
def logarithm_of_negative_numbers(x: hs.Tensor) -> hs.Tensor:
    return ops.log(x)


@inside("encoder", "NaN propagation", "softmax")
def every_key_masked(x: hs.Tensor) -> hs.Tensor:
    return ops.softmax(ops.masked_fill(x @ x.transpose(0, 1), np.ones((32, 32), bool), -math.inf)) @ x
