"""What is in force where an operation runs: a precision or a policy, the module's path, the phase, gradients.

Contexts such as `precision` and `no_grad`, and modules as they are called, change it; each thread has its own. An
operation asks `resolve` for its precision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from halfsim.autograd.policy import PROMOTE, Rule, as_rule
from halfsim.card import Card
from halfsim.contexts import Context, Pile
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision, native
from halfsim.numerics.precision import reproducible as without_blas
from halfsim.options import guarded_names


class Scope(NamedTuple):  # which is made anew faster than a dataclass, at every module and backward step
    """Everything that an operation depends on and is not given as an argument.

    It is never changed: a context puts another Scope in its place, which has all but a few fields in common with it,
    and puts it back at its end.

    >>> from halfsim import precision
    >>> with precision("fp16"):
    ...     scope().rule.storage.name, scope().path, scope().gradients
    ('float16', '', True)
    """

    rule: Rule = PROMOTE  # the innermost precision or policy
    override: bool = False  # whether the rule stays, whatever contexts and modules inside it ask for
    base: str = ""  # the path of the module that has set the rule as its own; "" for a context's
    path: str = ""  # of the module that is running, as "encoder.0.fc"; "" outside all
    within: tuple[str, ...] = ()  # the names of functions of several operations that are running, outermost first
    phase: str = "forward"  # or "backward", "optimizer"; "on tape" where a formula is run for gradients of gradients
    gradients: bool = True  # whether results go on the tape
    reproducible: bool = False  # whether "exact" accumulates in the place of "blas"
    carry: Format | None = None  # the format in which all tensors are made, see `carried_in`
    options: Any = None  # those that replace what optimizers and others are given, see `halfsim.autograd.overrides`

    @property
    def inner_path(self) -> str:
        """The path from the module that set the rule: "fc" in the module "encoder.0.fc" if "encoder.0" set it."""
        return self.path[len(self.base) :].lstrip(".") if self.base else self.path


_SCOPE = Pile("halfsim_scope", Scope())


scope = _SCOPE.get  # the scope in force


_CALLED = {"rule": "precision", "gradients": "no_grad", "reproducible": "reproducible"}  # contexts, in errors


class scoped(Card, Context):  # noqa: N801  # used as a function
    """A context or decorator: a scope that differs from the one in force by ``changes``, the attributes of `Scope`.

    It may be entered again and again, inside itself and in several threads too, and left in any order. With ``restart``
    stochastic rounding begins its stream anew each time.
    """

    def __init__(self, *, restart: bool = False, **changes: Any) -> None:
        self.restart, self.changes = restart, changes

    def __repr__(self) -> str:
        words = (f"{'precision' if name == 'rule' else name} {value}" for name, value in self.changes.items() if value)
        return f"a context: {'; '.join(words)}"

    def __enter__(self) -> Any:
        changes = self.changes
        if self.restart and not _SCOPE.get().override:
            changes = {**changes, "rule": changes["rule"].restarted()}
        _SCOPE.enter(self, partial(_changed, changes))

    def __exit__(self, *exception: object) -> None:
        _SCOPE.leave(self, next((name for key, name in _CALLED.items() if key in self.changes), "scope"))


def _changed(changes: dict[str, Any], current: Scope) -> Scope:
    """``current`` with ``changes``; its rule stays if it overrides all others."""
    if current.override:
        changes = {name: value for name, value in changes.items() if name not in ("rule", "base")}
    return current._replace(**changes)


def amended(**changes: Any) -> Callable[[], None]:
    """Change the scope in force by ``changes`` until the innermost context is left; returns a function that undoes it.

    For switches that are no contexts, as PyTorch's ``set_grad_enabled(False)``. An earlier amendment in the same
    context is replaced.
    """
    change = partial(_changed, changes)
    _SCOPE.amend(change)
    return partial(_SCOPE.withdraw, change)


def precision(spec: object, *, override: bool = False) -> Any:
    """A context in which operations run in the precision ``spec``.

    ``spec`` is a Precision, a Policy, a preset ("fp64", "fp32", "fp16", "pure_fp16", ...), a format (`halfsim.float16`
    or ``np.float16`` is "fp16"), "amp", a string of ``role=value`` pairs, or a mapping of module paths and "@op" names
    to precisions. The innermost scope wins; with ``override`` this one beats every scope and module precision inside.
    Stochastic rounding begins its stream anew. ``ValueError`` for an unknown word.

    >>> from halfsim import tensor
    >>> with precision("fp16"):
    ...     (tensor([2048.0]) + 1).format.name
    'float16'
    """
    changes = {"override": True} if override else {}
    return scoped(restart=True, rule=as_rule(spec), base="", **changes)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """A context, or a decorator (with or without parentheses), in which operations leave nothing on the tape."""
    return scoped(gradients=False) if function is None else scoped(gradients=False)(function)


def enable_grad(function: Callable[..., Any] | None = None) -> Any:
    """A context, or a decorator, that records gradients again inside `no_grad`: the opposite of it, used alike."""
    return scoped(gradients=True) if function is None else scoped(gradients=True)(function)


def reproducible() -> Any:
    """A context in which sums and products give the same bits on every machine and with any number of threads.

    The accumulator ``exact`` takes the place of ``blas`` wherever that stands, in the forward and the backward pass.

    >>> from halfsim import tensor
    >>> with reproducible():
    ...     (tensor([[1e8, 1.0, -1e8]]) @ tensor([1.0, 1.0, 1.0])).item()
    1.0
    """
    return scoped(reproducible=True)


def carried_in(fmt: Format) -> Any:
    """A context in which every tensor is made in ``fmt``, also where a narrower format is asked for.

    So `halfsim.tensor`, ``.to``, ``.half``, parameters and the state of optimizers all give ``fmt``, and no conversion
    rounds; formats that ``fmt`` does not contain stay as they are, as do arrays of integers and bools. Tensors made
    outside keep their format.

    >>> from halfsim import float64, tensor
    >>> with carried_in(float64):
    ...     tensor([0.1], "fp16").half().format.name
    'float64'
    """
    return scoped(carry=fmt)


def carried(fmt: Format) -> Format:
    """The format of a tensor that is asked for in ``fmt``: that, or the one in which tensors are carried."""
    carry = _SCOPE.get().carry
    return fmt if carry is None or not carry.contains(fmt) else carry


_RESOLVED: dict[tuple[object, ...], tuple[Precision, Rule, Format]] = {}  # each holds the rule and format of its key
_KNOWN = 4096


def resolve(op: str, category: str | None, widest: Format) -> Precision:
    """The precision in force for the operation ``op`` of ``category`` on operands no wider than ``widest``.

    A single Precision holds for every operation. A policy chooses by name, place and format, which takes long: its
    answers are kept, one for each operation, format and rule, and for each path where its rules name modules.
    """
    here = _SCOPE.get()
    rule = here.rule
    if isinstance(rule, Precision):
        return without_blas(rule) if here.reproducible else rule
    path = here.path and here.inner_path if rule.by_path else ""
    key = (id(rule), op, category, id(widest), path, here.within, here.reproducible)
    found = _RESOLVED.get(key)
    if found is None:
        precision = rule.rule_of(op, path, category, widest, here.within)
        if len(_RESOLVED) >= _KNOWN:
            _RESOLVED.clear()
        found = _RESOLVED[key] = without_blas(precision) if here.reproducible else precision, rule, widest
    return found[0]


def resolve_for(fmt: Format) -> Precision:
    """The precision for work that must give results in ``fmt``, as an optimizer's on its weights.

    It is the one in force if that is a single Precision which stores ``fmt``, so that its accumulator, rounding and
    other words count; otherwise the native one of ``fmt``, where every step is rounded to ``fmt``.

    >>> from halfsim import float16
    >>> with precision("fp32"):
    ...     resolve_for(float16).storage.name
    'float16'
    """
    here = _SCOPE.get()
    rule = here.rule
    if not isinstance(rule, Precision):
        rule = rule.native(fmt)
    elif rule.storage != fmt:
        rule = native(fmt)
    return without_blas(rule) if here.reproducible else rule


guarded_names(globals(), ["precision", "no_grad", "enable_grad", "reproducible"])
