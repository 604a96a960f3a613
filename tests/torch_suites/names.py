"""Where PyTorch's names are found here, and what is known of single operations, as rows of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import halfsim as hs

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

# What is no function of PyTorch's users: ATen's own names, and those of backends.
INTERNAL = {
    "__rdiv__",
    "_batch_norm_with_update",
    "_chunk_cat",
    "_native_batch_norm_legit",
    "_segment_reduce",
    "_softmax_backward_data",
    "_unsafe_masked_index",
    "_unsafe_masked_index_put_accumulate",
    "_upsample_bilinear2d_aa",
    "jiterator_2inputs_2outputs",
    "jiterator_4inputs_with_extra_args",
    "jiterator_binary",
    "jiterator_binary_return_by_ref",
    "jiterator_unary",
    "max_pool2d_with_indices_backward",
    "native_batch_norm",
    "native_dropout_backward",
    "native_group_norm",
    "native_layer_norm",
    "slice",
    "torch._scaled_mm",
    "torch._scaled_mm_v2",
    "torch.ops.aten._efficient_attention_forward",
    "torch.ops.aten._flash_attention_forward",
    "torch.ops.aten._safe_softmax.default",
}

# Names that mean something else at halfsim's top level.
_ELSEWHERE = {"trace"}

# Where the function is not called as PyTorch's name says: from our function and the sample's arguments.
CALLS: dict[str, Callable[..., Any]] = {
    "einsum": lambda f, tensors, equation: f(equation, *tensors),
    "polygamma": lambda f, x, n: f(n, x),
    "special.polygamma": lambda f, x, n: f(n, x),
    "where": lambda f, x, condition, other: f(condition, x, other),
    "nn.functional.embedding": lambda f, weight, ids, **options: f(ids, weight, **options),
    "nn.functional.embedding_bag": lambda f, weight, ids, **options: f(ids, weight, **options),
    "linalg.lstsq/grad_oriented": lambda f, a, b, driver: f(a, b, driver=driver)[:2],
    "linalg.pinv/singular": lambda f, a, b: f(a @ b.mT),
    "svd_lowrank": lambda f, a, b, **options: f(a @ b.mT, **options),
    "pca_lowrank": lambda f, a, b, **options: f(a @ b.mT, **options),
    "normal/number_mean": lambda f, std, mean, *rest, **options: f(mean, std, *rest, **options),
    "normal/in_place": lambda f, x, mean, std: x.normal_(mean, std),
    "__rsub__": lambda f, x, y: x.__rsub__(y),  # of a number too, which knows no tensors
    "zero_": lambda f, x: f(x.clone()),
    "resize_": lambda f, x, shape: f(x.clone(), shape),
    "resize_as_": lambda f, x, other: f(x.clone(), other),
}


# Where PyTorch's list calls another function than its name says.
THEIRS: dict[str, Callable[..., Any]] = {} if torch is None else {"rand_like": torch.rand_like}


# What of a result is unique, where a factorization is not: the same function of PyTorch's and of ours.
def _singular(parts: Any) -> Any:
    u, s, v = parts
    k = s.shape[-1]
    return s, (u[..., :k] * s.unsqueeze(-2)) @ v[..., :k].mT


def _singular_transposed(parts: Any) -> Any:
    u, s, vh = parts
    k = s.shape[-1]
    return s, (u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :]


def _eigen(parts: Any) -> Any:
    w, v = parts
    return w, (v * w.unsqueeze(-2)) @ v.mT


INVARIANTS: dict[str, Callable[[Any], Any]] = {
    "svd": _singular,
    "linalg.svd": _singular_transposed,
    "linalg.eigh": _eigen,
}

# Results that nobody can foretell: shapes and dtypes alone are compared.
EMPTY = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"}

# Drawn in ways of their own: compared in shape and dtype, and in full where PyTorch gives the same for several seeds.
RANDOM = {"nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d", "pca_lowrank", "svd_lowrank"}

# Drawn from a generator, which both libraries seed alike.
DRAWN = {
    "bernoulli",
    "cauchy",
    "exponential",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "nn.functional.alpha_dropout",
    "nn.functional.dropout",
    "nn.functional.dropout2d",
    "nn.functional.dropout3d",
    "nn.functional.feature_alpha_dropout",
    "nn.functional.multi_head_attention_forward",
    "nn.functional.rrelu",
    "nn.functional.scaled_dot_product_attention",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "uniform",
}

_ELEMENTWISE_LAYERS = """
binary_cross_entropy binary_cross_entropy_with_logits celu elu gaussian_nll_loss gelu glu hardshrink
hardsigmoid hardswish hardtanh hinge_embedding_loss huber_loss kl_div l1_loss leaky_relu logsigmoid
margin_ranking_loss mish mse_loss poisson_nll_loss prelu relu relu6 selu silu smooth_l1_loss soft_margin_loss
softplus softshrink softsign tanhshrink threshold
"""

# Elementwise functions that op_db does not hold as such: each result element has its own few operands.
ELEMENTWISE = {
    "addcdiv",
    "addcmul",
    "clamp",
    "lerp",
    "masked_fill",
    "nan_to_num",
    "where",
    "xlogy",
    *(f"nn.functional.{name}" for name in _ELEMENTWISE_LAYERS.split()),
}


def find(name: str) -> tuple[Callable[..., Any] | None, str]:
    """Our function for a name of op_db, and where it is found: "hs.cat", "hs.ops.cat", "Tensor.new_zeros"."""
    if name in INTERNAL:
        return None, ""
    if "." in name:
        room: Any = hs
        for part in name.split(".")[:-1]:
            room = getattr(room, part, None)
        last = name.rsplit(".", 1)[-1]
        found = _function(room, last)
        place = f"hs.{name}"
        if found is None and name.startswith("nn.functional."):
            found, place = _function(hs.ops, last), f"hs.ops.{last}"
        return found, place if found is not None else ""
    if callable(getattr(torch, name, None)):
        for room, place in ((hs, "hs"), (hs.ops, "hs.ops")):
            found = None if room is hs and name in _ELSEWHERE else _function(room, name)
            if found is not None:
                return found, f"{place}.{name}"
    for method in (name, f"{name}_"):
        member = getattr(hs.Tensor, method, None)
        if isinstance(member, property):
            return (lambda x: getattr(x, name)), f"Tensor.{name}"
        if callable(member):
            return _bound(method), f"Tensor.{method}"
    return None, ""


def _function(room: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(room, name, None) if room is not None and (room is not hs or name in dir(hs)) else None
    return found if callable(found) else None


def _bound(method: str) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: getattr(hs.Tensor, method)(x, *args, **kwargs)


def method_of(name: str) -> str | None:
    """The method that PyTorch's tensor has for a function, if ours may be asked for it too."""
    if "." in name or name.startswith("_") or not callable(getattr(torch.Tensor, name, None)):
        return None
    return name
