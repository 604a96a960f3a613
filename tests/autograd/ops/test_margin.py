"""Losses with a margin: steps in half written out, by hand, and what is refused. Values are recorded elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

F = hs.nn.functional
X = np.array([[1.25, 0.5, -0.25], [0.125, 0.75, 2.0]])


def q(x: Any) -> Any:
    """A half, on its way to the next step."""
    return np.asarray(x, np.float32).astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin_loss_takes_the_steps_of_cudas_kernel(p: int, rng: np.random.Generator) -> None:
    x, w = (rng.uniform(-1, 1, shape).astype(np.float16) for shape in ((6, 5), (5,)))
    labels, g = np.array([0, 3, 4, 1, 1, 2]), rng.uniform(0.5, 1, 6).astype(np.float16)
    t = hs.tensor(x, requires_grad=True)
    y = F.multi_margin_loss(t, labels, p, 0.3, hs.tensor(w), reduction="none")
    y.backward(g)
    z = q(q(q(0.3) - q(x[np.arange(6), labels])[:, None]) + q(x))
    z[np.arange(6), labels] = 0
    z, weight = np.maximum(z, 0), q(w)[labels][:, None]
    terms = q((z if p == 1 else q(z * z)) * weight)
    np.testing.assert_array_equal(y.numpy(), q(terms.sum(1) / np.float32(5)))
    part = np.float32(1) / np.float32(5)
    slope = q(np.where(z > 0, (part if p == 1 else np.float32(2) * part * z) * weight, 0))
    slope[np.arange(6), labels] = q(-slope.sum(1))
    assert t.grad is not None
    np.testing.assert_array_equal(t.grad.numpy(), q(slope * q(g)[:, None]))


def test_multilabel_margin_loss_adds_its_gradients_in_half() -> None:
    """64 targets give the one other class 64 times 1 / 65, each sum stored."""
    x = hs.tensor(np.zeros(65), "fp16", requires_grad=True)
    F.multilabel_margin_loss(x, [*range(64), -1]).backward()
    part, total = np.float16(1 / 65), np.float16(0)
    for _ in range(64):
        total = np.float16(total + part)
    assert x.grad is not None
    assert x.grad.numpy()[-1] == total != np.float16(64 / 65)
    assert (x.grad.numpy()[:-1] == -part).all()


def test_triplets_by_hand() -> None:
    a, p, n = (hs.tensor([v]) for v in ([0.0, 0.0], [3.0, 4.0], [0.0, 2.0]))
    assert F.triplet_margin_loss(a, p, n, eps=0.0).item() == 4
    assert F.triplet_margin_loss(a, p, n, p=1.0, eps=0.0).item() == 6
    assert F.triplet_margin_loss(n, a, p, swap=True, eps=0.0).item() == pytest.approx(max(1 + 2 - 13**0.5, 0))
    far = F.triplet_margin_with_distance_loss(a, p, n, distance_function=lambda x, y: (x - y).abs().sum(-1))
    assert far.item() == 6


def test_under_autocast_they_are_float32() -> None:
    x = hs.tensor([[300.0, 0.0]], "fp16")
    with hs.precision("amp"):
        for loss in (
            F.multi_margin_loss(x, [1], p=2),
            F.hinge_embedding_loss(x, np.ones((1, 2))),
            F.margin_ranking_loss(x, x, np.ones((1, 2))),
            F.soft_margin_loss(x, np.ones((1, 2))),
            F.triplet_margin_loss(x, x, x),
            F.multilabel_margin_loss(x, [[1, -1]]),
            F.poisson_nll_loss(x / 100.0, np.ones((1, 2))),
            hs.ops.pdist(x),
        ):
            assert loss.format is hs.float32, loss
        assert F.multi_margin_loss(x, [1], p=2).item() == 301**2 / 2
    assert F.multi_margin_loss(x, [1], p=2).item() == np.inf


REFUSED: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("multi_margin_loss", (X, [0]), {}, r"target: shape \(1,\)"),
    ("multi_margin_loss", (X, [0, 3]), {}, "target: classes 0 to 3"),
    ("multi_margin_loss", (X, [0, 1]), {"p": 3}, "p: 3"),
    ("multi_margin_loss", (X, [0, 1]), {"weight": [1.0]}, r"weight: shape \(1,\)"),
    ("multilabel_margin_loss", (X, [[0, 1]]), {}, r"target: shape \(1, 2\)"),
    ("multilabel_margin_loss", (X, [[0, 1, 3]] * 2), {}, "target: classes 0 to 3"),
    ("multilabel_margin_loss", (X, [[0, 1, -2]] * 2), {}, "target: classes -2 to 1"),
    ("multilabel_soft_margin_loss", (1.0, 1.0), {}, "input has no axes"),
    ("margin_ranking_loss", (X, X, [1.0]), {}, "margin_ranking_loss: shapes"),
    ("triplet_margin_loss", (X, X, X), {"margin": 0.0}, "margin: 0.0"),
    ("triplet_margin_loss", (X, X, X[0]), {}, "anchor .2, 3., positive"),
    ("hinge_embedding_loss", (X, X), {"reduction": "most"}, "reduction: 'most'"),
]


@pytest.mark.parametrize(("name", "arguments", "options", "message"), REFUSED, ids=[row[-1] for row in REFUSED])
def test_refusals(name: str, arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(F, name)(*arguments, **options)
