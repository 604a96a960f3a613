"""What PyTorch's kernels are called here, without PyTorch: for who runs them, and for who reads a log of them."""

from __future__ import annotations

# Kernels under the names of halfsim's operations, which policies, remedies and kinds of trouble speak.
_CALLED = {
    "mm": "matmul", "bmm": "matmul", "mv": "matmul", "dot": "matmul", "vdot": "matmul", "addmm": "addmm",
    "_addmm_activation": "addmm", "baddbmm": "baddbmm", "_softmax": "softmax", "_log_softmax": "log_softmax",
    "_safe_softmax": "softmax", "native_layer_norm": "layer_norm", "native_group_norm": "group_norm",
    "native_batch_norm": "batch_norm", "_native_batch_norm_legit": "batch_norm", "_fused_rms_norm": "rms_norm",
    "_native_batch_norm_legit_no_training": "batch_norm", "_batch_norm_with_update": "batch_norm",
    "native_dropout": "dropout", "nll_loss_forward": "nll_loss", "nll_loss2d_forward": "nll_loss",
    "_scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math": "scaled_dot_product_attention",
    "_scaled_dot_product_fused_attention_overrideable": "scaled_dot_product_attention",
    "linalg_vector_norm": "norm", "_cdist_forward": "cdist", "_euclidean_dist": "euclidean_distance",
    "_pdist_forward": "pdist", "index": "getitem", "_unsafe_index": "getitem", "slice": "getitem", "select": "getitem",
    "max_pool2d_with_indices": "max_pool2d", "max_pool3d_with_indices": "max_pool3d",
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d", "_adaptive_avg_pool3d": "adaptive_avg_pool3d",
    "adaptive_max_pool2d": "adaptive_max_pool2d", "log_sigmoid_forward": "logsigmoid",
    "upsample_nearest2d": "upsample_nearest", "upsample_bilinear2d": "upsample_bilinear",
    "_upsample_bilinear2d_aa": "upsample_bilinear", "grid_sampler_2d": "grid_sampler_2d", "_to_copy": "cast",
    "clone": "copy", "copy": "copy", "lift_fresh_copy": "copy", "_embedding_bag": "embedding_bag",
    "_ctc_loss": "ctc_loss", "_prelu_kernel": "prelu", "special_erfcx": "erfcx", "special_i0e": "i0e",
    "linalg_inv_ex": "inv", "_linalg_svd": "svdvals",
    "_amp_foreach_non_finite_check_and_unscale": "unscale", "constant_pad_nd": "constant_pad_nd", "var_mean": "var",
    "mkldnn_rnn_layer": "lstm", "rsub": "sub", "square": "pow", "rrelu_with_noise": "rrelu",
}  # fmt: skip

# Numbers that no operand gives: they are made as a tensor is.
MADE = {
    "ones", "zeros", "full", "rand", "randn", "normal", "arange", "linspace", "scalar_tensor", "eye", "ones_like",
    "full_like", "zeros_like", "rand_like", "randn_like", "new_full", "new_ones", "new_zeros", "logspace", "randperm",
    "normal_", "uniform_", "exponential_", "bernoulli_", "bernoulli", "fill_", "zero_", "log_normal_", "cauchy_",
    "geometric_", "lift_fresh", "hann_window", "_standard_gamma", "poisson", "eye_",
}  # fmt: skip

# PyTorch's short words for dtypes, in logs.
DTYPES = {
    "f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "f8e4m3fn": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2", "f8e4m3fnuz": "float8_e4m3fnuz", "f8e5m2fnuz": "float8_e5m2fnuz",
    "f8e8m0fnu": "float8_e8m0fnu",
    "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8", "u8": "uint8", "b8": "bool",
}  # fmt: skip

# Kernels whose results are other shapes of their operand's memory, or memory that nobody wrote to: nothing is computed.
SHOWN = {
    "t", "transpose", "view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "permute", "detach", "alias",
    "as_strided", "unsqueeze", "squeeze", "slice", "select", "split", "split_with_sizes", "chunk", "unbind", "unfold",
    "diagonal", "movedim", "narrow", "real", "view_as", "empty", "empty_like", "empty_strided", "new_empty",
    "new_empty_strided", "resize", "_local_scalar_dense", "swapaxes", "positive",
}  # fmt: skip

# Products of matrices, which PyTorch runs as one kernel or another.
_PRODUCTS = {"linear", "addmm", "baddbmm", "matmul"}


def kernel_name(stem: str) -> str:
    """The operation that a kernel is, by its name without what says that it writes in place or goes through lists.

    >>> kernel_name("mm"), kernel_name("_softmax"), kernel_name("clamp_min")
    ('matmul', 'softmax', 'clamp')
    """
    return "clamp" if stem.startswith("clamp") else _CALLED.get(stem) or stem.lstrip("_")


def raw_name(kernel: str) -> str:
    """A kernel's or a function's own name, as a log has it with namespace, overload or module.

    >>> raw_name("aten::sum.dim_IntList"), raw_name("torch.nn.functional.linear")
    ('sum', 'linear')
    """
    return kernel.partition("::")[2].partition(".")[0] if "::" in kernel else kernel.rpartition(".")[2]


def logged_name(kernel: str, shape: tuple[int, ...]) -> str:
    """The operation that a line of a log is about, by the name that stands there and the shape of the result.

    >>> logged_name("aten::add_", (2,)), logged_name("aten::convolution", (1, 8, 6, 6))
    ('add', 'conv2d')
    """
    base = raw_name(kernel)
    base = base[:-1] if base.endswith("_") and not base.endswith("__") else base
    name = kernel_name(base.removeprefix("_foreach_"))
    return f"conv{len(shape) - 2}d" if name == "convolution" else name


def alike(op: str) -> str:
    """One word for operations that PyTorch runs as one kernel or another, and for an operation and its gradient.

    >>> alike("linear"), alike("log_softmax_backward_data"), alike("exp")
    ('matmul', 'log_softmax', 'exp')
    """
    name = op.removesuffix("_data").removesuffix("_backward")
    return "matmul" if name in _PRODUCTS else {"threshold": "relu"}.get(name, name)
