"""Optimizers whose every step is an operation on the simulated unit, in the format of the parameter.

The sequence of operations is that of PyTorch's single-tensor kernels, so a parameter in float16 sees the roundings
it would see there: each kernel computes in the ``compute`` of the precision in force and stores in float16.
Hyper-parameters that PyTorch keeps as Python numbers (learning rate, bias corrections) are kept so here.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.autograd.observer import active
from halfsim.autograd.overrides import overridden
from halfsim.autograd.scope import resolve_for, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.names import public
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.quantize import Array
from halfsim.numerics.rounding import Rounding, Stochastic, as_rounding
from halfsim.optim.hooks import Hooked, hooked, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from halfsim.optim.kernels import watch_constant
from halfsim.optim.options import checked_rates, executed, is_tensor, numbers
from halfsim.optim.weight import Dithered, Kahan, Master, Weight, as_format_of
from halfsim.options import guarded_class, shown
from halfsim.states import entries, kind, like
from halfsim.text import clipped

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]


class Optimizer(Hooked):
    """The base of all optimizers: parameter groups, per-parameter state, and the loop over both.

    ``params`` is an iterable of tensors that take gradients, of pairs (name, tensor) as `named_parameters` gives
    them, or of dicts with key "params" and options of their own. One remedy against lost updates may be chosen:
    ``master_weights=True`` keeps a float32 copy of every narrower parameter in state "master", updates that (with
    all state in float32) and rounds it into the parameter; ``kahan=True`` keeps in state "compensation", in the
    parameter's format, what the parameter could not hold, ``u = compensation + update; new = p + u;
    compensation = u + (p - new)``; ``rounding="stochastic"`` (or a `Stochastic`, whose stream goes on from step to
    step) computes the update in float32 and rounds it once. Parameters in float32 or wider need no copy and no
    dither, and get none. ``ValueError`` for an empty list, a tensor given twice and two remedies, ``TypeError`` for
    other things.

    Rates may be tensors of one element, whose value counts at each step. Hooks run around `step`, `state_dict` and
    `load_state_dict`, as in PyTorch; ``state`` has an empty dict for a parameter that was never updated.

    An optimizer of one's own defines either `update`, which knows of the remedies, or `step`, as in PyTorch: that is
    told as the phase "optimizer", and a trace begins the next step after it, once, also where it calls this one's.
    """

    execution: tuple[str, ...] = ()  # which of PyTorch's options of execution it takes
    __argument__ = "an optimizer"
    scalars: tuple[str, ...] = ("step",)  # the keys of numbers in the state
    _stepping = ""  # "own" while a step() of the class's own is under way, "base" once it has called the one here

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__ and cls.__module__.startswith("halfsim.optim."):
            guarded_class(cls, ["__init__", *(name for name in ("update", "step") if name in vars(cls))])
        if "step" in cls.__dict__:
            cls.step = hooked(_told(cls.__dict__["step"]))  # type: ignore[method-assign]

    def __init__(
        self,
        params: Iterable[Any],
        defaults: dict[str, Any],
        *,
        master_weights: bool = False,
        kahan: bool = False,
        rounding: str | Stochastic | None = None,
        **execution: bool | None,
    ) -> None:
        name = type(self).__name__
        remedy: dict[str, Any] = {"master_weights": master_weights, "kahan": kahan, "rounding": rounding}
        defaults = {**defaults, **executed(name, self.execution, execution, [*defaults, *remedy])}
        remedy = overridden(name, remedy)
        master_weights, kahan, rounding = remedy["master_weights"], remedy["kahan"], remedy["rounding"]
        defaults = overridden(name, defaults)
        if rounding is not None and as_rounding(rounding) is not Rounding.STOCHASTIC:
            raise ValueError(f"rounding: {rounding} is not allowed; allowed: None, stochastic, a Stochastic")
        if master_weights + kahan + (rounding is not None) > 1:
            raise ValueError("master_weights, kahan, rounding: allowed is one of them at a time")
        self.master_weights, self.kahan = bool(master_weights), bool(kahan)
        self.rounding = rounding if isinstance(rounding, Stochastic) else None if rounding is None else Stochastic()
        self.defaults, self._hooks = defaults, {}
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._written: dict[Tensor, Array] = {}  # what the last step made of each master
        if isinstance(params, Tensor):
            raise TypeError("params: a single Tensor is not allowed; allowed: a list of tensors or of groups")
        if not isinstance(params, Iterable) or callable(params):  # a model, which may be iterable too
            raise TypeError(f"params: {type(params).__name__} is not allowed; allowed: model.parameters(), a list")
        given = list(params)
        if not given:
            raise ValueError("params: an empty list is not allowed; allowed: tensors or groups of them")
        groups: list[Any] = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a dict with key "params" and options that replace the defaults."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError("params: a group is a dict with key 'params'")
        given = param_group["params"]
        param_group = overridden(type(self).__name__, param_group)
        if isinstance(given, (set, frozenset)):
            raise TypeError("params: a set has no order; allowed: a list of tensors")
        given = [given] if isinstance(given, Tensor) else list(given)
        names = [item[0] for item in given if isinstance(item, tuple) and len(item) == 2]
        if names and len(names) != len(given):
            raise ValueError("params: some names are missing; allowed: names for all tensors, or for none")
        tensors = [item[1] for item in given] if names else given
        self._check(tensors)
        if self.param_groups and bool(names) != ("param_names" in self.param_groups[0]):
            raise ValueError("params: groups with and without names do not mix; allowed: names in all, or in none")
        for name, p in zip(names, tensors, strict=False):
            p.name = p.name or name
        named = {"param_names": names} if names else {}
        self.param_groups.append({**self.defaults, **param_group, "params": tensors, **named})

    def _check(self, tensors: list[Any]) -> None:
        known = {id(p) for p in self._parameters()}
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"params: {type(p).__name__} is not allowed; allowed: Tensor")
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("params: the result of an operation is not allowed; allowed: leaf tensors")
            if id(p) in known:
                raise ValueError(f"params: {p.name or 'a tensor'} is given twice; allowed: once")
            known.add(id(p))

    def _parameters(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every gradient, ``grad`` is None; or, without ``set_to_none``, make it zeros."""
        for p in self._parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else Tensor(np.zeros_like(p.grad.array), p.grad.format)

    @hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, and begin the trace's next step.

        ``closure``, if given, computes loss and gradients anew before the update; its loss is returned.
        """
        loss = None
        if closure is not None:
            with scoped(gradients=True, phase="forward"):
                loss = closure()
        for group in map(numbers, self.param_groups):
            for p in group["params"]:
                if p.grad is not None:
                    check_gradient(p)
                    with scoped(phase="optimizer", path=p.name, gradients=False):
                        self._step(p, group)
        observer = active()
        if self._stepping:
            self._stepping = "base"
        elif observer is not None:
            observer.advance()
        return loss

    def _step(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        weight = self._weight(p, state)
        watch_constant(type(self).__name__, "lr", group["lr"], resolve_for(weight.value.format).compute)
        assert p.grad is not None
        direction = self.update(weight, as_format_of(p.grad, weight.format), state, group)
        self._settle(weight, direction, bool(group["lr"]))

    def _settle(self, weight: Weight, direction: Tensor, told: bool = True) -> None:
        """Write the updated ``weight`` into its parameter; with ``told``, let whoever watches know how it moved."""
        p, new, observer = weight.parameter, weight.settle(), active()
        if observer is not None and told:
            observer.updated(p, weight.unmoved(new.array), direction)
        p.hold(new)
        if weight.format != p.format:
            self._written[p] = new.array

    def _weight(self, p: Tensor, state: dict[str, Any]) -> Weight:
        """What the update of ``p`` is added to."""
        if self.kahan:
            return Kahan(p, state)
        if self._working_format(p) != p.format:
            return Master(p, state, self._written.get(p) is p.array)
        if self.rounding is not None and not p.format.contains(float32):
            return Dithered(p, state, self.rounding)
        return Weight(p, state)

    def _working_format(self, p: Tensor) -> Format:
        """The format of gradient and state in the update of ``p``."""
        return float32 if self.master_weights and float32.contains(p.format) else p.format

    def update(self, weight: Weight, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Update ``weight`` and ``state``; returns the direction that was meant to change it, zero where nothing was.

        ``grad`` is in the format of ``weight``, which is that of the parameter or, for a master copy, float32.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name}: update is not defined, for it moves all at once; allowed: step")

    def state_dict(self) -> dict[str, Any]:
        """A snapshot in PyTorch's layout: "state" by index of the parameter, and "param_groups" that hold indices.

        With a remedy, a third entry "remedy" names it and says where a stochastic stream is.
        """
        self._run_hooks("state_dict_pre", self)
        index = {id(p): i for i, p in enumerate(self._parameters())}
        groups = [{k: _held(v) for k, v in g.items() if k != "params"} for g in self.param_groups]
        for packed, group in zip(groups, self.param_groups, strict=True):
            packed["params"] = [index[id(p)] for p in group["params"]]
        state = {
            index[id(p)]: {k: list(v) if isinstance(v, list) else v for k, v in values.items()}
            for p, values in self.state.items()
        }
        remedy = self._remedy()
        made = {"state": state, "param_groups": groups, **({"remedy": remedy} if remedy else {})}
        return self._run_hooks("state_dict_post", self, made)

    def _remedy(self) -> dict[str, Any]:
        if self.rounding is not None:
            source = self.rounding
            return {"name": "stochastic", "seed": source.seed, "bits": source.bits, "state": source.get_state()}
        name = "master_weights" if self.master_weights else "kahan" if self.kahan else ""
        return {"name": name} if name else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave, here or in PyTorch (its tensors as arrays).

        Arrays are rounded to the format in which the parameter's state is kept, except "step". ``ValueError`` if
        groups, shapes or the remedy do not fit; then nothing is changed.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError("state_dict: allowed is a mapping with keys 'state' and 'param_groups'")
        state_dict = self._run_hooks("load_state_dict_pre", self, dict(state_dict))
        saved, groups = state_dict["param_groups"], self.param_groups
        like(groups, saved, "param_groups", {*self.defaults}, ("param_groups", "params"))
        for given in saved:
            checked_rates(given)
        sizes = [[len(g["params"]) for g in some] for some in (saved, groups)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"state_dict: groups of {sizes[0]} parameters; allowed: {sizes[1]}, as here")
        remedy, own = state_dict.get("remedy") or {}, self._remedy()
        if remedy:
            like({"name": ""}, remedy, "remedy")
            if remedy["name"] != own.get("name"):
                word = clipped(remedy["name"], 60)
                raise ValueError(f"state_dict: made with {word}; allowed: an optimizer made with it")
            like(own, remedy, "remedy")
        like({}, state_dict["state"], "state")
        indices = [i for g in saved for i in g["params"]]
        if not all(isinstance(i, (int, str)) for i in indices):
            raise ValueError(f"param_groups: params {shown(indices)} are not allowed; allowed: integers")
        by_index = dict(zip(indices, self._parameters(), strict=True))
        unknown = [i for i in state_dict["state"] if i not in by_index]
        if unknown:
            raise ValueError(f"state_dict: state of parameter {shown(unknown[0])}, which no group holds")
        state = {
            by_index[i]: self._loaded(by_index[i], entries(v, f"state.{i}")) for i, v in state_dict["state"].items()
        }
        source = self.rounding
        if source is not None and remedy:
            source = Stochastic(remedy["seed"], remedy["bits"])
            source.set_state(remedy["state"])
        held = [{k: _held(v) for k, v in given.items() if k != "params"} for given in saved]
        self.rounding = source  # from here on nothing fails
        self.state = defaultdict(dict, state)
        self._written = {}
        for group, given in zip(groups, held, strict=True):
            group.update(given)
        self._run_hooks("load_state_dict_post", self)

    def _loaded(self, p: Tensor, values: Mapping[str, Any]) -> dict[str, Any]:
        """The state of ``p`` from ``values``, in the formats kept here."""
        loaded: dict[str, Any] = {}
        for key, value in values.items():
            if key in self.scalars:
                like(0.0, value, f"state_dict: {key}")
                plain = float(np.asarray(value))
                if key == "step" and not 0 <= plain < math.inf:
                    raise ValueError(f"state_dict: step {plain:g} is not allowed; allowed: numbers from 0")
                loaded[key] = int(plain) if key == "step" else plain
            elif kind(value) == "an array":  # PyTorch's tensors too
                loaded[key] = tensor(value, self._working_format(p))
                if loaded[key].shape not in self._state_shapes(p):
                    shape = loaded[key].shape
                    raise ValueError(f"state_dict: {key} of {p.name or 'a tensor'} has shape {shape}, not {p.shape}")
            else:
                if self.__module__.startswith("halfsim.") and value is not None:  # others hold what they like
                    raise ValueError(f"state_dict: {key} {shown(value)} is not allowed; allowed: a tensor, an array")
                loaded[key] = value
        return loaded

    def _state_shapes(self, p: Tensor) -> set[tuple[int, ...]]:
        """The shapes that tensors in the state of ``p`` may have."""
        return {p.shape, ()}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


_OWN = [name for name, found in vars(Optimizer).items() if name[:1] != "_" and inspect.isfunction(found)]
guarded_class(Optimizer, ["__init__", *_OWN])


def _told(step: Callable[..., Any]) -> Callable[..., Any]:
    """A ``step`` of a user's own as observers are to see it: its phase, the weights that it moved, its end."""

    @functools.wraps(step)
    def wrapped(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        observer = active()
        if observer is None or self._stepping:
            return step(self, *args, **kwargs)
        moved = [p for group in self.param_groups if group.get("lr", 1) for p in group["params"] if p.grad is not None]
        before = [p.array.copy() for p in moved]  # a step may write into the array
        self._stepping = "own"
        try:
            with scoped(phase="optimizer"):
                result = step(self, *_as_forward(args), **dict(zip(kwargs, _as_forward(kwargs.values()), strict=True)))
        finally:
            told, self._stepping = self._stepping == "base", ""
        for p, old in [] if told else zip(moved, before, strict=True):
            if p.grad is not None and p.grad.shape == p.shape == old.shape:
                with scoped(phase="optimizer", path=p.name, gradients=False):
                    observer.updated(p, np.equal(p.array, old), p.grad, own=True)
        observer.advance()
        return result

    return wrapped


def _as_forward(arguments: Iterable[Any]) -> list[Any]:
    """Arguments of a step, its closure among them, which computes the loss in the phase "forward"."""
    return [scoped(phase="forward")(a) if callable(a) and not isinstance(a, Tensor) else a for a in arguments]


def _held(value: Any) -> Any:
    """A value of a group as a snapshot holds it: a copy of a tensor, into which a schedule writes."""
    return copy.deepcopy(value) if is_tensor(value) else value


def check_gradient(p: Tensor) -> None:
    """``ValueError`` for a gradient that is not of the parameter's shape, which may have changed since."""
    if p.grad is not None and p.grad.shape != p.shape:
        raise ValueError(f"grad: shape {p.grad.shape} does not fit {p.name or 'a tensor'} of {p.shape}")


public(__name__)
