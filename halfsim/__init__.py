"""halfsim: what would this computation have done in half precision, and where would it have gone wrong?"""

import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from halfsim import autograd, hardware
from halfsim.autograd import ops
from halfsim.autograd.device import device
from halfsim.autograd.gradcheck import gradcheck
from halfsim.autograd.making import get_default_dtype, set_default_dtype, tensor
from halfsim.autograd.numpy_protocol import ROOMS as _TENSOR_ROOMS
from halfsim.autograd.observer import stand_by as _stand_by
from halfsim.autograd.ops import *  # noqa: F403  # PyTorch's functions at its top level; our own names below win
from halfsim.autograd.policy import AMP, Policy
from halfsim.autograd.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from halfsim.autograd.scope import enable_grad, no_grad, precision, reproducible
from halfsim.autograd.tensor import Size, Tensor
from halfsim.names import missing as _missing
from halfsim.numerics import elementary, formats, ieee
from halfsim.numerics.block_rounding import decode, encode, round_to
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.flags import Flag, FlagCounts, FlagWarning, errstate, flags
from halfsim.numerics.flags import watching as _watching
from halfsim.numerics.formats import (
    Format,
    bfloat16,
    float4_e2m1fn,
    float6_e2m3fn,
    float6_e3m2fn,
    float8_e3m4,
    float8_e4m3,
    float8_e4m3b11fnuz,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float16,
    float16_ahp,
    float32,
    float64,
    tfloat32,
)
from halfsim.numerics.neighbours import classify, next_down, next_up, spacing, ulp
from halfsim.numerics.precision import BF16, FP8, FP16, FP32, FP64, PURE_FP16, TF32, Precision
from halfsim.numerics.rounding import Rounding, Stochastic
from halfsim.options import guarded_class as _guarded_class
from halfsim.options import guarded_names as _guarded_names
from halfsim.ported import *  # noqa: F403
from halfsim.ported import __all__ as _ported

if _TYPE_CHECKING:
    from halfsim import amp, checkpoint, data, nn, optim, plot, utils
    from halfsim.amp.autocast import autocast
    from halfsim.autograd.trace.event import Event
    from halfsim.autograd.trace.fix import Fix
    from halfsim.checkpoint.saved import load, save
    from halfsim.costs.cost import cost
    from halfsim.diagnose.compare.models import compare_models
    from halfsim.diagnose.compare.result import Comparison, ModelComparison
    from halfsim.diagnose.compare.runs import compare
    from halfsim.diagnose.digits.digits import significant_digits
    from halfsim.diagnose.digits.result import SignificantDigits
    from halfsim.diagnose.finding import Finding
    from halfsim.diagnose.fingerprint.compare import compare_fingerprints
    from halfsim.diagnose.fingerprint.result import FingerprintComparison
    from halfsim.diagnose.mend.mend import mend
    from halfsim.diagnose.mend.result import Mended
    from halfsim.diagnose.minimize.minimize import Minimal, minimize
    from halfsim.diagnose.report.report import Report
    from halfsim.diagnose.reveal.result import Revealed
    from halfsim.diagnose.reveal.reveal import reveal
    from halfsim.diagnose.scale.range import loss_scale_range
    from halfsim.diagnose.scale.result import LossScaleRange
    from halfsim.diagnose.search.result import PolicySearch
    from halfsim.diagnose.search.search import search_policy
    from halfsim.diagnose.trace import Trace, trace
    from halfsim.numerics.explain import explain
    from halfsim.sweeps.study import sweep

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
    "BlockFormat",
    "Comparison",
    "Event",
    "Finding",
    "FingerprintComparison",
    "Fix",
    "Flag",
    "FlagCounts",
    "FlagWarning",
    "Format",
    "Generator",
    "LossScaleRange",
    "Mended",
    "Minimal",
    "ModelComparison",
    "Policy",
    "PolicySearch",
    "Precision",
    "Report",
    "Revealed",
    "Rounding",
    "SignificantDigits",
    "Size",
    "Stochastic",
    "Tensor",
    "Trace",
    "amp",
    "autocast",
    "autograd",
    "bfloat16",
    "checkpoint",
    "classify",
    "compare",
    "compare_fingerprints",
    "compare_models",
    "cost",
    "data",
    "decode",
    "device",
    "elementary",
    "enable_grad",
    "encode",
    "errstate",
    "explain",
    "flags",
    "float4_e2m1fn",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float16",
    "float16_ahp",
    "float32",
    "float64",
    "formats",
    "get_default_dtype",
    "get_rng_state",
    "gradcheck",
    "hardware",
    "ieee",
    "initial_seed",
    "load",
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
    "reveal",
    "round_to",
    "save",
    "search_policy",
    "seed",
    "set_default_dtype",
    "set_rng_state",
    "significant_digits",
    "spacing",
    "sweep",
    "tensor",
    "tfloat32",
    "trace",
    "ulp",
    "utils",
]

