"""Classifiers of digits that several answers speak of, each trained once."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
from numpy.typing import NDArray

from halfsim import amp, nn, optim
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad, precision
from halfsim.data import digits
from halfsim.demo.training import RECIPES, Run, Settings, train


@cache
def run(recipe: str, lr: float = 0.1) -> Run:
    """Two epochs of the demo's training by a recipe, at a learning rate."""
    return train(RECIPES[recipe], Settings("sgd", lr, epochs=2), digits())


@cache
def trained(name: str) -> nn.Module:
    """A 64-32-10 classifier of digits, trained by a recipe of the demo for 5 epochs without a trace."""
    recipe, data, order = RECIPES[name], digits(), np.random.default_rng(0)
    manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).to(recipe.weights)
    optimizer, scaler = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), amp.GradScaler(enabled=recipe.scaled)
    with precision(recipe.rule):
        for _ in range(5):
            for rows in np.array_split(order.permutation(len(data.x_train)), 22):
                optimizer.zero_grad()
                found = nn.cross_entropy(model(tensor(data.x_train[rows], recipe.weights)), data.y_train[rows])
                scaler.scale(found).backward()
                scaler.step(optimizer)
                scaler.update()
    return model


def answers(rule: str, weights: str, recipe: str = "fp32") -> NDArray[np.int64]:
    """What the classifier of a recipe says of the digits kept for testing."""
    data, model = digits(), copy.deepcopy(trained(recipe)).to(weights)
    with precision(rule), no_grad():
        return np.asarray(model(tensor(data.x_test, weights)).array.argmax(1))
