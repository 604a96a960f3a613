"""The names of a room: which are listed, and what to say of one that is not there."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

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
_KNOWN_AS = {"halfsim.autograd.ops": "halfsim.ops", "halfsim.numerics.": "halfsim."}


def public(module: str) -> None:
    """Let ``dir`` of a module list what its ``__all__`` has, as ``import *`` takes it, and nothing that it imports.

    A name that it lacks is refused with the nearest that it has, unless it looks names up in a way of its own.
    """
    names = vars(sys.modules[module])
    names["__dir__"] = lambda: sorted(names["__all__"])
    if "__getattr__" not in names:
        names["__getattr__"] = lambda name: _refuse(module, name)


def _refuse(module: str, name: str) -> None:
    owner = module
    for place, known in _KNOWN_AS.items():
        owner = owner.replace(place, known)
    raise missing(owner, name, [one for one in sys.modules[module].__all__ if one[:1] != "_"])


def near(name: str, names: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The name nearest to one that is not there, if there is one: the same in other letters, or nearly the same.

    >>> near("sgd", ["Adam", "SGD"]), near("Lineer", ["Linear", "LSTM"]), near("x", ["SGD"])
    (['SGD'], ['Linear'], [])
    """
    names = list(names)
    same = [one for one in names if one.casefold() == name.casefold()]
    return same[:1] or difflib.get_close_matches(name, names, 1, cutoff)


def missing(owner: str, name: str, own: list[str] | None = None) -> AttributeError:
    """The AttributeError for a ``name`` that ``owner`` does not have: it says where the name is, or which one is near.

    ``own`` are the names to compare with; those of the module ``owner`` where it is None.
    """
    # What Python and tools ask every module for (pytest for _mock_name), as Python does before importing a part of it.
    if (name[:1] == "_" and name not in LEFT_OUT) or _is_room(owner, name):
        return AttributeError(f"{owner} has no attribute {name!r}")
    if name in LEFT_OUT:
        return AttributeError(f"{owner}.{name} is left out: {LEFT_OUT[name]}")
    found = [f"{shown(place)}.{name}" for place in _PLACES if place != owner and name in _names(place)]
    if found:
        return AttributeError(f"{owner} has no attribute {name!r}; it is {found[0]}")
    nearest = near(name, own if own is not None else _names(owner))
    if nearest:
        return AttributeError(f"{owner} has no attribute {name!r}; did you mean {nearest[0]!r}?")
    for place in _PLACES:
        nearest = near(name, _names(place), 0.8)
        if nearest:
            return AttributeError(f"{owner} has no attribute {name!r}; did you mean {shown(place)}.{nearest[0]}?")
    return AttributeError(f"{owner} has no attribute {name!r}")


def _is_room(owner: str, name: str) -> bool:
    return hasattr(sys.modules.get(owner), "__path__") and find_spec(f"{owner}.{name}") is not None


def shown(place: str) -> str:
    """How people write a module."""
    return _SHORT.get(place, place.replace("halfsim", "hs", 1))


def _names(place: str) -> list[str]:
    try:
        module = import_module("halfsim.autograd.ops" if place == "halfsim.ops" else place)
    except ImportError:  # of a room that is just being built
        return []
    listed = getattr(module, "__all__", None)
    return [name for name in (vars(module) if listed is None else listed) if name[:1] != "_"]
