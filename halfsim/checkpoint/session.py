"""Saving a run and going on with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from halfsim.autograd.tensor import Tensor
from halfsim.card import Record
from halfsim.checkpoint import stream
from halfsim.checkpoint.files import VERSION, Arrays, read, write
from halfsim.checkpoint.tree import copied, pack, unpack
from halfsim.numerics.formats import whole
from halfsim.options import guarded_names, shown
from halfsim.states import like
from halfsim.text import clipped

_PARTS = ("model", "optimizer", "scaler", "scheduler", "ema")


@dataclass(frozen=True)
class Checkpoint(Record):
    """What a file holds: ``step`` and ``extra`` as they were given to `save`, and ``state`` by part.

    ``state["model"]`` is the model's ``state_dict`` and so on; ``names`` are the parts that the file has, ``version``
    is that of its layout. Everything in it is a copy.
    """

    step: int | None
    extra: Any
    names: tuple[str, ...]
    version: int
    state: dict[str, Any] = field(repr=False)


def save(
    path: object,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    step: int | None = None,
    extra: Any = None,
    random: bool = True,
) -> None:
    """Write everything a run needs to go on to the same bits, between two of its steps, to ``path``.

    ``path`` ends in ``.npz``, or in ``.safetensors`` (extra ``safetensors``). Each object is kept as its
    ``state_dict()`` gives it; ``extra`` is any tree of tensors, arrays, numbers, strings, None, lists, tuples and
    dicts. With ``random`` the generator of `manual_seed` is kept too, and how far each stochastic rounding has come:
    that of the precision in force and those of the model's modules. Gradients and the modules' training mode are not
    kept. Values are kept as bits, with infinities, the sign of zero and the payload of NaN (in formats narrower than
    float32 quieted). The file holds a SHA-256 checksum and no pickle; it replaces an older one whole or, whatever
    happens, not at all. ``TypeError`` that names what cannot be kept, ``ValueError`` for another suffix, ``OSError``
    for a file that cannot be written.
    """
    given = _given(model, optimizer, scaler, scheduler, ema)
    tree = {
        "step": None if step is None else whole("step", step),
        "extra": extra,
        "random": stream.positions(model) if random else None,
        "state": {name: target.state_dict() for name, target in given.items()},
    }
    arrays: Arrays = {}
    try:
        packed = {key: pack(value, key, arrays) for key, value in tree.items() if key != "state"}
        packed["state"] = {"dict": [[name, pack(state, name, arrays)] for name, state in tree["state"].items()]}
        write(path, "checkpoint", arrays, packed)
    except RecursionError:
        raise ValueError("extra: nested too deeply, or in itself; allowed: trees") from None


def load(
    path: object,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    strict: bool = True,
    random: bool = True,
) -> Checkpoint:
    """Read and verify the checkpoint at ``path``, and restore it into the objects given, all of them or none.

    Every object given must be in the file, and takes its state by ``load_state_dict``, whatever precision is in force.
    If any object is given and ``random`` holds, the random streams that the file has go on too, so a stochastic
    precision must be in force as it was when the file was saved. Without ``strict``, names of the model that are
    missing or unexpected are passed over, and values may be rounded to narrower parameters. ``ValueError`` in one line,
    with nothing changed, for a file that is damaged, foreign or of a newer version, and for objects that do not fit;
    ``FileNotFoundError`` for none.

    >>> import tempfile, halfsim as hs
    >>> layer = hs.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/run.npz", layer, step=3, extra={"loss": 0.5})
    ...     load(f"{folder}/run.npz", layer)
    Checkpoint(step=3, extra={'loss': 0.5}, names=('model',), version=1)
    """
    given = _given(model, optimizer, scaler, scheduler, ema)
    saved, positions = _content(path)
    missing = [name for name in given if name not in saved.names]
    if missing:
        raise ValueError(f"{path}: holds no {', no '.join(missing)}; it holds: {', '.join(saved.names) or 'nothing'}")
    states = {name: copied(saved.state[name]) for name in given}
    try:
        if "model" in given:
            states["model"] = _fitting(model, states["model"], strict)
        go_on = stream.restorer(positions, model) if given and random and positions is not None else None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (TypeError, LookupError, AttributeError) as error:
        what = clipped(" ".join(f"{type(error).__name__}: {error}".split()), 160)
        raise ValueError(f"{path}: random: its streams cannot be read: {what}") from None
    _restore(path, given, states)
    if go_on is not None:
        go_on()
    return saved


def _given(*targets: Any) -> dict[str, Any]:
    given = {name: target for name, target in zip(_PARTS, targets, strict=True) if target is not None}
    for name, target in given.items():
        if not all(callable(getattr(target, method, None)) for method in ("state_dict", "load_state_dict")):
            kind = type(target).__name__
            raise TypeError(f"{name}: {kind} is not allowed; allowed: objects with state_dict and load_state_dict")
    return given


def _content(path: object) -> tuple[Checkpoint, dict[str, Any] | None]:
    what, arrays, document = read(path)
    if what != "checkpoint":
        found = "weights alone" if what else f"no checkpoint of halfsim ({len(arrays)} arrays)"
        raise ValueError(f"{path}: holds {found}; allowed: files of checkpoint.save, or checkpoint.load_weights")
    try:
        tree = {key: unpack(node, arrays) for key, node in document.items()}
        state, random, step = tree["state"], tree["random"], tree["step"]
        like({part: {} for part in state}, state, "state")
        like(None if random is None else {"generator": None, "roundings": {}}, random, "random")
        like(0 if step is not None else None, step, "step")
        if state.keys() - set(_PARTS):
            raise ValueError(f"state: {shown(next(iter(state.keys() - set(_PARTS))))} is none of {', '.join(_PARTS)}")
        return Checkpoint(step, tree["extra"], tuple(state), VERSION, state), random
    except Exception as error:  # a document that no save wrote
        what = clipped(" ".join(f"{type(error).__name__}: {error}".split()), 160)
        raise ValueError(f"{path}: damaged: its document cannot be read: {what}") from None


def _fitting(model: Any, state: dict[str, Any], strict: bool) -> dict[str, Any]:
    """``state`` as ``model`` may load it; ``ValueError`` where that would round, unless not ``strict``."""
    own: Mapping[str, Any] = model.state_dict()
    if not strict:
        return {**own, **{key: value for key, value in state.items() if key in own}}
    rounded = [
        f"{key} is {value.format} in the file, {own[key].format} here"
        for key, value in state.items()
        if isinstance(value, Tensor) and isinstance(own.get(key), Tensor) and not own[key].format.contains(value.format)
    ]
    if rounded:
        raise ValueError(f"model: {'; '.join(rounded)}; allowed: the formats of the file, wider ones, strict=False")
    return state


def _restore(path: object, given: dict[str, Any], states: dict[str, Any]) -> None:
    """Load all states, or put back those that were there.

    It is done in a context of its own: a precision in force may widen parameters that are loaded under it.
    """
    before: list[tuple[Any, Any]] = []
    name = ""
    try:
        for name, target in given.items():
            before.append((target, copied(target.state_dict())))
            Context().run(target.load_state_dict, states[name])
    except BaseException as error:
        for target, state in before:
            Context().run(target.load_state_dict, state)
        if not isinstance(error, Exception):
            raise
        what = f"{type(error).__name__}: {error}" if isinstance(error, (KeyError, AttributeError)) else f"{error}"
        what = clipped(" ".join(what.split()), 200)
        raise ValueError(f"{path}: {name}: {what}; nothing was changed") from error


guarded_names(globals(), ["save", "load"])
