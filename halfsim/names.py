"""What to say of a name that is not there: the nearest that is, where it is, or why it is left out."""

from __future__ import annotations

import difflib
import sys

# Names of PyTorch that are left out on purpose, and why.
LEFT_OUT = {
    **dict.fromkeys(
        [
            "complex64",
            "complex128",
            "cfloat",
            "cdouble",
            "complex",
            "polar",
            "view_as_complex",
            "view_as_real",
            "angle",
        ],
        "there are no complex numbers; keep real and imaginary parts in two tensors",
    ),
    **dict.fromkeys(["fft", "stft", "istft", "rfft"], "there are no complex numbers; np.fft takes x.numpy()"),
    **dict.fromkeys(
        ["sparse_coo_tensor", "sparse_csr_tensor", "sparse", "to_sparse"], "there are no sparse tensors; use dense ones"
    ),
    **dict.fromkeys(
        ["jit", "fx", "export", "func", "vmap", "_dynamo"], "programs run as they are written; leave it out"
    ),
    **dict.fromkeys(
        ["distributed", "multiprocessing", "DataParallel", "DistributedDataParallel"],
        "everything runs in one process; use the model itself",
    ),
    **dict.fromkeys(["quantize_per_tensor", "quantization", "ao"], "see round_to, model.to(format)"),
    **dict.fromkeys(
        ["svd", "qr", "eig", "eigh", "lstsq", "pinverse", "matrix_exp", "lu", "eigvals", "eigvalsh"],
        "factorizations are not simulated; np.linalg on x.numpy() takes float64",
    ),
}

_PLACES = ("halfsim", "halfsim.nn", "halfsim.nn.functional", "halfsim.nn.utils", "halfsim.optim",
           "halfsim.optim.lr_scheduler", "halfsim.amp", "halfsim.ops", "halfsim.linalg")  # fmt: skip
_SHORT = {"halfsim": "hs", "halfsim.ops": "hs.ops"}


def missing(owner: str, name: str, own: list[str] | None = None) -> AttributeError:
    """The error for the attribute ``name`` that ``owner`` lacks; ``own`` are its names, if it is no module."""
    if name in LEFT_OUT:
        return AttributeError(f"{owner}.{name} is left out: {LEFT_OUT[name]}")
    found = [f"{shown(place)}.{name}" for place in _PLACES if place != owner and name in _names(place)]
    if found:
        return AttributeError(f"{owner} has no attribute {name!r}; it is {found[0]}")
    near = difflib.get_close_matches(name, own if own is not None else _names(owner), 1)
    if near:
        return AttributeError(f"{owner} has no attribute {name!r}; did you mean {near[0]!r}?")
    for place in _PLACES:
        near = difflib.get_close_matches(name, _names(place), 1, 0.8)
        if near:
            return AttributeError(f"{owner} has no attribute {name!r}; did you mean {shown(place)}.{near[0]}?")
    return AttributeError(f"{owner} has no attribute {name!r}")


def shown(place: str) -> str:
    """How people write a module."""
    return _SHORT.get(place, place.replace("halfsim", "hs", 1))


def _names(place: str) -> list[str]:
    module = sys.modules.get("halfsim.autograd.ops" if place == "halfsim.ops" else place)
    listed = getattr(module, "__all__", None)
    return [name for name in (listed if listed is not None else vars(module) if module else ()) if name[:1] != "_"]
