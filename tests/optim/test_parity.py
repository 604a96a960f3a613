"""Optimizers against PyTorch's trajectories: bit for bit in float16, to 1e-12 in float64, with their state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.oracles import same
from tests.recorded.training import TRAJECTORIES, WIDE_ONLY

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "training.npz")


def run(name: str, fmt: str, size: int, **remedy: Any) -> tuple[np.ndarray, hs.optim.Optimizer, hs.Tensor]:
    kind, options = TRAJECTORIES[name]
    p = hs.tensor(RECORDED["start"][:size], fmt, requires_grad=True)
    optimizer = getattr(hs.optim, kind)([p], **options, **remedy)
    steps = []
    for grad in RECORDED["grads"]:
        p.grad = hs.tensor(grad[:size], fmt)
        optimizer.step()
        steps.append(p.numpy())
    return np.array(steps), optimizer, p


@pytest.mark.parametrize("name", sorted(TRAJECTORIES.keys() - WIDE_ONLY))
def test_float16_trajectories_are_pytorchs_bit_for_bit(name: str) -> None:
    assert same(run(name, "float16", 64)[0], RECORDED[f"{name}.float16"]).all()


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_float64_trajectories_and_state_agree(name: str) -> None:
    steps, optimizer, p = run(name, "float64", 8)
    np.testing.assert_allclose(steps, RECORDED[f"{name}.float64"], rtol=1e-12, atol=1e-15)
    expected = {key.rpartition(".")[2]: RECORDED[key] for key in RECORDED if key.startswith(f"{name}.state.")}
    assert optimizer.state[p].keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(np.asarray(optimizer.state[p][key]), value, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_pytorchs_state_given_as_arrays_continues_its_run(name: str) -> None:
    """Eight steps there or here: the ninth is the same."""
    kind, options = TRAJECTORIES[name]
    _, optimizer, p = run(name, "float64", 8)
    q = hs.tensor(RECORDED[f"{name}.float64"][-1], "fp64", requires_grad=True)
    other = getattr(hs.optim, kind)([q], **options)
    given = {key.rpartition(".")[2]: RECORDED[key] for key in RECORDED if key.startswith(f"{name}.state.")}
    groups = [{**optimizer.state_dict()["param_groups"][0], "foreach": None, "fused": None}]
    other.load_state_dict({"state": {0: given}, "param_groups": groups})
    for tensor, made in ((p, optimizer), (q, other)):
        tensor.grad = hs.tensor(RECORDED["grads"][0][:8], "fp64")
        made.step()
    np.testing.assert_allclose(q.numpy(), p.numpy(), rtol=1e-12)


@pytest.mark.parametrize("fmt", ["float16", "float64"])
@pytest.mark.parametrize("name", sorted(TRAJECTORIES))
def test_live_against_torch(name: str, fmt: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if fmt == "float16" and name in WIDE_ONLY:
        pytest.skip("PyTorch's CPU kernels round these hyper-parameters to half")
    kind, options = TRAJECTORIES[name]
    rng = np.random.default_rng(5)
    start, grads = rng.standard_normal(64).astype(np.float16), rng.standard_normal((5, 64)).astype(np.float16)
    p = torch.nn.Parameter(torch.tensor(start).to(getattr(torch, fmt)))
    q = hs.tensor(start, fmt, requires_grad=True)
    theirs, ours = getattr(torch.optim, kind)([p], foreach=False, **options), getattr(hs.optim, kind)([q], **options)
    for grad in grads:
        p.grad, q.grad = torch.tensor(grad).to(p.dtype), hs.tensor(grad, fmt)
        theirs.step()
        ours.step()
    if fmt == "float16":
        assert same(q.numpy(), p.detach().numpy()).all()
    np.testing.assert_allclose(q.numpy(), p.detach().numpy(), rtol=1e-12)
    assert theirs.state_dict()["state"].get(0, {}).keys() == ours.state_dict()["state"].get(0, {}).keys()


def test_lion_is_its_formula() -> None:
    """Chen et al. 2023, algorithm 2, written out in NumPy float64."""
    rng = np.random.default_rng(2)
    w, m = rng.standard_normal(9), np.zeros(9)
    p = hs.tensor(w, "fp64", requires_grad=True)
    optimizer = hs.optim.Lion([p], lr=0.01, betas=(0.8, 0.95), weight_decay=0.3)
    for _ in range(6):
        g = rng.standard_normal(9)
        p.grad = hs.tensor(g, "fp64")
        optimizer.step()
        w = w * (1 - 0.01 * 0.3) - 0.01 * np.sign(0.8 * m + (1 - 0.8) * g)
        m = 0.95 * m + (1 - 0.95) * g
    np.testing.assert_allclose(p.numpy(), w, rtol=1e-13)


def test_lion_in_half_rounds_every_kernel_once() -> None:
    f, h = np.float32, np.float16
    rng = np.random.default_rng(3)
    w, m = rng.standard_normal(50).astype(h), np.zeros(50, h)
    p = hs.tensor(w, "fp16", requires_grad=True)
    optimizer = hs.optim.Lion([p], lr=0.01, betas=(0.8, 0.95), weight_decay=0.3, maximize=True)
    for _ in range(4):
        g = rng.standard_normal(50).astype(h)
        p.grad = hs.tensor(g, "fp16")
        optimizer.step()
        g = -g
        w = (f(w) * f(1 - 0.01 * 0.3)).astype(h)
        c = (f((f(m) * f(0.8)).astype(h)) + f(g) * f(1 - 0.8)).astype(h)
        w = (f(w) + np.sign(f(c)) * f(-0.01)).astype(h)
        m = (f((f(m) * f(0.95)).astype(h)) + f(g) * f(1 - 0.95)).astype(h)
        np.testing.assert_array_equal(p.numpy(), w)


def test_pure_half_rounds_every_step_of_adamw() -> None:
    """Nothing but NumPy's float16, in the order of the docstring; sqrt of a half is right in float16."""
    h = np.float16
    lr, (b1, b2), eps, wd = 2.0**-5, (0.875, 0.75), 2.0**-8, 0.25
    rng = np.random.default_rng(4)
    w, m, v = rng.standard_normal(40).astype(h), np.zeros(40, h), np.zeros(40, h)
    with hs.precision("pure_fp16"):
        p = hs.tensor(w, requires_grad=True)
        optimizer = hs.optim.AdamW([p], lr=lr, betas=(b1, b2), eps=eps, weight_decay=wd)
        for t in range(1, 5):
            g = rng.standard_normal(40).astype(h)
            p.grad = hs.tensor(g)
            optimizer.step()
            w = w * h(1 - lr * wd)
            m = m + (g - m) * h(1 - b1)
            v = v * h(b2) + g * h(1 - b2) * g
            denom = np.sqrt(v) / h((1 - b2**t) ** 0.5) + h(eps)
            w = w + m * h(-lr / (1 - b1**t)) / denom
            np.testing.assert_array_equal(p.numpy(), w)


def test_a_nan_gradient_leaves_lions_weight_and_takes_its_momentum() -> None:
    p = hs.tensor([1.0], requires_grad=True)
    p.grad = hs.tensor([np.nan])
    optimizer = hs.optim.Lion([p])
    optimizer.step()
    assert p.item() == 1
    assert np.isnan(optimizer.state[p]["exp_avg"].item())
