"""Files of every kind that halfsim writes, how each is read, and what a reader may say of a damaged one."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import halfsim as hs
from halfsim.checkpoint.tree import pack


class Kind(NamedTuple):
    """A kind of file: how one is written to a path and read from it, and whether every byte is under a checksum."""

    suffix: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    summed: bool = True


def run() -> tuple[Any, ...]:
    """A small model with all that a run keeps, one step on its way."""
    hs.manual_seed(0)
    model = hs.nn.Linear(2, 1)
    optimizer = hs.optim.Adam(model.parameters(), lr=0.1)
    scaler, ema = hs.amp.GradScaler(init_scale=4.0), hs.optim.EMA(model)
    schedule = hs.optim.lr_scheduler.StepLR(optimizer, 2)
    step(model, optimizer, scaler, schedule, ema)
    return model, optimizer, scaler, schedule, ema


def step(model: Any, optimizer: Any, scaler: Any, schedule: Any, ema: Any) -> None:
    optimizer.zero_grad()
    scaler.scale(model(hs.tensor([[1.0, 2.0]])).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    schedule.step()
    ema.update()


def state_of(objects: tuple[Any, ...]) -> str:
    """Everything that a run holds, in one string: equal strings are equal bits."""
    arrays: dict[str, Any] = {}
    document = pack([x.state_dict() for x in objects], "x", arrays)
    stream = hs.get_rng_state() if hasattr(hs, "get_rng_state") else None
    return repr((document, [(name, a.kind, a.array.tobytes()) for name, a in arrays.items()], str(stream)))


def _checkpoint(path: Path) -> None:
    hs.checkpoint.save(path, *run(), step=1, extra={"a": [1]})


def _report(path: Path) -> None:
    with hs.trace() as t:
        hs.tensor([300.0, 0.1], "fp16") * 300.0
    t.to_json(path)


def _weights(path: Path) -> None:
    hs.checkpoint.save_weights(path, {"a": hs.tensor([0.1, 2.0], "bf16"), "b": hs.tensor([[1, 2]])})


def kinds() -> dict[str, Kind]:
    from halfsim.diagnose.report.report import Report

    found = {
        "checkpoint": Kind(".npz", _checkpoint, hs.checkpoint.load),
        "weights": Kind(".npz", _weights, hs.checkpoint.load_weights),
        "hs.save": Kind(".pt", lambda p: hs.save({"a": hs.tensor([0.1], "fp16"), "n": [1, None, "x"]}, p), hs.load),
        "report": Kind(".json", _report, Report.from_json, False),
    }
    try:
        import safetensors  # noqa: F401
    except ImportError:
        return found
    found["checkpoint, safetensors"] = found["checkpoint"]._replace(suffix=".safetensors")
    found["weights, safetensors"] = found["weights"]._replace(suffix=".safetensors")
    return found


def judged(kind: Kind, path: Path, data: bytes) -> str:
    """What comes of reading ``data``: "read", "refused" in one line by a ValueError, or what went wrong."""
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kind.read(path)
    except ValueError as error:
        text = str(error).replace(str(path), "file")
        return "refused" if len(text) <= 300 and "\n" not in text else f"a message of {len(text)} characters"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:120]
    return "read"


def truncations(data: bytes) -> Iterator[bytes]:
    """The file cut off at every length."""
    return (data[:n] for n in range(len(data)))


def flips(data: bytes, bits: tuple[int, ...] = tuple(range(8))) -> Iterator[bytes]:
    """The file with one bit other, for every bit of every byte."""
    for i in range(len(data)):
        for bit in bits:
            yield data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :]


def counted(kind: Kind, folder: Path, damaged: Callable[[bytes], Iterator[bytes]], every: int = 1) -> Counter[str]:
    """What came of each damaged version of one file, or of one in ``every`` of them."""
    path = folder / f"file{kind.suffix}"
    kind.write(path)
    data = path.read_bytes()
    assert judged(kind, path, data) == "read"
    found: Counter[str] = Counter()
    for i, other in enumerate(damaged(data)):
        if i % every == 0:
            found[judged(kind, path, other)] += 1
    return found


def mutations(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place of a JSON document, with everything that may be put there in its stead."""
    for other in OTHERS:
        yield path, other
    if isinstance(node, dict):
        for key, value in node.items():
            yield from mutations(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node[:60]):
            yield from mutations(value, (*path, i))


OTHERS = (
    None, True, 0, -1, 1.5, "x", [], [1], {}, 10**400, {"dict": []}, {"dict": [[1]]}, {"dict": [[[], 1]]},
    {"dict": "x"},
    {"tensor": "nope"}, {"tensor": 1}, {"tensor": []}, {"float": "zz"}, {"float": "7ff8000000000000"}, {"integer": "q"},
    {"bytes": 1}, {"format": "no"}, {"tuple": 1}, {"set": [[]]}, {"what": 1}, {"dict": [], "tuple": []},
)  # fmt: skip


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """``node`` with ``value`` at ``path``."""
    if not path:
        return value
    copied = dict(node) if isinstance(node, dict) else list(node)
    copied[path[0]] = put(node[path[0]], path[1:], value)
    return copied


def documents(folder: Path, most: int | None = None, seed: int = 0) -> Counter[str]:
    """Checkpoints whose checksum is right and whose document is not: one place in it is something else.

    Counted are those that are refused with nothing changed, those that are read and with which the run goes on, and
    whatever else comes of them.
    """
    from halfsim.checkpoint import files as layout

    path = folder / "run.npz"
    hs.checkpoint.save(path, *run(), step=1, extra={"a": [1]})
    what, arrays, document = layout.read(path)
    places = list(mutations(document))
    random.Random(seed).shuffle(places)
    found: Counter[str] = Counter()
    objects = run()
    names = ("model", "optimizer", "scaler", "scheduler", "ema")
    before = state_of(objects)
    for place, other in places[:most]:
        layout.write(path, what, arrays, put(document, place, other))
        kind = _loaded(path, dict(zip(names, objects, strict=True)))
        if kind.startswith("read"):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    step(*objects)
                    state_of(objects)
            except Exception as error:
                kind = f"read, and broken at {place}: {other!r}: {type(error).__name__}: {error}"[:300]
            objects = run()
        elif state_of(objects) != before:
            kind = f"changed at {place}: {other!r}"[:200]
            objects = run()
        if kind not in ("read", "refused"):
            kind = f"{kind} [{place}: {other!r}]"[:300]
        found[kind] += 1
    return found


def _loaded(path: Path, objects: dict[str, Any]) -> str:
    return judged(Kind(".npz", lambda p: None, lambda p: hs.checkpoint.load(p, **objects)), path, path.read_bytes())


def bomb(path: Path) -> None:
    """An .npz of some 200 kB that declares two floats and holds 200 MB of zeros."""
    head = io.BytesIO()
    import numpy as np

    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (2,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(head.getvalue())
        for _ in range(200):
            member.write(bytes(1 << 20))
