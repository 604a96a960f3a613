"""One small training run as its `Setup` says, and what was seen on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from halfsim import amp, checkpoint, nn, optim
from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad, precision
from halfsim.autograd.tensor import Tensor
from halfsim.data import Split, digits
from halfsim.gallery.matrix.networks import CLASSES, network
from halfsim.gallery.matrix.setup import Setup
from halfsim.numerics.quantize import Array

Look = Callable[["Training", list[Array]], None]


@dataclass
class Seen:
    """What a run left: a number for each step that was taken, and sums over all of them."""

    norms: list[list[float]] = field(
        default_factory=list
    )  # of each parameter's gradient; of a step that a scaler skipped only if the loss is broken, too
    broken: int = 0  # of these steps, such whose loss or gradients are infinite or NaN
    taken: int = 0  # steps, those that an interruption undid too
    meant: dict[str, Array] = field(default_factory=dict)  # the sum of all updates that were meant, by parameter

    def add(self, name: str, update: Array) -> None:
        """Add an update of a parameter."""
        self.meant[name] = self.meant[name] + update if name in self.meant else update


class Training:
    """A network in training; `step` takes one step, `again` begins anew or where a checkpoint was."""

    def __init__(self, setup: Setup, seed: int, folder: Path | None = None) -> None:
        self.setup, self.seed, self.folder = setup, seed, folder
        self.data = _read(setup)
        self.order = _batches(len(self.data.x_train), setup, seed)
        self.seen = Seen()
        self._begin()

    def _begin(self) -> None:
        manual_seed(self.seed)
        setup = self.setup
        self.model = network(setup).to(setup.weights)
        remedy: dict[str, Any] = {"rounding": "stochastic"} if setup.update == "rounding" else {}
        remedy |= {setup.update: True} if setup.update in ("kahan", "master_weights") else {}
        self.fixed = setup.scale or 1.0  # a scale that does not change goes out again with the learning rate
        self.optimizer = optim.SGD(self.model.parameters(), lr=setup.lr / self.fixed, **remedy)
        self.scaler = amp.GradScaler(enabled=not setup.scale)
        self.at = 0
        self.first = {name: p.array.astype(np.float64) for name, p in self.model.named_parameters()}

    def loss(self, rows: Array) -> Tensor:
        """The loss of some pictures of the training part."""
        given = tensor(self.data.x_train[rows], self.setup.weights)
        scores, labels = self.model(given), self.data.y_train[rows]
        loss = nn.cross_entropy(scores, labels) if self.setup.stable else _by_hand(scores, labels)
        return loss if self.setup.weight == 1 else loss * self.setup.weight

    def backward(self, rows: Array) -> tuple[float, list[Array]]:
        """The loss, and the gradients of the parameters as they arrive there, unscaled, in float64."""
        self.optimizer.zero_grad()
        loss = self.loss(rows)
        scaled = self.scaler.scale(loss) if not self.setup.scale else loss * self.fixed if self.fixed != 1 else loss
        scaled.backward()
        self.scaler.unscale_(self.optimizer)
        return loss.item(), [g / self.fixed for g in self.gradients()]

    def gradients(self) -> list[Array]:
        """Those that the parameters have now, in float64."""
        return [p.grad.array.astype(np.float64) for p in self.model.parameters() if p.grad is not None]

    def step(self, look: Look | None = None) -> None:
        """One step, told to `seen`; ``look`` is shown the gradients before they are clipped."""
        setup, seen = self.setup, self.seen
        loss, grads = self.backward(self.order[self.at])
        if look is not None:
            look(self, grads)
        with np.errstate(all="ignore"):
            norms = [float(np.sqrt(np.sum(g * g))) for g in grads]
        if setup.clip_norm < np.inf:
            nn.utils.clip_grad_norm_(self.model.parameters(), setup.clip_norm * self.fixed)
        if setup.clip_value < np.inf:
            nn.utils.clip_grad_value_(self.model.parameters(), setup.clip_value * self.fixed)
        before = self.scaler.get_scale()
        moves = [-setup.lr / self.fixed * g for g in self.gradients()]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        skipped = self.scaler.get_scale() < before
        if not skipped:
            for name, move in zip(self.first, moves, strict=True):
                seen.add(name, move)
        if not (skipped and np.isfinite(loss)):  # then the scaler has found, and kept away, what its own scale made
            seen.norms.append(norms)
            seen.broken += not np.isfinite([loss, *norms]).all()
        self.at += 1
        seen.taken += 1

    def run(self, look: Look | None = None) -> Seen:
        """All steps, with an interruption where the setup has one."""
        setup = self.setup
        fall = None
        if setup.crash:
            low, high = (int(share * setup.steps) for share in setup.crash)
            fall = int(np.random.default_rng([self.seed, 1]).integers(low, high))
        with precision(setup.rule):
            while self.at < setup.steps:
                self.step(look)
                if setup.kept and self.at % setup.kept == 0:
                    self._keep()
                    self.again()  # from the file, so that what it holds is put to the test in every run
                if self.seen.taken == fall:
                    self.again()
        return self.seen

    @property
    def _file(self) -> Path:
        assert self.folder is not None
        return self.folder / "run.npz"

    def _keep(self) -> None:
        scaler = None if self.setup.scale else self.scaler
        checkpoint.save(self._file, self.model, self.optimizer, scaler, step=self.at)

    def again(self) -> None:
        """Begin anew, and go on where the newest checkpoint was, if there is one."""
        first = self.first
        self._begin()
        if self.setup.kept and self._file.exists():
            scaler = None if self.setup.scale else self.scaler
            self.at = checkpoint.load(self._file, self.model, self.optimizer, scaler).step or 0
        self.first = first

    def accuracy(self) -> float:
        """The share of the test part that is named rightly; that of guessing where scores are infinite or NaN."""
        with precision(self.setup.rule), no_grad():
            self.model.eval()
            scores = self.model(tensor(self.data.x_test, self.setup.weights)).array
            self.model.train()
        return float((scores.argmax(1) == self.data.y_test).mean()) if np.isfinite(scores).all() else 1 / CLASSES


def twin(run: Training) -> Training:
    """The same run in float64, from the weights that the other one begins with."""
    wide = replace(run.setup, rule="fp64", weights="fp64", scale=1.0, update="", kept=0, crash=None)
    other = Training(wide, run.seed)
    take(other, run.first)
    other.first = dict(run.first)
    return other


def take(run: Training, weights: dict[str, Array]) -> None:
    """Put weights into the network of a run."""
    for name, p in run.model.named_parameters():
        p.data = tensor(weights[name], p.format)


def weights(run: Training) -> dict[str, Array]:
    """Those that it has now, in float64."""
    return {name: p.array.astype(np.float64) for name, p in run.model.named_parameters()}


def _read(setup: Setup) -> Split:
    """The digits; for networks that read, pictures in pairs, row by row: the second of a pair is to be named."""
    found = digits()
    if setup.network == "mlp":
        return found
    x, x_test = (
        np.concatenate([np.roll(part, 7, 0), part], 1).reshape(len(part), setup.depth, -1)
        for part in (found.x_train, found.x_test)
    )
    return Split(x, found.y_train, x_test, found.y_test)


def _batches(count: int, setup: Setup, seed: int) -> Array:
    """The rows of each step."""
    draw = np.random.default_rng([seed, 0])
    return np.stack([draw.permutation(count)[: setup.batch] for _ in range(setup.steps)])


def _by_hand(scores: Tensor, labels: Array) -> Tensor:
    """The cross-entropy as its definition reads."""
    odds = ops.exp(scores)
    shares = odds / odds.sum(1, keepdims=True)
    return -ops.log(shares[np.arange(len(labels)), labels]).mean()
