"""halfsim: what would this computation have done in half precision, and where would it have gone wrong?"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from halfsim import amp, data, hardware, nn, optim
from halfsim.autograd import ops
from halfsim.autograd.gradcheck import gradcheck
from halfsim.autograd.policy import AMP, Policy, enable_grad, no_grad, precision, reproducible
from halfsim.autograd.random import manual_seed
from halfsim.autograd.tensor import Tensor, tensor
from halfsim.autograd.trace import Event
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.fix import Fix
from halfsim.diagnose.trace import Trace, trace
from halfsim.numerics import elementary, ieee
from halfsim.numerics.codec import decode, encode
from halfsim.numerics.flags import Flag, FlagCounts, FlagWarning, errstate, flags
from halfsim.numerics.formats import (
    Format,
    bfloat16,
    float8_e4m3fn,
    float8_e5m2,
    float16,
    float16_ahp,
    float32,
    float64,
    tfloat32,
)
from halfsim.numerics.neighbours import classify, next_down, next_up, spacing, ulp
from halfsim.numerics.precision import BF16, FP8, FP16, FP32, FP64, PURE_FP16, TF32, Precision
from halfsim.numerics.quantize import round_to
from halfsim.numerics.rounding import Rounding, Stochastic

if _TYPE_CHECKING:
    from halfsim import checkpoint, plot
    from halfsim.diagnose.compare import compare
    from halfsim.diagnose.comparison import Comparison
    from halfsim.diagnose.cost import cost
    from halfsim.diagnose.loss_scale import loss_scale_range
    from halfsim.diagnose.mend import mend
    from halfsim.diagnose.mended import Mended
    from halfsim.diagnose.minimize import Minimal, minimize
    from halfsim.diagnose.model_comparison import ModelComparison
    from halfsim.diagnose.models import compare_models
    from halfsim.diagnose.report import Report
    from halfsim.diagnose.scale_range import LossScaleRange
    from halfsim.diagnose.search import search_policy
    from halfsim.diagnose.searched import PolicySearch
    from halfsim.numerics.explain import explain

__version__ = "0.1.0"

__all__ = [
    "AMP",
    "BF16",
    "FP8",
    "FP16",
    "FP32",
    "FP64",
    "PURE_FP16",
    "TF32",
    "Comparison",
    "Event",
    "Finding",
    "Fix",
    "Flag",
    "FlagCounts",
    "FlagWarning",
    "Format",
    "LossScaleRange",
    "Mended",
    "Minimal",
    "ModelComparison",
    "Policy",
    "PolicySearch",
    "Precision",
    "Report",
    "Rounding",
    "Stochastic",
    "Tensor",
    "Trace",
    "amp",
    "bfloat16",
    "checkpoint",
    "classify",
    "compare",
    "compare_models",
    "cost",
    "data",
    "decode",
    "elementary",
    "enable_grad",
    "encode",
    "errstate",
    "explain",
    "flags",
    "float8_e4m3fn",
    "float8_e5m2",
    "float16",
    "float16_ahp",
    "float32",
    "float64",
    "gradcheck",
    "hardware",
    "ieee",
    "loss_scale_range",
    "manual_seed",
    "mend",
    "minimize",
    "next_down",
    "next_up",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "plot",
    "precision",
    "reproducible",
    "round_to",
    "search_policy",
    "spacing",
    "tensor",
    "tfloat32",
    "trace",
    "ulp",
]

# What takes time to import and is not needed by every program, by where it stands.
_LATER = {
    "compare": "diagnose.compare",
    "compare_models": "diagnose.models",
    "Comparison": "diagnose.comparison",
    "cost": "diagnose.cost",
    "explain": "numerics.explain",
    "loss_scale_range": "diagnose.loss_scale",
    "LossScaleRange": "diagnose.scale_range",
    "mend": "diagnose.mend",
    "Mended": "diagnose.mended",
    "Minimal": "diagnose.minimize",
    "minimize": "diagnose.minimize",
    "ModelComparison": "diagnose.model_comparison",
    "PolicySearch": "diagnose.searched",
    "Report": "diagnose.report",
    "search_policy": "diagnose.search",
}


def __getattr__(name: str) -> _Any:
    if name in ("checkpoint", "plot"):
        return _import_module(f"halfsim.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'halfsim' has no attribute {name!r}")
    found = globals()[name] = getattr(_import_module(f"halfsim.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
