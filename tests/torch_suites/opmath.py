"""PyTorch's kernels for halves as a GPU runs them: every step computed in float32, every result stored in half.

On the CPU some of PyTorch's kernels round the numbers among a half kernel's arguments to half. Under `opmath` each
operation on halves runs in float32 and is rounded once; those of several steps take these one by one, for PyTorch's
vector code contracts some of them to fused multiply-adds.
"""

from __future__ import annotations

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


def opmath() -> Any:
    """A context in which PyTorch computes so."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map

    class Opmath(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name, kwargs = func._schema.name.removeprefix("aten::"), kwargs or {}
            if name in _MOVING or func.is_view:
                return func(*args, **kwargs)
            narrow: list[Any] = []

            def widened(x: Any) -> Any:
                if not (isinstance(x, torch.Tensor) and x.dtype in (torch.float16, torch.bfloat16)):
                    return x
                narrow.append(x.dtype)
                return x.float()

            def stored(y: Any) -> Any:
                return y.to(narrow[0]) if isinstance(y, torch.Tensor) and y.dtype.is_floating_point else y

            wide, options = tree_map(widened, (args, kwargs))
            if not narrow:
                return func(*args, **kwargs)
            kind = name.rstrip("_")
            stepwise = kind in _STEPS and (kind == "lerp" or options.keys() & {"value", "alpha"})
            out = _STEPS[kind](*wide, **options) if stepwise else func(*wide, **options)
            if name.endswith("_") or "out" in kwargs:
                return kwargs.get("out", args[0]).copy_(out)
            return tree_map(stored, out)

    return Opmath()
