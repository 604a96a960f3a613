"""Property-based tests of numeric code: strategies, assertions, properties, a search for the worst input.

It comes with ``pip install "halfsim[testing]"``; nothing of it is imported before it is asked for.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from halfsim.names import missing as _missing

_MODULES = ("strategies",)

# What is public, by the file it is in.
_FILES: dict[str, tuple[str, ...]] = {
    "assertions": ("assert_no", "assert_representable", "assert_same_bits", "assert_ulp_close"),
    "expected": ("Expected", "assert_within_precision", "expected_error"),
}

_HOMES = {name: file for file, names in _FILES.items() for name in names}

__all__ = sorted([*_MODULES, *_HOMES])


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _import_module(f"halfsim.testing.{name}")
    if name not in _HOMES:
        raise _missing("halfsim.testing", name, __all__)
    globals()[name] = getattr(_import_module(f"halfsim.testing.{_HOMES[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
