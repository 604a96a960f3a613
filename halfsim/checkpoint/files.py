"""Named arrays and a JSON document in one file, ``.npz`` or ``.safetensors``, under a SHA-256 checksum."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from halfsim.atomic import failed, replacing
from halfsim.numerics.formats import NARROW
from halfsim.numerics.quantize import Array
from halfsim.options import shown
from halfsim.text import clipped

VERSION = 1  # of the layout; a reader refuses the versions it does not know

_MARK = "halfsim"  # the first entry of the head, and in .safetensors the name under which that stands
_MEMBER = "halfsim.json"  # the member of an .npz that is the head

INTEGERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
NATIVE = (*INTEGERS, "float16", "float32", "float64")  # the kinds that are dtypes of NumPy
_WORDS = {  # the dtypes of safetensors
    "BOOL": "bool",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
_CODES = {kind: word for kind, word in NARROW.items() if kind in _WORDS.values()}


class Stored(NamedTuple):
    """An array as a file has it: of dtype ``kind``, or the codes of the format that ``kind`` names."""

    kind: str
    array: Array


Arrays = dict[str, Stored]
Head = dict[str, Any]  # JSON


class RefusedError(ValueError):
    """The file is what its suffix says, yet not to be read."""


def write(path: object, what: str, arrays: Mapping[str, Stored], document: Any = None) -> None:
    """Replace the file at ``path`` by one of ``what`` ("checkpoint", "weights") that holds these, or leave it."""
    target, (_, writer, expressible) = _checked(path)
    formats = {name: kind for name, (kind, _) in arrays.items() if kind not in expressible}
    given = {name: Stored(array.dtype.name if name in formats else k, array) for name, (k, array) in arrays.items()}
    head = {_MARK: what, "version": VERSION, "formats": formats, "document": document}
    with replacing(target) as file:
        writer(file, given, head)


def write_to(file: IO[bytes], what: str, arrays: Mapping[str, Stored], document: Any) -> None:
    """`write` as an ``.npz`` into an open file."""
    formats = {name: kind for name, (kind, _) in arrays.items() if kind not in NATIVE}
    _write_npz(file, dict(arrays), {_MARK: what, "version": VERSION, "formats": formats, "document": document})


def read_from(file: IO[bytes]) -> tuple[str, Arrays, Any]:
    """`read` of an open ``.npz``; of a damaged one its parser raises whatever it does."""
    return _content(*_read_npz(file))


def read(path: object) -> tuple[str, Arrays, Any]:
    """What the file says it is ("checkpoint", "weights", or "" for one not of halfsim), its arrays and document.

    ``ValueError`` in one line for a file that is no such file, damaged, or of a newer version.
    """
    target, (reader, _, _) = _checked(path)
    with opened(target) as file:
        if not file.read(1):
            raise ValueError(f"{target}: is empty")
        file.seek(0)
        try:
            return _content(*reader(file))
        except (ImportError, MemoryError):
            raise
        except RefusedError as error:
            raise ValueError(f"{target}: {error}") from None
        except Exception as error:  # whatever a parser stumbles over
            raise ValueError(f"{target}: no whole {target.suffix} file: {_line(error)}") from None


def path_of(path: object) -> Path:
    """``path`` as a Path; ``TypeError`` for anything but a path, ``ValueError`` for one that no system can have."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: {type(path).__name__} is not allowed; allowed: a string, a path")
    target = os.fsdecode(path)
    if "\0" in target or not target:
        raise ValueError(f"path: {shown(target)} is not allowed; allowed: the name of a file")
    return Path(target)


def opened(path: Path) -> IO[bytes]:
    """The file at ``path``, to be read; ``ValueError`` for a directory, and for pipes and devices, which may block."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise failed(error, path) from error
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise ValueError(f"{path}: is {what}; allowed: a file")
    return open(path, "rb")


def _content(arrays: Arrays, head: Head) -> tuple[str, Arrays, Any]:
    formats = head.get("formats", {})
    named = {name: Stored(formats.get(name, kind), array) for name, (kind, array) in arrays.items()}
    return head.get(_MARK, ""), named, head.get("document")


def _verify(head: Head, expected: str, found: Callable[[], str]) -> None:
    version = head["version"]
    if isinstance(version, int) and version > VERSION:
        raise RefusedError(f"written in version {version} of the layout; allowed: up to {VERSION}")
    if version != VERSION or expected != found():
        raise RefusedError("damaged: its contents do not match its SHA-256 checksum")


def _line(error: BaseException) -> str:
    kind = "" if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: "
    return clipped(" ".join(f"{kind}{error}".split()), 200)


def _checked(path: object) -> tuple[Path, tuple[Callable[..., Any], Callable[..., Any], tuple[str, ...]]]:
    """The path, and how files of its suffix are read and written, and the kinds they express."""
    target = path_of(path)
    found = _SUFFIXES.get(target.suffix.lower())
    if found is None:
        raise ValueError(f"{target}: suffix {shown(target.suffix)} is not allowed; allowed: {', '.join(_SUFFIXES)}")
    return target, found


def _write_npz(file: IO[bytes], arrays: Arrays, head: Head) -> None:
    """Members of 1980, so that equal contents make equal files; the last 64 bytes, the archive's comment, are the
    SHA-256 of all before.
    """
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_MEMBER), json.dumps(head))
        for name, (_, array) in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            if info.filename != f"{name}.npy":
                raise ValueError(f"name: {name!r} is not allowed in an .npz file; allowed: names of zip members")
            with archive.open(info, "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
        archive.comment = b"-" * _DIGEST
    size = file.seek(-_DIGEST, os.SEEK_END)
    digest = _digest(file, size)
    file.seek(size)
    file.write(digest.encode())


def _read_npz(file: IO[bytes]) -> tuple[Arrays, Head]:
    arrays: Arrays = {}
    head: Head = {}
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if _is_ours(file, names):
            if archive.getinfo(_MEMBER).compress_type != zipfile.ZIP_STORED:
                raise RefusedError("damaged: its head is compressed, which no save does")
            head = json.loads(archive.read(_MEMBER))
            size = file.seek(-_DIGEST, os.SEEK_END)
            _verify(head, file.read().decode("latin-1"), lambda: _digest(file, size))
        for name in names:
            if name == _MEMBER:
                continue
            if not name.endswith(".npy"):
                raise ValueError(f"{name!r} in it is no array")
            if name[:-4] in arrays:
                raise ValueError(f"{name!r} is in it twice")
            arrays[name[:-4]] = _member(archive, name)
    return arrays, head


_DIGEST = 64  # characters of a SHA-256


def _is_ours(file: IO[bytes], names: list[str]) -> bool:
    """Whether an archive is of halfsim by its list of members or by its beginning: the list may be damaged."""
    file.seek(0)
    return _MEMBER in names or file.read(30 + len(_MEMBER))[30:] == _MEMBER.encode()


def _digest(file: IO[bytes], size: int) -> str:
    """The SHA-256 of the first ``size`` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()


