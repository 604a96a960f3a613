"""Real models of wheels, held to onnxruntime; see `tests/onnx/wheels.py`. Last run on 2026-11-30: 13 models."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import pytest

import halfsim as hs
from tests.onnx.making import by_onnxruntime
from tests.onnx.wheels import FILES, error, feeds, page, read

pytestmark = pytest.mark.skipif(not FILES, reason="HALFSIM_ONNX_WHEELS names no folder with wheels of onnx models")


@pytest.mark.parametrize(("wheel", "name"), FILES, ids=[Path(name).name for _, name in FILES])
def test_a_model_gives_what_onnxruntime_gives(wheel: Path, name: str) -> None:
    data = zipfile.ZipFile(wheel).read(name)
    given = feeds(Path(name).name, data)
    ours, theirs = hs.onnx.load(data).run(None, given), by_onnxruntime(data, given)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
    assert error(ours, theirs) <= 1e-4


def test_one_tensor_breaks_the_text_detector_in_half_and_one_tensor_mends_it() -> None:
    """PP-OCRv4's running variance `batch_norm_0.w_2` is past 65504 on all its channels."""
    data, x = read("ch_PP-OCRv4_det_infer"), page()
    m = hs.onnx.load(data)
    mask = by_onnxruntime(data, {"x": x})[0] > 0.3
    assert mask.mean() > 0.05
    variance = m.get_parameter("batch_norm_0.w_2").numpy()
    assert (variance > 65504).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m.half()

    def overlap() -> float:
        found = m.run(None, {"x": x})[0] > 0.3
        return float((found & mask).sum() / (found | mask).sum())

    assert overlap() < 0.05
    m._parameters["batch_norm_0.w_2"] = hs.nn.Parameter(hs.tensor(variance))
    assert overlap() >= 0.99


def test_the_trace_names_the_node_of_that_tensor() -> None:
    m = hs.onnx.load(read("ch_PP-OCRv4_det_infer"))
    with hs.trace() as t, hs.precision("fp16"):
        m(page()[:, :, :96, :96])
    found = t.verdict()
    assert found.klass == "overflow"
    assert m.get_submodule(found.path).inputs[4] == "batch_norm_0.w_2"
