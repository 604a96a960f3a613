"""Saved states, compared with an object's own before anything of them is applied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

import numpy as np

from halfsim.options import shown
from halfsim.text import clipped

_PLACE = 80  # characters of a place that an error repeats


def kind(value: Any) -> str:
    """What a value is in a state, in words."""
    if value is None:
        return "None"
    if isinstance(value, (bool, np.bool_)):
        return "True or False"
    if isinstance(value, int) and value.bit_length() > 1023:
        return "an integer past every float"
    if isinstance(value, (Real, np.number)):
        return "a number"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return "an array"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a string" if isinstance(value, str) else type(value).__name__


# What may stand where another kind stands: a rate may be a tensor, a switch may be left open.
_ALSO = {"a number": {"an array"}, "an array": {"a number"}, "True or False": {"None"}}


def like(own: Any, given: Any, place: str, missing: Collection[str] = (), free: Collection[str] = ()) -> None:
    """``ValueError`` where ``given`` may not stand where ``own`` stands in a state; ``place`` names it.

    Kinds must be the same, also inside mappings and lists, lists of one length and all keys there. Where ``own`` has
    None there may be anything. Keys in ``missing`` need not be there, lists of the names in ``free`` have any length.
    """
    found, wanted = kind(given), kind(own)
    if own is None:
        return
    if found != wanted and found not in _ALSO.get(wanted, ()):
        raise ValueError(f"{place[:_PLACE]}: {shown(given)} is not allowed; allowed: {wanted}")
    if wanted == "a mapping":
        kinds = {type(key) for key in own} or {str, int}
        wrong = [key for key in given if type(key) not in kinds]
        if wrong:
            raise ValueError(
                f"{place[:_PLACE]}: key {shown(wrong[0])} is not allowed; allowed: names as in a state_dict"
            )
        for key, value in own.items():
            if key in given:
                like(value, given[key], f"{place}.{key}", missing, free)
            elif key not in missing:
                allowed = clipped(", ".join(map(str, own)), _PLACE)
                raise ValueError(f"{place[:_PLACE]}: {key} is missing; allowed: {allowed}")
    elif wanted == "a list":
        if len(own) != len(given) and place.rpartition(".")[2] not in free:
            raise ValueError(f"{place[:_PLACE]}: a list of {len(given)} is not allowed; allowed: of {len(own)}")
        for i, value in enumerate(given if len(own) else ()):
            like(own[min(i, len(own) - 1)], value, f"{place}.{i}", missing, free)


def entries(state: Any, place: str) -> Mapping[str, Any]:
    """``state`` if it is a mapping of names to numbers, arrays, switches and lists of them; else ``ValueError``."""
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise ValueError(f"{place}: {shown(state)} is not allowed; allowed: a mapping of names to numbers and arrays")
    for key, value in state.items():
        if kind(value) not in ("a number", "an array", "True or False", "None", "a list", "a mapping"):
            raise ValueError(f"{place}.{key[:40]}: {shown(value)} is not allowed; allowed: numbers, arrays")
    return state