# What takes time to import and is not needed by every program, by where it stands.
_LATER = {
    "autocast": "amp.autocast",
    "compare": "diagnose.compare.runs",
    "compare_fingerprints": "diagnose.fingerprint.compare",
    "compare_models": "diagnose.compare.models",
    "Comparison": "diagnose.compare.result",
    "cost": "costs.cost",
    "Event": "autograd.trace.event",
    "explain": "numerics.explain",
    "Finding": "diagnose.finding",
    "FingerprintComparison": "diagnose.fingerprint.result",
    "Fix": "autograd.trace.fix",
    "load": "checkpoint.saved",
    "load_ipython_extension": "notebook",
    "loss_scale_range": "diagnose.scale.range",
    "LossScaleRange": "diagnose.scale.result",
    "mend": "diagnose.mend.mend",
    "Mended": "diagnose.mend.result",
    "Minimal": "diagnose.minimize.minimize",
    "minimize": "diagnose.minimize.minimize",
    "ModelComparison": "diagnose.compare.result",
    "PolicySearch": "diagnose.search.result",
    "Report": "diagnose.report.report",
    "reveal": "diagnose.reveal.reveal",
    "Revealed": "diagnose.reveal.result",
    "save": "checkpoint.saved",
    "search_policy": "diagnose.search.search",
    "significant_digits": "diagnose.digits.digits",
    "SignificantDigits": "diagnose.digits.result",
    "sweep": "sweeps.study",
    "trace": "diagnose.trace",
    "Trace": "diagnose.trace",
}


autograd.gradcheck = gradcheck  # the function, which its file would hide
_TENSOR_ROOMS["array_api"] = lambda: __getattr__("array_api")

_MODULES = (
    "amp",
    "array_api",
    "backends",
    "checkpoint",
    "cuda",
    "data",
    "distributions",
    "gallery",
    "linalg",
    "nn",
    "onnx",
    "optim",
    "plot",
    "signal",
    "special",
    "sweeps",
    "teach",
    "testing",
    "utils",
)


for _name in _LATER:
    globals().pop(_name, None)  # `trace` is PyTorch's sum of a diagonal, too


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _import_module(f"halfsim.{name}")
    if name not in _LATER:
        raise _missing("halfsim", name, __dir__())
    globals()[name] = getattr(_import_module(f"halfsim.{_LATER[name]}"), name)
    _guarded_names(globals(), [name])
    return globals()[name]


# Who tells `flags` and `errstate` of operations takes time to import, and is asked for when somebody wants to know.
_stand_by(_watching, lambda: _import_module("halfsim.autograd.trace.counted").Counted())

_guarded_class(Format, ("__init__",))
_guarded_names(globals(), [name for name in __all__ if name in globals()])

if "_halfsim_hypothesis" in _sys.modules:  # hypothesis has started, and waits for the types
    _import_module("halfsim.testing.registered").register()


def __dir__() -> list[str]:
    return sorted({*__all__, *ops.__all__, *_ported, *_MODULES, "__version__"})
