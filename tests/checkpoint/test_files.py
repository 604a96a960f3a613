"""A file is whole or refused in one line that names it, and the one before it stays until it is whole."""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import checkpoint
from halfsim.checkpoint import files
from tests.checkpoint.test_tree import exactly

SUFFIXES = (".npz", ".safetensors")


@pytest.fixture(params=SUFFIXES)
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    return request.param


def content(path: Path) -> Any:
    found = checkpoint.load(path)
    return exactly([found.step, found.extra, found.state])


def refused(path: Path, read: Callable[[Path], Any] = checkpoint.load) -> str:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: [^\n]+\Z") as caught:
        read(path)
    return str(caught.value)


def small(path: Path) -> Any:
    weights = {"w": hs.tensor([[1.0, -0.0], [float("nan"), 3e-8]], "fp16"), "n": np.array(3)}
    checkpoint.save(path, extra={"loss": 0.1, "s": "x", "t": (1, None), **weights, "b": hs.tensor(2.0, "bf16")}, step=7)
    return content(path)


def flipped(data: bytes, at: int) -> list[bytes]:
    """``data`` with all bits of a byte changed, or one, or a space to a tab and a letter to its other case."""
    flips = 0xFF, 1 << at % 8, 0x29 if data[at] == 0x20 else 0x20
    return [data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :] for flip in flips]


# Every fifth place, and under `slow` every one: last on 2026-11-29, none was taken.
EVERY = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])


@EVERY
def test_every_flipped_byte_is_refused(tmp_path: Path, suffix: str, every: int) -> None:
    path, broken = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    small(path)
    data = path.read_bytes()
    for at in range(0, len(data), every):
        broken.write_bytes(flipped(data, at)[at % 3])
        refused(broken)


@EVERY
def test_every_flipped_byte_of_a_file_of_weights_is_refused(tmp_path: Path, suffix: str, every: int) -> None:
    path, broken = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    checkpoint.save_weights(path, {"w": hs.tensor([1.0, 2.0], "tf32"), "n": np.array(3)})
    data = path.read_bytes()
    for at in range(0, len(data), every):
        for wrong in flipped(data, at):
            broken.write_bytes(wrong)
            refused(broken, checkpoint.load_weights)


def test_an_archive_without_its_list_of_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    checkpoint.save_weights(path, {"w": np.ones(3)})
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    data[end + 12 : end + 16] = bytes(4)  # the size of the list: a reader of archives now finds an empty one
    path.write_bytes(data)
    with np.load(path) as archive:
        assert list(archive) == []
    refused(path, checkpoint.load_weights)


@EVERY
def test_every_truncation_and_anything_appended_is_refused(tmp_path: Path, suffix: str, every: int) -> None:
    path, broken = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    whole, data = small(path), path.read_bytes()
    for size in range(0, len(data), every):
        broken.write_bytes(data[:size])
        refused(broken)
    broken.write_bytes(data + b"\0" * 70_000)
    refused(broken)
    assert content(path) == whole


