"""One classifier, four recipes: the same weights, batches and seeds, in four kinds of arithmetic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from halfsim import amp, nn, optim
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import no_grad, precision
from halfsim.autograd.tensor import Tensor
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.kinds import KINDS, kind_of
from halfsim.autograd.trace.trace import Trace, tracing
from halfsim.costs.memory import held_bytes
from halfsim.data import Split, digits
from halfsim.demo.advice import Facts, advise
from halfsim.numerics.formats import unknown
from halfsim.text import share


@dataclass(frozen=True)
class Recipe:
    """A way to train: the precision of operations, the format of weights and optimizer state, loss scaling or not."""

    name: str
    rule: str
    weights: str
    scaled: bool
    meaning: str


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fp32", "fp32", "fp32", False, "everything in float32"),
        Recipe(
            "fp16", "fp16", "fp16", False, "weights, optimizer state and activations in float16, float32 inside kernels"
        ),
        Recipe("pure_fp16", "pure_fp16", "fp16", False, "the same with every step rounded, sums too"),
        Recipe("amp", "amp", "fp32", True, "float32 master weights, float16 matrix products, dynamic loss scaling"),
    )
}
OPTIMIZERS = {"sgd": 0.1, "adam": 1e-3}  # default learning rates
MOMENTUM = 0.9


@dataclass(frozen=True)
class Settings:
    """What the recipes have in common; ``lr`` None is 0.1 for sgd, 0.001 for adam. ``ValueError`` out of range."""

    optimizer: str = "sgd"
    lr: float | None = None
    epochs: int = 20
    hidden: int = 32
    seed: int = 0
    batch: int = 64

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.lr is not None and not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr: {self.lr} is not allowed; allowed: positive finite numbers")
        for name, low in (("epochs", 1), ("hidden", 1), ("seed", 0), ("batch", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name}: {getattr(self, name)} is not allowed; allowed: integers from {low}")

    @property
    def rate(self) -> float:
        """The learning rate in force."""
        return OPTIMIZERS[self.optimizer] if self.lr is None else self.lr


@dataclass
class Run:
    """What one recipe did. Bytes are those of the simulated formats.

    ``final_loss`` is the cross-entropy over the training set of the recipe's logits, itself taken in float64 so that
    it compares; ``guessing`` is that of equal odds, ``broken`` whether a weight ended infinite or NaN.
    """

    recipe: Recipe
    layers: tuple[int, ...]
    examples: tuple[int, int]
    test_accuracy: float
    final_loss: float
    seconds: float
    parameter_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    steps: int
    skipped: int
    broken: bool
    guessing: float
    trace: Trace
    losses: list[float] = field(default_factory=list)
    lost_by_epoch: list[float] = field(default_factory=list)
    flushed_by_epoch: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)

    @property
    def updates_lost(self) -> float:
        """The share of nonzero weight updates that left their weight unchanged."""
        counts = updates(self.trace)
        return share(counts.lost, counts.updates)

    @property
    def live_updates_lost(self) -> float:
        """`updates_lost` among weights whose gradient is not zero: what momentum alone still moves is left out."""
        counts = updates(self.trace)
        return share(counts.swamped, counts.addends)

    @property
    def gradients_flushed(self) -> float:
        """The share of nonzero gradients, of activations too, that became zero."""
        counts = self.trace.count("backward")
        return share(counts.flushed, counts.nonzero)

    @property
    def weight_gradients_flushed(self) -> float:
        """`gradients_flushed` of the gradients of weights alone."""
        counts = Counts()
        for (phase, _, _, weight), of_place in self.trace.totals.items():
            if phase == "backward" and weight:
                counts += of_place
        return share(counts.flushed, counts.nonzero)

    @property
    def overflows(self) -> int:
        """Values that became infinite, by division by zero too."""
        counts = self.trace.count()
        return counts.overflow + counts.divide_by_zero

    @property
    def nans(self) -> int:
        """NaN made from numbers."""
        return self.trace.count().invalid

    @property
    def bytes(self) -> int:
        """Parameters, optimizer state and activations of one batch together."""
        return self.parameter_bytes + self.optimizer_bytes + self.activation_bytes

    def advice(self, reference: Run | None = None) -> str:
        """One sentence on what to do; ``reference`` is the float32 run, if there was one."""
        facts = Facts(
            accuracy=self.test_accuracy,
            reference=None if reference is None or reference is self else reference.test_accuracy,
            learned=self.final_loss < self.guessing,
            finite=math.isfinite(self.final_loss),
            broken=self.broken,
            flushed=self.gradients_flushed,
            lost=self.live_updates_lost,
            overflows=self.overflows,
            skipped=self.skipped,
            scaled=self.recipe.scaled,
            master_weights=self.recipe.weights == "fp32",
            first=self.trace.first_event(),
            constant=self.trace.constant,
        )
        return advise(facts)

    def to_dict(self, reference: Run | None = None) -> dict[str, Any]:
        """The facts of the table; numbers that are not finite are null."""
        first = self.trace.first_event()
        return {
            "recipe": self.recipe.name,
            "test_accuracy": self.test_accuracy,
            "final_loss": self.final_loss if math.isfinite(self.final_loss) else None,
            "seconds": round(self.seconds, 3),
            "parameter_bytes": self.parameter_bytes,
            "optimizer_state_bytes": self.optimizer_bytes,
            "activation_bytes": self.activation_bytes,
            "steps": self.steps,
            "skipped_steps": self.skipped,
            "updates_lost": self.updates_lost,
            "live_updates_lost": self.live_updates_lost,
            "gradients_flushed": self.gradients_flushed,
            "weight_gradients_flushed": self.weight_gradients_flushed,
            "overflows": self.overflows,
            "nans": self.nans,
            "first_trouble": None if first is None else trouble(first),
            "advice": self.advice(reference),
            "by_epoch": {
                "loss": [loss if math.isfinite(loss) else None for loss in self.losses],
                "updates_lost": self.lost_by_epoch,
                "gradients_flushed": self.flushed_by_epoch,
                "scale": self.scales,
            },
            "places": [
                {"phase": phase, "path": path, "op": op, "tensor": tensor, **asdict(counts)}
                for (phase, path, op, tensor), counts in self.trace.totals.items()
            ],
        }


def trouble(event: Event) -> dict[str, Any]:
    """An event as the table and the JSON tell it."""
    return {
        "step": event.step,
        "phase": event.phase,
        "path": event.path,
        "op": event.op,
        "tensor": event.tensor,
        "class": kind_of(event),
        "message": KINDS[kind_of(event)].words(event),
    }


def updates(events: Trace) -> Counts:
    """The counts of weight updates, `Counts.updates` and its neighbours."""
    total = Counts()
    for (_, _, op, _), counts in events.totals.items():
        if op == "update":
            total += counts
    return total


def checked(data: Split) -> Split:
    """``data``, or ``ValueError`` in one line where it is empty, misshapen, or not finite."""
    for name in ("x_train", "x_test"):
        images, labels = np.asarray(getattr(data, name)), np.asarray(getattr(data, name.replace("x", "y")))
        if images.ndim != 2 or not images.size or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{name}: shape {images.shape} with labels {labels.shape}; allowed: (n, d) and (n,), n > 0"
            )
        wrong = np.argwhere(~np.isfinite(images))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(f"{name}: {images[row, column]} at [{row}, {column}]; allowed: finite numbers")
    return data


def train(
    recipe: Recipe,
    settings: Settings = Settings(),
    data: Split | None = None,
    progress: Callable[[int], None] = lambda steps: None,
) -> Run:
    """Train an MLP with one hidden layer by one recipe, under a trace; ``progress`` hears the steps done.

    ``ValueError`` for data that are empty, misshapen or not finite.
    """
    data = checked(digits() if data is None else data)
    classes = int(max(data.y_train.max(), data.y_test.max())) + 1
    manual_seed(settings.seed)
    layers = (data.x_train.shape[1], settings.hidden, classes)
    model = nn.Sequential(nn.Linear(*layers[:2]), nn.ReLU(), nn.Linear(*layers[1:])).to(recipe.weights)
    optimizer = _optimizer(model, settings)
    scaler = amp.GradScaler(enabled=recipe.scaled)
    order = np.random.default_rng(settings.seed)
    x, x_test = tensor(data.x_train, recipe.weights), tensor(data.x_test, recipe.weights)
    losses, lost, flushed, scales = [], [], [], []
    steps = skipped = activations = 0
    start = time.perf_counter()
    with precision(recipe.rule), tracing(Trace()) as events:
        for _ in range(settings.epochs):
            before = updates(events), events.count("backward")
            total = 0.0
            shuffled = order.permutation(len(data.x_train))
            for i in range(0, len(shuffled), settings.batch):
                batch = shuffled[i : i + settings.batch]
                optimizer.zero_grad()
                loss = nn.cross_entropy(model(Tensor(x.array[batch], x.format)), data.y_train[batch])
                activations = activations or held_bytes(loss, model.parameters())
                total += loss.item() * len(batch)
                scale = scaler.get_scale()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                skipped += scaler.get_scale() < scale
                steps += 1
                progress(steps)
            losses.append(total / len(shuffled))
            after = updates(events), events.count("backward")
            lost.append(share(after[0].lost - before[0].lost, after[0].updates - before[0].updates))
            flushed.append(share(after[1].flushed - before[1].flushed, after[1].nonzero - before[1].nonzero))
            scales.append(scaler.get_scale())
    seconds = time.perf_counter() - start
    with precision(recipe.rule), no_grad():
        accuracy = float((model(x_test).array.argmax(1) == data.y_test).mean())
        logits = model(x)
    with precision("fp64"), no_grad():
        final = nn.cross_entropy(logits, data.y_train).item()
    state = [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]
    return Run(
        recipe=recipe,
        layers=layers,
        examples=(len(data.x_train), len(data.x_test)),
        test_accuracy=accuracy,
        final_loss=final,
        seconds=seconds,
        parameter_bytes=sum(p.nbytes for p in model.parameters()),
        optimizer_bytes=sum(value.nbytes for value in state),
        activation_bytes=activations,
        steps=steps,
        skipped=skipped,
        broken=not all(np.isfinite(p.array).all() for p in model.parameters()),
        guessing=math.log(classes),
        trace=events,
        losses=losses,
        lost_by_epoch=lost,
        flushed_by_epoch=flushed,
        scales=scales,
    )


def _optimizer(model: nn.Module, settings: Settings) -> optim.Optimizer:
    if settings.optimizer == "adam":
        return optim.Adam(model.parameters(), lr=settings.rate)
    return optim.SGD(model.parameters(), lr=settings.rate, momentum=MOMENTUM)
