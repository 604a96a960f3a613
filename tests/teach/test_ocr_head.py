"""The extract of a text detector that lesson 9 computes with: that it is what the model of the wheel gives.

`HALFSIM_ONNX_WHEELS=FOLDER python -m tests.teach.test_ocr_head --write` makes it anew from rapidocr_onnxruntime 1.4.4.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.teach.exercises import inference

NODE, UNIT = "p2o.BatchNormalization.1", 256
SURE = 0.3  # the score from which RapidOCR takes a point for text
# Every second row and fifth column of the first two lines of the page, in fourths of a pixel.
ROWS, COLUMNS = slice(4, 30, 2), slice(8, 108, 5)
# The last layers of the model; of the four points that a transposed convolution makes of one, one.
NAMES = {
    "norm1.weight": "batch_norm_0.w_0",
    "norm1.bias": "batch_norm_0.b_0",
    "norm1.running_mean": "batch_norm_0.w_1",
    "norm1.running_var": "batch_norm_0.w_2",
    "mix.weight": "conv2d_transpose_0.w_0",
    "mix.bias": "conv2d_transpose_0.b_0",
    "norm2.weight": "batch_norm_1.w_0",
    "norm2.bias": "batch_norm_1.b_0",
    "norm2.running_mean": "batch_norm_1.w_1",
    "norm2.running_var": "batch_norm_1.w_2",
    "out.weight": "conv2d_transpose_1.w_0",
    "out.bias": "conv2d_transpose_1.b_0",
}
wheels = pytest.importorskip("tests.onnx.wheels", reason="the extra onnx is not installed", exc_type=ImportError)
there = any("rapidocr_onnxruntime-1.4.4" in str(wheel) for wheel, _ in wheels.FILES)


def marked(weights: dict[str, Any], x: Any) -> Any:
    """Where the layers find text, in NumPy's float64."""

    def norm(x: Any, name: str) -> Any:
        scale, bias, mean, var = (
            np.float64(weights[f"{name}.{part}"]) for part in ("weight", "bias", "running_mean", "running_var")
        )
        return np.maximum((x - mean) / np.sqrt(var + 1e-5) * scale + bias, 0)

    h = norm(x[0].transpose(1, 2, 0), "norm1")
    h = norm(h @ weights["mix.weight"][:, :, 0, 0].T + weights["mix.bias"], "norm2")
    score = h @ weights["out.weight"][0, :, 0, 0] + weights["out.bias"]
    return 1 / (1 + np.exp(-score)) > SURE


def packed(values: Any) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()


def made() -> tuple[dict[str, Any], Any, Any]:
    """The weights, the steps of what goes into the layers, and what comes out of the model at the same places."""
    model, seen = hs.onnx.load(wheels.read("ch_PP-OCRv4_det_infer")), []
    model.get_submodule(NODE).register_forward_hook(lambda part, given, out: seen.append(given[0].numpy()))
    score = model.run(None, {"x": wheels.page()})[0][0, 0]
    held = {name: value.numpy() for name, value in model.named_parameters()}
    weights = {}
    for ours, theirs in NAMES.items():
        value = held[theirs]
        if value.ndim == 4 and ours.endswith("weight"):
            at = 1 if ours == "mix.weight" else 0
            value = value[:, :, at, at].T
        weights[ours] = value.reshape(-1) if ours != "mix.weight" else value
    steps = np.rint(seen[0][0][:, ROWS, COLUMNS] / UNIT).astype(np.int8)
    return weights, steps, score[2::4, 2::4][ROWS, COLUMNS]


@pytest.mark.skipif(not there, reason="the wheel is not there: see HALFSIM_ONNX_WHEELS")
def test_the_extract_is_that_of_the_wheel() -> None:
    weights, steps, score = made()
    stored, x = inference.detector()
    for name, value in weights.items():
        assert np.array_equal(np.ravel(stored[name]), np.ravel(value)), name
    assert np.abs(x[0] / UNIT - steps).max() <= 1  # a sum of another order may round to the next
    ours = marked(stored, x)
    assert np.array_equal(ours, score > SURE)


def main() -> None:
    weights, steps, _ = made()
    text = {
        "source": "ch_PP-OCRv4_det_infer.onnx of rapidocr_onnxruntime 1.4.4, PP-OCRv4 by the PaddleOCR authors",
        "licence": "Apache-2.0",
        "changes": f"the last layers at one point in sixteen; their inputs for a page of digits, in steps of {UNIT}",
        "unit": UNIT,
        "shape": list(steps.shape),
        "steps": packed(steps),
        "mix.weight": packed(weights.pop("mix.weight").astype(np.float32)),
        **{name: [float(x) for x in value] for name, value in weights.items()},
    }
    if "--write" in sys.argv:
        rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in text.items())
        inference.FILE.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
