"""`halfsim.save` and `halfsim.load`: PyTorch's names, with files that execute nothing."""

from __future__ import annotations

import io
import os
import zipfile
from typing import IO, Any

from halfsim.atomic import replacing
from halfsim.autograd.device import device
from halfsim.checkpoint.files import Arrays, RefusedError, opened, path_of, read_from, write_to
from halfsim.checkpoint.pickled import Machine, unpickled
from halfsim.checkpoint.storages import Storages
from halfsim.checkpoint.tree import pack, unpack
from halfsim.options import guarded_names

_MAGIC = 0x1950A86A20F9469CFC6C, 1001  # how a file of PyTorch before 1.6 begins, and the version of its layout
_FILE = "a string, a path, a binary file"


def save(obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = 2, **kwargs: Any) -> None:
    """Write ``obj`` to ``f``, a path of any name or a binary file, as `load` reads it.

    ``obj`` is a tensor, an array, a number, a string, bytes, None, or a list, tuple, set or dict of these, so also a
    ``state_dict`` and a dict of several. Values are kept as bits. The file holds a SHA-256 checksum and no pickle, so
    PyTorch does not read it; `halfsim.checkpoint.save_weights` writes ``.safetensors``, which it does. A file at a path
    is replaced whole or not at all. The options are PyTorch's and change nothing. ``TypeError`` that names what cannot
    be kept.

    >>> import io, halfsim as hs
    >>> file = io.BytesIO()
    >>> save({"model": hs.nn.Linear(2, 1).state_dict(), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> list(load(file)["model"])
    ['weight', 'bias']
    """
    if callable(getattr(obj, "state_dict", None)):
        name = type(obj).__name__
        raise TypeError(f"save: {name} is not allowed; allowed: model.state_dict(), tensors and plain values")
    arrays: Arrays = {}
    try:
        document = pack(obj, "obj", arrays)
    except RecursionError:
        raise ValueError("obj: nested too deeply, or in itself; allowed: trees") from None
    if isinstance(f, (str, os.PathLike)):
        with replacing(path_of(f)) as file:
            write_to(file, "saved", arrays, document)
    elif hasattr(f, "write"):
        whole = io.BytesIO()
        write_to(whole, "saved", arrays, document)
        f.write(whole.getvalue())
    else:
        raise TypeError(f"f: {type(f).__name__} is not allowed; allowed: {_FILE}")


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **kwargs: Any,
) -> Any:
    """What `save` wrote, or ``torch.save``: tensors, parameters, state dicts and plain values.

    Of a file of PyTorch nothing is executed: what it asks for beyond tensors and plain values is refused by name,
    with ``weights_only=False`` too. A dtype is a Format or a dtype of integers, a ``torch.Size`` a tuple, a device a
    string. Tensors of one storage share memory until one of them is changed. Both layouts of PyTorch are read, that of
    1.6 and the older one. ``map_location`` is a device, a dict of them or a function, and changes nothing, as do the
    other options. ``ValueError`` in one line for a damaged file, a foreign one, or one that is refused.
    """
    if not (map_location is None or callable(map_location) or isinstance(map_location, dict)):
        device(map_location)
    if isinstance(f, (str, os.PathLike)):
        path = path_of(f)
        with opened(path) as file:
            return _loaded(file, str(path))
    if not hasattr(f, "read"):
        raise TypeError(f"f: {type(f).__name__} is not allowed; allowed: {_FILE}")
    return _loaded(io.BytesIO(f.read()), "the file")


def _loaded(file: IO[bytes], name: str) -> Any:
    try:
        start = file.read(2)
        file.seek(0)
        if start == b"\x80\x02":
            return _legacy(file)
        if start != b"PK":
            raise RefusedError("is no file of save, nor of torch.save" if start else "is empty")
        with zipfile.ZipFile(file) as archive:
            pickles = [n for n in archive.namelist() if n.endswith("data.pkl") and n.count("/") == 1]
            if len(pickles) == 1:
                return _zipped(archive, pickles[0].removesuffix("data.pkl"), _size(file))
        return _ours(file)
    except RefusedError as error:
        text = str(error)
        told = f"is {text}" if text.startswith(("damaged", "written")) else text
        raise ValueError(f"load: {name} {told}") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a parser stumbles over
        what = f"{type(error).__name__}: {error}"[:200]
        raise ValueError(f"load: {name} is damaged: {' '.join(what.split())}") from None


def _size(file: IO[bytes]) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _ours(file: IO[bytes]) -> Any:
    file.seek(0)
    what, arrays, document = read_from(file)
    if what != "saved":
        where = {"checkpoint": "checkpoint.load", "weights": "checkpoint.load_weights"}.get(what)
        hint = f"; allowed: {where} for it" if where else "; allowed: np.load for arrays"
        raise RefusedError(f"is no file of save, nor of torch.save{hint}")
    return unpack(document, arrays)


def _zipped(archive: zipfile.ZipFile, prefix: str, size: int) -> Any:
    """The layout since PyTorch 1.6: a pickle, and a member for each storage."""

    def member(name: str, expected: int | None = None) -> bytes:
        info = archive.getinfo(prefix + name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.file_size > size:
            raise RefusedError(f"has a compressed member {name[:50]!r}, which PyTorch does not write")
        if expected is not None and info.file_size != expected:
            raise RefusedError(f"says {expected} bytes of storage {name[:50]!r}, which has {info.file_size}")
        return archive.read(info)

    orders = {b"little": "<", b"big": ">"}
    order = member("byteorder") if f"{prefix}byteorder" in archive.namelist() else b"little"
    if order not in orders:
        raise RefusedError("has numbers in no known order of bytes")
    storages = Storages(lambda key, count: bytearray(member(f"data/{key}", count)), orders[order])
    return unpickled(member("data.pkl"), storages)


def _legacy(file: IO[bytes]) -> Any:
    """The layout before PyTorch 1.6: pickles of its version, of the value, of the storages' keys; then the storages.

    The value comes before the storages, so it is read twice: for their sizes, and with their numbers.
    """
    size = _size(file)

    def pickle(storages: Any) -> Any:
        return Machine(file, storages).run()

    nothing = _Sizes()
    version = pickle(nothing), pickle(nothing)
    if version != _MAGIC:
        raise RefusedError("is a pickle, but not of torch.save")
    system = pickle(nothing)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise RefusedError("has numbers in no known order of bytes")
    start, sizes = file.tell(), _Sizes()
    pickle(sizes)
    keys, found = pickle(nothing), {}
    for key in keys:
        count, width = int.from_bytes(file.read(8), "little"), sizes.widths.get(key, 1)
        if count * width > size - file.tell():
            raise RefusedError(f"says {count} numbers of a storage, which are more than it has")
        found[key] = bytearray(file.read(count * width))

    def stored(key: str, expected: int) -> bytearray:
        if key not in found or len(found[key]) != expected:
            raise RefusedError(f"says {expected} bytes of storage {key[:50]!r}, which has other ones")
        return found[key]

    file.seek(start)
    return pickle(Storages(stored))


class _Sizes(Storages):
    """Notes how wide the numbers of each storage are, and gives none."""

    def __init__(self) -> None:
        super().__init__(lambda key, size: bytearray())
        self.widths: dict[str, int] = {}

    def find(self, name: Any) -> Any:
        _, key, count, size = self.parsed(name)
        self.widths[key] = size // count if count else 1
        return None


guarded_names(globals(), ["save", "load"])
