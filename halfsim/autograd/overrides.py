"""Options that take the place of those given: how a proposed fix is tried without touching the code that it is for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from halfsim.autograd.scope import scope, scoped

_Function = TypeVar("_Function", bound=Callable[..., Any])

REMEDIES = {"master_weights": False, "kahan": False, "rounding": None}  # of optimizers, one at a time, and what none is


@dataclass
class Overrides:
    """The ``options`` in force and whom they are for; ``used`` collects the names that something took.

    ``of`` is the operation or the class of optimizer that an ``eps`` or a ``constant`` is meant for, "" for every
    optimizer and no operation; with ``optimizers`` it is meant for these too. ``value`` is the constant that it
    replaces, wherever that is given to the operation.
    """

    options: Mapping[str, Any]
    of: str = ""
    value: float | None = None
    optimizers: bool = False
    used: set[str] = field(default_factory=set)

    def taken(self, owner: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """``given`` with the options in force in it, of names that it has.

        An eps is only raised, and that of a named ``owner`` alone; one remedy of optimizers ends the others.
        """
        changed = {name: value for name, value in self.options.items() if name in given}
        meant = self.optimizers or self.of in ("", owner)
        if "eps" in changed and (not meant or _at_least(given["eps"], changed["eps"])):
            del changed["eps"]
        self.used.update(changed)
        ended = {name: none for name, none in REMEDIES.items() if name in given and changed.keys() & REMEDIES.keys()}
        return {**given, **ended, **changed}

    def call(
        self, spec: Any, operands: Sequence[Any], options: Sequence[Any], keywords: dict[str, Any]
    ) -> tuple[Sequence[Any], Sequence[Any], dict[str, Any]]:
        """What the operation ``spec`` is given, with the eps or the constant replaced that is meant for it."""
        new = self.options.get("constant", self.options.get("eps"))
        if spec.name != self.of or new is None:
            return operands, options, keywords
        names = list(inspect.signature(spec.formula).parameters)[1 + len(spec.operands) :]

        def kept(name: str, given: Any) -> Any:
            plain = isinstance(given, (int, float)) and not isinstance(given, bool)
            same = plain and self.value is not None and float(given) == self.value
            if not (same or (plain and name == "eps" and "eps" in self.options and not _at_least(given, new))):
                return given
            self.used.update(self.options.keys() & {"constant", "eps"})
            return type(given)(new) if isinstance(given, float) else new

        keywords = {name: kept(name, given) for name, given in keywords.items()}
        options = [kept(name, given) for name, given in zip(names, options, strict=False)]
        if "eps" in names[len(options) :] and "eps" not in keywords:
            default = inspect.signature(spec.formula).parameters["eps"].default
            if (chosen := kept("eps", default)) != default:
                keywords["eps"] = chosen
        return [kept("", x) for x in operands], options, keywords


def _at_least(given: Any, new: Any) -> bool:
    return isinstance(given, (int, float)) and given >= new


@contextmanager
def overriding(
    options: Mapping[str, Any], of: str = "", value: float | None = None, optimizers: bool = False
) -> Iterator[Overrides]:
    """A context in which ``options`` take the place of what optimizers, scalers and clipping are given.

    They are taken where such things are made, or called; see `Overrides` for the rest.

    >>> from halfsim import optim, tensor
    >>> with overriding({"kahan": True}) as found:
    ...     optim.SGD([tensor([1.0])], master_weights=True).kahan, sorted(found.used)
    (True, ['kahan'])
    """
    overrides = Overrides(dict(options), of, value, optimizers)
    with scoped(options=overrides):
        yield overrides


def overridden(owner: str, given: dict[str, Any]) -> dict[str, Any]:
    """``given`` options of ``owner``, with those in force in their place."""
    here = scope().options
    return given if here is None else here.taken(owner, given)


def overridable(owner: str) -> Callable[[_Function], _Function]:
    """Let the options in force take the place of those that a function of ``owner``, or its constructor, is given."""

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            here = scope().options
            if here is None or not here.options.keys() & signature.parameters.keys():
                return function(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            bound.arguments.update(here.taken(owner, bound.arguments))
            return function(*bound.args, **bound.kwargs)

        return call  # type: ignore[return-value]

    return decorate


def loss_scale() -> float:
    """The factor of every gradient on its way back, 1 where no option sets one."""
    here = scope().options
    if here is None or "loss_scale" not in here.options:
        return 1.0
    here.used.add("loss_scale")
    return float(here.options["loss_scale"])
