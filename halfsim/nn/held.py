"""What lists and dicts of modules share with those of parameters: places, keys, and what is asked of both."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

from halfsim.nn.module import Module
from halfsim.numerics.formats import whole
from halfsim.options import shown

_List = TypeVar("_List", bound="HeldList")


class _Held(Module):
    """``_table`` is the attribute that holds the parts, "_modules" or "_parameters"."""

    _table: str

    @property
    def _parts(self) -> dict[str, Any]:
        return self.__dict__[self._table]

    def __len__(self) -> int:
        return len(self._parts)


class HeldList(_Held):
    """Parts in order, called "0", "1", ... unless named."""

    def _key(self, index: Any) -> str:
        position, count = whole("index", index), len(self)
        if not -count <= position < count:
            raise IndexError(f"index: {shown(position)} is not allowed; allowed: {-count} to {count - 1}")
        return list(self._parts)[position]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts.values())

    def append(self: _List, value: Any) -> _List:
        """Add one at the end."""
        raise NotImplementedError

    def extend(self: _List, values: Iterable[Any]) -> _List:
        """Add some at the end, in their order."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self: _List, values: Iterable[Any]) -> _List:
        return self.extend(values)


class HeldDict(_Held):
    """Parts by name, in the order in which they came."""

    def _pairs(self, values: Any) -> Iterable[tuple[str, Any]]:
        """The names and parts of a mapping, or of pairs."""
        if isinstance(values, (Mapping, HeldDict)):
            return values.items()
        if not isinstance(values, Iterable):
            raise TypeError(f"{self._table[1:]}: {shown(values)} is not allowed; allowed: a dict, or pairs")
        return values

    def _held(self, key: Any) -> str:
        """``key``, if there is a part of that name; ``KeyError`` as of a dict."""
        if key not in self:
            if not isinstance(key, str):
                raise TypeError(f"key: {shown(key)} is not allowed; allowed: a string")
            raise KeyError(f"key: {shown(key)} is not there; allowed: {shown(list(self._parts))}")
        return key

    def __getitem__(self, key: str) -> Any:
        return self._parts[self._held(key)]

    def __delitem__(self, key: str) -> None:
        del self._parts[self._held(key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._parts

    def keys(self) -> KeysView[str]:
        return self._parts.keys()

    def values(self) -> ValuesView[Any]:
        return self._parts.values()

    def items(self) -> ItemsView[str, Any]:
        return self._parts.items()

    def pop(self, key: str) -> Any:
        """Take one out."""
        return self._parts.pop(self._held(key))

    def clear(self) -> None:
        self._parts.clear()