def _member(archive: zipfile.ZipFile, member: str) -> Stored:
    """The array in a member; what its head declares is compared with its size before it is unpacked."""
    name = member.removesuffix(".npy")
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        if version != (1, 0):  # later ones are for heads of more than 64 kB, which plain arrays do not have
            raise ValueError(f"{shown(name)} is of version {version} of .npy; allowed: (1, 0)")
        shape, fortran, dtype = npy.read_array_header_1_0(stream)
        if dtype.name not in NATIVE:
            raise ValueError(f"{shown(name)} has dtype {shown(str(dtype))}; allowed: {', '.join(NATIVE)}")
        size = math.prod(shape) * dtype.itemsize
        left = archive.getinfo(member).file_size - stream.tell()
        if any(n < 0 for n in shape) or size != left:
            raise ValueError(f"{shown(name)} declares shape {shown(shape)} of {dtype}, and has {left} bytes")
        data = stream.read(size + 1)
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return Stored(dtype.name, np.asarray(array, dtype.newbyteorder("="), order="C"))


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors")
    except ImportError:
        raise ImportError("safetensors: not installed; allowed: pip install 'halfsim[safetensors]', .npz") from None


def _write_safetensors(file: IO[bytes], arrays: Arrays, head: Head) -> None:
    package = _safetensors()
    if "__metadata__" in arrays:
        raise ValueError("name: '__metadata__' is not allowed in a .safetensors file; allowed: other names")
    if hasattr(package, "TensorSpec"):  # later versions take addresses, earlier ones bytes
        given: dict[str, Any] = {
            name: package.TensorSpec(dtype=kind, shape=a.shape, data_ptr=a.ctypes.data, data_len=a.nbytes)
            for name, (kind, a) in arrays.items()
        }
    else:
        given = {name: {"dtype": kind, "shape": a.shape, "data": a.tobytes()} for name, (kind, a) in arrays.items()}
    # All in one string, for the package writes several in an order of its own.
    file.write(package.serialize(given, {_MARK: json.dumps({**head, "sha256": _checksum(arrays, head)})}))


def _read_safetensors(file: IO[bytes]) -> tuple[Arrays, Head]:
    package, data = _safetensors(), file.read()
    views = package.deserialize(data)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]  # which the package has found to be sound
    if not header.rstrip(b" ").endswith(b"}"):
        raise ValueError("its header ends in other characters than spaces")
    arrays: Arrays = {}
    for name, view in views:
        kind = _WORDS.get(view["dtype"])
        if kind is None:
            raise ValueError(f"{name!r} has dtype {view['dtype']}; allowed: {', '.join(_WORDS)}")
        arrays[name] = Stored(kind, np.frombuffer(view["data"], _CODES.get(kind, kind)).reshape(view["shape"]))
    metadata = json.loads(header).get("__metadata__") or {}
    if _MARK not in metadata and not any(value.startswith(f'{{"{_MARK}": ') for value in metadata.values()):
        return arrays, {}
    head = json.loads(metadata[_MARK])
    _verify(head, head.pop("sha256"), lambda: _checksum(arrays, head))
    return arrays, head


def _checksum(arrays: Arrays, head: Head) -> str:
    """The SHA-256 of the head and the arrays, in the order of their names."""
    names = sorted(arrays)
    shapes = [[name, arrays[name].kind, arrays[name].array.shape] for name in names]
    digest = hashlib.sha256(json.dumps([head, shapes]).encode())
    for name in names:
        digest.update(arrays[name].array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


_SUFFIXES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[str, ...]]] = {
    ".npz": (_read_npz, _write_npz, NATIVE),
    ".safetensors": (_read_safetensors, _write_safetensors, (*NATIVE, *_CODES)),
}
