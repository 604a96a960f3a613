"""Autocast: its scopes, and PyTorch's CUDA lists as of ``aten/src/ATen/autocast_mode.h`` in torch 2.13."""

from __future__ import annotations

from typing import Any

import pytest

import halfsim as hs
from halfsim.autograd.tape import SPECS

HALF = """
_convolution convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d prelu addmm
addmv addr matmul einsum mm mv linalg_vecdot linear addbmm baddbmm bmm chain_matmul linalg_multi_dot lstm_cell gru_cell
rnn_tanh_cell rnn_relu_cell scaled_dot_product_attention"""

SINGLE = """
acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm
native_layer_norm rms_norm group_norm frobenius_norm nuclear_norm cosine_similarity poisson_nll_loss
cosine_embedding_loss nll_loss hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss
margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss
binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp prod softmax log_softmax cumprod cumsum
linalg_vector_norm linalg_matrix_norm sum norm"""

# Promoted to the widest operand, or left in the operand's format.
NEITHER = """
addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add add sub mul div neg cat
concatenate stack relu leaky_relu elu selu celu gelu silu mish sigmoid tanh hardtanh relu6 hardswish hardsigmoid
logsigmoid softsign threshold glu dropout max_pool1d max_pool2d avg_pool1d avg_pool2d adaptive_avg_pool1d
adaptive_avg_pool2d batch_norm instance_norm embedding sqrt square abs sign sin cos atan asinh erf mean var std max min
maximum minimum clamp where lerp reshape transpose getitem flip roll tile tril triu gather pad"""


@pytest.mark.parametrize(
    ("name", "category"),
    [
        (name, c)
        for names, c in ((HALF, "fp16"), (SINGLE, "fp32"), (NEITHER, None))
        for name in names.split()
        if name in SPECS
    ],
)
def test_every_operation_stands_in_pytorchs_list(name: str, category: str | None) -> None:
    assert SPECS[name].category == category


def test_every_category_is_a_list() -> None:
    assert {spec.category for spec in SPECS.values()} <= {"fp16", "fp32", None}
    assert {name for name in ("matmul", "linear") if SPECS[name].category != "fp16"} == set()


def formats(**options: Any) -> list[str]:
    a, half = hs.tensor([[1.0, 2.0]]), hs.tensor([[1.0, 2.0]], "fp16")
    with hs.amp.autocast(**options):
        made = [a @ a.T, half.exp(), half.sum(), a + half, half.relu(), a.double() @ a.double().T, hs.ops.softmax(half)]
        return [x.format.name for x in made]


def test_operations_run_in_their_lists_format() -> None:
    assert formats() == ["float16", "float32", "float32", "float32", "float16", "float64", "float32"]
    assert formats(dtype="bf16")[:4] == ["bfloat16", "float32", "float32", "float32"]
    assert formats(dtype=hs.bfloat16)[0] == "bfloat16"
    assert formats(enabled=False) == ["float32", "float16", "float16", "float32", "float16", "float64", "float16"]


def test_a_region_inside_is_switched_off_and_on_again() -> None:
    a = hs.tensor([[1.0]])
    with hs.amp.autocast("cuda"):
        with hs.amp.autocast("cuda", enabled=False):
            assert (a @ a).format is hs.float32
            with hs.amp.autocast("cuda", dtype="bfloat16"):
                assert (a @ a).format is hs.bfloat16
        assert (a @ a).format is hs.float16
    assert (a @ a).format is hs.float32


def test_a_function_is_decorated_and_may_call_itself() -> None:
    a = hs.tensor([[1.0]])

    @hs.amp.autocast()
    def depth(n: int) -> list[str]:
        return [(a @ a).format.name] + (depth(n - 1) if n else []) + [(a @ a).format.name]

    assert depth(2) == ["float16"] * 6
    assert (a @ a).format is hs.float32


def test_a_context_ends_when_an_error_passes_through() -> None:
    context = hs.amp.autocast()
    with pytest.raises(KeyError), context:
        raise KeyError
    a = hs.tensor([[1.0]])
    assert (a @ a).format is hs.float32
    with context, context:  # and may be entered again, even twice
        assert (a @ a).format is hs.float16
    assert (a @ a).format is hs.float32


def test_backward_runs_as_forward_did_and_reaches_float32_weights() -> None:
    w = hs.tensor([[2.0**-14]], requires_grad=True)
    with hs.amp.autocast():
        y = hs.ops.linear(hs.tensor([[2.0**-12]]), w)
    y.backward()
    assert w.grad is not None
    assert (y.format, w.grad.format, w.grad.item()) == (hs.float16, hs.float32, 2.0**-12)


def test_a_scope_that_overrides_beats_autocast() -> None:
    a = hs.tensor([[1.0]])
    with hs.precision("fp64", override=True), hs.amp.autocast():
        assert (a @ a).format is hs.float64


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"device_type": "gpu"}, "device_type: 'gpu' is not allowed; allowed: cuda"),
        ({"device_type": hs.float16}, "device_type: "),
        ({"dtype": "fp32"}, "dtype: float32 is not allowed; allowed: float16, bfloat16"),
        ({"dtype": "fp17"}, "dtype: "),
    ],
)
def test_bad_arguments_get_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        hs.amp.autocast(**options)
    assert "\n" not in str(caught.value)
