"""Policy: which precision rules which operation, by module path and by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias
from weakref import WeakSet

import numpy as np

from halfsim.card import Card
from halfsim.numerics.formats import RESERVED, Format, as_format, float64, is_format, tfloat32, unknown
from halfsim.numerics.precision import BF16, FP16, FP32, FP64, PRESETS, TF32, Precision, native
from halfsim.options import guarded_class

OPERATIONS: set[str] = set()  # the names that "@name" may match; `halfsim.autograd.tape` fills it

# What a default may be besides a Precision: one for each category of operations, as they declare it by `@op("fp16")`.
# Operations in no category keep the format of their widest operand, and so do those on float64, as under autocast.
_LISTS: dict[str, dict[str, Precision]] = {
    "promote": {},
    "amp": {"fp16": FP16, "fp32": FP32},
    "amp_bf16": {"fp16": BF16, "fp32": FP32},
}

_BY_FORMAT = {**{preset.storage.name: preset for preset in (FP64, FP32, BF16, FP16)}, tfloat32.name: TF32}

Base: TypeAlias = "Precision | str"  # a Precision, or the name of lists


@dataclass(frozen=True, init=False)
class Policy(Card):
    """Says which precision each operation runs in, by the module it runs in and by its name.

    ``rules`` maps patterns to precisions (anything `halfsim.precision` takes but a Policy of several rules), or is
    the string ``"pattern: precision; pattern: precision"`` that ``str`` gives back. A pattern is

    - ``"default"``: what rules the rest; without it "promote", by which results take the format of the widest operand;
    - a module path, in which ``*`` and ``?`` stand for any characters, dots too; it rules the module it names and all
      inside, like a scope;
    - ``"@name"``: operations of that name (wildcards allowed), wherever they are; ``"path@name"``: those in a module.

    Of the rules that match, the most specific one wins: one for an operation before one for a module; then the one
    that names the innermost module ("*.norm" before "encoder.layers.*" in "encoder.layers.0.norm"); then the one with
    more characters besides wildcards; then the later one. ``ValueError`` for an operation that does not exist, naming
    the nearest; a path that no module has is found when a model of several modules runs, see `check`.

    >>> policy = Policy({"default": "fp32", "encoder.*": "fp16", "*.norm": "fp32", "@softmax": "fp32"})
    >>> [policy.precision(op, path).storage.name for op, path in
    ...  [("linear", "encoder.0.fc"), ("layer_norm", "encoder.0.norm"), ("softmax", "encoder.0.attention")]]
    ['float16', 'float32', 'float32']
    """

    default: Base
    rules: tuple[tuple[str, Base], ...]
    by_path: bool = field(compare=False, repr=False)  # whether a rule is for modules
    by_op: bool = field(compare=False, repr=False)  # whether a rule is for operations
    _checked: WeakSet[Any] = field(compare=False, repr=False)

    def __init__(self, rules: Mapping[str, object] | str = "promote") -> None:
        given = dict(_entries(rules) if isinstance(rules, str) else rules)
        object.__setattr__(self, "default", _base(given.pop("default", "promote")))
        for pattern in given:
            if not isinstance(pattern, str) or not pattern.strip():
                raise ValueError(f"policy: {pattern!r} is not allowed; allowed: 'default', a module path, '@op'")
            name = pattern.partition("@")[2]
            if "@" in pattern and not any(fnmatchcase(known, name) for known in OPERATIONS):
                raise unknown("policy", pattern, [f"@{known}" for known in sorted(OPERATIONS)])
        object.__setattr__(self, "rules", tuple((pattern.strip(), _base(spec)) for pattern, spec in given.items()))
        object.__setattr__(self, "by_path", any(not pattern.startswith("@") for pattern, _ in self.rules))
        object.__setattr__(self, "by_op", any("@" in pattern for pattern, _ in self.rules))
        object.__setattr__(self, "_checked", WeakSet())

    def precision(
        self, op: str, path: str = "", category: str | None = None, widest: Format = FP32.storage, within: Any = ()
    ) -> Precision:
        """The precision of operation ``op`` of a ``category`` in module ``path``, on operands up to ``widest``.

        ``within`` names the composed operations it is a step of, outermost first.
        """
        return self.rule_of(op, path, category, widest, within)

    def rule_of(self, op: str, path: str, category: str | None, widest: Format, within: Any) -> Precision:
        """`precision` without a check of its arguments, for `halfsim.autograd.scope.resolve`."""
        base = self._most_specific(path, (op, *within))
        if isinstance(base, Precision):
            return base
        chosen = {} if widest == float64 else _LISTS[base]
        return chosen.get(category or "") or native(widest)

    def native(self, fmt: Format) -> Precision:
        """The precision of work on what stays in ``fmt``, as an optimizer's on its weights: that of ``fmt`` itself."""
        return native(fmt)

    def _most_specific(self, path: str, ops: tuple[str, ...]) -> Base:
        best, found = (False, -1, -1, -1), self.default
        for i, (pattern, base) in enumerate(self.rules):
            where, at, name = pattern.partition("@")
            depth = _depth(where, path) if where else 0
            if depth is not None and (not at or any(fnmatchcase(op, name) for op in ops)):
                literal = sum(character not in "*?" for character in pattern)
                best, found = max((best, found), ((bool(at), depth, literal, i), base), key=lambda pair: pair[0])
        return found

    def check(self, model: object, paths: Iterable[str]) -> None:
        """``ValueError``, with the nearest one, for a rule that none of the module ``paths`` of ``model`` matches.

        A model that has passed is not looked at again.
        """
        if model in self._checked:
            return
        known = [path for path in paths if path]
        for pattern, _ in self.rules:
            where = pattern.partition("@")[0]
            if where and not any(_depth(where, path) is not None for path in known):
                raise unknown("policy", pattern, known)
        self._checked.add(model)

    def restarted(self) -> Policy:
        """The same policy with every stochastic rounding at the beginning of its stream."""
        bases = [self.default, *(base for _, base in self.rules)]
        if all(not isinstance(base, Precision) or base.restarted() is base for base in bases):
            return self
        fresh = [base.restarted() if isinstance(base, Precision) else base for base in bases]
        return Policy({"default": fresh[0], **dict(zip((p for p, _ in self.rules), fresh[1:], strict=True))})

    def __reduce__(self) -> Any:
        return Policy, ({"default": self.default, **dict(self.rules)},)

    def __repr__(self) -> str:
        return f"Policy({str(self)!r})"

    def _card(self) -> Any:
        rows = [(pattern, rule_name(base)) for pattern, base in (*self.rules, ("default", self.default))]
        return [("", "Policy; of the rules that match, the most specific wins."), ("", [("where", "precision"), *rows])]

    def __str__(self) -> str:
        if not self.rules:
            return rule_name(self.default)
        return "; ".join(f"{pattern}: {rule_name(base)}" for pattern, base in (("default", self.default), *self.rules))


