"""What is taken on purpose: parameters that take anything, and names that differ from their namesakes, with reasons."""

from __future__ import annotations

import fnmatch

# Taken for PyTorch's sake and without effect, so that ported scripts run.
WITHOUT_EFFECT = set(
    """device device_type memory_format layout pin_memory non_blocking size_average foreach fused differentiable
    capturable out_int32 names async order copy ignored kwargs options sparse check_nan destination worker_init_fn
    multiprocessing_context prefetch_factor persistent_workers pin_memory_device timeout process_group vectorize
    compute_mode only_inputs _stacklevel pickle_module pickle_protocol mmap num_workers more driver subok like order
    copy_ stream casting subok max_work""".split()  # noqa: SIM905
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
    ("np.union1d", "*", "NumPy's own, on the values"),
    ("np.shares_memory", "*", "NumPy's own, on the values"),
    ("*errstate", "*", "a context, which checks when it is entered"),
    ("hs.FlagWarning", "*", "a warning"),
    ("hs.compile", "*", "gives back what it is given"),
    ("*typename", "*", "the name of any object's type"),
)
DIFFERS: tuple[tuple[str, str], ...] = (
    ("*cholesky_inverse", "gives infinities for a zero on the diagonal"),
    ("*soft_margin_loss", "broadcasts its operands"),
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
