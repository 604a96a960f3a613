"""What PyTorch's kernels are called here, and how each rounds: rows of data by the name of the aten operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from halfsim.autograd.policy import OPERATIONS
from halfsim.autograd.tape import SPECS
from halfsim.diagnose.fingerprint.aten import MADE, kernel_name

# Functions of one number each, or of two: what their operands explain is asked element by element.
ELEMENTARY = {
    "add", "sub", "mul", "div", "sqrt", "rsqrt", "pow", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
    "cos", "tan", "tanh", "sigmoid", "erf", "erfc", "erfinv", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh",
    "atanh", "atan2", "hypot", "reciprocal", "lgamma", "digamma", "softplus",
}  # fmt: skip

# Results that are numbers of the operands, where no number of the program comes in.
_EXACT = {
    "neg", "abs", "relu", "copy", "getitem", "gather", "cat", "stack", "where", "max", "min", "amax", "amin", "maximum",
    "minimum", "sort", "topk", "flip", "roll", "repeat", "max_pool2d", "max_pool3d", "embedding", "index_select",
    "tril", "triu", "sign", "floor", "ceil", "trunc", "round", "clamp", "adaptive_max_pool2d", "masked_select",
    "diag_embed", "select_scatter", "slice_scatter", "cummax", "cummin", "median", "kthvalue", "mode", "index_put",
    "index_copy", "scatter", "masked_scatter", "pixel_shuffle", "pixel_unshuffle", "max_unpool2d", "unfold", "im2col",
    "threshold_backward", "slice_backward", "select_backward", "diagonal_backward", "unfold_backward", "alias",
    "max_pool2d_with_indices_backward", "hardtanh_backward", "nan_to_num", "masked_fill", "constant_pad_nd", "hardtanh",
    "relu6", "broadcast_to", "expand", "zeros_like", "reshape",
}  # fmt: skip

# Sums of products and of elements, whose running sums may pass the largest number.
SUMS = {
    "matmul", "addmm", "baddbmm", "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "sum", "mean", "cumsum", "norm", "var", "std", "scaled_dot_product_attention", "prod",
}  # fmt: skip

# Composed functions of which autocast runs every step in float32, and those whose products it runs in half.
WIDE_FUNCTIONS = {
    "cosine_similarity", "cosine_embedding_loss", "hinge_embedding_loss", "l1_loss", "margin_ranking_loss",
    "multilabel_margin_loss", "poisson_nll_loss", "soft_margin_loss", "softmin", "triplet_margin_loss", "cross_entropy",
    "nll_loss", "kl_div", "mse_loss", "smooth_l1_loss", "huber_loss", "layer_norm", "group_norm", "rms_norm", "norm",
    "vector_norm", "dist", "cdist", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "logsumexp", "renorm",
}  # fmt: skip
_CATEGORIES = {
    "addmm": "fp16", "baddbmm": "fp16", "matmul": "fp16", "l1_loss": "fp32", "dist": "fp32", "cosh": "fp32",
    "pow": "fp32", "reciprocal": "fp32", "norm": "fp32", "upsample_nearest": None, "upsample_bilinear": None,
    "interpolate": None, "prelu": "fp16", "euclidean_distance": "fp32",
}  # fmt: skip

# What only looks at numbers, or keeps books of its own: it runs as it is.
_LOOKS = {
    "_local_scalar_dense", "equal", "is_same_size", "item", "isnan", "isinf", "isfinite", "argmax", "argmin", "argsort",
    "nonzero", "_amp_update_scale_", "_record_function_enter_new", "_record_function_exit", "searchsorted", "bucketize",
    "bincount", "unique", "_unique2", "multinomial", "empty", "empty_like", "new_empty", "empty_strided", "allclose",
    "new_empty_strided", "_efficientzerotensor", "resize_", "set_", "_has_compatible_shallow_copy_type", "histc",
    "is_pinned", "_pin_memory", "random_", "set_data", "is_nonzero", "sym_size", "sym_stride", "sym_numel",
}  # fmt: skip
# Kernels whose further results are their own, kept for the gradient as a GPU keeps them: in float32.
KEEP = {
    "layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "nll_loss", "logsigmoid", "dropout",
    "scaled_dot_product_attention", "embedding_bag", "ctc_loss",
}  # fmt: skip


@dataclass(slots=True)
class Kernel:
    """One overload of an aten operation: what it is called, and what is done about its arguments and results."""

    name: str  # halfsim's
    raw: str  # PyTorch's, without the trailing underscore
    category: str | None  # in autocast's lists
    looks: bool  # whether it runs as it is
    view: bool  # whether its result shares memory with an operand and nothing is written
    made: bool  # whether its numbers come from no operand
    exact: bool  # whether its results are numbers of its operands
    elementary: bool
    summed: bool
    written: tuple[int, ...]  # positions of the arguments that it writes into
    named: tuple[str, ...]  # keywords of those
    foreach: bool  # whether it goes through lists of tensors, each on its own
    backward: bool
    overwrites: bool  # whether it writes without having read

    def exact_with(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the results are exact in this call, in which no number of the program comes in."""
        if not self.exact:
            return False
        if self.raw not in ("clamp", "clamp_min", "clamp_max", "masked_fill", "constant_pad_nd", "where", "hardtanh",
                            "index_put", "scatter", "nan_to_num", "index_fill", "relu6"):  # fmt: skip
            return True
        floats = [x for x in (*args, *kwargs.values()) if isinstance(x, float) and x not in (0.0, 1.0, -1.0)]
        return not floats and not any(isinstance(x, int) and abs(x) > 2048 for x in args)


