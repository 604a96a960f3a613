"""Gradient checkpointing by PyTorch's names: the values and gradients are its own, the memory is not saved.

A checkpointed function is called as it stands and its steps stay on the tape: recomputing them would give the same
bits, and would show every trouble twice to whoever watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from halfsim.names import public

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``; the options are PyTorch's and change nothing here.

    >>> checkpoint(abs, -2.0, use_reentrant=False)
    2.0
    """
    return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Iterable[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """``input`` through all ``functions``, a Sequential or a list, in order.

    ``ValueError`` for fewer than one segment.
    """
    if segments < 1:
        raise ValueError(f"segments: {segments} is not allowed; allowed: integers from 1")
    for function in functions.children() if hasattr(functions, "children") else functions:
        input = function(input)
    return input


public(__name__)
