"""What is taken on purpose: parameters that take anything, and names that differ from their namesakes, with reasons."""

from __future__ import annotations

import fnmatch

# Taken for PyTorch's sake and without effect, so that ported scripts run.
WITHOUT_EFFECT = set(
    """device device_type memory_format layout pin_memory non_blocking size_average foreach fused differentiable
    capturable out_int32 names async order copy ignored kwargs options sparse check_nan destination worker_init_fn
    multiprocessing_context prefetch_factor persistent_workers pin_memory_device timeout process_group vectorize
    compute_mode only_inputs _stacklevel pickle_module pickle_protocol mmap num_workers more driver subok like order
    copy_ stream casting subok max_work profile sci_mode""".split()  # noqa: SIM905
)
# (names, parameters, why): what asks of any object, holds it, or calls it.
ANY = (
    ("operator.eq*", "*", "Python compares any two objects"),
    ("operator.ne*", "*", "Python compares any two objects"),
    ("*.__eq__", "*", "Python compares any two objects"),
    ("*is_tensor", "*", "asks of any object whether it is a tensor"),
    ("*is_complex", "*", "always False"),
    ("hs.Tensor", "*", "what kernels make results with: it takes an array as it is; hs.tensor checks"),
    ("hs.Flag", "*", "an enumeration"),
    ("hs.Rounding", "*", "an enumeration"),
    ("*set_num_threads", "*", "taken for PyTorch's sake and without effect"),
    ("*set_float32_matmul_precision", "*", "taken for PyTorch's sake and without effect"),
    ("*use_deterministic_algorithms", "*", "taken for PyTorch's sake and without effect"),
    ("*detect_anomaly", "*", "taken for PyTorch's sake and without effect"),
    ("hs.load", "map_location", "a device, a dict of them or a function, as in PyTorch, without effect"),
    ("*AveragedModel*", "*avg_fn", "any function, called at an update"),
    ("*.named_modules", "memo", "a set of modules, as in PyTorch"),
    ("np.sort", "kind", "without effect: the order is one"),
    ("np.argsort", "kind", "without effect: the order is one"),
    ("np.isin", "*", "NumPy's own, on the values"),
    ("np.may_share_memory", "*", "NumPy's own, on the values"),
    ("np.shares_memory", "*", "NumPy's own, on the values"),
    ("hs.array_api.asarray", "obj", "the standard takes buffers of bytes"),
    ("Policy.precision", "widest", "which operations give"),
    ("hs.formats.as_format", "argument", "the name of an argument in the error"),
    ("hs.array_api.isdtype", "kind", "any object may be asked about, as NumPy has it"),
    ("Policy.check", "paths", "names of layers, of any kind"),
    ("Policy.check", "model", "whose name alone counts"),
    ("Policy.precision", "within", "which operations give"),
    ("np.piecewise", "args", "what its functions are called with"),
    ("np.extract", "condition", "NumPy's own: any value is true or false"),
    ("np.fill_diagonal", "wrap", "NumPy's own: any value is true or false"),
    ("operator.* reflected", "*", "NumPy's arrays answer first"),
    ("*errstate", "*", "a context, which checks when it is entered"),
    ("*Warning", "*", "a warning"),
    ("hs.compile", "*", "gives back what it is given"),
    ("*.compile", "*", "taken for PyTorch's sake and without effect"),
    ("*nn.Identity*", "*", "gives back what it is given, and ignores its options, as in PyTorch"),
    ("nn.Sequential.*", "input", "without modules it gives back what it is given"),
    ("nn.ParameterDict.fromkeys", "*", "keys may be a dict, as in Python; where there are none nothing is put in"),
    ("nn.*Dict.__contains__", "key", "any object may be asked about, as in Python"),
    ("nn.ParameterDict.get", "default", "what is given back where there is nothing"),
    ("*.set_submodule", "target", "a new name"),
    ("hs.nn.Transformer*", "activation", "any function"),
    ("*typename", "*", "the name of any object's type"),
    ("hs.utils.data.Sampler", "data_source", "taken for PyTorch's sake and without effect"),
    ("hs.utils.data.*", "data*", "a data set holds samples of any kind, and `default_convert` takes any"),
    ("*.StackDataset", "args", "a data set holds samples of any kind"),
    ("*.Subset*", "indices", "the keys of a data set are of any kind"),
    ("*.BatchSampler", "sampler", "the keys of a data set are of any kind"),
    ("*.ConcatDataset.cumsum", "sequence", "a data set holds samples of any kind"),
    ("hs.checkpoint.save", "extra", "any plain data"),
    ("hs.save", "obj", "any plain data"),
    ("*index_put*", "indices", "places for each axis"),
    ("hs.minimize", "inputs", "what the function takes"),
    ("Policy.precision", "category", "which operations give"),
    ("hs.utils.data.default_collate", "batch", "a data set holds samples of any kind"),
    ("hs.utils.data.DataLoader", "*sampler", "the keys of a data set are of any kind"),
    ("hs.optim.Optimizer", "defaults", "options of any name, or none"),
    ("hs.save", "f", "a path"),
    ("Tensor.to", "given", "Python's int, float and bool name dtypes"),
    ("*update_bn", "loader", "a model without layers of running statistics asks it for nothing"),
)
DIFFERS: tuple[tuple[str, str], ...] = (
    ("*cholesky_inverse", "gives infinities for a zero on the diagonal"),
    ("*soft_margin_loss", "broadcasts its operands"),
    ("*softm[axin]*", "without dim it is over the last axis, where PyTorch has a rule of old, and warns"),
    ("*logdet", "the sign of a singular matrix is that of its rounding"),
    ("*bucketize", "of boundaries that do not rise it may name another place"),
    ("np.intersect1d", "of values that are said to be unique"),
    ("Tensor.max", "a tensor in the place of the axis is the other operand"),
    ("*elu", "alpha of NaN gives NaN at zeros too"),
    ("np.cum*", "a number has no axis, and stays a number"),
    ("Tensor.to", "a bool is non_blocking"),
    ("*var_mean", "a correction beyond the numbers is taken as it is"),
    ("np.setdiff1d", "numbers take the tensor's format"),
    ("*fractional_max_pool3d", "takes windows that just fit, as the one of two axes"),
    ("*lp_pool?d", "a tuple of one number stands for all axes, as in the other pools"),
    ("*max_unpool?d", "a tuple of one number stands for all axes, as in the pools"),
    ("hs.*.unfold", "a tuple of one number stands for all axes, as in convolutions"),
    ("*__contains__", "compares with lists too, as NumPy's arrays do"),
    ("*i0", "is infinite at infinities, where theirs is NaN"),
    ("np.linspace", "numbers take the format of floats in force beside integers"),
    ("np.vander", "powers take the tensor's format"),
    ("*linalg.cond", "the condition of a singular matrix is that of its rounding"),
    ("*linalg.matrix_rank", "a tolerance below 0 is none"),
    ("*reciprocal", "of integers it makes floats, as PyTorch"),
    ("np.poly*", "coefficients stay that are zero, and numbers take the tensor's format"),
    ("np.append", "numbers take the tensor's format"),
    ("np.insert", "floats among integers make floats"),
    ("*masked_fill", "a fraction among integers makes floats"),
    ("np.setxor1d", "of matrices that are said to be unique"),
    ("*triangular_solve", "gives the coefficients as they came"),
    ("np.piecewise", "conditions of another shape are refused, or broadcast"),
    ("*std", "a correction beyond the numbers is taken as it is"),
    ("*var", "a correction of NaN gives NaN"),
    ("Tensor.copy_", "one value is broadcast to a number"),
    ("*sum_to_size", "takes bools for integers"),
    ("Tensor.split", "a length beyond the axis gives one part, however large"),
    ("Tensor.type", "takes the names of formats"),
    ("*broadcast_shapes", "takes a tensor of integers for a shape"),
    ("*masked_fill_", "broadcasts the values"),
    ("*embedding_bag", "of bags without places it gives zeros, where PyTorch fails"),
    ("*lp_pool*", "a tuple of one counts for all axes, as in the other pools"),
    ("*ger", "takes operands of any shape, flattened, as NumPy's outer does"),
    ("*kl_div", "takes integers for numbers"),
    ("*outer", "takes operands of any shape, flattened, as NumPy's does"),
    ("*kthvalue", "of equal values it may name another place"),
    ("*multilabel_soft_margin_loss", "a target of another shape is broadcast before the mean over classes"),
)


# No axes are NumPy's here, where nothing is reduced; PyTorch takes them for all.
NO_AXES = [(name, text) for name in ("dim", "axis") for text in ("()", "[]")]


def anything(name: str, parameter: str) -> bool:
    """Whether a parameter takes anything."""
    return parameter in WITHOUT_EFFECT or any(
        fnmatch.fnmatchcase(name, names) and fnmatch.fnmatchcase(parameter, which) for names, which, _ in ANY
    )


def differs(name: str) -> bool:
    """Whether a name does something else than PyTorch's, or NumPy's, of that name."""
    return any(fnmatch.fnmatchcase(name, names) for names, _ in DIFFERS)
