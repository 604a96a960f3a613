"""Sequences through cells, one step after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import halfsim as hs
from halfsim import nn, ops
from tests.healthy.material import Made, adam, master, normal, sound, text, train
from tests.healthy.registry import Result, Use, healthy

Cell = Callable[..., Any]


class Characters(nn.Module):
    """A recurrent model of text."""

    def __init__(self, cell: Cell, layers: int = 1) -> None:
        super().__init__()
        self.embedding, self.cell = nn.Embedding(28, 12), cell(12, 16, layers, batch_first=True)
        self.head = nn.Linear(16, 28)

    def forward(self, codes: np.ndarray) -> hs.Tensor:
        return self.head(self.cell(self.embedding(codes))[0]).reshape(-1, 28)


def _learn(use: Use, cell: Cell, make: Made, layers: int = 1) -> Result:
    (x, y), model = text(), use.model(Characters(cell, layers))
    return train(use, model, lambda: nn.cross_entropy(model(x), y.reshape(-1)), make, 4)


@healthy("an LSTM learns text", "amp", "amp_bf16", "fp16", ulps=4)
def lstm_training(use: Use) -> Result:
    return _learn(use, nn.LSTM, lambda p: hs.optim.SGD(p, lr=0.05, momentum=0.9, master_weights=True))


@healthy("a GRU of two layers learns text, with master weights", "fp16", "bf16")
def gru_training(use: Use) -> Result:
    return _learn(use, nn.GRU, master, 2)


@healthy("a plain recurrent network learns text", "amp", "tf32")
def rnn_training(use: Use) -> Result:
    return _learn(use, nn.RNN, adam)


@healthy("a bidirectional LSTM, converted, in use", "fp16", "bf16", "pure_fp16")
def bidirectional(use: Use) -> Result:
    with hs.no_grad():
        model = use.model(nn.LSTM(8, 12, 2, batch_first=True, bidirectional=True)).eval()
        return {"hidden": model(use.tensor(normal(1, 4, 10, 8)))[0].numpy()}


@healthy("a GRU in use on sound", "fp16", "amp")
def gru_on_sound(use: Use) -> Result:
    with hs.no_grad():
        model = use.model(nn.GRU(8, 12, batch_first=True)).eval()
        return {"hidden": model(use.tensor(sound().reshape(2, 16, 8)))[0].numpy()}


@healthy("an LSTM cell stepped by hand predicts the next sample of a wave", "amp", "bf16")
def cell_by_hand(use: Use) -> Result:
    wave = np.sin(np.arange(64) * 0.3).reshape(4, 16)
    cell, head = use.model(nn.LSTMCell(1, 12)), use.model(nn.Linear(12, 1))
    both, x = nn.ModuleList([cell, head]), use.tensor(wave)

    def loss() -> hs.Tensor:
        state, errors = None, []
        for i in range(15):
            state = cell(x[:, i : i + 1], state)
            errors.append(ops.mse_loss(head(state[0]), x[:, i + 1 : i + 2]))
        return ops.stack(errors).mean()

    return train(use, both, loss, master, 4)


@healthy("gradients through sixteen steps of a GRU, clipped to norm 1", "amp", "fp16")
def clipped_through_time(use: Use) -> Result:
    x, y = text()
    model = use.model(Characters(nn.GRU))
    optimizer = hs.optim.SGD(model.parameters(), lr=0.5, master_weights=True)
    scaler = hs.amp.GradScaler(init_scale=1024.0)
    norms = []
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(nn.cross_entropy(model(x), y.reshape(-1))).backward()
        scaler.unscale_(optimizer)
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.1).item())
        scaler.step(optimizer)
        scaler.update()
    return {"norms": np.array(norms)}


@healthy("chances of paths through a hidden Markov model, in logarithms shifted by the largest", "fp16", "bf16")
def forward_algorithm(use: Use) -> Result:
    with hs.no_grad():
        moves = ops.log_softmax(use.tensor(normal(2, 4, 4)), -1)
        seen = ops.log_softmax(use.tensor(normal(3, 12, 4)), -1)
        alpha = seen[0]
        for i in range(1, 12):
            alpha = ops.logsumexp(alpha[:, None] + moves, 0) + seen[i]
        return {"alpha": alpha.numpy()}


@healthy("attention over the states of an encoder, decoded step by step", "fp16")
def decoder(use: Use) -> Result:
    with hs.no_grad():
        encoder, cell = use.model(nn.GRU(8, 12, batch_first=True)), use.model(nn.GRUCell(24, 12))
        states, last = encoder(use.tensor(normal(1, 3, 10, 8)))
        hidden, outputs = last[0], []
        for _ in range(5):
            chances = ops.softmax(ops.einsum("nth,nh->nt", states, hidden), -1)
            seen = ops.einsum("nt,nth->nh", chances, states)
            hidden = cell(ops.cat([seen, hidden], -1), hidden)
            outputs.append(hidden.numpy())
        return {"hidden": np.stack(outputs)}