def kernel_of(func: Any) -> Kernel:
    """What there is to know of an overload of an operation."""
    schema = func._schema
    raw = schema.name.partition("::")[2]
    base = raw[:-1] if raw.endswith("_") and not raw.endswith("__") else raw
    foreach = raw.startswith(("_foreach_", "_fused_", "_amp_foreach_"))
    stem = base.removeprefix("_foreach_") if base.startswith("_foreach_") else base
    written = tuple(
        i
        for i, a in enumerate(schema.arguments)
        if a.alias_info is not None and a.alias_info.is_write and not a.kwarg_only
    )
    named = tuple(
        a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write and a.kwarg_only
    )
    aliased = any(a.alias_info is not None for a in schema.arguments)
    returns = any(r.alias_info is not None for r in schema.returns)
    name = kernel_name(stem)
    category = _CATEGORIES[name] if name in _CATEGORIES else getattr(SPECS.get(name), "category", None)
    OPERATIONS.add(name)  # so that "@name" may rule it
    floats = any("Tensor" in str(r.type) for r in schema.returns) or written or named
    return Kernel(
        name, base, category,
        looks=stem in _LOOKS or raw in _LOOKS or not floats or schema.name.partition("::")[0] in ("profiler", "prim"),
        view=aliased and returns and not written and not named,
        made=base in MADE or raw in MADE,
        exact=name in _EXACT or stem in _EXACT,
        elementary=name in ELEMENTARY, summed=name in SUMS, written=written, named=named, foreach=foreach,
        backward="backward" in stem, overwrites=bool(written) and (raw in MADE or raw == "copy_"),
    )  # fmt: skip


def called(kernel: Kernel, args: tuple[Any, ...], function: str) -> tuple[str, str | None]:
    """The name of a call and its category, where the arguments or the function around decide."""
    name, category = kernel.name, kernel.category
    if kernel.raw == "convolution":
        dims = args[0].ndim - 2
        transposed = bool(args[6]) if len(args) > 6 else False
        return (f"conv_transpose{dims}d" if transposed else f"conv{dims}d"), "fp16"
    if function == "linear" and name in ("addmm", "matmul"):
        return "linear", "fp16"
    if function == "instance_norm" and name == "batch_norm":
        return "instance_norm", None
    if function in WIDE_FUNCTIONS and category != "fp16":
        return name, "fp32"
    return name, category


FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
