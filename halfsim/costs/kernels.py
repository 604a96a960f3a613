"""How the kernels of an operation go through memory: what they read and write, in which format, in how many passes.

PyTorch's CUDA kernels, as its sources and cuDNN's documentation have them. Two things decide what mixed precision
saves. Autocast (``ATen/autocast_mode.h``) makes a copy of an operand in the format of its list, which is written to
memory and read again; so do the operations that are in ``@op("fp16")`` and ``@op("fp32")`` here. Some kernels need no
copy: they read halves as they are, compute in float32, and write what they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halfsim.autograd.tape import Op
from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format

ALL = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Kernel:
    """One row: what forward and backward read besides their operand and gradient, and how often they go through it.

    ``saved`` is what backward reads: "input", its operand; "result"; "others", for each operand the other ones; "mask",
    a byte an element, and "places", eight bytes a result, which forward writes too; "nothing". ``alike`` says that a
    gradient goes on as it is, without a kernel, where shapes are equal. The operand at ``known``, if there is one, is
    what the first pass would find. Of the formats in ``takes`` autocast makes no copy; ``keeps`` says that the result
    has the format of the first operand, whatever the statistics are in.
    """

    forward: int = 1
    backward: int = 1
    saved: str = "input"
    alike: bool = False
    known: int = 0
    takes: tuple[str, ...] = ()
    keeps: bool = False


_NORM = Kernel(forward=2, backward=2)  # statistics, then the result; two sums, then the gradient

KERNELS = {
    # cuDNN takes halves beside float32 weights and statistics, and gives halves.
    "batch_norm": Kernel(forward=2, backward=2, known=3, takes=ALL, keeps=True),
    "instance_norm": Kernel(forward=2, backward=2, known=3, takes=ALL, keeps=True),
    # A row stays on the chip; backward is one kernel for the operand, one for weight and bias.
    "layer_norm": Kernel(backward=2),
    "rms_norm": Kernel(backward=2),
    "group_norm": _NORM,
    # Called with dtype=float32, which needs no copy of halves (softmax: of float16 alone).
    "softmax": Kernel(saved="result", takes=("float16",)),
    "log_softmax": Kernel(saved="result", takes=("float16",)),
    "sum": Kernel(saved="nothing", takes=("float16", "bfloat16")),
    "prod": Kernel(takes=("float16", "bfloat16")),
    "norm": Kernel(takes=("float16", "bfloat16")),
    **dict.fromkeys(("mean", "cumsum", "nll_loss", "embedding", "sub"), Kernel(saved="nothing")),
    "add": Kernel(saved="nothing", alike=True),
    **dict.fromkeys(("mul", "div"), Kernel(saved="others")),
    **dict.fromkeys(
        ("relu", "sigmoid", "tanh", "exp", "expm1", "sqrt", "rsqrt", "reciprocal", "elu"), Kernel(saved="result")
    ),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), Kernel(saved="mask")),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool"), Kernel(saved="places")),
    **dict.fromkeys(
        ("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
         "adaptive_avg_pool3d", "upsample_nearest", "interpolate"), Kernel(saved="nothing")
    ),
}  # fmt: skip
_ELSE, _MOVED = Kernel(), Kernel(saved="nothing")
WRITTEN = {"mask": 1, "places": 8}  # bytes for each result, written forward and read backward

FUSED = ("running_average",)  # part of another operation's kernel


def kernel(spec: Op) -> Kernel:
    """The row of an operation: its own, or that of one that goes once through its operand and backward again."""
    return KERNELS.get(spec.name) or (_MOVED if spec.exact else _ELSE)


def passes(spec: Op, operands: Sequence[Any]) -> tuple[int, int]:
    """How often forward goes through the first operand, and backward through it and the gradient."""
    row = kernel(spec)
    known = 0 < row.known < len(operands) and operands[row.known] is not None
    return (1, 1) if known else (row.forward, row.backward)


def copied(spec: Op, x: Any, storage: Format) -> bool:
    """Whether operand ``x`` is copied in the format of its operation before the kernel; others convert in registers."""
    asked = isinstance(x, Tensor) and spec.category is not None and x.format != storage
    return asked and x.format.name not in kernel(spec).takes


def width(spec: Op, x: Any, storage: Format) -> float:
    """Bytes of a number of operand ``x`` as the kernels read it."""
    own = isinstance(x, Tensor) and (spec.category is None or x.format.name in kernel(spec).takes)
    return float((x.format if own else storage).bits) / 8


def result_format(spec: Op, operands: Sequence[Any], storage: Format) -> Format:
    """The format in which the kernels write the result."""
    first = operands[0] if operands else None
    return first.format if kernel(spec).keeps and isinstance(first, Tensor) else storage


@dataclass(frozen=True)
class Cell:
    """The kernel of one time step of a recurrent layer, for each element of its state, the products apart.

    ``forward`` and ``backward`` count elementary operations; ``moved`` and ``returned`` the numbers that are read and
    written: the two products and the state, besides what is ``saved`` for backward; there that, the gradients of state
    and gates.
    """

    gates: int
    forward: int
    backward: int
    moved: int
    saved: int
    returned: int


# (x + h) + b_ih + b_hh for each gate, the activations, the new state; see halfsim/autograd/ops/recurrent.py.
CELLS = {
    "rnn_tanh": Cell(1, 4, 4, 3, 0, 4),
    "rnn_relu": Cell(1, 4, 2, 3, 0, 4),
    "lstm": Cell(4, 21, 24, 11, 4, 14),
    "gru": Cell(3, 16, 18, 8, 4, 14),
}
