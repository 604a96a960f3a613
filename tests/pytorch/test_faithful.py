"""Depth "faithful": the bits that `halfsim.nn` gives for the same layer, forward and backward, in any accumulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import halfsim as hs  # noqa: E402
from halfsim.pytorch import simulate  # noqa: E402

PRECISIONS = (
    "fp16", "bf16", "pure_fp16", "storage=fp16, compute=fp32, accumulate=fp32:sequential",
    "storage=fp16, compute=fp16, accumulate=fp16:pairwise", "storage=fp16, compute=fp32, accumulate=exact",
)  # fmt: skip
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "linear": (lambda n: n.Linear(12, 7), (5, 12)),
    "linear of rows": (lambda n: n.Linear(12, 7), (3, 5, 12)),
    "linear without bias": (lambda n: n.Linear(12, 7, bias=False), (5, 12)),
    "conv1d": (lambda n: n.Conv1d(3, 4, 3), (2, 3, 8)),
    "conv2d": (lambda n: n.Conv2d(3, 4, 3, padding=1, stride=2), (2, 3, 8, 8)),
    "groups": (lambda n: n.Conv2d(4, 4, 3, groups=2, dilation=2), (2, 4, 8, 8)),
    "transposed": (lambda n: n.ConvTranspose2d(3, 4, 3, stride=2), (2, 3, 5, 5)),
    "layer norm": (lambda n: n.LayerNorm(12), (5, 12)),
    "group norm": (lambda n: n.GroupNorm(2, 4), (3, 4, 5)),
    "batch norm": (lambda n: n.BatchNorm2d(3), (2, 3, 4, 4)),
    "gelu": (lambda n: n.GELU(), (50,)),
    "silu": (lambda n: n.SiLU(), (50,)),
    "tanh": (lambda n: n.Tanh(), (50,)),
    "sigmoid": (lambda n: n.Sigmoid(), (50,)),
    "softmax": (lambda n: n.Softmax(-1), (5, 12)),
    "log softmax": (lambda n: n.LogSoftmax(-1), (5, 12)),
    "attention": (lambda n: n.MultiheadAttention(8, 2), (5, 2, 8)),
    "mlp": (lambda n: n.Sequential(n.Linear(12, 16), n.GELU(), n.LayerNorm(16), n.Linear(16, 3)), (5, 12)),
}


def called(layer: Any, x: Any, attends: bool) -> Any:
    return layer(x, x, x)[0] if attends else layer(x)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_the_bits_of_halfsims_own(name: str, precision: str) -> None:
    make, shape = LAYERS[name]
    fmt, rng, attends = hs.Precision(precision).storage, np.random.default_rng(0), name == "attention"
    torch.manual_seed(0)
    theirs, ours = make(torch.nn), make(hs.nn)
    ours.load_state_dict({key: x.detach().numpy() for key, x in theirs.state_dict().items()})
    for p in ours.parameters():
        p.array = hs.round_to(p.array, fmt)
    x = hs.round_to(rng.standard_normal(shape).astype(np.float32), fmt)
    with hs.precision(precision):
        own = hs.tensor(x, fmt, requires_grad=True)
        y = called(ours, own, attends)
        g = hs.round_to(rng.standard_normal(y.shape).astype(np.float32), fmt)
        y.backward(hs.tensor(g, fmt))
    with simulate(precision, depth="faithful"):
        given = torch.from_numpy(x.copy()).requires_grad_()
        z = called(theirs, given, attends)
        z.backward(torch.from_numpy(g))
    np.testing.assert_array_equal(z.detach().numpy(), y.array)
    np.testing.assert_array_equal(given.grad.numpy(), own.grad.array)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(q.grad.numpy(), hs.round_to(p.grad.array, fmt))


@pytest.mark.parametrize("precision", ["fp16", "pure_fp16"])
def test_attention_and_reductions_have_the_bits_of_halfsims_own(precision: str) -> None:
    rng = np.random.default_rng(1)
    q, k, v = (hs.round_to(rng.standard_normal((2, 2, 5, 8)).astype(np.float32), "fp16") for _ in range(3))
    with hs.precision(precision):
        ours = [hs.tensor(a, "fp16", requires_grad=True) for a in (q, k, v)]
        y = hs.nn.functional.scaled_dot_product_attention(*ours)
        (y.sum() + y.mean() + y.var() + y.norm()).backward()
    with simulate(precision, depth="faithful"):
        theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in (q, k, v)]
        z = torch.nn.functional.scaled_dot_product_attention(*theirs)
        sums = [z.sum(), z.mean(), z.var(), z.norm()]
    with hs.precision(precision):
        mine = [y.sum(), y.mean(), y.var(), y.norm()]
    np.testing.assert_array_equal(z.detach().numpy(), y.array)
    assert [s.item() for s in sums] == [s.item() for s in mine]


def test_narrow_accumulators_are_those_of_the_precision() -> None:
    ones = torch.ones(1, 4096)
    with simulate("pure_fp16", depth="faithful"):
        assert (ones @ ones.t()).item() == 2048.0
        assert torch.ones(3000).sum().item() == 2048.0
    with simulate("pure_fp16"):  # PyTorch's own sums, in float32
        assert (ones @ ones.t()).item() == 4096.0


def test_faithful_is_traced_alike() -> None:
    def run() -> Any:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 1))
        model(torch.randn(4, 6)).pow(2).mean().backward()
        return [p.grad.clone() for p in model.parameters()]

    with simulate("fp16", depth="faithful"):
        alone = run()
    with simulate("fp16", depth="faithful"), hs.trace() as t:
        traced = run()
    assert all(torch.equal(a, b) for a, b in zip(alone, traced, strict=True))
    assert t.verdict().klass == "benign rounding"
