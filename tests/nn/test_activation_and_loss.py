"""Layers are their operations, with PyTorch's arguments, names and reprs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs

nn = hs.nn
F = hs.nn.functional
X = np.array([[-2.0, -0.25, 0.5, 3.0]])

LAYERS: list[tuple[str, Any, str]] = [  # as PyTorch prints them
    ("relu", nn.ReLU(), "ReLU()"),
    ("relu", nn.ReLU(inplace=True), "ReLU(inplace=True)"),
    ("relu6", nn.ReLU6(), "ReLU6()"),
    ("leaky_relu", nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
    ("elu", nn.ELU(), "ELU(alpha=1.0)"),
    ("selu", nn.SELU(), "SELU()"),
    ("celu", nn.CELU(), "CELU(alpha=1.0)"),
    ("gelu", nn.GELU(), "GELU(approximate='none')"),
    ("silu", nn.SiLU(), "SiLU()"),
    ("mish", nn.Mish(), "Mish()"),
    ("sigmoid", nn.Sigmoid(), "Sigmoid()"),
    ("tanh", nn.Tanh(), "Tanh()"),
    ("hardtanh", nn.Hardtanh(), "Hardtanh(min_val=-1.0, max_val=1.0)"),
    ("hardswish", nn.Hardswish(), "Hardswish()"),
    ("hardsigmoid", nn.Hardsigmoid(), "Hardsigmoid()"),
    ("softplus", nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
    ("softmax", nn.Softmax(dim=1), "Softmax(dim=1)"),
    ("log_softmax", nn.LogSoftmax(1), "LogSoftmax(dim=1)"),
    ("softmin", nn.Softmin(), "Softmin(dim=None)"),
    ("logsigmoid", nn.LogSigmoid(), "LogSigmoid()"),
    ("softsign", nn.Softsign(), "Softsign()"),
    ("tanhshrink", nn.Tanhshrink(), "Tanhshrink()"),
    ("hardshrink", nn.Hardshrink(), "Hardshrink(0.5)"),
    ("softshrink", nn.Softshrink(), "Softshrink(0.5)"),
    ("glu", nn.GLU(), "GLU(dim=-1)"),
]


@pytest.mark.parametrize(("name", "layer", "text"), LAYERS, ids=[text for _, _, text in LAYERS])
def test_activations_are_their_functions(name: str, layer: Any, text: str) -> None:
    x = hs.tensor(X, "fp16")
    np.testing.assert_array_equal(layer(x).bits(), getattr(F, name)(x).bits())
    assert repr(layer) == text
    assert layer.state_dict() == {}


def test_arguments_reach_the_function() -> None:
    x = hs.tensor(X)
    pairs = [
        (nn.LeakyReLU(0.5), F.leaky_relu(x, 0.5)),
        (nn.ELU(0.5), F.elu(x, 0.5)),
        (nn.CELU(0.5), F.celu(x, 0.5)),
        (nn.GELU("tanh"), F.gelu(x, "tanh")),
        (nn.Hardtanh(-0.5, 2.0), F.hardtanh(x, -0.5, 2.0)),
        (nn.Hardtanh(min_value=-0.5, max_value=2.0), F.hardtanh(x, -0.5, 2.0)),
        (nn.Softplus(2.0, 1.0), F.softplus(x, 2.0, 1.0)),
        (nn.Threshold(0.3, 7.0), F.threshold(x, 0.3, 7.0)),
        (nn.Hardshrink(1.0), F.hardshrink(x, 1.0)),
        (nn.Softshrink(1.0), F.softshrink(x, 1.0)),
        (nn.GLU(1), F.glu(x, 1)),
        (nn.Softmax(0), F.softmax(x, 0)),
    ]
    for layer, expected in pairs:
        np.testing.assert_array_equal(layer(x).numpy(), expected.numpy(), err_msg=repr(layer))


def test_prelu_learns_its_slopes() -> None:
    layer = nn.PReLU(4, 0.5)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {"weight": (4,)}
    assert repr(layer) == "PReLU(num_parameters=4)"
    layer(hs.tensor(X)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.numpy().tolist() == [-2, -0.25, 0, 0]
    assert nn.PReLU()(hs.tensor(-1.0)).item() == -0.25
    with pytest.raises(ValueError, match="num_parameters: 0"):
        nn.PReLU(0)


def test_softmax_without_a_dimension_takes_pytorchs() -> None:
    for shape, dim in (((4,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)):
        x = hs.tensor(np.arange(np.prod(shape)).reshape(shape))
        np.testing.assert_array_equal(nn.Softmax()(x).numpy(), F.softmax(x, dim).numpy())
        np.testing.assert_array_equal(F.softmax(x).numpy(), F.softmax(x, dim).numpy())
    assert F.softmax(hs.tensor([1.0], "fp16"), 0, dtype="fp32").format is hs.float32
    assert F.log_softmax([1.0, 1.0], 0, dtype="fp16").format is hs.float16


def losses() -> list[tuple[Any, Any, tuple[Any, ...]]]:
    x, t = hs.tensor([[0.25, 0.5], [0.75, 0.125]]), hs.tensor([[0.5, 0.5], [0.0, 1.0]])
    w, labels, signs = hs.tensor([0.5, 2.0]), np.array([1, 0]), np.array([[1.0, -1.0], [-1.0, 1.0]])
    return [
        (
            nn.CrossEntropyLoss(w, label_smoothing=0.1),
            lambda *a, **k: F.cross_entropy(*a, w, label_smoothing=0.1, **k),
            (x, labels),
        ),
        (nn.CrossEntropyLoss(ignore_index=1), lambda *a, **k: F.cross_entropy(*a, ignore_index=1, **k), (x, labels)),
        (nn.NLLLoss(w, ignore_index=0), lambda *a, **k: F.nll_loss(*a, w, ignore_index=0, **k), (x, labels)),
        (nn.MSELoss(), F.mse_loss, (x, t)),
        (nn.L1Loss(), F.l1_loss, (x, t)),
        (nn.SmoothL1Loss(beta=0.25), lambda *a, **k: F.smooth_l1_loss(*a, beta=0.25, **k), (x, t)),
        (nn.HuberLoss(delta=0.25), lambda *a, **k: F.huber_loss(*a, delta=0.25, **k), (x, t)),
        (nn.BCELoss(w), lambda *a, **k: F.binary_cross_entropy(*a, w, **k), (x, t)),
        (
            nn.BCEWithLogitsLoss(w, pos_weight=w),
            lambda *a, **k: F.binary_cross_entropy_with_logits(*a, w, pos_weight=w, **k),
            (x, t),
        ),
        (nn.KLDivLoss(log_target=True), lambda *a, **k: F.kl_div(*a, log_target=True, **k), (x, t)),
        (nn.CosineEmbeddingLoss(0.25), lambda *a, **k: F.cosine_embedding_loss(*a, margin=0.25, **k), (x, t, [1, -1])),
        (nn.HingeEmbeddingLoss(0.25), lambda *a, **k: F.hinge_embedding_loss(*a, 0.25, **k), (x, signs)),
        (nn.MarginRankingLoss(0.25), lambda *a, **k: F.margin_ranking_loss(*a, 0.25, **k), (x, t, signs)),
        (nn.SoftMarginLoss(), F.soft_margin_loss, (x, signs)),
        (nn.TripletMarginLoss(0.25, 1.0, 1e-3, True), triplet, (x, t, x * t)),
        (
            nn.TripletMarginWithDistanceLoss(distance_function=nn.CosineSimilarity(), margin=0.25, swap=True),
            lambda *a, **k: F.triplet_margin_with_distance_loss(
                *a, distance_function=F.cosine_similarity, margin=0.25, swap=True, **k
            ),
            (x, t, x * t),
        ),
        (nn.MultiMarginLoss(2, 0.25, w), lambda *a, **k: F.multi_margin_loss(*a, 2, 0.25, w, **k), (x, labels)),
        (nn.MultiLabelMarginLoss(), F.multilabel_margin_loss, (x, np.array([[1, -1], [0, 1]]))),
        (nn.MultiLabelSoftMarginLoss(w), lambda *a, **k: F.multilabel_soft_margin_loss(*a, w, **k), (x, t)),
        (
            nn.PoissonNLLLoss(False, True, eps=0.1),
            lambda *a, **k: F.poisson_nll_loss(*a, False, True, eps=0.1, **k),
            (x, t),
        ),
        (
            nn.GaussianNLLLoss(full=True, eps=0.1),
            lambda *a, **k: F.gaussian_nll_loss(*a, full=True, eps=0.1, **k),
            (x, t, x * x),
        ),
        (
            nn.CTCLoss(1, zero_infinity=True),
            lambda *a, **k: F.ctc_loss(*a, 1, zero_infinity=True, **k),
            (F.log_softmax(x, 1), [0], 2, 1),
        ),
    ]


def triplet(*tensors: Any, **how: Any) -> hs.Tensor:
    return F.triplet_margin_loss(*tensors, margin=0.25, p=1.0, eps=1e-3, swap=True, **how)


@pytest.mark.parametrize("i", range(22))
def test_losses_are_their_functions(i: int) -> None:
    layer, function, arguments = losses()[i]
    for reduction in ("mean", "sum", "none"):
        layer.reduction = reduction
        np.testing.assert_array_equal(
            layer(*arguments).numpy(), function(*arguments, reduction=reduction).numpy(), err_msg=repr(layer)
        )


def test_losses_take_pytorchs_arguments_in_order() -> None:
    assert nn.CrossEntropyLoss(None, None, -1, None, "sum", 0.5).label_smoothing == 0.5
    assert nn.MSELoss(None, None, "sum").reduction == "sum"
    assert nn.MSELoss(size_average=False).reduction == "sum"
    assert nn.L1Loss(reduce=False).reduction == "none"
    assert nn.HuberLoss("sum", 2.0).delta == 2
    assert nn.KLDivLoss(reduction="batchmean").reduction == "batchmean"
    assert nn.CrossEntropyLoss(weight=np.ones(3)).parameters is not None
    assert list(nn.CrossEntropyLoss(weight=np.ones(3)).parameters()) == []
    assert nn.TripletMarginLoss(2.0, 1.0, 1e-3, True, None, None, "sum").reduction == "sum"
    assert nn.PoissonNLLLoss(False, True, None, 1e-3, None, "none").eps == 1e-3
    for wrong in (lambda: nn.TripletMarginLoss(0.0), lambda: nn.TripletMarginWithDistanceLoss(margin=-1.0)):
        with pytest.raises(ValueError, match="margin: "):
            wrong()
    with pytest.raises(ValueError, match="p: 3"):
        nn.MultiMarginLoss(3)
    with pytest.raises(ValueError, match="weight: shape"):
        nn.MultiMarginLoss(weight=np.ones((2, 2)))
    with pytest.raises(TypeError, match="delta: "):
        nn.HuberLoss(delta=1j)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reduction: 'maen' is not allowed \\(did you mean 'mean'"):
        nn.CrossEntropyLoss(reduction="maen")
    with pytest.raises(ValueError, match="min_val: 1.0 is not below max_val 1.0"):
        nn.Hardtanh(1.0, 1.0)


def test_one_hot_is_a_tensor_of_integers() -> None:
    assert F.one_hot([0, 2]).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(hs.tensor([[1]]), 2).tolist() == [[[0, 1]]]


def test_bilinear_has_pytorchs_parameters() -> None:
    layer = nn.Bilinear(3, 4, 5)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {"weight": (5, 3, 4), "bias": (5,)}
    assert repr(layer) == "Bilinear(in1_features=3, in2_features=4, out_features=5, bias=True)"
    assert np.abs(layer.weight.numpy()).max() <= 3**-0.5
    y = layer(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))
    assert y.shape == (2, 5)
    assert nn.Bilinear(3, 4, 5, bias=False).bias is None
    with pytest.raises(ValueError, match="in1_features: 0"):
        nn.Bilinear(0, 1, 1)


def test_layers_built_in_float64_are_float64() -> None:
    with hs.precision("fp64"):
        for layer in (nn.Linear(7, 3), nn.Bilinear(2, 3, 4), nn.PReLU()):
            for parameter in layer.parameters():
                assert parameter.format is hs.float64
        hs.manual_seed(2)
        weight = nn.Linear(7, 3).weight.numpy()
    hs.manual_seed(2)
    assert (weight == nn.Linear(7, 3).weight.numpy()).all(), "the numbers of float32, so that runs begin alike"


def test_functional_names_are_exported() -> None:
    for name in F.__all__:
        assert callable(getattr(F, name))
    assert sorted(F.__all__) == F.__all__


def test_weights_of_losses_are_part_of_the_state() -> None:
    """As in PyTorch, where they are buffers."""
    weight = np.array([1.0, 2.0])
    losses = (nn.CrossEntropyLoss, nn.NLLLoss, nn.BCELoss, nn.BCEWithLogitsLoss)
    for loss in losses:
        assert list(loss(weight=weight).state_dict()) == ["weight"]
        assert list(loss().state_dict()) == []
    both = nn.BCEWithLogitsLoss(weight, pos_weight=weight)
    assert list(both.state_dict()) == ["weight", "pos_weight"]
    both.load_state_dict({"weight": weight * 2, "pos_weight": weight})
    assert both.weight.numpy().tolist() == [2, 4]
    assert both.half().weight.format is hs.float16
    assert not list(both.parameters())


def test_layers_take_their_input_by_pytorchs_name() -> None:
    rows = np.ones((2, 4), np.float32)
    for layer in (nn.ReLU(), nn.Linear(4, 1), nn.LayerNorm(4), nn.RMSNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4)):
        layer(input=rows)
    for other in (nn.Dropout(), nn.Flatten(), nn.Identity(), nn.Softmax(-1), nn.PReLU(), nn.Sequential(nn.Tanh())):
        other(input=rows)
    assert nn.Embedding(3, 2)(input=[1]).shape == (1, 2)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, w: F.cross_entropy(x, [0, 1], weight=w),
        lambda x, w: F.nll_loss(x, [0, 1], weight=w),
        lambda x, w: F.binary_cross_entropy_with_logits(x, np.ones((2, 3)), pos_weight=w),
        lambda x, w: F.batch_norm(x, w, w),
    ],
)
def test_constants_of_a_loss_or_layer_take_no_gradient(loss: Any) -> None:
    x, w = (hs.tensor(np.ones(shape), requires_grad=True) for shape in ((2, 3), 3))
    loss(x, w).sum().backward()
    assert x.grad is not None
    assert w.grad is None


def test_constants_of_pytorchs_kernels_are_float32() -> None:
    with hs.precision("fp64"):
        x = hs.tensor([1.0], requires_grad=True)
        F.hardsigmoid(x).backward()
        assert x.grad is not None
        assert x.grad.item() == float(np.float32(1 / 6))
        zero = hs.tensor([[0.0, 0.0]], requires_grad=True)
        F.cosine_embedding_loss(zero, hs.tensor([[3.0, 4.0]]), [1]).backward()
        assert zero.grad is not None
        expected = -np.array([[3, 4]]) / np.sqrt(float(np.float32(1e-12)) * 25)
        np.testing.assert_allclose(zero.grad.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("fmt", ["fp16", "fp32"])
def test_a_loss_with_an_array_of_weights_stays_in_the_format_of_its_input(fmt: str) -> None:
    w, x = np.array([0.1, 2.0, 0.5]), hs.tensor(np.ones((2, 3)), fmt)
    p = np.full((2, 3), 0.5)
    assert nn.CrossEntropyLoss(weight=w)(x, [0, 2]).format == x.format
    assert nn.NLLLoss(weight=w)(x, [0, 2]).format == x.format
    assert nn.BCELoss(weight=w)(x, p).format == x.format
    assert nn.BCEWithLogitsLoss(weight=w, pos_weight=w)(x, p).format == x.format
    same = F.cross_entropy(x, [0, 2], weight=w)
    assert nn.CrossEntropyLoss(weight=w)(x, [0, 2]).item() == same.item()
    assert nn.CrossEntropyLoss(weight=hs.tensor(w, "fp64"))(x, [0, 2]).format is hs.float64
