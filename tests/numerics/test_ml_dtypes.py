"""Every float type of ml_dtypes, code by code; docs/formats.md has the counts."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs

ml_dtypes = pytest.importorskip("ml_dtypes")
from tests.numerics.ml_dtypes_table import DOCS, TYPES, row, table  # noqa: E402

ATTRIBUTES = (
    *("bits", "eps", "epsneg", "max", "min", "tiny", "smallest_normal", "smallest_subnormal"),
    *("nmant", "nexp", "maxexp", "minexp"),
)


def test_every_float_type_is_there() -> None:
    theirs = {
        name
        for name in dir(ml_dtypes)
        if name.startswith(("float", "bfloat")) and isinstance(getattr(ml_dtypes, name), type)
    }
    assert theirs <= set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_nothing_is_wrong(name: str) -> None:
    assert row(name).wrong == []


@pytest.mark.parametrize("name", TYPES)
def test_attributes_are_those_of_finfo(name: str) -> None:
    ours, theirs = getattr(hs, name), ml_dtypes.finfo(getattr(ml_dtypes, name))
    assert {a: float(getattr(ours, a)) for a in ATTRIBUTES} == {a: float(getattr(theirs, a)) for a in ATTRIBUTES}


@pytest.mark.parametrize("name", TYPES)
def test_names_and_dtypes_are_doors_to_the_format(name: str) -> None:
    theirs, ours = getattr(ml_dtypes, name), getattr(hs, name)
    for spec in (name, theirs, np.dtype(theirs)):
        assert hs.formats.as_format(spec) is ours
    assert ours == theirs
    assert ours == np.dtype(theirs)


@pytest.mark.skipif(ml_dtypes.__version__ != "0.6.0", reason="the page has the counts of ml_dtypes 0.6.0")
def test_the_page_is_what_the_command_prints() -> None:
    assert f"<!-- ml_dtypes -->\n{table()}<!-- /ml_dtypes -->" in DOCS.read_text(encoding="utf-8")
