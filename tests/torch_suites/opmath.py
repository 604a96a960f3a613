"""PyTorch's kernels for halves as a GPU runs them: every step computed in float32, every result stored in half.

On the CPU some of PyTorch's kernels round the numbers among a half kernel's arguments to half. Under `opmath` each
operation on halves runs in float32 and is rounded once; those of several steps take these one by one, for PyTorch's
vector code contracts some of them to fused multiply-adds. With ``scalar`` operands lie apart in memory, float64 too, so
that PyTorch's CPU kernels take their elements one by one, in the branches that its CUDA kernels have.
"""

from __future__ import annotations

import math
from typing import Any

_MOVING = {"copy_", "clone", "empty_like", "zeros_like", "full_like", "_to_copy", "index_put_", "masked_fill_"}
_MOVING |= {"detach", "alias", "lift_fresh"}


def _lerp(x: Any, end: Any, weight: Any) -> Any:
    weight = x.new_tensor(float(weight))
    return x + (end - x) * weight if weight < 0.5 else end - (end - x) * (1 - weight)


_STEPS: dict[str, Any] = {
    "lerp": _lerp,
    "addcmul": lambda x, a, b, value=1: x + a * value * b,
    "addcdiv": lambda x, a, b, value=1: x + a * value / b,
    "add": lambda x, a, alpha=1: x + a * alpha,
    "sub": lambda x, a, alpha=1: x - a * alpha,
}
# Kernels whose vectors on the CPU do as a GPU's: huber_loss takes its steps in half; only what fills no vector differs.
_VECTORS = {"huber_loss", "huber_loss_backward", "softshrink"}


def _log_sigmoid_gradient(g: Any, x: Any, buffer: Any) -> Any:
    """As the CUDA kernel forms it, without the buffer that the CPU's keeps in half."""
    z = (-x.abs()).exp()
    below = (x < 0).to(x.dtype)
    return g * (below - (2 * below - 1) * (z / (1 + z)))


def _mvlgamma(x: Any, p: int) -> Any:
    """As PyTorch composes it within one operation."""
    import torch

    y = (x.unsqueeze(-1) + torch.arange(-p / 2 + 0.5, 0.5, 0.5, dtype=x.dtype)).lgamma().sum(-1)
    return y + p * (p - 1) * math.log(math.pi) * 0.25


def _apart(x: Any) -> Any:
    """A copy with a gap after each element."""
    import torch

    return torch.stack([x, x], -1)[..., 0]


def _in_vectors(func: Any, args: Any, kwargs: Any) -> Any:
    """``func`` of operands of one shape, elementwise, with so many more elements that all of these are in vectors."""
    import torch

    shape = torch.broadcast_shapes(*(x.shape for x in args if isinstance(x, torch.Tensor)))
    count = shape.numel()

    def filled(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        return torch.cat([x.expand(shape).reshape(-1), x.new_zeros(64 + -count % 64)])

    return func(*map(filled, args), **kwargs)[:count].reshape(shape)


def opmath(scalar: bool = False) -> Any:
    """A context in which PyTorch computes so."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map

    class Opmath(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name, kwargs = func._schema.name.removeprefix("aten::"), kwargs or {}
            if name in _MOVING or func.is_view:
                return func(*args, **kwargs)
            if scalar and name == "mvlgamma":
                with self:
                    return _mvlgamma(*args)
            if scalar and name in _VECTORS:
                return _in_vectors(func, args, kwargs)
            own = scalar and name == "pow" and not isinstance(args[1], torch.Tensor)
            narrow: list[Any] = []

            def widened(x: Any) -> Any:
                if not isinstance(x, torch.Tensor):
                    return x
                if x.dtype in (torch.float16, torch.bfloat16):
                    narrow.append(x.dtype)
                    x = x if own else x.float()
                return _apart(x) if scalar and x.is_floating_point() and x.ndim else x

            def stored(y: Any) -> Any:
                return y.to(narrow[0]) if isinstance(y, torch.Tensor) and y.dtype.is_floating_point else y

            wide, options = tree_map(widened, (args, kwargs))
            if not narrow and (not scalar or name.endswith("_") or "out" in kwargs):
                return func(*args, **kwargs)
            kind = name.rstrip("_")
            if narrow and scalar and kind == "log_sigmoid_backward":
                out = _log_sigmoid_gradient(*wide)
            elif narrow and kind in _STEPS and (kind == "lerp" or options.keys() & {"value", "alpha"}):
                out = _STEPS[kind](*wide, **options)
            else:
                out = func(*wide, **options)
            if name.endswith("_") or "out" in kwargs:
                return kwargs.get("out", args[0]).copy_(out)
            return tree_map(stored, out) if narrow else out

    return Opmath()
