"""Applications on real data, in small: held to SciPy's and NumPy's float64 and, where bits must be equal, to others."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import scipy.signal
import softfloatpy as sf

import halfsim as hs
from halfsim.gallery.uses import audio, embedded, games, image, inference, measures, sources, tables
from halfsim.gallery.uses.arithmetic import ARITHMETIC, rule
from halfsim.gallery.uses.cases import under
from halfsim.gallery.uses.catalogue import APPLICATIONS, measure
from halfsim.gallery.uses.result import Application

SPOKEN = find_spec("pysptk") is not None
MODELS = all(map(find_spec, ("onnx", "silero_vad", "rapidocr_onnxruntime")))


@pytest.fixture(scope="module")
def small() -> dict[str, Application]:
    """Each application, once, on little data."""
    return {name: measure(name, "zh", small=True) for name in APPLICATIONS}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_each_application_gives_rows_or_one_line(name: str, small: dict[str, Application]) -> None:
    found = small[name]
    assert found.rows or found.missing
    assert all("comes with: pip install" in line and "\n" not in line for line in found.missing)
    assert {row.precision for row in found.rows} <= {*ARITHMETIC}
    assert found.title in found.page()
    assert found.to_json()
    english = found.translated("en")
    assert english.rows == found.rows
    assert english.title != found.title


def test_several_are_told_in_another_language() -> None:
    found = hs.gallery.uses.result.Applications([Application("a", audio.TITLE, audio.NOTHING)])
    assert found.translated("zh")[0].title == audio.TITLE.zh
    with pytest.raises(ValueError, match="lang: 'fr' is not allowed"):
        found.translated("fr")


# ---- float64, against SciPy and NumPy --------------------------------------------------------------------------------


@pytest.fixture
def picture() -> Any:
    return np.random.default_rng(0).uniform(0, 1, (64, 96))


@pytest.fixture
def sound() -> Any:
    """Noise of 16 bits, whose length is no multiple of anything here."""
    return np.round(np.random.default_rng(1).normal(size=6_411) * 3000)


def test_the_blur_is_scipys(picture: Any) -> None:
    right = scipy.ndimage.correlate(picture, image.gaussian())[4:-4, 4:-4]
    np.testing.assert_allclose(under("fp64", lambda: image.blur(picture))[0, 0], right, atol=1e-12)
    alone = np.zeros((9, 9))
    alone[4, 4] = 1  # of an impulse the filter of SciPy is its weights
    np.testing.assert_allclose(image.gaussian(), scipy.ndimage.gaussian_filter(alone, 2, truncate=2), atol=1e-12)


def test_edges_are_scipys(picture: Any) -> None:
    right = np.hypot(*(scipy.ndimage.sobel(picture, axis) for axis in (0, 1)))[1:-1, 1:-1]
    np.testing.assert_allclose(under("fp64", lambda: image.edges(picture))[0, 0], right, atol=1e-12)


def test_means_of_squares_of_pixels_are_scipys(picture: Any) -> None:
    right = scipy.ndimage.uniform_filter(picture, 16)
    for run in (image.integral_mean, image.box_mean):
        found = under("fp64", lambda run=run: run(picture))
        np.testing.assert_allclose(found, right[9:-7, 9:-7], atol=1e-12)  # of what lies wholly inside


def test_the_resize_is_a_triangle_of_scipys_and_pillows() -> None:
    pixels = np.random.default_rng(2).uniform(0, 1, (64, 64))
    found = under("fp64", lambda: image.resize(pixels))[0, 0]
    scale = 64 / len(found)
    hat = scipy.interpolate.BSpline.basis_element([-1, 0, 1], extrapolate=False)
    away = (np.arange(64) + 0.5 - (np.arange(len(found))[:, None] + 0.5) * scale) / scale
    weights = np.nan_to_num(hat(away))
    weights /= weights.sum(1, keepdims=True)
    np.testing.assert_allclose(found, weights @ pixels @ weights.T, atol=1e-12)
    pillow = pytest.importorskip("PIL.Image")
    other = pillow.fromarray(pixels.astype(np.float32)).resize(found.shape, pillow.Resampling.BILINEAR)
    np.testing.assert_allclose(found, np.asarray(other), atol=1e-6)


def test_the_low_pass_is_scipys(sound: Any) -> None:
    taps = scipy.signal.firwin(101, 1000, fs=audio.RATE, window="hamming")
    np.testing.assert_allclose(audio.low_pass(), taps, atol=1e-15)
    right = scipy.signal.lfilter(taps, 1, sound)[100:]
    np.testing.assert_allclose(under("fp64", lambda: audio.fir(sound))[0, 0], right, atol=1e-9)


def test_both_forms_of_the_high_pass_are_scipys(sound: Any) -> None:
    b, a = scipy.signal.butter(2, 60, "high", fs=audio.RATE)
    np.testing.assert_allclose(np.concatenate([audio._coefficients()[0], [1.0], audio._coefficients()[1]]), [*b, *a])
    pieces = sound[: len(sound) // 64 * 64].reshape(64, -1).T / 32768
    right = scipy.signal.lfilter(b, a, pieces, axis=0)
    for run in (audio.biquad, audio.state_variable):
        np.testing.assert_allclose(under("fp64", lambda run=run: run(sound)), right, atol=1e-12)


def test_the_transform_is_numpys() -> None:
    pieces = np.random.default_rng(0).normal(size=(3, 512))
    real, imag = under("fp64", lambda: audio.spectrum(pieces))
    np.testing.assert_allclose(real + 1j * imag, np.fft.fft(pieces)[:, :256], atol=1e-11)


def test_loudness_of_blocks_counts_every_sample(sound: Any) -> None:
    right = 10 * np.log10(np.mean((sound / 32768) ** 2))
    np.testing.assert_allclose(under("fp64", lambda: audio.level(sound)), right, atol=1e-12)
    np.testing.assert_allclose(under("fp64", lambda: audio.level_of_blocks(sound, 1024.0)), right, atol=1e-12)
    assert abs(under("pure_fp16", lambda: audio.level_of_blocks(sound, 1024.0)) - right) < 0.1


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_statistics_are_numpys() -> None:
    stream = tables.Stream(*sources.cells(), 10_000, 1000)
    area, perimeter = (np.concatenate(column) for column in zip(*stream, strict=True))
    np.testing.assert_allclose(under("fp64", lambda: tables.stable_variance(stream)), area.var(), rtol=1e-9)
    right = np.corrcoef(area, perimeter)[0, 1]
    np.testing.assert_allclose(under("fp64", lambda: tables.naive_correlation(stream)), right, rtol=1e-9)


# ---- bits ------------------------------------------------------------------------------------------------------------


def test_a_clock_has_the_bits_of_numpys_float16() -> None:
    t, right = np.float16(0), []
    for frame in range(1, 4801):
        t = t + np.float16(1 / 60)
        if frame % 60 == 0:
            right.append(float(t))
    assert under("fp16", lambda: games.clock(4800)).tolist() == right
    assert right[-1] == 64


def _half(bits: Any) -> Fraction:
    return Fraction(float(np.uint16(bits).view(np.float16)))


def _chain(a: Any, b: Any, flush: bool) -> int:
    """The bits of a dot product by SoftFloat's multiply-add, with FZ16 flushing subnormal operands and results.

    A result is flushed where the exact one is below the smallest normal number, as Arm detects it: before rounding.
    """
    tiny = Fraction(1, 2**14)

    def operand(x: int) -> int:
        return x & 0x8000 if flush and not x & 0x7C00 else x

    now = 0
    for x, y in zip(a.view(np.uint16).tolist(), b.view(np.uint16).tolist(), strict=True):
        x, y, c = operand(x), operand(y), operand(now)
        exact = _half(x) * _half(y) + _half(c)
        done = sf.f16_mul_add(*(sf.Float16.from_bytes(v.to_bytes(2, "big")) for v in (x, y, c)))
        now = int.from_bytes(done.to_bytes(), "big")
        if flush and 0 < abs(exact) < tiny:
            now &= 0x8000
    return now


@pytest.mark.parametrize(("word", "flush"), [("M55", False), ("M55 FZ16", True)])
def test_a_cortex_m55s_sums_are_softfloats(word: str, flush: bool) -> None:
    rng = np.random.default_rng(3)
    apart = 0
    for _ in range(60):
        a, b = (rng.normal(size=12) * 2.0 ** rng.integers(-14, 1, 12) for _ in range(2))
        a, b = a.astype(np.float16), b.astype(np.float16)
        with hs.precision(rule(word)):
            found = (hs.tensor(a[None]) @ hs.tensor(b[:, None])).numpy().astype(np.float16)
        assert int(found.view(np.uint16).item()) == _chain(a, b, flush)
        apart += _chain(a, b, False) != _chain(a, b, True)
    assert apart > 3  # the flag does something here


def test_a_small_core_flushes_and_an_alternative_half_has_no_infinity() -> None:
    small, large = hs.tensor([3e-3], "fp32"), hs.tensor([300.0, 400.0], "fp32")
    told = {word: under(word, lambda: [*(small * small).numpy(), *(large * large).numpy()]) for word in embedded.CORES}
    assert told["fp32"][1:].tolist() == [90000.0, 160000.0]
    assert told["M55"][0] == float(np.float16(np.float16(3e-3) * np.float16(3e-3))) > 0
    assert told["M55 FZ16"][0] == 0
    assert np.isinf(told["M55"][1:]).all()
    assert told["M4F AHP"][1:].tolist() == [89984.0, 131008.0]  # steps of 64 there, and no infinity


def test_a_cortex_a76_has_the_arithmetic_of_a_cortex_m55() -> None:
    devices = [hs.hardware.device(name) for name in ("Cortex-M55", "Cortex-A76")]
    assert devices[0].precision() == devices[1].precision() == rule("M55")
    assert hs.hardware.device("Cortex-M4F").precision() == rule("M4F")


# ---- inference and small cores ---------------------------------------------------------------------------------------


def test_characters_are_counted_as_difflib_aligns_them() -> None:
    def codes(*lines: str) -> Any:
        return np.array([[*map(ord, line)] + [0] * (9 - len(line)) for line in lines])

    read = measures.CHARACTERS.of
    assert read(codes("kitten"), codes("sitting")) == 1 - 3 / 7  # Levenshtein's own example
    assert read(codes("abc", ""), codes("abc", "abc")) == 0.5
    assert read(codes(""), codes("")) == 1


def test_the_touch_pads_network_is_counted() -> None:
    facts = {fact.words.en: fact.value for fact in embedded.bills(True)}
    assert facts["weights in float32"] == 2 * facts["weights in float16"] == 4 * 2298
    half, wide = (facts[f"Cortex-M55, time of an answer in {word} by the roofline"] for word in ("float16", "float32"))
    assert 1.5 < wide / half <= 2
    half, wide = (facts[f"Cortex-M4F, time of an answer in {word} by the roofline"] for word in ("float16", "float32"))
    assert 1 <= wide / half < 1.1  # it only stores halves


def test_a_column_without_ink_is_nan_where_1e_5_is_flushed() -> None:
    images = np.zeros((1, 64))
    images[0, 0::8] = np.arange(8) / 8
    for word, bad in (("fp32", False), ("M55", False), ("M55 FZ16", True)):
        found = under(word, lambda: embedded.contrast(images))[0]
        assert np.isnan(found[:, 1:]).all() == bad
        assert np.isfinite(found[:, 0]).all()


@pytest.mark.skipif(not MODELS, reason="the packages with the models are not installed")
def test_trained_models_in_half(small: dict[str, Application]) -> None:
    found = small["inference"].translated("en")
    assert not [said for said in found.missing if not said.startswith("speech: ")]  # whose package is built from source
    assert found.row("finding text", "fp16").value == 0
    assert found.row("finding text", "fp16").fix.en == "batch_norm_0.w_2 in float32, as the audit says"
    assert found.row("finding text", "fp16").fixed > 0.95
    assert found.row("finding text", "bf16").fine
    assert found.row("PP-OCRv4 finder: audit", "fp16").where.en.startswith("24 of 24 numbers of batch_norm_0.w_2")
    assert all(row.fine for row in found.rows if "PP-OCRv4 finder" not in row.operation.en and row.precision != "fp16")


@pytest.mark.skipif(
    not MODELS or find_spec("onnxruntime") is None, reason="onnxruntime or the models are not installed"
)
def test_models_are_fed_as_onnxruntime_takes_them() -> None:
    import onnxruntime

    images = inference.seen(inference.page()[None, :48])
    other = onnxruntime.InferenceSession(str(sources.READER.path())).run(None, {"x": images})[0]
    ours = inference.model(sources.READER).run(None, {"x": images})[0]
    np.testing.assert_allclose(ours, other, atol=1e-4)
    words = "".join(inference.alphabet()[k] for k in dict.fromkeys(other[0].argmax(-1).tolist()) if k)
    assert {*"Halfprecison"} & {*words}


# ---- what is missing -------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without packages that carry data."""
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    inference.model.cache_clear()
    inference.page.cache_clear()
    yield
    inference.model.cache_clear()
    inference.page.cache_clear()


def test_a_missing_package_is_one_line(bare: None) -> None:
    found = hs.gallery.applications("image")
    assert found.missing == ("photograph: matplotlib is missing; it comes with: pip install 'halfsim[gallery]'",)
    assert not found.rows


def test_the_rest_runs_without_the_models_and_the_speech(bare: None) -> None:
    found = measure("inference", small=True)
    assert {row.operation.en.split()[0] for row in found.rows} == {"60", "digits:"}
    assert (
        "text detector: rapidocr_onnxruntime is missing; it comes with: pip install 'halfsim[models]'" in found.missing
    )
    found = measure("embedded", small=True)
    assert len(found.missing) == 2
    assert found.rows
    assert not found.pictures
