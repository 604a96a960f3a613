"""Tensors and gradients on the simulated unit; PyTorch's ``torch.autograd`` by its names."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

from halfsim.contexts import Context as _Context
from halfsim.names import missing as _missing
from halfsim.names import public as _public
from halfsim.options import guarded_names as _guarded_names

if TYPE_CHECKING:
    from halfsim.autograd import functional
    from halfsim.autograd.function import Function, Variable, grad
    from halfsim.autograd.gradcheck import gradcheck
    from halfsim.autograd.scope import enable_grad, no_grad
    from halfsim.ported import set_grad_enabled

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

# By where they stand, since what stands there imports from here.
_LATER = {
    "Function": "autograd.function",
    "Variable": "autograd.function",
    "enable_grad": "autograd.scope",
    "grad": "autograd.function",
    "gradcheck": "autograd.gradcheck",
    "no_grad": "autograd.scope",
    "set_grad_enabled": "ported",
}


def backward(
    tensors: _Any, grad_tensors: _Any = None, retain_graph: bool | None = None, create_graph: bool = False
) -> None:
    """``backward()`` of one tensor, or of each of several."""
    several = isinstance(tensors, (list, tuple))
    given = list(tensors) if several else [tensors]
    starts = [None] * len(given) if grad_tensors is None else list(grad_tensors) if several else [grad_tensors]
    for i, (x, start) in enumerate(zip(given, starts, strict=True)):
        x.backward(start, retain_graph or create_graph or i < len(given) - 1, create_graph)


class detect_anomaly(_Context):  # noqa: N801  # PyTorch's name
    """A context that changes nothing: `halfsim.trace` tells where NaN begins, and much else."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass


set_detect_anomaly = detect_anomaly
_guarded_names(globals(), ["backward"])


def __getattr__(name: str) -> _Any:
    if name == "functional":
        return _import_module("halfsim.autograd.functional")
    if name not in _LATER:
        raise _missing("halfsim.autograd", name, __all__)
    return getattr(_import_module(f"halfsim.{_LATER[name]}"), name)


_public(__name__)
