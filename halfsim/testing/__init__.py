"""Property-based tests of numeric code: strategies, assertions, properties, a search for the worst input.

It comes with ``pip install "halfsim[testing]"``; nothing of it is imported before it is asked for.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from halfsim.names import missing as _missing

if _TYPE_CHECKING:
    from halfsim.testing.assertions import assert_no as assert_no
    from halfsim.testing.assertions import assert_representable as assert_representable
    from halfsim.testing.assertions import assert_same_bits as assert_same_bits
    from halfsim.testing.assertions import assert_ulp_close as assert_ulp_close
    from halfsim.testing.conformance_kit import Conformance as Conformance
    from halfsim.testing.conformance_kit import conformance as conformance
    from halfsim.testing.conformance_kit import write_golden as write_golden
    from halfsim.testing.expected import Expected as Expected
    from halfsim.testing.expected import assert_within_precision as assert_within_precision
    from halfsim.testing.expected import expected_error as expected_error
    from halfsim.testing.properties import batch_invariant as batch_invariant
    from halfsim.testing.properties import bounded_by as bounded_by
    from halfsim.testing.properties import gradient_matches as gradient_matches
    from halfsim.testing.properties import monotone as monotone
    from halfsim.testing.properties import permutation_stable as permutation_stable
    from halfsim.testing.properties import scale_equivariant as scale_equivariant
    from halfsim.testing.properties import shape_invariant as shape_invariant
    from halfsim.testing.properties import sums_to_one as sums_to_one
    from halfsim.testing.worst import WorstCase as WorstCase
    from halfsim.testing.worst import worst_case as worst_case

_MODULES = ("strategies",)

# What is public, by the file it is in.
_FILES: dict[str, tuple[str, ...]] = {
    "properties": (
        "batch_invariant",
        "bounded_by",
        "gradient_matches",
        "monotone",
        "permutation_stable",
        "scale_equivariant",
        "shape_invariant",
        "sums_to_one",
    ),
    "worst": ("WorstCase", "worst_case"),
    "conformance_kit": ("Conformance", "conformance", "write_golden"),
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
