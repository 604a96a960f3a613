"""A Fix: what mends a trouble, in words and, where a machine can apply it, as a policy or an option."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from halfsim.autograd.policy import PROMOTE, Policy, Rule


@dataclass(frozen=True)
class Fix:
    """One remedy. ``text`` says it; ``policy`` or ``option`` is the same for a machine, None where it takes a person.

    ``policy`` is the whole precision to run in, the one that was in force with the named operations in float32;
    ``option`` maps the names of options, as they are typed, to values: ``{"master_weights": True}``.

    >>> print(Fix("keep exp in float32", Policy({"default": "fp16", "@exp": "fp32"})))
    keep exp in float32 (policy {'default': 'fp16', '@exp': 'fp32'})
    """

    text: str
    policy: Policy | None = None
    option: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        if self.policy is not None:
            return f"{self.text} (policy {typed(self.policy)})"
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Text, the policy as the string that `halfsim.precision` takes, and the option."""
        policy = None if self.policy is None else str(self.policy)
        return {"text": self.text, "policy": policy, "option": None if self.option is None else dict(self.option)}


def typed(policy: Policy) -> str:
    """A policy as the mapping that one types.

    >>> typed(Policy({"default": "fp16", "@exp": "fp32"}))
    "{'default': 'fp16', '@exp': 'fp32'}"
    """
    entries = {"default": policy.default, **dict(policy.rules)}
    return str({pattern: str(Policy({"default": base})) for pattern, base in entries.items()})


def wide(rule: Rule | None, keys: Iterable[str], spec: str = "fp32") -> Policy:
    """The rule in force (None: none) with the operations ``keys`` in ``spec``."""
    if isinstance(rule, Policy):
        base: dict[str, Any] = {"default": rule.default, **dict(rule.rules)}
    else:
        base = {"default": PROMOTE.default if rule is None else rule}
    return Policy({**{k: v for k, v in base.items() if k not in keys}, **dict.fromkeys(keys, spec)})


def named(keys: Iterable[str]) -> str:
    """Operations in words.

    >>> named(["@exp", "encoder@sum", "@div"])
    'exp, sum and div'
    """
    names = list(dict.fromkeys(key.partition("@")[2] for key in keys))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
