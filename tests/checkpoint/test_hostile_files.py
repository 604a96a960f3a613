"""Paths and files that no save wrote: refused in one line, before anything is unpacked, and never waited for."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

import halfsim as hs
from halfsim.checkpoint import files as layout

READERS = (hs.checkpoint.load, hs.checkpoint.load_weights, hs.load)


@pytest.mark.parametrize("read", READERS)
def test_paths_that_are_no_files(read, tmp_path: Path) -> None:
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    with pytest.raises(ValueError, match="is a directory; allowed: a file"):
        read(folder)
    with pytest.raises(ValueError, match=r"path: 'a\\x00b.npz' is not allowed; allowed: the name of a file"):
        read("a\0b.npz")
    with pytest.raises(ValueError, match="is not allowed"):
        read("")
    loop = tmp_path / "loop.npz"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="loop"):
        read(loop)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.npz")
        with pytest.raises(ValueError, match="is no regular file; allowed: a file"):
            read(tmp_path / "pipe.npz")


def test_a_save_goes_through_pipes_and_devices_and_replaces_none(tmp_path: Path) -> None:
    device = Path("/dev/null")
    if not device.exists():
        pytest.skip("no devices")
    before = device.stat()
    link = tmp_path / "null.npz"
    link.symlink_to(device)
    hs.save([1], link)
    assert (device.stat().st_ino, device.stat().st_mode) == (before.st_ino, before.st_mode)
    assert link.is_symlink()


def written(head: dict[str, object], data: bytes, version: bytes = b"\x01\x00") -> bytes:
    """An .npz with one array of that head."""
    given = io.BytesIO()
    npy.write_array_header_1_0(given, head)
    member = given.getvalue()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", member[:6] + version + member[8:] + data)
    return whole.getvalue()


PLAIN = {"descr": "<f4", "fortran_order": False, "shape": (2,)}
WRONG = {
    "a shape of -1": (written({**PLAIN, "shape": (-1,)}, bytes(8)), "declares shape"),
    "a shape of -2 and -1": (written({**PLAIN, "shape": (-2, -1)}, bytes(8)), "declares shape"),
    "too many bytes": (written(PLAIN, bytes(12)), "declares shape"),
    "too few bytes": (written(PLAIN, bytes(4)), "declares shape"),
    "a huge shape": (written({**PLAIN, "shape": (10**15,)}, bytes(8)), "declares shape"),
    "version 9": (written(PLAIN, bytes(8), b"\x09\x00"), "version"),
    "version 2": (written(PLAIN, bytes(8), b"\x02\x00"), "version"),
    "objects": (written({**PLAIN, "descr": "|O"}, bytes(16)), "dtype"),
    "dates": (written({**PLAIN, "descr": "<M8[s]"}, bytes(16)), "dtype"),
    "records": (written({**PLAIN, "descr": [("a", "<f4")]}, bytes(8)), "dtype"),
}


@pytest.mark.parametrize("what", WRONG)
def test_heads_that_no_save_writes(what, tmp_path: Path) -> None:
    data, word = WRONG[what]
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=word) as refused:
        hs.checkpoint.load_weights(path)
    assert len(str(refused.value).replace(str(path), "")) <= 300


def test_a_compressed_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("halfsim.json", '{"halfsim": "weights", "version": 1' + " " * 10**6 + "}")
    with pytest.raises(ValueError, match="its head is compressed"):
        hs.checkpoint.load_weights(path)


DOCUMENTS = {  # of R8: what is put in the place of a part of the document
    "state.model": ({"state": {"dict": [["model", "x"]]}}, "state.model: 'x' is not allowed"),
    "random": ({"random": {"dict": []}}, "random: generator is missing"),
    "state": ({"state": [1]}, "state"),
    "a part that is none": ({"state": {"dict": [["loss", {"dict": []}]]}}, "is none of model"),
    "step": ({"step": "x"}, "step: 'x' is not allowed"),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_documents_that_no_save_writes(what, tmp_path: Path) -> None:
    path, model = tmp_path / "a.npz", hs.nn.Linear(2, 1)
    hs.checkpoint.save(path, model, step=1)
    _, arrays, document = layout.read(path)
    change, word = DOCUMENTS[what]
    layout.write(path, "checkpoint", arrays, {**document, **change})
    with pytest.raises(ValueError, match=word):
        hs.checkpoint.load(path)


def half_way(target: object, state: dict[str, object]) -> None:
    """Load a state that is wrong in its last part; nothing of it may have been taken."""
    before = repr(target.state_dict())
    with pytest.raises((ValueError, TypeError)) as refused:
        target.load_state_dict(state)
    assert len(str(refused.value)) <= 300
    assert "\n" not in str(refused.value)
    assert repr(target.state_dict()) == before


def test_a_state_that_is_wrong_in_part_changes_nothing() -> None:
    model = hs.nn.Linear(2, 1)
    optimizer = hs.optim.Adam(model.parameters(), lr=0.5)
    model(hs.tensor([[1.0, 2.0]])).sum().backward()
    optimizer.step()
    schedule = hs.optim.lr_scheduler.SequentialLR(
        optimizer,
        [hs.optim.lr_scheduler.ConstantLR(optimizer), hs.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)],
        [2],
    )
    scaler, ema = hs.amp.GradScaler(), hs.optim.EMA(model)
    half_way(model, {"weight": np.ones((1, 2)), "bias": "x"})
    saved = optimizer.state_dict()
    group = saved["param_groups"][0]
    for change in ({"lr": "fast"}, {"betas": (0.9, "x")}, {"eps": -1.0}, {"amsgrad": 3.5}, {"lr": 10**400}):
        half_way(optimizer, {**saved, "param_groups": [{**group, **change}]})
    half_way(optimizer, {**saved, "state": {0: {"step": 1.0, "exp_avg": "x"}}})
    half_way(optimizer, {**saved, "state": {0: {"step": -1.0}}})
    half_way(optimizer, {**saved, "state": [1]})
    inner = schedule.state_dict()["_schedulers"]
    half_way(
        schedule, {**schedule.state_dict(), "last_epoch": 7, "_schedulers": [inner[0], {**inner[1], "gamma": "x"}]}
    )
    half_way(schedule, {**schedule.state_dict(), "step": 3})
    for key in scaler.state_dict():
        half_way(scaler, {**scaler.state_dict(), "scale": 2.0, key: "x"})
        half_way(scaler, {name: value for name, value in scaler.state_dict().items() if name != key})
    half_way(scaler, {**scaler.state_dict(), "scale": float("nan")})
    half_way(ema, {"decay": 0.5, "averages": ["x", "y"]})
    half_way(ema, {"decay": 2.0, "averages": ema.averages})


def test_extra_state_that_fails_takes_the_parameters_back() -> None:
    class Own(hs.nn.Linear):
        def get_extra_state(self):
            return 1

        def set_extra_state(self, state):
            raise KeyError("mine")

    model = Own(2, 1)
    weight = model.weight
    before = weight.array.copy()
    with pytest.raises(KeyError, match="mine"):
        model.load_state_dict({"weight": np.zeros((1, 2)), "bias": np.zeros(1), "_extra_state": 2})
    assert model.weight is weight
    assert np.array_equal(weight.array, before)
