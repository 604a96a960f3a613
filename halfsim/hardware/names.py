"""Names of devices as people write them: one product each, or a refusal that says which there are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from halfsim.hardware.catalogue import FAMILIES
from halfsim.numerics.formats import shortened

_LIKE = str.maketrans("olis", "0115")  # letters that are mistaken for digits
_MAKERS = re.compile(r"^(nvidia|amd|intel|arm|huawei|google|qualcomm|baidu)\s+")
_LONGEST = 60  # of a name that is worth a search for near ones


def key(name: str) -> str:
    """What two spellings of a name have in common: letters and digits, without the maker.

    >>> key("NVIDIA A100-SXM4-40GB") == key("a100 sxm4 40 GB")
    True
    """
    return re.sub(r"[\s_\-()]", "", _MAKERS.sub("", name[: 2 * _LONGEST].strip().lower()))


class Names:
    """Every name of every device; ``names`` gives each its device's own."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {key(word): name for word, name in names.items()}
        self._own = list(dict.fromkeys(names.values()))
        self._families = {key(word): products for word, products in FAMILIES.items()}

    def find(self, name: str) -> str:
        """The device's own name; ``ValueError`` names the nearest, or the products of a family."""
        found = self._names.get(key(name)) if len(name) <= 2 * _LONGEST else None
        if found is not None:
            return found
        near = " or ".join(map(repr, self._near(name)[:3]))
        hint = f" (did you mean {near}?)" if near else ""
        allowed = f"{', '.join(self._own[:3])}, ... ({len(self._own)} in all)"
        raise ValueError(f"device: {shortened(name)} is not allowed{hint}; allowed: {allowed}")

    def _near(self, name: str) -> list[str]:
        """The products of a family; else what a slip of the pen makes of it; else the nearest."""
        word = key(name)
        if word in self._families:
            return list(self._families[word])
        if not word or len(name) > _LONGEST:
            return []
        alike = [own for own in self._names if own.translate(_LIKE) == word.translate(_LIKE)]
        near = alike or difflib.get_close_matches(word, [*self._names, *self._families], n=1)
        return [product for own in near[:1] for product in self._families.get(own, (self._names.get(own, ""),))]
