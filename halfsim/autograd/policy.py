"""Which precision rules which operation, and the scope in force: precision, module path, phase, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from halfsim.numerics.formats import Format, float64, unknown
from halfsim.numerics.precision import BF16, FP16, FP32, FP64, PRESETS, Precision, native


@dataclass(frozen=True)
class Policy:
    """A precision for each category of operations; operations in no category keep their widest operand's.

    ``categories`` pairs categories, as operations declare them by ``@op("fp16")``, with precisions.
    Operations on float64 keep float64, as under PyTorch's autocast.
    """

    name: str
    categories: tuple[tuple[str, Precision], ...] = ()

    def precision(self, category: str | None, widest: Format) -> Precision:
        """The precision of an operation of ``category`` whose widest operand has format ``widest``."""
        chosen = {} if widest == float64 else dict(self.categories)
        return chosen.get(category or "") or native(widest)

    def __str__(self) -> str:
        return self.name


PROMOTE = Policy("promote")
AMP = Policy("amp", (("fp16", FP16), ("fp32", FP32)))

_POLICIES = {"amp": AMP, "promote": PROMOTE}

_BY_FORMAT = {preset.storage.name: preset for preset in (FP64, FP32, BF16, FP16)}

Rule: TypeAlias = Precision | Policy


def as_rule(spec: object) -> Rule:
    """The Precision or Policy that ``spec`` names.

    ``spec`` is one of these, a preset ("fp16", or its format "float16"), "amp", or ``role=value`` pairs.
    ``ValueError`` for an unknown word, ``TypeError`` for something that is none of these.

    >>> str(as_rule("amp"))
    'amp'
    """
    if isinstance(spec, (Precision, Policy)):
        return spec
    if isinstance(spec, str) and "=" not in spec:
        name = spec.strip().lower()
        found = PRESETS.get(name) or _POLICIES.get(name) or _BY_FORMAT.get(name)
        if found is None:
            raise unknown("precision", spec, [*PRESETS, *_POLICIES, "role=value pairs"])
        return found
    if not isinstance(spec, str):
        raise TypeError(f"precision: {type(spec).__name__} is not allowed; allowed: a Precision, a Policy, a string")
    return Precision(spec)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an operation finds in force when it is called."""

    rule: Rule = PROMOTE
    override: bool = False
    path: str = ""
    phase: str = "forward"
    gradients: bool = True


_SCOPE: ContextVar[Scope] = ContextVar("halfsim_scope", default=Scope())  # noqa: B039  # a Scope is frozen


def scope() -> Scope:
    """The scope in force."""
    return _SCOPE.get()


@contextmanager
def scoped(**changes: Any) -> Iterator[None]:
    """A scope that differs from the one in force by ``changes``, the attributes of `Scope`."""
    current = _SCOPE.get()
    if current.override:
        changes.pop("rule", None)
    token = _SCOPE.set(replace(current, **changes))
    try:
        yield
    finally:
        _SCOPE.reset(token)


def precision(spec: object, *, override: bool = False) -> Any:
    """A context in which operations run in the precision ``spec``.

    ``spec`` is a Precision, a Policy, a preset ("fp64", "fp32", "fp16", "pure_fp16", ...), "amp", or a
    string of ``role=value`` pairs. The innermost scope wins; with ``override`` this one beats every scope
    and module precision inside. ``ValueError`` for an unknown word.

    >>> from halfsim import tensor
    >>> with precision("fp16"):
    ...     (tensor([2048.0]) + 1).format.name
    'float16'
    """
    rule = as_rule(spec)
    return scoped(rule=rule, override=True) if override else scoped(rule=rule)


def no_grad() -> Any:
    """A context in which operations leave nothing on the tape."""
    return scoped(gradients=False)


def resolve(category: str | None, widest: Format) -> Precision:
    """The precision in force for an operation of ``category`` on operands no wider than ``widest``."""
    rule = _SCOPE.get().rule
    return rule if isinstance(rule, Precision) else rule.precision(category, widest)


def resolve_for(fmt: Format) -> Precision:
    """The precision in force for tensors that stay in ``fmt``: the scope's if it stores in ``fmt``, else native."""
    rule = _SCOPE.get().rule
    return rule if isinstance(rule, Precision) and rule.storage == fmt else native(fmt)
