"""What a run of the matrix is made of: a value, of which a problem is one and a remedy a few changed fields."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Setup:
    """A small network, how it is trained on the digits, and in which arithmetic.

    ``depth`` is how many layers of weights there are; of "rnn" and "lstm", which read rows of pixels and share their
    weights, how many time steps. ``gain`` is that of the first weights, normal with the standard deviation
    ``gain / sqrt(inputs)``, or ``gain`` times an orthogonal matrix. ``rule`` is the precision of operations,
    ``weights`` the format of the parameters. ``scale`` multiplies the loss, 0 for a GradScaler; ``update`` is the
    optimizer's own remedy, "master_weights", "kahan" or "rounding". ``kept`` is how many steps lie between two
    checkpoints, 0 for none, and ``crash`` how far a run comes before it is interrupted, as shares of its steps between
    which the seed decides. ``weight`` is what the loss counts, as one term of many; ``stable`` takes it by
    `nn.cross_entropy`, and not by exponentials, a quotient and a logarithm.
    """

    network: str = "mlp"
    depth: int = 2
    width: int = 32
    activation: str = "relu"
    gain: float = 2**0.5
    orthogonal: bool = False
    norm: bool = False
    residual: bool = False
    lr: float = 0.1
    rule: str = "fp16"
    weights: str = "fp16"
    scale: float = 1.0
    clip_norm: float = inf
    clip_value: float = inf
    update: str = ""
    steps: int = 60
    batch: int = 64
    kept: int = 0
    crash: tuple[float, float] | None = None
    weight: float = 1.0
    stable: bool = True
