"""Depth "faithful": kernels whose steps halfsim's own formulas take, in the order and the accumulator of the precision.

A row gives for a kernel the arrays that take the place of its results. Gradients come from the same formulas, run anew
on what the kernel of the gradient is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import steps
from halfsim.autograd.tape import SPECS
from halfsim.numerics.formats import bfloat16
from halfsim.numerics.quantize import Array

Formula = Callable[..., list[Array]]

_REDUCTIONS = ("none", "mean", "sum")


def formula_of(call: Any) -> Formula | None:
    """What computes a call in the place of PyTorch's kernel; None where nothing does."""
    return _ROWS.get(call.kernel.raw)


def _axes(dims: Any) -> Any:
    return None if dims is None or (isinstance(dims, (list, tuple)) and not dims) else (
        tuple(dims) if isinstance(dims, (list, tuple)) else dims)  # fmt: skip


def _run(name: str, fp: Arithmetic, *arrays: Any, **options: Any) -> tuple[Array, Any]:
    y, pullbacks = SPECS[name].formula(fp, *arrays, **options)
    return np.asarray(y), pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)


def _plain(name: str) -> Formula:
    """An operation that takes its operands as they come."""

    def compute(fp: Arithmetic, call: Any, *args: Any, **kwargs: Any) -> list[Array]:
        return [_run(name, fp, *args, **kwargs)[0]]

    return compute


def _unary(name: str) -> Formula:
    """A function of one operand, where the call asks for nothing else."""

    def compute(fp: Arithmetic, call: Any, x: Any, **kwargs: Any) -> list[Array]:
        return [_run(name, fp, x, **kwargs)[0]]

    return compute


def _unary_gradient(name: str) -> Formula:
    """The gradient of such a function, from the gradient of its result and its operand."""

    def compute(fp: Arithmetic, call: Any, g: Any, x: Any, **kwargs: Any) -> list[Array]:
        return [_run(name, fp, x, **kwargs)[1][0](fp, g)]

    return compute


def _addmm(fp: Arithmetic, call: Any, x: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> list[Array]:
    if call.name == "linear":
        return [fp.add(fp.matmul(a, b), x)]
    name = "baddbmm" if a.ndim == 3 else "addmm"
    return [_run(name, fp, x, a, b, beta=beta, alpha=alpha)[0]]


def _conv(fp: Arithmetic, call: Any, x: Any, w: Any, b: Any, *settings: Any) -> list[Array]:
    return [_convolution(fp, call, x, w, b, settings)[0]]


def _convolution(fp: Arithmetic, call: Any, x: Any, w: Any, b: Any, settings: Sequence[Any]) -> tuple[Array, Any]:
    stride, padding, dilation, transposed, output_padding, groups = settings
    options = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation), "groups": groups}
    dims = x.ndim - 2
    if transposed:
        return _run(f"conv_transpose{dims}d", fp, x, w, b, output_padding=tuple(output_padding), **options)
    return _run(f"conv{dims}d", fp, x, w, b, **options)


def _conv_gradient(fp: Arithmetic, call: Any, g: Any, x: Any, w: Any, bias: Any, *settings: Any) -> list[Array]:
    *settings, mask = settings  # type: ignore[assignment]
    b = None if not bias else np.zeros(bias, x.dtype)
    _, pullbacks = _convolution(fp, call, x, w, b, settings)
    return [pullback(fp, g) for pullback, wanted in zip(pullbacks, mask, strict=False) if wanted]


def _sum(fp: Arithmetic, call: Any, x: Any, dims: Any = None, keep: bool = False, *, dtype: Any = None) -> list[Array]:
    return [_run(call.kernel.raw, fp, x, axis=_axes(dims), keepdims=keep)[0]]


def _spread(
    fp: Arithmetic, call: Any, x: Any, dims: Any = None, *, correction: Any = 1, keepdim: bool = False
) -> list[Array]:
    return [_run(call.kernel.raw, fp, x, axis=_axes(dims), keepdims=keepdim, correction=correction)[0]]


