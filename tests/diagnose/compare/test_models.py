"""Inference in half against single precision, on weights whose roundings are known."""

from __future__ import annotations

import json
import math
import pickle
import re
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.data import digits
from halfsim.nn.conversion import ConversionWarning


def pair(weights: Any) -> tuple[hs.nn.Linear, hs.nn.Linear]:
    layer, half = (hs.nn.Linear(len(weights[0]), len(weights), bias=False) for _ in range(2))
    layer.weight = hs.nn.Parameter(weights)
    half.load_state_dict(layer.state_dict())
    return layer, half.half()


def test_disagreements_errors_and_accuracy_are_those_of_the_bits() -> None:
    """1 + 2^-11 is a tie, and 1 in half: two equal logits, of which the first wins."""
    model, half = pair([[1.0], [1 + 2.0**-11]])
    found = hs.compare_models(model, half, [[1.0], [-1.0], [2.0]], [1, 0, 1])
    assert (found.accuracy, found.half_accuracy) == (1.0, pytest.approx(1 / 3))
    assert found.accuracy_change == pytest.approx(-2 / 3)
    assert (found.disagreements, found.indices, found.predictions) == (2, ((0,), (2,)), 3)
    assert (found.largest_error, found.worst, found.largest_ulp) == (2.0**-10, (2, 1), 0.5)
    assert max(map(len, str(found).splitlines())) <= 100
    assert "33.33% against 100.00% (-66.67 points)" in str(found)
    assert str(found).count("0.000345") == 2, "in the verdict and in the row of the layer"


def test_an_overflow_in_one_layer_is_located() -> None:
    hs.manual_seed(0)
    model = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.ReLU(), hs.nn.Linear(8, 3))
    model[2].weight.array = model[2].weight.array * 1e6
    half = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.ReLU(), hs.nn.Linear(8, 3))
    half.load_state_dict(model.state_dict())
    with pytest.warns(ConversionWarning):
        half.half()
    found = hs.compare_models(model, half, np.ones((5, 4)))
    first = found.first_divergence()
    assert first is not None
    assert (first.path, first.op, first.phase) == ("2", "linear", "forward")
    assert found.largest_error == found.largest_ulp == math.inf
    assert [row.path for row in found.layers] == ["0", "1", "2"]
    assert [row.step for row in found.layers] == [None, None, 1]
    assert "weights infinite" in str(found)
    assert '"inf"' in found.to_json()


def test_a_trained_classifier_loses_next_to_nothing() -> None:
    data = digits()
    hs.manual_seed(0)
    model, half = (hs.nn.Sequential(hs.nn.Linear(64, 16), hs.nn.ReLU(), hs.nn.Linear(16, 10)) for _ in range(2))
    optimizer = hs.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(30):
        optimizer.zero_grad()
        hs.nn.cross_entropy(model(hs.tensor(data.x_train)), data.y_train).backward()
        optimizer.step()
    half.load_state_dict(model.state_dict())
    found = hs.compare_models(model.train(), half.half(), data.x_test, data.y_test)
    assert found.accuracy is not None
    assert found.half_accuracy is not None
    assert found.accuracy > 0.8
    assert abs(found.half_accuracy - found.accuracy) < 0.02
    assert found.first_divergence() is None
    assert found.verdict().klass == "benign rounding"
    assert found.predictions == len(data.y_test)
    assert 0 < max(row.relative_error for row in found.layers) < 0.01
    assert model.training, "as before"
    by_batch = hs.compare_models(
        model, half, [(data.x_test[:100], data.y_test[:100]), (data.x_test[100:], data.y_test[100:])]
    )
    assert (by_batch.accuracy, by_batch.largest_error) == (found.accuracy, found.largest_error)
    assert by_batch.worst == found.worst


def test_models_run_in_their_own_precisions_whatever_is_in_force() -> None:
    model, half = pair([[1.0], [1 + 2.0**-11]])
    with hs.precision("fp16", override=True), hs.trace() as t:
        found = hs.compare_models(model, half, [[1.0]])
    assert found.disagreements == 1
    assert t.count().size == 0
    half.precision = "pure_fp16"
    sums, halves = pair([[1.0] * 5000])
    halves.precision = "pure_fp16"
    found = hs.compare_models(sums, halves, np.ones((1, 5000)))
    assert found.largest_error == 5000 - 2048, "the running sum stops at 2048"
    assert found.verdict().klass == "swamping"


