"""Attention in blocks: PyTorch's results and gradients, each rounding written out, ties of the largest score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

attend = hs.ops.flash_attention
INF = float("inf")
SHAPES = {  # of the leading axes, queries, keys, features, values
    "one block": ((2, 3), 5, 7, 4, 3),
    "broadcast": ((1,), 4, 9, 3, 2),
    "long": ((), 3, 150, 4, 2),
}


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape)


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("block", [1, 4, 64])
def test_in_float64_it_is_pytorchs_attention(case: str, causal: bool, block: int) -> None:
    torch = pytest.importorskip("torch")
    lead, length, keys, width, depth = SHAPES[case]
    operands = normal(*lead, length, width), normal(*lead, keys, width, seed=1), normal(2, *lead[1:], keys, depth)
    ours = [hs.tensor(x, "fp64", requires_grad=True) for x in operands]
    theirs = [torch.tensor(x, requires_grad=True) for x in operands]
    options: dict[str, Any] = {"is_causal": causal, "scale": 0.7}
    y = attend(*ours, block=block, **options)
    z = torch.nn.functional.scaled_dot_product_attention(*theirs, **options)
    g = normal(*y.shape, seed=2)
    y.backward(g)
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is not None
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("block", [2, 5])
@pytest.mark.parametrize("causal", [False, True])
def test_a_raised_maximum_changes_no_exact_result(block: int, causal: bool) -> None:
    q, k, v = normal(4, 3), normal(3, 3, seed=1), normal(5, 2)
    k = k[[0, 1, 0, 1, 2]]  # ties, above and below zero
    y, z = (attend(q, k, v, is_causal=causal, block=block, raise_ties=ties).numpy() for ties in (None, 2.5))
    np.testing.assert_allclose(y, z, rtol=1e-12)
    assert hs.gradcheck(lambda *x: attend(*x, is_causal=causal, block=block, raise_ties=2.5), [q, k, v])


def test_its_gradient_has_a_gradient() -> None:
    torch = pytest.importorskip("torch")

    def second(m: Any, call: Callable[..., Any], x: Any) -> Any:
        (g,) = m.autograd.grad((call(x, x, x) ** 2).sum(), x, create_graph=True)
        (h,) = m.autograd.grad((g**2).sum(), x)
        return h.numpy()

    x = normal(4, 3)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        sdpa = torch.nn.functional.scaled_dot_product_attention
        expected = second(torch, sdpa, torch.tensor(x, requires_grad=True))
    ours = second(hs, lambda *x: attend(*x, block=3), hs.tensor(x, "fp64", requires_grad=True))
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


RULES = {
    "kernel": ("storage=bf16, accumulate=exact", "float32"),
    "tensors": ("storage=bf16, compute=bf16, accumulate=exact", "bfloat16"),
}


@pytest.mark.parametrize("ties", [None, 2.0])
@pytest.mark.parametrize("rule", RULES)
def test_every_step_is_rounded_as_written(rule: str, ties: float | None) -> None:
    """In loops over rows and blocks, rounded by ml_dtypes and NumPy."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    precision, compute = RULES[rule]
    step = np.float32 if compute == "float32" else ml_dtypes.bfloat16

    def r(x: Any) -> Any:
        return np.asarray(x, np.float64).astype(np.float32).astype(step).astype(np.float64)

    def store(x: Any) -> Any:
        return np.asarray(x, np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)

    q, k, v, g = store(normal(4, 6)), store(normal(4, 6, seed=1)), store(normal(7, 3)), store(normal(4, 3, seed=4))
    k = k[[0, 1, 1, 2, 3, 0, 2]]
    scale, block = r(6**-0.5), 3
    allowed = np.tri(4, 7, dtype=bool)
    y, lse = np.zeros((4, 3)), np.zeros(4)
    for i in range(4):
        top, total, out = -INF, 0.0, np.zeros(3)
        for at in range(0, 7, block):
            scores = r(r(k[at : at + block] @ q[i]) * scale)
            scores[~allowed[i, at : at + block]] = -INF
            here = scores.max()
            if ties and here > -INF and (here - scores <= 1e-3).sum() > 1:
                here = max(float(r(here * ties)), 0.0)
            new = max(top, here)
            e = r(np.exp(r(scores - new)))
            part, kept = r(store(e) @ v[at : at + block]), float(r(np.exp(r(top - new)))) if at else 0.0
            total = r(r(total * kept) + r(e.sum())) if at else r(e.sum())
            out = r(r(out * kept) + part) if at else part
            top = new
        y[i], lse[i] = store(r(out / total)), r(top + r(np.log(total)))
    dq, dk, dv, delta = np.zeros((4, 6)), np.zeros((7, 6)), np.zeros((7, 3)), r(r(g * y).sum(1))
    for at in range(0, 7, block):
        cut = slice(at, at + block)
        scores = np.where(allowed[:, cut], r(r(q @ k[cut].T) * scale), -INF)
        p = r(np.exp(r(scores - lse[:, None])))
        ds = store(r(p * r(r(g @ v[cut].T) - delta[:, None])))
        dq = r(dq + r(ds @ k[cut])) if at else r(ds @ k[cut])
        dk[cut], dv[cut] = store(r(r(ds.T @ q) * scale)), store(r(store(p).T @ g))
    dq = store(r(dq * scale))
    with hs.precision(precision):
        tensors = [hs.tensor(x, requires_grad=True) for x in (q, k, v)]
        found = attend(*tensors, is_causal=True, block=block, raise_ties=ties)
        found.backward(g)
    np.testing.assert_array_equal(found.numpy(), y)
    for name, tensor, expected in zip("qkv", tensors, (dq, dk, dv), strict=True):
        assert tensor.grad is not None
        np.testing.assert_array_equal(tensor.grad.numpy(), expected, err_msg=name)


