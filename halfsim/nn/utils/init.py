"""Modules that are made to be filled afterwards."""

from __future__ import annotations

import inspect
from contextvars import copy_context
from typing import Any

from halfsim.autograd.random import manual_seed
from halfsim.nn.module import Module
from halfsim.options import guarded_names


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module of ``module_cls`` for which the generator in force draws nothing: its weights are not to be used.

    ``device`` is left out where the class has none. ``TypeError`` for anything but a class of modules.

    >>> from halfsim import nn
    >>> skip_init(nn.Linear, 3, 2).weight.shape
    (2, 3)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        name = getattr(module_cls, "__name__", type(module_cls).__name__)
        raise TypeError(f"module_cls: {name} is not allowed; allowed: a class of modules")
    if "device" not in inspect.signature(module_cls).parameters:
        kwargs.pop("device", None)

    def make() -> Any:
        manual_seed(0)
        return module_cls(*args, **kwargs)

    return copy_context().run(make)


guarded_names(globals(), ["skip_init"])
