"""ONNX's own node cases in mixed precision: onnxruntime loads every file, and makes of it what our run of it makes.

Last run on 2026-11-30 with onnx 1.23.2 and onnxruntime 1.32.0: 949 of 954 cases; the rest are those in `ELSEWHERE`.
"""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx.backend.test.case.node import collect_testcases

from halfsim.onnx.conversion.mixed import mixed
from halfsim.onnx.conversion.saving import held
from tests.onnx.making import FLOAT, by_onnxruntime

# Cases whose values onnxruntime does not make in float32 either.
ELSEWHERE = {
    "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal",
    "test_maxunpool_export_with_output_shape",
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
}


def _in_half(case: Any) -> tuple[Any, dict[str, Any]] | None:
    """The case's model in mixed precision and its inputs; None if no node of it is half, or onnxruntime has it not."""
    proto = case.model
    if not any(i.type.tensor_type.elem_type == FLOAT for i in proto.graph.input):
        return None
    feeds = {i.name: x for i, x in zip(proto.graph.input, case.data_sets[0][0], strict=False)}
    try:
        by_onnxruntime(proto, feeds)
    except Exception:  # an operator, or a type of one, that it has no kernel for
        return None
    made = mixed(proto)
    return (made, feeds) if any(n.op_type == "Cast" for n in made.graph.node) else None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_case_runs_in_onnxruntime_as_here() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing, to which onnx models are held")
    off, count = {}, 0
    for case in collect_testcases(None):
        given = _in_half(case)
        if given is None:
            continue
        count += 1
        onnx.checker.check_model(given[0])
        found = held(*given)
        assert found is not None
        if found.error is None or found.error > 2e-3:
            off[case.name] = found.words
    assert {*off} <= ELSEWHERE, off
    assert count > 900
