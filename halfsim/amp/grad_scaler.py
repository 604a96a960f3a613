"""Dynamic loss scaling, as in ``torch.amp``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.observer import active
from halfsim.autograd.overrides import overridable
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import SPECS, apply, kernel
from halfsim.autograd.tensor import Tensor
from halfsim.card import Card, Record, Rows
from halfsim.names import public
from halfsim.numerics.formats import float16, float32
from halfsim.numerics.precision import FP32, native
from halfsim.optim import Optimizer
from halfsim.optim.weight import as_format_of
from halfsim.options import guarded_class, shown
from halfsim.states import like

__all__ = ["GradScaler", "ScaleRecord"]


def _single(value: Any) -> np.float32:
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(value)


@dataclass
class _OptimizerState:
    """What the scaler knows of one optimizer since the last update."""

    stage: str = "ready"  # then "unscaled", then "stepped"
    checked: bool = False  # whether there was a gradient to look at
    overflowed: dict[str, int] = field(default_factory=dict)  # how many infinite or NaN gradients, by parameter


@dataclass(frozen=True)
class ScaleRecord(Record):
    """One update of a `GradScaler`: the ``scale`` of the step, whether it ``found_inf``, and the scale ``after``.

    ``overflowed`` counts the infinite and NaN gradients of each parameter that had any, by name; ``step`` counts
    updates from 1.
    """

    step: int
    scale: float
    found_inf: bool
    overflowed: dict[str, int]
    after: float


class _NewScaleError(TypeError, AttributeError):
    """A new scale that is no float: a TypeError by its nature, an AttributeError in PyTorch."""


class UnfitError(ValueError, AssertionError):
    """A value, or a moment, that does not fit: a ValueError by its nature, an AssertionError in PyTorch."""


_ABOVE, _BELOW = "growth_factor: allowed: numbers above 1.", "backoff_factor: allowed: numbers below 1."


def _fit(condition: bool, words: str) -> None:
    if not condition:
        raise UnfitError(words)


class GradScaler(Card):
    """Dynamic loss scaling with the semantics of ``torch.amp.GradScaler``.

    `scale` multiplies the loss, so that small gradients survive in half precision; `step` divides the
    gradients again and skips the update if one is infinite or NaN; `update` then multiplies the scale by
    ``backoff_factor``, or by ``growth_factor`` after ``growth_interval`` good steps in a row. The scale is a
    float32; it grows only while it stays finite. It is enabled without a GPU, ``device`` is taken for PyTorch's sake.
    Beyond PyTorch: `update` keeps the scale between ``min_scale`` and ``max_scale`` if these are given,
    and with ``dynamic=False`` leaves it alone; ``history`` is a list of one `ScaleRecord` an update, and `overflowed`
    names the parameters whose gradients the last step could not use. ``AssertionError`` for growth_factor <= 1 or
    backoff_factor >= 1, ``ValueError`` for limits that do not hold init_scale.

    >>> scaler = GradScaler(init_scale=8.0)
    >>> scaler.scale(tensor(0.5, "fp16"))  # a 0-d loss is scaled into float32
    tensor(4., float32)
    """

    @overridable("GradScaler")
    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
        *,
        min_scale: float | None = None,
        max_scale: float | None = None,
        dynamic: bool = True,
    ) -> None:
        if not isinstance(device, str):
            raise TypeError(
                f"device: {shown(device)} is not allowed; allowed: a name, such as cuda; init_scale comes second"
            )
        _fit(
            not enabled or growth_factor > 1.0,
            "growth_factor: allowed: numbers above 1. The growth factor must be > 1.0.",
        )
        _fit(
            not enabled or backoff_factor < 1.0,
            "backoff_factor: allowed: numbers below 1. The backoff factor must be < 1.0.",
        )
        self._low, self._high = 0.0 if min_scale is None else min_scale, math.inf if max_scale is None else max_scale
        if not self._low <= init_scale <= self._high:
            raise ValueError(f"init_scale: {init_scale} is not allowed; allowed: numbers from min_scale to max_scale")
        self._enabled, self._device, self._dynamic = enabled, device, dynamic
        self._init_scale = init_scale
        self._scale: np.float32 | None = None  # from the first call of `scale` on
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._states: dict[int, _OptimizerState] = {}
        self._overflowed: dict[str, int] = {}
        self.history = Rows[ScaleRecord]()

    def scale(self, outputs: Any) -> Any:
        """``outputs`` (a tensor, or iterables of them) times the scale; lists and tuples keep their type.

        A 0-d tensor comes out in float32, as PyTorch promotes two 0-d operands; others keep their format, in
        which the product may overflow. ``ValueError`` for other things.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = _single(self._init_scale)
            wide = FP32 if outputs.ndim == 0 and float32.contains(outputs.format) else native(outputs.format)
            scaled = apply(SPECS["mul"], (outputs, tensor(self._scale, "float32")), precision=wide, label="loss scale")
            if (observer := active()) is not None:
                observer.scaled(scaled, float(self._scale))
            return scaled
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(item) for item in outputs)
        if isinstance(outputs, Iterable) and not isinstance(outputs, (str, bytes, bytearray, np.ndarray, Mapping, Set)):
            return map(self.scale, outputs)
        raise ValueError(f"outputs: {type(outputs).__name__} is not allowed; allowed: Tensor, iterables of them")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of ``optimizer`` by the scale, once between two updates, e.g. before clipping.

        ``RuntimeError`` when called twice or after `step`, ``ValueError`` for float16 gradients; those of an
        optimizer with ``master_weights`` become float32 here, as its update needs them.
        """
        if not self._enabled:
            return
        scale = self._started("unscale_")
        state = self._states.setdefault(id(optimizer), _OptimizerState())
        if state.stage == "unscaled":
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state.stage == "stepped":
            raise RuntimeError("unscale_() is being called after step().")
        with np.errstate(divide="ignore", over="ignore"):
            inverse = float(_single(1.0 / np.float64(scale)))
        leaves = [(name, p) for name, p in _named(optimizer) if p.grad is not None]
        if not optimizer.master_weights and any(p.grad.format == float16 for _, p in leaves if p.grad is not None):
            raise ValueError("Attempting to unscale FP16 gradients.")
        for name, p in leaves:
            assert p.grad is not None
            state.checked = True
            bad = int(p.grad.size - np.count_nonzero(np.isfinite(p.grad.array)))
            if bad:
                state.overflowed[name] = bad
            with scoped(phase="optimizer", path=p.name, gradients=False):
                if optimizer.master_weights and float32.contains(p.grad.format):
                    p.grad = as_format_of(p.grad, float32)
                if inverse != 1.0:
                    p.grad = kernel("mul", p.grad, inverse, label="grad")
                if (observer := active()) is not None:
                    observer.unscaled(p, float(scale))
        state.stage = "unscaled"

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()`` on unscaled gradients, unless one of them is infinite or NaN; then None.

        ``RuntimeError`` when called twice without `update` and for a closure, ``AssertionError`` where no gradient
        was found.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._started("step")
        state = self._states.setdefault(id(optimizer), _OptimizerState())
        if state.stage == "stepped":
            raise RuntimeError("step() has already been called since the last update().")
        if state.stage == "ready":
            self.unscale_(optimizer)
        _fit(bool(state.checked), "No inf checks were recorded for this optimizer.")
        result = None
        if not state.overflowed:
            result = optimizer.step(*args, **kwargs)
        elif (observer := active()) is not None:
            observer.advance(skipped=True)
        state.stage = "stepped"
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adjust the scale after the steps of all optimizers, or set it to ``new_scale``.

        ``AssertionError`` where no gradients were checked, and for a tensor that takes a gradient or has not one value;
        ``TypeError`` for anything but a float.
        """
        if not self._enabled:
            return
        before = self._started("update")
        states = [state for state in self._states.values() if state.checked]
        self._overflowed = {name: n for state in states for name, n in state.overflowed.items()}
        if new_scale is not None:
            self._scale = _single(_given(new_scale))
        else:
            _fit(bool(states), "No inf checks were recorded prior to update.")
            if self._dynamic:
                self._adjust(before)
        found = bool(self._overflowed)
        record = ScaleRecord(len(self.history) + 1, float(before), found, self._overflowed, self.get_scale())
        self.history.append(record)
        if (observer := active()) is not None:
            observer.note_scale(float(before), found)
        self._states = {}

    def _adjust(self, scale: np.float32) -> None:
        if self._overflowed:
            self._scale = max(_single(scale * np.float64(self._backoff_factor)), _single(self._low))
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            with np.errstate(over="ignore"):
                grown = min(_single(scale * np.float64(self._growth_factor)), _single(self._high))
            self._scale = grown if np.isfinite(grown) else scale
            self._growth_tracker = 0

    def __repr__(self) -> str:
        if not self._enabled:
            return f"{type(self).__name__}(enabled=False)"
        skipped = sum(record.found_inf for record in self.history)
        return f"{type(self).__name__}(scale={self.get_scale():g}, updates={len(self.history)}, skipped={skipped})"

    def _card(self) -> Any:
        return [("", repr(self)), ("", self.history._card()[0][1] if self.history else "")]

    @property
    def overflowed(self) -> list[str]:
        """The parameters with infinite or NaN gradients in the step under way, or, after `update`, in the last."""
        current = [name for state in self._states.values() for name in state.overflowed]
        return current if self._states else list(self._overflowed)

    def get_scale(self) -> float:
        """The scale; 1.0 when disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale)

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = new_interval

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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; ``RuntimeError`` for an empty one, nothing when disabled."""
        if not self._enabled:
            return
        if isinstance(state_dict, dict) and not state_dict:
            raise RuntimeError("state_dict: an empty one is not allowed; it may come from a disabled GradScaler")
        like(self.state_dict(), state_dict, "state_dict")
        scale = _single(state_dict["scale"])
        if not scale > 0:
            raise ValueError(f"state_dict.scale: {scale:g} is not allowed; allowed: numbers above 0")
        self._init_scale = state_dict["scale"]
        self._scale = None if self._scale is None else scale
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._growth_tracker = state_dict["growth_interval"], state_dict["_growth_tracker"]

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle or copy holds, between two iterations; ``AssertionError`` within one."""
        _fit(not self._states, "A GradScaler may be pickled only before an iteration, or after update().")
        return self.__dict__.copy()

    def _started(self, name: str) -> np.float32:
        if self._scale is None:
            raise UnfitError(f"Attempted {name} before the scale was set; allowed: after scale()")
        return self._scale


def _given(new_scale: Any) -> float:
    """The number in a new scale."""
    if isinstance(new_scale, Tensor):
        fits = new_scale.size == 1 and not new_scale.requires_grad
        _fit(fits, "new_scale should be a float or a tensor of one value with requires_grad=False")
        return new_scale.item()
    if not isinstance(new_scale, (float, np.floating)):
        raise _NewScaleError(
            f"new_scale: {type(new_scale).__name__} is not allowed; allowed: float, tensor of one value"
        )
    return float(new_scale)


def _named(optimizer: Optimizer) -> list[tuple[str, Tensor]]:
    """The parameters of ``optimizer`` with their names, or numbers where they have none."""
    leaves = [p for group in optimizer.param_groups for p in group["params"]]
    return [(p.name or f"parameter {i}", p) for i, p in enumerate(leaves)]


guarded_class(GradScaler)
public(__name__)