def _depth(pattern: str, path: str) -> int | None:
    """How specific a module ``pattern`` is for ``path``: the number of names of the deepest module that it names.

    "encoder.*" names "encoder" on the way to "encoder.0.fc": 1; "*.fc" names all of it: 3; "*" names none: 0. None for
    a pattern that matches neither the module nor one around it.
    """
    parts = path.split(".")
    ways = [".".join(parts[: n + 1]) for n in range(len(parts))] if path else []
    if not any(fnmatchcase(way, pattern) for way in ways):
        return None
    named = pattern
    while named.endswith(".*"):
        named = named[:-2]
    if not named.strip("*?"):
        return 0
    return max((n + 1 for n, way in enumerate(ways) if fnmatchcase(way, named)), default=0)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    if ":" not in text or "=" in text.partition(":")[0]:
        yield "default", text
        return
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        pattern, colon, spec = (part.strip() for part in entry.partition(":"))
        if not colon or not spec:
            raise ValueError(f"policy: {entry!r} is not allowed; allowed: 'pattern: precision'")
        yield pattern, spec


def _base(spec: object) -> Base:
    if isinstance(spec, str) and spec.strip().lower() in _LISTS:
        return spec.strip().lower()
    rule = as_rule(spec)
    if isinstance(rule, Policy) and rule.rules:
        raise ValueError("policy: a policy of several rules is not allowed inside another; allowed: a precision")
    return rule.default if isinstance(rule, Policy) else rule


def rule_name(rule: Rule | Base) -> str:
    """What people call a precision or a policy: a preset's name, or else its pairs.

    >>> rule_name(as_rule("storage=fp16, compute=fp32, accumulate=fp32")), rule_name(AMP)
    ('fp16', 'amp')
    """
    if isinstance(rule, str):
        return rule
    return next((name for name, preset in PRESETS.items() if preset == rule), str(rule))


PROMOTE = Policy("promote")
AMP = Policy("amp")

_POLICIES = {"amp": AMP, "promote": PROMOTE, "amp_bf16": Policy("amp_bf16")}
RESERVED.update(_POLICIES)

Rule: TypeAlias = Precision | Policy


def as_rule(spec: object, name: str = "precision") -> Rule:
    """The Precision or Policy that ``spec`` names; ``name`` is that of the argument, for errors.

    ``spec`` is a Precision, a Policy, a preset ("fp16", or its format: "float16", `halfsim.float16`, ``np.float16``), a
    format without a preset, in which results are then stored and steps rounded, "amp", ``role=value`` pairs, a mapping
    of patterns to precisions, or such a mapping as a string. ``ValueError`` for an unknown word, ``TypeError`` for
    anything else.

    >>> str(as_rule("amp"))
    'amp'
    """
    if isinstance(spec, (Precision, Policy)):
        return spec
    if isinstance(spec, Mapping):
        return Policy(spec)
    if isinstance(spec, (Format, type, np.dtype)):
        fmt = as_format(spec, name)
        return TF32 if fmt == tfloat32 else native(fmt)
    if not isinstance(spec, str):
        allowed = "a Precision, a Policy, a Format, a string"
        raise TypeError(f"{name}: {type(spec).__name__} is not allowed; allowed: {allowed}")
    if ":" in spec and "=" not in spec.partition(":")[0]:
        return Policy(spec)
    if "=" in spec:
        return Precision(spec)
    word = spec.strip().lower()
    found = PRESETS.get(word) or _POLICIES.get(word) or _BY_FORMAT.get(word)
    if found is None and is_format(word):
        found = native(as_format(word))
    if found is None:
        raise unknown(name, spec, [*PRESETS, *_POLICIES, "a format", "role=value pairs"])
    return found


guarded_class(Policy, ("__init__", "check", "precision"))