def test_two_probabilities_of_one_make_ties_that_the_others_decide() -> None:
    """-1 and -(1 + 2**-7) have a sum half way between two bfloat16; -e**-14 beside it decides, however small it is."""
    scores, values = [[4.0], [4.0], [-10.0]], [[-1.0], [-1.0 - 2.0**-7], [-1.0]]
    with hs.precision("storage=bf16, compute=bf16, accumulate=fp32"):
        y = attend([[1.0]], scores, values, scale=1.0)
        z = attend([[1.0]], scores[:2], values[:2], scale=1.0)
        away = attend([[1.0]], scores, np.negative(values), scale=1.0)
    assert y.tolist() == [[-1.0 - 2.0**-7]]
    assert z.tolist() == [[-1.0]], "to even, with nothing to decide"
    assert away.tolist() == [[1.0 + 2.0**-7]]


def test_a_maximum_can_be_raised_too_far() -> None:
    with hs.precision("bf16"):
        far = attend([[1.0]], [[60.0], [60.0]], [[1.0], [1.0]], scale=1.0, raise_ties=3.0).numpy()
        fine = attend([[1.0]], [[60.0], [59.0]], [[1.0], [1.0]], scale=1.0, raise_ties=3.0).numpy()
    assert np.isnan(far).all(), "e**-120 is 0 in float32, and so is every probability"
    assert fine.tolist() == [[1.0]], "no tie, nothing raised"


def test_trouble_is_told_of_and_vanishing_probabilities_are_none() -> None:
    q = hs.tensor(np.full((1, 64), 40.0), "fp16")
    with hs.trace() as trace, hs.precision("pure_fp16"):
        assert np.isnan(attend(q, q, q).numpy()).all()
    event = trace.first("overflow")
    assert event is not None
    assert event.op == "flash_attention"
    with hs.trace() as trace, hs.precision("fp16"):
        y = attend([[1.0]], np.linspace(0, 40, 16)[:, None], np.ones((16, 8)), scale=1.0, block=4)
    assert (y.numpy() == 1).all()
    assert trace.first() is None


def test_it_keeps_no_scores() -> None:
    """What the tape holds grows with the length, not with its square."""

    class Attention(hs.nn.Module):
        def __init__(self, length: int) -> None:
            super().__init__()
            self.q = hs.nn.Parameter(hs.tensor(np.ones((length, 4))))

        def forward(self, x: Any) -> Any:
            return attend(self.q, self.q * 2, self.q * 3)

    small, large = (hs.cost(Attention(n), np.ones(1, np.float32), "A100").training["fp32"] for n in (64, 256))
    assert large.activations < 5 * small.activations


@pytest.mark.parametrize("rule", ["fp64", "fp32", "bf16"])
def test_nothing_to_attend_to_gives_zero(rule: str) -> None:
    with hs.precision(rule):
        assert attend(np.zeros((0, 3, 2)), np.zeros((0, 4, 2)), np.zeros((0, 4, 5))).shape == (0, 3, 5)
        assert not attend(np.ones((3, 2)), np.zeros((0, 2)), np.zeros((0, 5))).numpy().any()
        x = hs.tensor([[1.0]], requires_grad=True)
        y = attend(x, hs.tensor([[-INF], [-INF]]), hs.tensor([[1.0], [2.0]]), block=1)
        assert y.tolist() == [[0.0]]


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: attend(np.ones((3, 2)), np.ones((3, 4)), np.ones((3, 4))), ValueError, "flash_attention: query (3, 2)"),
    (lambda: attend(np.ones(3), np.ones((3, 3)), np.ones((3, 3))), ValueError, "query (3,)"),
    (lambda: attend(*[np.ones((3, 2))] * 3, block=0), ValueError, "block: 0 is not allowed; allowed: 1 or more"),
    (lambda: attend(*[np.ones((3, 2))] * 3, block=2.5), TypeError, "block: 2.5 is not allowed"),
    (lambda: attend(*[np.ones((3, 2))] * 3, raise_ties=1.0), ValueError, "raise_ties: 1.0 is not allowed"),
    (lambda: attend(*[np.ones((3, 2))] * 3, raise_ties=INF), ValueError, "raise_ties: inf is not allowed"),
    (lambda: attend(*[np.ones((3, 2))] * 3, dropout_p=0.5), TypeError, "dropout_p"),
    (lambda: attend(None, *[np.ones((3, 2))] * 2), TypeError, "flash_attention: query is missing"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