def test_contents_of_two_files_do_not_mix(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 2.0)):
        checkpoint.save(tmp_path / f"{name}.npz", extra=[np.full(3, value)], random=False)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as mixed:
        for name, member in (("a", "halfsim.json"), ("b", "extra.0.npy")):
            with zipfile.ZipFile(tmp_path / f"{name}.npz") as archive:
                mixed.comment = archive.comment
                mixed.writestr(member, archive.read(member))
    assert "SHA-256" in refused(tmp_path / "c.npz")


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _zip(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


class Trap:
    def __reduce__(self) -> Any:
        return os.abort, ()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "no whole"),
        (pickle.dumps({"a": 1}), "no whole"),
        (pickle.dumps(Trap()), "no whole"),
        (b"two\nlines of text", "no whole"),
        (b"\xff" * 64, "no whole"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, suffix: str, data: bytes, named: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    assert named in refused(path)
    assert named in refused(path, checkpoint.load_weights)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (_npz(a=np.ones(2)), "holds no checkpoint of halfsim (1 arrays)"),
        (_npz(), "holds no checkpoint of halfsim (0 arrays)"),
        (_npz(a=np.array([Trap()])), "'a' has dtype 'object'"),
        (_npz(a=np.array(["x"])), "'a' has dtype '<U1'"),
        (_zip("archive/data.pkl", pickle.dumps(Trap())), "'archive/data.pkl' in it is no array"),
        (_zip("halfsim.json", b"[]"), "no whole .npz file"),
        (_zip("halfsim.json", b'{"halfsim": "checkpoint"}'), "no whole .npz file"),
        (_zip("halfsim.json", b'{"halfsim": "checkpoint", "version": 1}'), "damaged"),
        (_zip("halfsim.json", b'{"halfsim": "checkpoint", "version": 0}'), "damaged"),
        (_zip("halfsim.json", b'{"halfsim": "checkpoint", "version": 2}'), "version 2 of the layout; allowed: up to 1"),
        (_zip("halfsim.json", b"[" * 100_000), "no whole .npz file"),
        (_zip("a.npy", b"\x93NUMPY\x01\x00\x02\x00{}"), "no whole .npz file"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, data: bytes, named: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    assert named in refused(path)


def test_a_shape_without_its_data_costs_no_memory(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    (tmp_path / "x.npz").write_bytes(_zip("a.npy", head.getvalue()))
    assert "no whole" in refused(tmp_path / "x.npz", checkpoint.load_weights)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array(member, np.ones(2))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", member.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", member.getvalue())
    assert "'a.npy' is in it twice" in refused(tmp_path / "x.npz", checkpoint.load_weights)


def test_safetensors_without_our_strings_is_no_checkpoint(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy", reason="the extra safetensors is not installed")
    numpy.save_file({"a": np.ones(2, np.float32)}, tmp_path / "x.safetensors", {"format": "pt"})
    assert "holds no checkpoint of halfsim (1 arrays); allowed: files of" in refused(tmp_path / "x.safetensors")
    checkpoint.save_weights(tmp_path / "y.safetensors", {"a": np.ones(2)})
    assert "holds weights alone" in refused(tmp_path / "y.safetensors")


def test_missing_files_directories_suffixes_and_other_things(tmp_path: Path) -> None:
    for act in (checkpoint.load, checkpoint.load_weights):
        with pytest.raises(FileNotFoundError, match="none.npz"):
            act(tmp_path / "none.npz")
        (tmp_path / "folder.npz").mkdir(exist_ok=True)
        assert "is a directory" in refused(tmp_path / "folder.npz", act)
        assert "suffix '.pt' is not allowed; allowed: .npz, .safetensors" in refused(tmp_path / "x.pt", act)
        with pytest.raises(TypeError, match=r"^path: int is not allowed"):
            act(3)
    assert "suffix '' is not allowed" in refused(tmp_path / "x", checkpoint.save)
    with pytest.raises(FileNotFoundError, match=r"nowhere/x\.npz'$"):
        checkpoint.save(tmp_path / "nowhere" / "x.npz")
    with pytest.raises(OSError, match=r"folder\.npz'$"):
        checkpoint.save(tmp_path / "folder.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.npz"]


def test_suffixes_in_capitals_and_paths_as_strings(tmp_path: Path) -> None:
    checkpoint.save(f"{tmp_path}/X.NPZ", step=1)
    assert checkpoint.load(f"{tmp_path}/X.NPZ").step == 1


def test_without_the_package_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "x.safetensors").write_bytes(b"x")
    for act in (checkpoint.save, checkpoint.load):
        with pytest.raises(ImportError, match=r"pip install 'halfsim\[safetensors\]'"):
            act(tmp_path / "x.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_equal_states_make_equal_files(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        small(tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


# Atomicity.


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("where", ["fsync", "replace", "write"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException
) -> None:
    path = tmp_path / f"x{suffix}"
    before = small(path)

    def fail(file: Any, *_: Any) -> None:
        if where == "write":
            file.write(b"half of it")
        raise error

    with monkeypatch.context() as patch:
        if where == "write":
            reader, _, kinds = files._SUFFIXES[suffix]
            patch.setitem(files._SUFFIXES, suffix, (reader, fail, kinds))
        else:
            patch.setattr(os, where, fail)
        with pytest.raises(type(error)) as caught:
            checkpoint.save(path, extra="new")
        if isinstance(error, OSError):
            assert str(caught.value) == f"[Errno 28] No space left on device: '{path}'"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert content(path) == before
    checkpoint.save(path, extra="new")
    assert checkpoint.load(path).extra == "new"


def test_a_link_stays_a_link_and_modes_are_those_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "latest.npz"
    link.symlink_to(tmp_path / "real" / "x.npz")
    checkpoint.save(link, step=1)
    assert link.is_symlink()
    assert checkpoint.load(tmp_path / "real" / "x.npz").step == 1
    (tmp_path / "plain").touch()
    assert (tmp_path / "real" / "x.npz").stat().st_mode == (tmp_path / "plain").stat().st_mode


CHILD = """
import os, signal, sys
import numpy as np
from halfsim import checkpoint
path, where = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
arrays = lambda i: [np.full((64, 512), i), np.full(4096, i)]
checkpoint.save(path, step=1, extra=arrays(1))
if where == "loop":
    print("ready", flush=True)
    for i in range(2, 100000):
        checkpoint.save(path, step=i, extra=arrays(i))
if where == "write":
    from numpy.lib import format
    from halfsim.checkpoint import files
    files.npy.write_array = die
elif where == "after":
    from halfsim import atomic
    atomic._flush_directory = die
else:
    setattr(os, where, die)
checkpoint.save(path, step=2, extra=arrays(2))
"""


def _child(path: Path, where: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(path), where], stdout=subprocess.PIPE)


def _steps(path: Path) -> int:
    found = checkpoint.load(path)
    assert all((array == found.step).all() for array in found.extra)
    assert found.step is not None
    return found.step


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_save_leaves_the_old_file_or_the_new_one_whole(tmp_path: Path) -> None:
    places = {"write": 1, "fsync": 1, "replace": 1, "after": 2}
    children = {where: _child(tmp_path / f"{where}.npz", where) for where in places}
    for child in children.values():
        child.communicate(timeout=60)
    for where, child in children.items():
        assert child.returncode == -signal.SIGKILL
        path = tmp_path / f"{where}.npz"
        assert _steps(path) == places[where]
        assert len(list(tmp_path.glob(f".{where}.npz.*"))) == (where != "after")
        checkpoint.save(path, step=3)
        assert list(tmp_path.glob(f".{where}.npz.*")) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_run_killed_at_any_time_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for delay in (0.003, 0.011, 0.026):
        with _child(path, "loop") as child:
            assert child.stdout is not None
            child.stdout.readline()
            until = time.monotonic() + delay
            while time.monotonic() < until:
                _steps(path)  # readers, too, find it whole at any time
            child.kill()
        assert _steps(path) >= 1


def test_a_temporary_that_is_being_written_is_not_swept_away(tmp_path: Path) -> None:
    from halfsim.atomic import replacing

    path = tmp_path / "x.npz"
    with replacing(path) as file:
        file.write(b"first")
        with replacing(path) as other:
            other.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]
