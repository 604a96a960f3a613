"""What a model is run on: samples that are given, one at a time, or inputs that are made because none are given."""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from halfsim.onnx.conversion.converted import Converted
from halfsim.onnx.elements import declared
from halfsim.onnx.values import FORMATS, STRING, dtype_of, fitting
from halfsim.options import shown
from halfsim.text import clipped

_LENGTHS = (64, 32, 224, 512, 16, 1)  # that are tried, in turn, for axes whose length the file leaves open
_MOST = 2**26  # values of a made input
_TRIES = 24

Feeds = dict[str, Any]


def samples_of(feeds: Any, most: int | None) -> Iterator[Feeds]:
    """The samples of ``feeds``, a mapping or an iterable of mappings, up to ``most``; none is held on to."""
    if isinstance(feeds, Mapping):
        yield dict(feeds)
        return
    if isinstance(feeds, (str, bytes)) or not isinstance(feeds, Iterable):
        raise TypeError(f"feeds: {shown(feeds)} is not allowed; allowed: a dict of arrays, an iterable of such, None")
    for i, sample in enumerate(itertools.islice(feeds, most)):
        if not isinstance(sample, Mapping):
            raise TypeError(f"feeds: sample {i} is {shown(sample)}; allowed: dicts of arrays by the inputs' names")
        yield dict(sample)


def from_npz(path: str | os.PathLike[str], ranks: Mapping[str, int | None]) -> Iterable[Feeds]:
    """The samples in an .npz file, whose arrays have the names of the inputs.

    Arrays with one axis more than their input (``ranks``) hold a sample at each index of their first axis; the others
    belong to every sample. ``ValueError`` for a file that is none, and for lengths that differ.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("an array without a name")
        with file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        told = f"{shown(str(path))} holds no arrays by name ({clipped(' '.join(str(error).split()), 120)})"
        raise ValueError(f"inputs: {told}; allowed: an .npz file") from None
    many = {name: len(x) for name, x in arrays.items() if x.ndim - 1 == ranks.get(name)}
    if len({*many.values()}) > 1:
        told = ", ".join(f"{name} {n}" for name, n in many.items())
        raise ValueError(f"inputs: {told} samples are not allowed; allowed: as many of each")
    if not many:
        return [arrays]
    count = next(iter(many.values()))
    return ({name: x[i] if name in many else x for name, x in arrays.items()} for i in range(count))


def ranks(model: Converted) -> dict[str, int | None]:
    """How many axes each input has, None where the file does not say."""
    found: dict[str, int | None] = {}
    for name in model.model.input_names:
        kind = model.model._types[name]
        known = kind.WhichOneof("value") == "tensor_type" and kind.tensor_type.HasField("shape")
        found[name] = len(kind.tensor_type.shape.dim) if known else None
    return found


def made(model: Converted, seed: int = 0) -> tuple[Feeds, str]:
    """Inputs of the shapes that the file declares, and words that say how they were made.

    Floats are normally distributed, integers 0 and 1. A first axis without a length gets 1, other axes the first of
    `_LENGTHS` with which the model runs, the same one for axes of one name. ``ValueError`` where it runs with none.
    """
    names = model.model.input_names
    open_ones = [name for name in names if _open(model, name)]
    said = "they fit no input"
    choices = ((n, ones) for n in _LENGTHS for ones in itertools.product((False, True), repeat=min(len(open_ones), 3)))
    for n, ones in itertools.islice(choices, _TRIES if open_ones else 1):
        short = {name for name, one in zip(open_ones, ones, strict=False) if one}
        rng, named = np.random.default_rng(seed), dict[str, int]()
        feeds = {name: _made(model, name, 1 if name in short else n, named, rng) for name in names}
        try:
            model.run(feeds, None)
        except (ValueError, TypeError, ArithmeticError, IndexError) as error:
            said = " ".join(str(error).split())
            continue
        shapes = ", ".join(f"{name} {list(np.shape(x))}" for name, x in feeds.items())
        return feeds, f"No inputs were given: random ones were made ({shapes or 'none'}), which are not your data."
    raise ValueError(f"feeds: the model does not run on made inputs ({clipped(said, 160)}); allowed: a dict of arrays")


def _dims(model: Converted, name: str) -> Any:
    kind = model.model._types[name]
    if kind.WhichOneof("value") != "tensor_type":
        raise ValueError(f"feeds: input {name!r} is no tensor, and none is made; allowed: a dict with it")
    return kind.tensor_type.shape.dim


def _open(model: Converted, name: str) -> bool:
    return any(d.dim_value <= 0 for d in list(_dims(model, name))[1:])


def _made(model: Converted, name: str, n: int, named: dict[str, int], rng: Any) -> Any:
    dims, shape = _dims(model, name), list[int]()
    for i, d in enumerate(dims):
        length = d.dim_value if d.dim_value > 0 else named.get(d.dim_param, 1 if i == 0 else n)
        if d.dim_param:
            named.setdefault(d.dim_param, length)
        shape.append(int(length))
    if int(np.prod(fitting(shape, f"input {name!r}"), dtype=object)) > _MOST:
        raise ValueError(f"input {name!r}: shape {tuple(shape)} is not made; allowed: a dict of arrays")
    element = declared(model.model._types[name])
    if element in FORMATS:
        return rng.normal(size=shape).astype(dtype_of(element))
    if element == STRING or not element:
        raise ValueError(f"feeds: input {name!r} holds no numbers, and none is made; allowed: a dict with it")
    return rng.integers(0, 2, shape).astype(dtype_of(element))
