"""Automatic mixed precision: the autocast policy and dynamic loss scaling, as in ``torch.amp``.

`AMP` runs each operation in the precision of its place in PyTorch's CUDA autocast lists, which every operation of
`halfsim.ops` declares; operations in neither list keep the format of their widest operand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim.autograd.kernel import kernel
from halfsim.autograd.policy import AMP, scoped
from halfsim.autograd.tape import SPECS, apply
from halfsim.autograd.tensor import Tensor, tensor
from halfsim.autograd.trace import active
from halfsim.numerics.formats import float16
from halfsim.numerics.precision import FP32, native
from halfsim.optim import Optimizer

__all__ = ["AMP", "GradScaler"]


def _single(value: Any) -> np.float32:
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(value)


@dataclass
class _OptimizerState:
    """What the scaler knows of one optimizer since the last update."""

    stage: str = "ready"  # then "unscaled", then "stepped"
    checked: bool = False  # whether there was a gradient to look at
    found_inf: bool = False


class GradScaler:
    """Dynamic loss scaling with the semantics of ``torch.amp.GradScaler``.

    `scale` multiplies the loss, so that small gradients survive in half precision; `step` divides the
    gradients again and skips the update if one is infinite or NaN; `update` then multiplies the scale by
    ``backoff_factor``, or by ``growth_factor`` after ``growth_interval`` good steps in a row. The scale is a
    float32; there is no floor, and it grows only while it stays finite. It is enabled without a GPU.
    ``AssertionError`` for growth_factor <= 1 or backoff_factor >= 1.

    >>> scaler = GradScaler(init_scale=8.0)
    >>> scaler.scale(tensor(0.5, "fp16"))  # a 0-d loss is scaled into float32
    tensor(4., float32)
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        assert not enabled or growth_factor > 1.0, "growth_factor: allowed is a number > 1"
        assert not enabled or backoff_factor < 1.0, "backoff_factor: allowed is a number < 1"
        self._enabled = enabled
        self._scale = _single(init_scale)
        self._started = False
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._states: dict[int, _OptimizerState] = {}

    def scale(self, outputs: Any) -> Any:
        """``outputs`` (a tensor, or lists and tuples of them) times the scale.

        A 0-d tensor comes out in float32, as PyTorch promotes two 0-d operands; others keep their format, in
        which the product may overflow. ``ValueError`` for other things.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            self._started = True
            wide = FP32 if outputs.ndim == 0 and FP32.storage.contains(outputs.format) else native(outputs.format)
            return apply(SPECS["mul"], (outputs, tensor(self._scale, "float32")), precision=wide)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(item) for item in outputs)
        raise ValueError(f"outputs: {type(outputs).__name__} is not allowed; allowed: Tensor, list, tuple")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of ``optimizer`` by the scale, once between two updates, e.g. before clipping.

        ``ValueError`` for float16 gradients, ``RuntimeError`` when called twice or after `step`.
        """
        if not self._enabled:
            return
        self._check_started("unscale_")
        state = self._states.setdefault(id(optimizer), _OptimizerState())
        if state.stage == "unscaled":
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state.stage == "stepped":
            raise RuntimeError("unscale_() is being called after step().")
        with np.errstate(divide="ignore"):
            inverse = float(_single(1.0 / np.float64(self._scale)))
        leaves = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(p.grad.format == float16 for p in leaves):
            raise ValueError("Attempting to unscale FP16 gradients.")
        for p in leaves:
            state.checked = True
            state.found_inf |= not np.isfinite(p.grad.data).all()
            if inverse != 1.0:
                with scoped(phase="optimizer", path=p.name, gradients=False):
                    p.grad = kernel("mul", p.grad, inverse, label="grad")
        state.stage = "unscaled"

    def step(self, optimizer: Optimizer) -> Any:
        """``optimizer.step()`` on unscaled gradients, unless one of them is infinite or NaN; then None.

        ``RuntimeError`` when called twice without `update`, ``AssertionError`` where no gradient was found.
        """
        if not self._enabled:
            return optimizer.step()
        self._check_started("step")
        state = self._states.setdefault(id(optimizer), _OptimizerState())
        if state.stage == "stepped":
            raise RuntimeError("step() has already been called since the last update().")
        if state.stage == "ready":
            self.unscale_(optimizer)
        assert state.checked, "No inf checks were recorded for this optimizer."
        state.stage = "stepped"
        if not state.found_inf:
            return optimizer.step()
        trace = active()
        if trace is not None:
            trace.advance()
        return None

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adjust the scale after the steps of all optimizers, or set it to ``new_scale``."""
        if not self._enabled:
            return
        self._check_started("update")
        if new_scale is not None:
            value = new_scale.item() if isinstance(new_scale, Tensor) else new_scale
            if not isinstance(value, (float, np.floating)):
                raise TypeError(
                    f"new_scale: {type(value).__name__} is not allowed; allowed: float, a tensor of one value"
                )
            self._scale = _single(value)
        else:
            checked = [state for state in self._states.values() if state.checked]
            assert checked, "No inf checks were recorded prior to update."
            if any(state.found_inf for state in checked):
                self._scale = _single(self._scale * np.float64(self._backoff_factor))
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    grown = _single(self._scale * np.float64(self._growth_factor))
                    self._scale = grown if np.isfinite(grown) else self._scale
                    self._growth_tracker = 0
        self._states.clear()

    def get_scale(self) -> float:
        """The scale; 1.0 when disabled."""
        return float(self._scale) if self._enabled else 1.0

    def is_enabled(self) -> bool:
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs, taken after `update`; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; ``RuntimeError`` for an empty one, nothing when disabled."""
        if not self._enabled:
            return
        if not state:
            raise RuntimeError("state: an empty dict is not allowed; it may come from a disabled GradScaler")
        self._scale = _single(state["scale"])
        self._growth_factor, self._backoff_factor = state["growth_factor"], state["backoff_factor"]
        self._growth_interval, self._growth_tracker = state["growth_interval"], state["_growth_tracker"]

    def _check_started(self, name: str) -> None:
        assert self._started, f"Attempted {name} before the scale was set; allowed: after scale()"