def test_dropout_and_statistics_are_those_of_inference() -> None:
    model, half = (hs.nn.Sequential(hs.nn.BatchNorm1d(3), hs.nn.Dropout(0.5)) for _ in range(2))
    before = int(model[0].num_batches_tracked)
    found = hs.compare_models(model, half.half(), np.random.default_rng(0).standard_normal((4, 3)))
    assert found.largest_error < 2e-3
    assert int(model[0].num_batches_tracked) == before
    assert model.training
    assert half[1].training


def test_indices_and_single_logits_and_sequences() -> None:
    hs.manual_seed(0)
    model, half = (hs.nn.Sequential(hs.nn.Embedding(5, 4), hs.nn.Linear(4, 5)) for _ in range(2))
    half.load_state_dict(model.state_dict())
    tokens = np.array([[0, 1, 2], [3, 4, 0]])
    found = hs.compare_models(model, half.half(), tokens, tokens)
    assert found.predictions == 6
    single, twin = pair([[1.0]])
    found = hs.compare_models(single, twin, [[1e-9], [-1.0]], [True, False])
    assert (found.accuracy, found.half_accuracy) == (1.0, 0.5), "1e-9 is zero in half, and no yes"


def test_places_count_over_batches() -> None:
    model, half = pair([[1.0], [1 + 2.0**-11]])
    found = hs.compare_models(model, half, [np.array([[-1.0]]), np.array([[0.0], [8.0]])])
    assert (found.worst, found.indices, found.predictions) == ((2, 1), ((2,),), 3)
    many = hs.compare_models(model, half, np.where(np.arange(600) == 599, 8.0, -1.0)[:, None], np.zeros(600, int))
    assert (many.worst, many.indices) == ((599, 1), ((599,),))


def test_forms(tmp_path: Any) -> None:
    model, half = pair([[1.0], [2.0]])
    found = hs.compare_models(model, half, [[1.0]])
    assert pickle.loads(pickle.dumps(found)) == found
    facts = json.loads(found.to_json(tmp_path / "m.json"))
    assert (facts["schema"], facts["disagreements"]) == (1, 0)
    found.to_html(tmp_path / "m.html")
    assert (tmp_path / "m.html").read_text().startswith("<!doctype html>")
    shown = " ".join(re.sub("<[^>]*>", " ", found._repr_html_()).split())
    assert "models float16 against float32, 1 predictions disagreements 0 of 1 largest logit error 0, 0 ulp" in shown
    assert '<table class="sort">' in found._repr_html_()
    assert found.table().startswith("layer")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m, h: hs.compare_models(m, "fp16", [[1.0]]), TypeError, "half_model: 'fp16' is not allowed"),
        (lambda m, h: hs.compare_models(m, h, np.zeros((0, 1))), ValueError, "data: no example is there"),
        (lambda m, h: hs.compare_models(m, h, []), ValueError, "data: no example is there"),
        (lambda m, h: hs.compare_models(m, h, 3), TypeError, "data: int is not allowed"),
        (lambda m, h: hs.compare_models(m, h, [[1.0]], [1, 2]), ValueError, "labels: 2 for 1 examples"),
        (lambda m, h: hs.compare_models(m, h, [[1.0]], [[1]]), ValueError, r"labels: shape \(1, 1\)"),
        (lambda m, h: hs.compare_models(m, hs.nn.Linear(1, 3), [[1.0]]), ValueError, "half_model: gives shape"),
        (lambda m, h: hs.compare_models(m, h, [[1.0, 2.0]]), ValueError, "linear|matmul"),
    ],
)
def test_careless_calls_are_refused_in_one_line(call: Any, error: type[Exception], text: str) -> None:
    model, half = pair([[1.0], [2.0]])
    with pytest.raises(error, match=text) as caught:
        call(model, half)
    assert "\n" not in str(caught.value)
    assert model.training


def test_logits_that_are_nan_in_both_models_agree_with_nothing() -> None:
    class Broken(hs.nn.Module):
        def forward(self, x: Any) -> Any:
            return x / (x - x)

    found = hs.compare_models(Broken(), Broken(), [[0.0, 1.0], [2.0, 3.0]])
    assert (found.verdict().klass, found.verdict().op) == ("NaN propagation", "div")
    assert "Of the logits 4 of 4 are not finite in either model: they count as equal." in found.notes
    assert "agrees" not in str(found)
