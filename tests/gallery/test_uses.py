"""Applications on real data, in small: held to NumPy's float64 and, where bits must be equal, its float16."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import halfsim as hs
from halfsim.gallery.uses import audio, games, sources, tables
from halfsim.gallery.uses.cases import under
from halfsim.gallery.uses.catalogue import APPLICATIONS, measure


@pytest.mark.parametrize("name", APPLICATIONS)
def test_each_application_gives_rows_or_one_line(name: str) -> None:
    found = measure(name, "zh", small=True)
    assert bool(found.rows) != bool(found.missing)
    assert "<" in found.page()
    assert found.to_json()


def test_the_transform_is_numpys() -> None:
    pieces = np.random.default_rng(0).normal(size=(3, 512))
    real, imag = under("fp64", lambda: audio.spectrum(pieces))
    np.testing.assert_allclose(real + 1j * imag, np.fft.fft(pieces)[:, :256], atol=1e-11)


def test_a_clock_has_the_bits_of_numpys_float16() -> None:
    t, right = np.float16(0), []
    for frame in range(1, 4801):
        t = t + np.float16(1 / 60)
        if frame % 60 == 0:
            right.append(float(t))
    assert under("fp16", lambda: games.clock(4800)).tolist() == right
    assert right[-1] == 64


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_statistics_are_numpys() -> None:
    stream = tables.Stream(*sources.cells(), 10_000, 1000)
    area, perimeter = (np.concatenate(column) for column in zip(*stream, strict=True))
    np.testing.assert_allclose(under("fp64", lambda: tables.stable_variance(stream)), area.var(), rtol=1e-9)
    right = np.corrcoef(area, perimeter)[0, 1]
    np.testing.assert_allclose(under("fp64", lambda: tables.naive_correlation(stream)), right, rtol=1e-9)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    found = hs.gallery.applications("image")
    assert found.missing == ("photograph: matplotlib is missing; it comes with: pip install 'halfsim[gallery]'",)
    assert not found.rows
