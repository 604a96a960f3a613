"""MultiheadAttention and the Transformer encoder: names, layouts, masks, errors. Results are in
`test_sequences_recorded`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs

nn = hs.nn


def noise(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_names_shapes_and_first_weights_are_pytorchs() -> None:
    layer = nn.MultiheadAttention(8, 2)
    names = {"in_proj_weight": (24, 8), "in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)}
    assert {name: p.shape for name, p in layer.state_dict().items()} == names
    assert not layer.in_proj_bias.numpy().any()
    assert not layer.out_proj.bias.numpy().any()
    assert 0.8 < np.abs(layer.in_proj_weight.numpy()).max() / (6 / 32) ** 0.5 <= 1
    apart = nn.MultiheadAttention(8, 2, bias=False, kdim=3, add_bias_kv=True)
    assert list(apart.state_dict()) == [
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
        "bias_k",
        "bias_v",
        "out_proj.weight",
    ]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, nn.LayerNorm(8))
    parts = ["self_attn." + name for name in names] + [
        f"{part}.{kind}" for part in ("linear1", "linear2", "norm1", "norm2") for kind in ("weight", "bias")
    ]
    expected = [f"layers.{k}.{part}" for k in (0, 1) for part in parts] + ["norm.weight", "norm.bias"]
    assert list(encoder.state_dict()) == expected
    assert [p.name for p in encoder.parameters()] == expected
    first, second = encoder.layers
    np.testing.assert_array_equal(first.linear1.weight.numpy(), second.linear1.weight.numpy())
    assert first.linear1.weight is not second.linear1.weight


@settings(max_examples=25)
@given(
    st.integers(0, 3), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans(), st.sampled_from([1, 2, 4])
)
def test_shapes_and_layouts(batch: int, length: int, keys: int, first: bool, need: bool, heads: int) -> None:
    layer = nn.MultiheadAttention(4, heads, batch_first=first)
    q, k = noise(batch, length, 4), noise(batch, keys, 4)
    arguments = (q, k, k) if first else tuple(x.transpose(1, 0, 2) for x in (q, k, k))
    out, weights = layer(*arguments, need_weights=need)
    assert out.shape == arguments[0].shape
    assert weights is None if not need else weights.shape == (batch, length, keys)
    if batch:
        out_0, weights_0 = layer(q[0], k[0], k[0], need_weights=need, average_attn_weights=False)
        np.testing.assert_allclose(out_0.numpy(), out.numpy()[0] if first else out.numpy()[:, 0], atol=1e-6)
        assert weights_0 is None if not need else weights_0.shape == (heads, length, keys)


@pytest.mark.parametrize("masks", [{}, {"attn_mask"}, {"key_padding_mask"}, {"attn_mask", "key_padding_mask"}])
@pytest.mark.parametrize("same", ["all", "keys", "none"])
def test_both_ways_agree_and_booleans_are_minus_infinity(masks: set[str], same: str) -> None:
    layer, x, y = nn.MultiheadAttention(4, 2), noise(5, 3, 4), noise(5, 3, 4) + 1
    q, k, v = {"all": (x, x, x), "keys": (x, y, y), "none": (x, y, y.copy())}[same]
    blocked = {"attn_mask": np.triu(np.ones((5, 5), np.bool_), 1), "key_padding_mask": np.zeros((3, 5), np.bool_)}
    blocked["key_padding_mask"][1, 2:] = True
    given_masks = {name: blocked[name] for name in masks}
    numbers = {name: np.where(mask, -np.inf, 0) for name, mask in given_masks.items()}
    mixed = {name: given_masks[name] if name == "attn_mask" else numbers[name] for name in masks}
    expected = layer(q, k, v, **given_masks)[0].numpy()
    for chosen in (given_masks, numbers, mixed, {name: hs.tensor(m) for name, m in numbers.items()}):
        for need in (True, False):
            np.testing.assert_allclose(layer(q, k, v, need_weights=need, **chosen)[0].numpy(), expected, atol=1e-6)


def test_a_row_blocked_everywhere_is_nan_with_weights_and_zero_without() -> None:
    """As in PyTorch 2.13."""
    layer, x = nn.MultiheadAttention(4, 2), noise(3, 2, 4)
    blocked = np.array([[True] * 3, [False] * 3])
    out, weights = layer(x, x, x, key_padding_mask=blocked)
    assert weights is not None
    assert np.isnan(out.numpy()[:, 0]).all()
    assert np.isfinite(out.numpy()[:, 1]).all()
    out, _ = layer(x, x, x, key_padding_mask=blocked, need_weights=False)
    assert not out.numpy()[:, 0].any()


def test_dropout_and_eval() -> None:
    layer, x = nn.MultiheadAttention(4, 2, dropout=1.0), noise(3, 2, 4)
    for need in (True, False):
        layer.train()
        assert not layer(x, x, x, need_weights=need)[0].numpy().any()
        assert layer.eval()(x, x, x, need_weights=need)[0].numpy().any()


def test_amp_runs_products_in_half_and_softmax_in_float32() -> None:
    layer, x = nn.MultiheadAttention(4, 2), hs.tensor(noise(3, 2, 4))
    with hs.precision("amp"):
        out, weights = layer(x, x, x)
        assert weights is not None
        assert (out.format, weights.format) == (hs.float16, hs.float32)
        encoder = nn.TransformerEncoderLayer(4, 2, 8)
        y = encoder(x)
        assert y.format is hs.float32  # what layer_norm returns
        y.sum().backward()
    assert encoder.linear1.weight.grad is not None
    assert encoder.linear1.weight.grad.format is hs.float32


def test_gradients_of_an_encoder_layer_are_finite_differences() -> None:
    with hs.precision("fp64"):
        for options in ({}, {"norm_first": True, "activation": hs.ops.tanh}):
            layer = nn.TransformerEncoderLayer(4, 2, 3, dropout=0.0, **options)
            x = hs.tensor(np.random.default_rng(1).standard_normal((3, 1, 4)))
            assert hs.gradcheck(lambda x, layer=layer: layer(x), x)


def test_a_trace_names_the_part_of_the_encoder() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), 2).to("fp16")
    weight = encoder.layers[1].linear2.weight
    weight.array = np.full(weight.shape, 60000.0, np.float32)
    encoder.layers[1].linear2.bias.array = np.full(8, 60000.0, np.float32)
    with hs.trace() as t:
        encoder(hs.tensor(noise(4, 2, 8), "fp16"))
    event = t.first("overflow")
    assert event is not None
    assert (event.op, event.path) == ("linear", "layers.1.linear2")


def test_an_activation_with_parameters_comes_last_in_the_state() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, activation=nn.PReLU())
    assert list(layer.state_dict())[-2:] == ["norm2.bias", "activation.weight"]
    assert layer(noise(3, 1, 4)).shape == (3, 1, 4)


@pytest.mark.parametrize("need_weights", [True, False])
def test_zero_attention_adds_a_key_and_a_value_of_zeros_that_no_mask_blocks(need_weights: bool) -> None:
    with hs.precision("fp64"):
        layer = nn.MultiheadAttention(4, 2, add_zero_attn=True)
        x, blocked = hs.tensor(noise(3, 1, 4)), np.triu(np.ones((3, 3), np.bool_))
        out, weights = layer(x, x, x, attn_mask=blocked, need_weights=need_weights)
        q, k, v = layer._heads(hs.ops.linear(x, layer.in_proj_weight, layer.in_proj_bias), 3).numpy()
        k, v = (np.concatenate([z, np.zeros((1, 2, 1, 2))], 2) for z in (k, v))
        allowed = np.concatenate([~blocked, np.ones((3, 1), np.bool_)], 1)
        heads = hs.ops.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        expected = layer.out_proj(heads.transpose(2, 0, 1, 3).reshape(3, 1, 4))
    np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=1e-12, atol=1e-15)
    assert weights is None if not need_weights else weights.shape == (1, 3, 4)
    assert np.isfinite(out.numpy()).all(), "also where every key of the input is blocked"


X = np.ones((3, 2, 4))
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: nn.MultiheadAttention(8, 3), ValueError, "num_heads: 3 is not allowed; allowed: divisors of embed_dim 8"),
    (lambda: nn.MultiheadAttention(0, 3), ValueError, "embed_dim: 0 is not allowed"),
    (lambda: nn.MultiheadAttention(8, 2.0), TypeError, "num_heads: 2.0 is not allowed"),
    (lambda: nn.MultiheadAttention(8, 2, dropout=-1), ValueError, "dropout: -1 is not allowed"),
    (lambda: nn.MultiheadAttention(4, 2)(X, X, X, is_causal=True), ValueError, "is_causal: True without attn_mask"),
    (
        lambda: nn.MultiheadAttention(4, 2)(X, X, X, key_padding_mask=np.ones((2, 3), np.int64)),
        TypeError,
        "key_padding_mask: dtype int64 is not allowed; allowed: bool, floating point",
    ),
    (
        lambda: nn.MultiheadAttention(4, 2)(X, X, X, key_padding_mask=np.ones((3, 2), np.bool_)),
        ValueError,
        "key_padding_mask: shape (3, 2) is not allowed; allowed: (2, 3)",
    ),
    (
        lambda: nn.MultiheadAttention(4, 2)(X, X, X, attn_mask=np.ones((2, 3), np.bool_)),
        ValueError,
        "attn_mask: shape (2, 3) is not allowed; allowed: (3, 3) or (4, 3, 3)",
    ),
    (lambda: nn.MultiheadAttention(4, 2)(X, X[:2], X), ValueError, "key (2, 2, 4), value (3, 2, 4): shapes do not fit"),
    (lambda: nn.MultiheadAttention(4, 2)(X, X[..., :3], X), ValueError, "shapes do not fit; allowed: (L, N, 4)"),
    (lambda: nn.MultiheadAttention(4, 2)(X[0], X, X), ValueError, "shapes do not fit"),
    (lambda: nn.Transformer(4, 2)(X, X[:, :1]), ValueError, "shapes do not fit; allowed: (L, N, 4), or without N"),
    (lambda: nn.Transformer(4, 2, batch_first=True)(X, X[:1]), ValueError, "allowed: (N, L, 4), or without N"),
    (lambda: nn.TransformerEncoderLayer(4, 2, activation="rely"), ValueError, "did you mean 'relu'"),
    (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 0), ValueError, "num_layers: 0 is not allowed"),
    (lambda: nn.TransformerEncoder("layer", 2), TypeError, "encoder_layer: 'layer' is not allowed; allowed: a Module"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_gets_one_line(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_the_function_is_the_layer_of_given_weights(separate: bool, need_weights: bool) -> None:
    sizes = {"kdim": 6, "vdim": 5} if separate else {}
    layer = hs.nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True, **sizes)
    query, key, value = noise(3, 2, 8), noise(4, 2, sizes.get("kdim", 8)), noise(4, 2, sizes.get("vdim", 8))
    mask = hs.tensor(np.triu(np.ones((3, 4), bool), 2))
    state = hs.get_rng_state().tobytes()
    y, weights = hs.nn.functional.multi_head_attention_forward(
        query,
        key,
        value,
        8,
        2,
        layer.in_proj_weight,
        layer.in_proj_bias,
        layer.bias_k,
        layer.bias_v,
        True,
        0.0,
        layer.out_proj.weight,
        layer.out_proj.bias,
        need_weights=need_weights,
        attn_mask=mask,
        use_separate_proj_weight=separate,
        q_proj_weight=layer.q_proj_weight,
        k_proj_weight=layer.k_proj_weight,
        v_proj_weight=layer.v_proj_weight,
    )
    assert hs.get_rng_state().tobytes() == state, "it draws nothing"
    expected, others = layer(query, key, value, need_weights=need_weights, attn_mask=mask)
    assert (y.numpy() == expected.numpy()).all()
    assert (weights is None) == (others is None)
    assert weights is None or (weights.numpy() == others.numpy()).all()
    y.sum().backward()
    assert layer.out_proj.weight.grad is not None
    with pytest.raises(ValueError, match="^embed_dim_to_check: 9 .* allowed: "):
        hs.nn.functional.multi_head_attention_forward(
            query, key, value, 9, 2, None, None, None, None, False, 0.0, None, None
        )
