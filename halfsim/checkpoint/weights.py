"""Files of weights alone, as other tools write and read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from halfsim.autograd.tensor import Tensor
from halfsim.checkpoint.files import read, write
from halfsim.checkpoint.tree import as_tensor, stored, unpack
from halfsim.options import guarded_names
from halfsim.states import like
from halfsim.text import clipped


def save_weights(path: object, model: Any) -> None:
    """Write the weights of ``model``, an object with ``state_dict`` or a mapping from names to tensors and arrays.

    A ``.safetensors`` file is one that PyTorch loads (``safetensors.torch.load_file``), bfloat16 and float8 included;
    formats it has no dtype for, and in an ``.npz`` file all that NumPy has none for, are kept as their codes. The file
    replaces an older one whole or not at all. ``TypeError`` for values that are no arrays, ``ValueError`` for another
    suffix.
    """
    state = model if isinstance(model, Mapping) else getattr(model, "state_dict", lambda: None)()
    if not isinstance(state, Mapping):
        raise TypeError(
            f"model: {type(model).__name__} is not allowed; allowed: a model, a mapping from names to arrays"
        )
    arrays = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise TypeError(f"model: name {name!r} is not allowed; allowed: strings")
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            raise TypeError(f"{name}: {type(value).__name__} is not allowed; allowed: Tensor, ndarray")
        arrays[name] = stored(value, name)
    write(path, "weights", arrays)


def load_weights(path: object) -> dict[str, Any]:
    """The weights in a file of `save_weights`, of NumPy's ``savez`` or of any tool that writes ``.safetensors``.

    Arrays come as tensors of their format, integers and bools too. Of a checkpoint it gives the
    model's. ``ValueError`` in one line for a damaged or foreign file.

    >>> import tempfile, halfsim as hs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/w.npz", {"weight": hs.tensor([0.1, -0.0], "bf16")})
    ...     load_weights(f"{folder}/w.npz")
    {'weight': tensor([ 0.10009766, -0.        ], bfloat16)}
    """
    what, arrays, document = read(path)
    if what != "checkpoint":
        return {name: as_tensor(a) for name, a in arrays.items()}
    try:
        state = unpack(document["state"], arrays)
        like({}, state, "state")
        like({}, state.get("model", {}), "model")
    except Exception as error:  # a document that no save wrote
        what = clipped(" ".join(f"{type(error).__name__}: {error}".split()), 160)
        raise ValueError(f"{path}: damaged: its document cannot be read: {what}") from None
    if "model" not in state:
        raise ValueError(f"{path}: a checkpoint without a model; it holds: {', '.join(state) or 'nothing'}")
    return state["model"]


guarded_names(globals(), ["save_weights", "load_weights"])
