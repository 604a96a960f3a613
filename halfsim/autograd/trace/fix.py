"""A Fix: what is done about a trouble, in words and, where a machine can do it, as a policy or as options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from halfsim.autograd.policy import PROMOTE, Policy, Rule
from halfsim.card import Card


@dataclass(frozen=True)
class Fix(Card):
    """What mends a trouble: ``text`` in words, ``policy`` or ``option`` where `halfsim.mend` can try it by itself.

    ``policy`` is what to put around the run: ``hs.precision(fix.policy)``. ``option`` holds options under the names by
    which optimizers, scalers, clipping and operations take them, as ``{"master_weights": True}``, ``{"safe": True}``,
    ``{"eps": 1e-4}`` or ``{"init_scale": 1024.0}``. Four names stand for an edit of the program: ``"constant"``, the
    number to give to the operation that broke; ``"loss_scale"``, the scale of a GradScaler to use; ``"accumulate"``,
    the accumulator of the precision in force; ``"tensors"``, the format wherever the program asks for half. A fix with
    neither policy nor option is advice that only a person can follow. ``TypeError`` for a policy that is no
    `halfsim.Policy`, and for options that are no mapping.

    >>> print(Fix("keep softmax in float32", Policy({"@softmax": "fp32"})))
    keep softmax in float32: policy {'@softmax': 'fp32'}
    >>> print(Fix("update float32 copies", option={"master_weights": True}))
    update float32 copies: master_weights=True
    """

    text: str
    policy: Policy | None = None
    option: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name, kind, what in (("text", str, "a string"), ("policy", Policy, "an hs.Policy, None"),
                                 ("option", Mapping, "a dict, None")):  # fmt: skip
            given = getattr(self, name)
            if not isinstance(given, kind) and (given is not None or name == "text"):
                raise TypeError(f"{name}: {type(given).__name__} is not allowed; allowed: {what}")

    @property
    def how(self) -> str:
        """What to type: the policy's keys, or the options; empty where it needs a person."""
        words = [] if self.policy is None else [f"policy {keys(self.policy)!r}"]
        return ", ".join([*words, *self.typed])

    @property
    def typed(self) -> list[str]:
        """The options as keywords: ["master_weights=True"]."""
        return [f"{name}={value!r}" for name, value in (self.option or {}).items()]

    def __str__(self) -> str:
        words = [] if self.policy is None else [f"policy {keys(self.policy)!r}"]
        words += [option for option in self.typed if option not in self.text]
        return f"{self.text}: {', '.join(words)}" if words else self.text

    def _card(self) -> Any:
        return [("", self.text), ("", {"to try": self.how} if self.how else {})]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON; `halfsim.Policy` takes its policy back."""
        policy = None if self.policy is None else keys(self.policy)
        return {"text": self.text, "policy": policy, "option": None if self.option is None else dict(self.option)}


def keys(policy: Policy) -> dict[str, str]:
    """The rules of a policy, as `halfsim.Policy` takes them; without a default that goes without saying."""
    words = {pattern: str(Policy({"default": base})) for pattern, base in policy.rules}
    default = str(Policy({"default": policy.default}))
    return words if words and default == "promote" else {"default": default, **words}


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
