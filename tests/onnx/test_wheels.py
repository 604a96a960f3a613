"""Real models of wheels, held to onnxruntime; see `tests/onnx/wheels.py`. Last run on 2026-11-30: 13 models."""

from __future__ import annotations

import time
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.onnx.conversion.mixed import mixed
from halfsim.onnx.conversion.saving import storing
from tests.onnx import story
from tests.onnx.making import FLOAT16, by_onnxruntime, onnx
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


# Audits.

KEPT = {"ch_PP-OCRv4_det_infer.onnx": 1, "model.onnx": 2}  # how many names; the others may be half throughout


@cache
def audited(number: int) -> tuple[Any, float]:
    """The audit of a model, and the seconds of processor time that it took."""
    wheel, name = FILES[number]
    data = zipfile.ZipFile(wheel).read(name)
    start = time.process_time()
    found = hs.onnx.audit(data, feeds(Path(name).name, data), progress=False)
    return found, time.process_time() - start


@pytest.mark.parametrize("number", range(len(FILES)), ids=[Path(name).name for _, name in FILES])
def test_a_saved_file_runs_in_onnxruntime_and_holds(number: int, tmp_path: Path) -> None:
    """As onnxruntime's CPU runs it, and where every half is stored as on a GPU."""
    wheel, name = FILES[number]
    data, found, path = zipfile.ZipFile(wheel).read(name), audited(number)[0], tmp_path / "mixed.onnx"
    assert found.found
    assert len(found.keep) == KEPT.get(Path(name).name, 0)
    held = found.save(path)
    assert held is not None
    assert held.error is not None
    assert held.error < 0.02
    assert found.bytes_mixed <= 0.6 * found.bytes
    assert path.stat().st_size <= (0.65 if "ifless" in name else 0.6) * len(data)  # a quarter of that one is text
    given, saved = feeds(Path(name).name, data), path.read_bytes()
    wanted = by_onnxruntime(data, given)
    proto = onnx.load_model_from_string(saved)
    for theirs in (by_onnxruntime(saved, given),
                   by_onnxruntime(storing(proto, hs.onnx.load(proto)), given, optimized=False)):  # fmt: skip
        for x, y in zip(theirs, wanted, strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            assert np.linalg.norm(x - y) <= 0.05 * np.linalg.norm(y)


def test_all_audits_take_less_than_a_minute() -> None:
    assert sum(audited(i)[1] for i in range(len(FILES))) < 60


def test_the_audit_names_the_variance_first_and_that_tensor_alone() -> None:
    found = audited(next(i for i, (_, name) in enumerate(FILES) if "OCRv4_det" in name))[0]
    assert found.keep == found.keep_tensors == (story.TENSOR,)
    assert (found.verdict().tensor, found.verdict().klass, found.verdict().path) == (
        story.TENSOR,
        "overflow",
        story.NODE,
    )
    assert "24 of 24" in found.verdict().message
    assert story.TENSOR in str(found.verdict()).split(";")[0]
    assert found.block_list()["node_block_list"] == [story.NODE]


def test_the_file_with_one_tensor_kept_finds_the_text() -> None:
    plain, kept, wanted = mixed(story.model()), mixed(story.model(), (), [story.TENSOR]), story.mask(story.model())
    assert story.overlap(story.stored_mask(plain), wanted) == 0
    assert story.overlap(story.stored_mask(kept), wanted) >= 0.99
    assert story.overlap(story.mask(kept), wanted) >= 0.99
    assert sum(t.data_type != FLOAT16 for n in kept.graph.node for t in (a.t for a in n.attribute) if len(t.dims) == 1
               and t.data_type in (1, FLOAT16) and t.dims[0] == 24) == 4  # of one normalization  # fmt: skip


def test_onnxruntimes_cpu_hides_that_magika_overflows_in_half() -> None:
    """A sum of squares is past 65504; its infinity is passed on as the float32 that it was, and stored it is lost."""
    data = read("standard_v3_3")
    given = feeds("model.onnx", data)
    plain = mixed(data)
    wanted = by_onnxruntime(data, given)[0]
    passed, stored = (
        by_onnxruntime(plain, given)[0],
        by_onnxruntime(storing(plain, hs.onnx.load(plain)), given, optimized=False)[0],
    )
    assert np.linalg.norm(passed - wanted) < 1e-3 * np.linalg.norm(wanted)
    assert np.linalg.norm(stored - wanted) > 0.5 * np.linalg.norm(wanted)
    assert error(hs.onnx.load(plain).run(None, given), [stored]) < 1e-3


def test_sileros_half_file_holds_no_halves() -> None:
    """Its name notwithstanding: float32 of another training, whose weights are no numbers of float16 either."""
    half, whole = (hs.onnx.load(read(name)) for name in ("silero_vad_half", "silero_vad_16k_op15"))
    assert {p.format for p in half.parameters()} == {hs.float32}
    weight = half.get_parameter("encoder.0.reparam_conv.weight").numpy()
    other = whole.get_parameter("model.encoder.0.reparam_conv.weight").numpy()
    assert (weight == weight.astype(np.float16)).mean() < 0.01
    assert (other.astype(np.float16) == weight.astype(np.float16)).mean() < 0.01
    data = read("silero_vad_half")
    made = mixed(data)
    given = feeds("silero_vad_half.onnx", data)
    theirs = by_onnxruntime(storing(made, hs.onnx.load(made)), given, optimized=False)
    assert error(hs.onnx.load(made).run(None, given), theirs) < 1e-3  # and so it is held in half