def _norm(
    fp: Arithmetic, call: Any, x: Any, p: Any = 2, dims: Any = None, keep: bool = False, *, dtype: Any = None
) -> list[Array]:
    return [_run("norm", fp, x, p=p, axis=_axes(dims), keepdims=keep)[0]]


def _softmax(name: str) -> Formula:
    def compute(fp: Arithmetic, call: Any, x: Any, axis: int, half: bool) -> list[Array]:
        return [_run(name, fp, x, axis=axis)[0]]

    return compute


def _softmax_gradient(fp: Arithmetic, call: Any, g: Any, y: Any, axis: int, dtype: Any) -> list[Array]:
    return [fp.mul(y, fp.sub(g, fp.sum(fp.mul(g, y), axis, keepdims=True)))]


def _log_softmax_gradient(fp: Arithmetic, call: Any, g: Any, y: Any, axis: int, dtype: Any) -> list[Array]:
    return [fp.sub(g, fp.mul(fp.exp(y), fp.sum(g, axis, keepdims=True)))]


def _tanh_gradient(fp: Arithmetic, call: Any, g: Any, y: Any) -> list[Array]:
    return [fp.mul(g, fp.sub(fp.constant(1), fp.mul(y, y)))]


def _sigmoid_gradient(fp: Arithmetic, call: Any, g: Any, y: Any) -> list[Array]:
    s = steps(fp, wide=bfloat16)
    return [fp.mul(s.mul(g, s.sub(fp.constant(1.0), y)), y)]


def _layer_norm(fp: Arithmetic, call: Any, x: Any, shape: Any, w: Any, b: Any, eps: float) -> list[Array]:
    return [_run("layer_norm", fp, x, w, b, ndim=len(shape), eps=eps)[0]]


def _layer_norm_gradient(
    fp: Arithmetic, call: Any, g: Any, x: Any, shape: Any, mean: Any, rstd: Any, w: Any, b: Any, mask: Any
) -> list[Array]:
    _, pullbacks = _run("layer_norm", fp, x, w, b, ndim=len(shape), eps=call.eps)
    return [p(fp, g) for p, wanted in zip(pullbacks, mask, strict=False) if wanted]


def _rms_norm(fp: Arithmetic, call: Any, x: Any, shape: Any, w: Any, eps: Any) -> list[Array]:
    return [_run("rms_norm", fp, x, w, ndim=len(shape), eps=eps)[0]]


def _group_norm(
    fp: Arithmetic, call: Any, x: Any, w: Any, b: Any, n: int, c: int, hw: int, groups: int, eps: float
) -> list[Array]:
    return [_run("group_norm", fp, x, w, b, groups=groups, eps=eps)[0]]


def _group_norm_gradient(
    fp: Arithmetic, call: Any, g: Any, x: Any, mean: Any, rstd: Any, w: Any, n: int, c: int, hw: int, groups: int,
    mask: Any,
) -> list[Array]:  # fmt: skip
    bias = None if w is None else np.zeros_like(w)
    _, pullbacks = _run("group_norm", fp, x, w, bias, groups=groups, eps=call.eps)
    return [p(fp, g) for p, wanted in zip(pullbacks, mask, strict=False) if wanted]


def _rms_norm_gradient(
    fp: Arithmetic, call: Any, g: Any, x: Any, shape: Any, rstd: Any, w: Any, mask: Any
) -> list[Array]:
    _, pullbacks = _run("rms_norm", fp, x, w, ndim=len(shape), eps=call.eps or None)
    return [p(fp, g) for p, wanted in zip(pullbacks, mask, strict=False) if wanted]


def _batch_norm(
    fp: Arithmetic, call: Any, x: Any, w: Any, b: Any, mean: Any, variance: Any, training: bool, momentum: float,
    eps: float,
) -> list[Array]:  # fmt: skip
    stats = (None, None) if training else (mean, variance)
    return [_run("batch_norm", fp, x, w, b, *stats, eps=eps)[0]]


def _batch_norm_gradient(
    fp: Arithmetic, call: Any, g: Any, x: Any, w: Any, mean: Any, variance: Any, saved: Any, inverse: Any,
    training: bool, eps: float, mask: Any,
) -> list[Array]:  # fmt: skip
    stats = (None, None) if training else (mean, variance)
    bias = np.zeros_like(w) if w is not None else None
    _, pullbacks = _run("batch_norm", fp, x, w, bias, *stats, eps=eps)
    return [p(fp, g) for p, wanted in zip(pullbacks, mask, strict=False) if wanted]


