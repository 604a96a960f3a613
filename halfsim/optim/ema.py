"""An exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.observer import active
from halfsim.autograd.overrides import overridable
from halfsim.autograd.scope import scoped
from halfsim.autograd.tape import kernel
from halfsim.autograd.tensor import Tensor
from halfsim.card import Card
from halfsim.contexts import Context
from halfsim.nn.module import Module
from halfsim.numerics.formats import as_format
from halfsim.optim.options import checked
from halfsim.optim.weight import as_format_of
from halfsim.options import guarded_class
from halfsim.states import like
from halfsim.text import counted


class EMA(Card):
    """Averages of parameters, ``average + (1 - decay) * (weight - average)`` after every step.

    ``parameters`` is a Module or an iterable of tensors. ``format`` is that of the averages and of their arithmetic
    (one kernel, PyTorch's lerp); None takes each parameter's own. A half with decay 0.999 stops moving while it is
    still up to a quarter off, because the increment is below half an ulp; the trace tells. Averages start as the
    weights are. ``ValueError`` for decay outside 0 to 1 and for no parameters.

    >>> import halfsim as hs
    >>> w = hs.tensor([0.0])
    >>> ema = EMA([w], decay=0.75)
    >>> w.array = w.array + 1
    >>> ema.update()
    >>> ema.averages
    [tensor([0.25], float32)]
    """

    @overridable("EMA")
    def __init__(self, parameters: Module | Iterable[Tensor], decay: float = 0.999, format: object = None) -> None:
        checked(high=np.nextafter(1, 2), decay=decay)
        given = parameters.parameters() if isinstance(parameters, Module) else parameters
        self.parameters = [given] if isinstance(given, Tensor) else list(given)
        if not self.parameters:
            raise ValueError("parameters: an empty list is not allowed; allowed: a Module, tensors")
        for p in self.parameters:
            if not isinstance(p, Tensor):
                raise TypeError(f"parameters: {type(p).__name__} is not allowed; allowed: Tensor")
        self.decay = decay
        self._swaps, self._kept = 0, list[Any]()
        self.averages = [tensor(p, p.format if format is None else as_format(format)) for p in self.parameters]

    def __repr__(self) -> str:
        formats = ", ".join(dict.fromkeys(average.format.name for average in self.averages))
        return f"EMA(decay={self.decay:g}, {counted(len(self.averages), 'average')} in {formats})"

    def update(self) -> None:
        """Move every average towards its parameter."""
        for i, (p, before) in enumerate(zip(self.parameters, self.averages, strict=True)):
            with scoped(phase="optimizer", path=p.name, gradients=False):
                after = kernel("lerp", before, p, weight=1 - self.decay, label="average")
                if (observer := active()) is not None:
                    goal = as_format_of(p, before.format)
                    observer.averaged(before.array, after.array, goal.array, before.format, "")
            self.averages[i] = after

    def copy_to(self) -> None:
        """Write the averages into the parameters, rounded to their formats."""
        for p, average in zip(self.parameters, self.averages, strict=True):
            with scoped(phase="optimizer", path=p.name, gradients=False):
                p.array = as_format_of(average, p.format).array

    def swap(self) -> Any:
        """A context in which the parameters are the averages; after it they are themselves again, bit for bit."""
        return _Swap(self)

    def state_dict(self) -> dict[str, Any]:
        """The decay and the averages, in the order of the parameters."""
        return {"decay": self.decay, "averages": list(self.averages)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; ``ValueError`` where number or shapes do not fit."""
        like(self.state_dict(), state_dict, "state_dict", (), ("averages",))
        checked(high=np.nextafter(1, 2), decay=state_dict["decay"])
        given = state_dict["averages"]
        if len(given) != len(self.averages):
            raise ValueError(f"averages: {len(given)} are not allowed; allowed: {len(self.averages)}")
        loaded = [tensor(x, own.format) for x, own in zip(given, self.averages, strict=True)]
        for new, own in zip(loaded, self.averages, strict=True):
            if new.shape != own.shape:
                raise ValueError(f"averages: shape {new.shape} does not fit {own.shape}")
        self.decay, self.averages = state_dict["decay"], loaded


class _Swap(Context):
    """What the first to enter puts by, the last to leave puts back, whatever their order."""

    def __init__(self, ema: EMA) -> None:
        self.ema = ema

    def __enter__(self) -> None:
        ema = self.ema
        if not ema._swaps:
            ema._kept = [p.array for p in ema.parameters]
            ema.copy_to()
        ema._swaps += 1

    def __exit__(self, *exception: object) -> None:
        ema = self.ema
        if not ema._swaps:
            raise RuntimeError("swap: left where it was not entered; allowed: after it was")
        ema._swaps -= 1
        if not ema._swaps:
            for p, data in zip(ema.parameters, ema._kept, strict=True):
                p.array = data
            ema._kept = []


guarded_class(EMA)
