"""Recurrent layers, attention and the encoder against results recorded from PyTorch in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.sequences import CASES, Case, flat, state, wave

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "sequences.npz")


def results(case: Case, rule: str) -> dict[str, np.ndarray]:
    """Outputs and gradients as `tests.recorded.record_sequences` names them."""
    with hs.precision(rule):
        module = case.build(hs.nn)
        module.load_state_dict(state({name: p.shape for name, p in module.state_dict().items()}))
        arguments, leaves = case.inputs(lambda values: hs.tensor(values, requires_grad=True))
        outputs = list(flat(module(*arguments, **case.keywords)))
        loss = hs.tensor(0.0)
        for i, out in enumerate(outputs):
            loss = loss + (out * hs.tensor(wave(out.shape, i))).sum()
        loss.backward()
    found = {f"out.{i}": out for i, out in enumerate(outputs)} | {f"in.{i}": x.grad for i, x in enumerate(leaves)}
    found |= {f"grad.{name}": p.grad for name, p in module.named_parameters()}
    return {name: values.numpy() for name, values in found.items() if values is not None}


@pytest.mark.parametrize("name", CASES)
def test_float64_is_pytorchs(name: str) -> None:
    got = results(CASES[name], "fp64")
    expected = {key.partition("/")[2]: RECORDED[key] for key in RECORDED.files if key.startswith(f"{name}/")}
    assert got.keys() == expected.keys()
    for key, values in expected.items():
        assert got[key].dtype == np.float64
        np.testing.assert_allclose(got[key], values, rtol=1e-9, atol=1e-11, err_msg=key)


@pytest.mark.parametrize("rule", ["fp32", "fp16", "pure_fp16", "amp"])
@pytest.mark.parametrize("name", ["lstm", "gru", "attention_masks", "attention_fused", "encoder"])
def test_narrow_precisions_are_near(name: str, rule: str) -> None:
    tolerance = 1e-5 if rule == "fp32" else 0.05
    for key, values in results(CASES[name], rule).items():
        np.testing.assert_allclose(values, RECORDED[f"{name}/{key}"], rtol=tolerance, atol=tolerance, err_msg=key)