def _attention(
    fp: Arithmetic, call: Any, q: Any, k: Any, v: Any, dropout: float = 0.0, causal: bool = False, *,
    attn_mask: Any = None, scale: Any = None,
) -> list[Array]:  # fmt: skip
    return [_run("scaled_dot_product_attention", fp, q, k, v, attn_mask, is_causal=causal, scale=scale)[0]]


def _attention_gradient(
    fp: Arithmetic, call: Any, g: Any, q: Any, k: Any, v: Any, out: Any, lse: Any, dropout: float = 0.0,
    causal: bool = False, *, attn_mask: Any = None, scale: Any = None,
) -> list[Array]:  # fmt: skip
    _, pullbacks = _run("scaled_dot_product_attention", fp, q, k, v, attn_mask, is_causal=causal, scale=scale)
    return [p(fp, g) for p in pullbacks[:3]]


def _nll(fp: Arithmetic, call: Any, x: Any, target: Any, weight: Any, reduction: int, ignore: int) -> list[Array]:
    how = _REDUCTIONS[reduction]
    return [_run("nll_loss", fp, x, weight, target=target, ignore_index=ignore, reduction=how)[0]]


def _nll_gradient(
    fp: Arithmetic, call: Any, g: Any, x: Any, target: Any, weight: Any, reduction: int, ignore: int, total: Any
) -> list[Array]:
    how = _REDUCTIONS[reduction]
    return [_run("nll_loss", fp, x, weight, target=target, ignore_index=ignore, reduction=how)[1][0](fp, g)]


_ROWS: dict[str, Formula] = {
    "mm": _plain("matmul"), "bmm": _plain("matmul"), "mv": _plain("matmul"), "dot": _plain("matmul"),
    "addmm": _addmm, "baddbmm": _addmm,
    "convolution": _conv, "convolution_backward": _conv_gradient,
    "sum": _sum, "mean": _sum, "var": _spread, "std": _spread, "linalg_vector_norm": _norm,
    "_softmax": _softmax("softmax"), "_log_softmax": _softmax("log_softmax"),
    "_softmax_backward_data": _softmax_gradient, "_log_softmax_backward_data": _log_softmax_gradient,
    "native_layer_norm": _layer_norm, "native_layer_norm_backward": _layer_norm_gradient,
    "_fused_rms_norm": _rms_norm, "_fused_rms_norm_backward": _rms_norm_gradient,
    "native_group_norm": _group_norm, "native_group_norm_backward": _group_norm_gradient,
    "native_batch_norm": _batch_norm, "native_batch_norm_backward": _batch_norm_gradient,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_gradient,
    "nll_loss_forward": _nll, "nll_loss_backward": _nll_gradient,
    "gelu": _unary("gelu"), "gelu_backward": _unary_gradient("gelu"),
    "silu": _unary("silu"), "silu_backward": _unary_gradient("silu"),
    "tanh_backward": _tanh_gradient, "sigmoid_backward": _sigmoid_gradient,
    **{name: _unary(name) for name in ("exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "sin", "cos", "log1p",
                                        "expm1", "log2", "log10", "exp2", "reciprocal")},
}  # fmt: skip


def computed(fp: Arithmetic, call: Any, formula: Formula, arrays: Sequence[Array]) -> list[Array]:
    """The arrays in the place of a kernel's results."""
    put = {id(x): array for x, array in zip(call.floats, arrays, strict=True)}
    return formula(fp, call, *_read(call.args, put), **{k: _read(v, put) for k, v in call.kwargs.items()})


def _read(x: Any, put: dict[int, Array]) -> Any:
    if isinstance(x, torch.Tensor):
        return put[id(x)] if id(x) in put else x.detach().numpy()
    if isinstance(x, tuple):
        return tuple(_read(item, put) for item in x)
    return [_read(item, put) for item in x] if isinstance(x, list) else x
