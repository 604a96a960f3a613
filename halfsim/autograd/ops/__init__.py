"""Every operation, by PyTorch's or NumPy's name: each subject is a file, which lists its names."""

from importlib import import_module as _import_module
from typing import Any as _Any

from halfsim.autograd import gradients as _gradients  # noqa: F401  # which tells tensors of the backward pass
from halfsim.autograd import second_order_rules as _second_order_rules  # noqa: F401  # which tells the tape of them
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops import numpy_calculus as _numpy_calculus  # noqa: F401  # which tell the operators of them
from halfsim.autograd.ops import numpy_reductions as _numpy_reductions  # noqa: F401
from halfsim.autograd.ops.activation import *
from halfsim.autograd.ops.addmm import *
from halfsim.autograd.ops.attention import *
from halfsim.autograd.ops.compare import *
from halfsim.autograd.ops.conv import *
from halfsim.autograd.ops.creation import *
from halfsim.autograd.ops.cross_entropy import *
from halfsim.autograd.ops.ctc import *
from halfsim.autograd.ops.distance import *
from halfsim.autograd.ops.dropout import *
from halfsim.autograd.ops.einsum import *
from halfsim.autograd.ops.elementwise import *
from halfsim.autograd.ops.embedding import *
from halfsim.autograd.ops.embedding_bag import *
from halfsim.autograd.ops.equations import *
from halfsim.autograd.ops.folding import *
from halfsim.autograd.ops.functions import *
from halfsim.autograd.ops.grid import *
from halfsim.autograd.ops.identities import *
from halfsim.autograd.ops.index import *
from halfsim.autograd.ops.join import *
from halfsim.autograd.ops.likelihood import *
from halfsim.autograd.ops.linalg import *
from halfsim.autograd.ops.loss import *
from halfsim.autograd.ops.margin import *
from halfsim.autograd.ops.matrices import *
from halfsim.autograd.ops.max_pool import *
from halfsim.autograd.ops.normalization import *
from halfsim.autograd.ops.norms import *
from halfsim.autograd.ops.pool import *
from halfsim.autograd.ops.projected_lstm import *
from halfsim.autograd.ops.random_activation import *
from halfsim.autograd.ops.recurrent import *
from halfsim.autograd.ops.reduce import *
from halfsim.autograd.ops.resample import *
from halfsim.autograd.ops.rounding import *
from halfsim.autograd.ops.sampling import *
from halfsim.autograd.ops.scan import *
from halfsim.autograd.ops.scatter import *
from halfsim.autograd.ops.select import *
from halfsim.autograd.ops.shape import *
from halfsim.autograd.ops.singular import *
from halfsim.autograd.ops.slices import *
from halfsim.autograd.ops.solve import *
from halfsim.autograd.ops.sort import *
from halfsim.autograd.ops.special import *
from halfsim.autograd.tape import composed
from halfsim.names import public as _public
from halfsim.options import checked
from halfsim.options import is_checked as _is_checked

_SUBJECTS = (
    "activation",
    "addmm",
    "attention",
    "compare",
    "conv",
    "creation",
    "cross_entropy",
    "ctc",
    "distance",
    "dropout",
    "einsum",
    "elementwise",
    "embedding",
    "embedding_bag",
    "equations",
    "folding",
    "functions",
    "grid",
    "identities",
    "index",
    "join",
    "likelihood",
    "linalg",
    "loss",
    "margin",
    "matrices",
    "max_pool",
    "normalization",
    "norms",
    "pool",
    "projected_lstm",
    "random_activation",
    "recurrent",
    "reduce",
    "resample",
    "rounding",
    "sampling",
    "scan",
    "scatter",
    "select",
    "shape",
    "singular",
    "slices",
    "solve",
    "sort",
    "special",
)

__all__: list[str] = sorted(name for file in _SUBJECTS for name in _import_module(f"{__name__}.{file}").__all__)

# Functions that may run several operations go by their names in policies too, and tensors find every function in OPS.
for _name in __all__:
    _found: _Any = globals()[_name]
    if not _is_checked(_found):  # which operations themselves are
        _made = checked(_found)
        globals()[_name] = _made if OPS.get(_found.__name__) is _found else composed(_made)
        globals()[_name].__module__ = __name__  # where copies and pickles find it
    OPS[_name] = globals()[_name]

_public(__name__)
