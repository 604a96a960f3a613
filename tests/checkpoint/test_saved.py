"""`halfsim.save` and `halfsim.load`: what is kept, what PyTorch's files give, and that nothing in them is executed."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.recorded.settings import CODES

RECORDED = Path(__file__).parents[1] / "recorded"
FILES = ("zipped.pt", "legacy.pt")


def again(value: Any) -> Any:
    file = io.BytesIO()
    hs.save(value, file)
    file.seek(0)
    return hs.load(file)


# Files of halfsim's own.


def test_a_training_checkpoint_comes_back(tmp_path: Path) -> None:
    model = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.BatchNorm1d(2))
    optimizer = hs.optim.Adam(model.parameters())
    model(hs.tensor(np.ones((4, 3)))).sum().backward()
    optimizer.step()
    path = tmp_path / "run.pt"
    hs.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "lr": 1e-3}, path)
    found = hs.load(path, map_location="cpu", weights_only=True)
    assert (found["epoch"], found["lr"]) == (3, 1e-3)
    assert list(found["model"]) == list(model.state_dict())
    other = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.BatchNorm1d(2))
    other.load_state_dict(found["model"])
    hs.optim.Adam(other.parameters()).load_state_dict(found["optimizer"])
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(other.state_dict()[key]))


def test_values_come_back_bit_for_bit() -> None:
    special = hs.tensor([-0.0, np.inf, np.nan, 6e-8], "fp16")
    value = {
        "half": special,
        "bf16": hs.tensor([[1.5]], "bf16"),
        "own": hs.tensor([1.0], hs.Format("e6m9", exponent_bits=6, precision=10)),
        "array": np.arange(3, dtype=np.int16),
        "plain": [1, 2.5, -0.0, "ü", None, True, (3,), {4, "x"}, b"\x00\xff", 10**400, float("inf")],
        "format": hs.bfloat16,
        7: {},
    }
    found = again(value)
    np.testing.assert_array_equal(found["half"].bits(), special.bits())
    assert (found["bf16"].format, found["own"].format.precision) == (hs.bfloat16, 10)
    assert found["array"].dtype == np.int16
    assert repr(found["plain"]) == repr(value["plain"]) or found["plain"] == value["plain"]
    assert list(found) == list(value)
    assert found["format"] == hs.bfloat16
    assert again(hs.tensor(2.0)).item() == 2
    assert again(3) == 3


def test_a_path_of_any_name_and_a_file_within_a_stream(tmp_path: Path) -> None:
    for name in ("model.pt", "ckpt.pth", "noname"):
        hs.save([1], str(tmp_path / name))
        assert hs.load(str(tmp_path / name)) == [1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ckpt.pth", "model.pt", "noname"]
    with open(tmp_path / "open.pt", "w+b") as file:
        hs.save((1, 2), file)
        file.seek(0)
        assert hs.load(file) == (1, 2)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    hs.save({"x": hs.tensor(np.ones(50))}, path)
    data = path.read_bytes()
    for at in range(0, len(data), 37):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ValueError, match="load: "):
            hs.load(path)
    for end in range(0, len(data), 41):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match="load: ") as caught:
            hs.load(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda p: hs.save(hs.nn.Linear(1, 1), p),
            TypeError,
            "save: Linear is not allowed; allowed: model.state",
        ),
        (lambda p: hs.save({"a": [object()]}, p), TypeError, r"obj.a.0: object is not allowed"),
        (lambda p: hs.save({"a": len}, p), TypeError, r"obj.a: builtin_function_or_method is not allowed"),
        (lambda p: hs.save(1, 5), TypeError, "f: int is not allowed; allowed: a string, a path, a binary file"),
        (lambda p: hs.load(5), TypeError, "f: int is not allowed"),
        (lambda p: hs.load(p.parent), ValueError, "is a directory"),
        (lambda p: hs.load(io.BytesIO(b"")), ValueError, "load: the file is empty"),
        (lambda p: hs.load(io.BytesIO(b"hello")), ValueError, "load: the file is no file of save, nor of torch.save"),
        (lambda p: hs.load(io.BytesIO(pickle.dumps(1, 2))), ValueError, "load: the file is"),
        (lambda p: hs.load(p / "missing"), OSError, "missing"),
    ],
)
def test_refusals(call: Callable[[Path], Any], error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words) as caught:
        call(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


def test_other_files_of_halfsim_are_told_apart(tmp_path: Path) -> None:
    hs.checkpoint.save(tmp_path / "run.npz", hs.nn.Linear(1, 1))
    hs.checkpoint.save_weights(tmp_path / "w.npz", hs.nn.Linear(1, 1))
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    for name, words in (("run", "checkpoint.load for it"), ("w", "checkpoint.load_weights"), ("a", "np.load")):
        with pytest.raises(ValueError, match=words):
            hs.load(tmp_path / f"{name}.npz")


# Files of PyTorch.


@pytest.fixture(scope="module", params=FILES)
def theirs(request: pytest.FixtureRequest) -> Any:
    return hs.load(RECORDED / request.param)


def test_recorded_plain_values(theirs: Any) -> None:
    assert theirs["plain"] == {
        "epoch": 3, "best": 0.5, "name": "ünïcode", "none": None, "flags": [True, False], "pair": (1, "a"),
        "set": {1, 2}, "frozen": frozenset([3]), "bytes": b"\x00ab", "bytearray": bytearray(b"xy"), "complex": 1 - 2j,
        "huge": 10**40, "size": (2, 3), "dtype": hs.float16, "device": "cpu",
        "ordered": OrderedDict([("z", 1), ("a", 2)]), 3: {"nested": [{}]},
    }  # fmt: skip
    assert list(theirs["plain"]["ordered"]) == ["z", "a"]


def test_recorded_tensors(theirs: Any) -> None:
    t = theirs["tensors"]
    grid = np.arange(12.0).reshape(3, 4)
    assert t["transposed"].tolist() == grid.T.tolist()
    assert t["column"].tolist() == grid[:, 2].tolist()
    assert t["expanded"].tolist() == [[7] * 3] * 2
    assert (t["scalar"].format, t["scalar"].shape, t["scalar"].item()) == (hs.bfloat16, (), 3)
    assert (t["empty"].shape, t["empty"].format) == ((0, 4), hs.float32)
    assert isinstance(t["parameter"], hs.nn.Parameter)
    assert (t["parameter"].requires_grad, t["leaf"].requires_grad, t["same"].requires_grad) == (False, True, False)
    assert t["leaf"].format == hs.float64
    assert np.shares_memory(t["same"].array, t["column"].array)
    for name, values in (("mask", [[True, False]]), ("indices", [-(2**63), 2**63 - 1])):
        assert np.asarray(t[name]).tolist() == values
    for name in ("int32", "int16", "int8", "uint8"):
        assert np.asarray(t[name]).dtype == name
        assert np.asarray(t[name]).tolist() == [0, 1, 127]
    for name, codes in CODES.items():
        assert t[f"special.{name}"].format.name == name
        numbers = [c for c, x in zip(codes, t[f"special.{name}"].tolist(), strict=True) if x == x]
        found = [
            int(c) for c, x in zip(t[f"special.{name}"].bits(), t[f"special.{name}"].tolist(), strict=True) if x == x
        ]
        assert found == numbers


def test_recorded_states_load_into_a_model(theirs: Any) -> None:
    model = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.BatchNorm1d(2))
    assert list(theirs["model"]) == list(model.state_dict())
    model.load_state_dict(theirs["model"])
    np.testing.assert_array_equal(model[0].weight.numpy(), theirs["model"]["0.weight"].numpy())
    assert int(np.asarray(model[1].num_batches_tracked)) == 2
    optimizer = hs.optim.Adam(model.parameters())
    optimizer.load_state_dict(theirs["optimizer"])
    assert optimizer.state_dict()["param_groups"][0]["lr"] == 1e-3


def test_the_installed_pytorch_gives_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; its recorded files are tested")
    from tests.recorded.record_pt import content

    made = content()
    for zipped in (True, False):
        torch.save(made, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
        found = hs.load(tmp_path / "x.pt")
        for part in ("model", "tensors"):
            for name, value in made[part].items():
                ours = found[part][name]
                assert tuple(ours.shape) == tuple(value.shape)
                expected = value.detach()
                assert str(value.dtype) == f"torch.{ours.format.name}"
                np.testing.assert_array_equal(
                    ours.array, (expected.double() if value.is_floating_point() else expected).numpy()
                )
        model = torch.nn.LSTM(3, 4, 2)
        torch.save(model.state_dict(), tmp_path / "lstm.pth", _use_new_zipfile_serialization=zipped)
        mine = hs.nn.LSTM(3, 4, 2)
        mine.load_state_dict(hs.load(tmp_path / "lstm.pth"))
        x = torch.randn(5, 2, 3)
        out = mine(hs.tensor(x.numpy()))[0].numpy()
        np.testing.assert_allclose(out, model(x)[0].detach().numpy(), atol=1e-6)


def test_a_model_itself_is_refused_by_name(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"asks for torch.nn.modules.linear.Linear, which is not allowed") as caught:
        hs.load(tmp_path / "x.pt")
    assert str(caught.value).endswith("allowed: tensors and plain values")


# Hostile files: each is a pickle as the value of a file of PyTorch.


def zipped(data: bytes, storages: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for key, content in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", content)
    file.seek(0)
    return file


def tensor(
    size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, count: int = 4, kind: str = "FloatStorage"
) -> bytes:
    """A pickle of a tensor in storage "0", by hand."""

    def number(n: int) -> bytes:
        data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data

    numbers = [b"(" + b"".join(map(number, ns)) + b"t" for ns in (size, stride)]
    name = f"(X\x07\0\0\0storagectorch\n{kind}\nX\x01\0\0\x000X\x03\0\0\0cpu".encode() + number(count) + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    inner = name + number(offset) + numbers[0] + numbers[1] + b"\x89" + hooks
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + inner + b"tR."


FLOATS = {"0": struct.pack("<4f", 1, 2, 3, 4)}


def test_a_tensor_by_hand() -> None:
    assert hs.load(zipped(tensor((2, 2), (2, 1)), FLOATS)).tolist() == [[1, 2], [3, 4]]
    assert hs.load(zipped(tensor((3,), (0,), 3), FLOATS)).tolist() == [4, 4, 4]


TOUCHED: list[str] = []


def touch(*args: Any) -> None:
    TOUCHED.append("touched")


class Evil:
    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> Any:
        return self.call, self.args


class State:
    def __setstate__(self, state: Any) -> None:
        touch()

    def __reduce__(self) -> Any:
        return State, (), {"a": 1}


PICKLES: list[tuple[str, bytes, str]] = [
    *(
        (f"{evil.call.__name__}-{protocol}", pickle.dumps(evil, protocol), "which is not allowed")
        for evil in (Evil(eval, "1"), Evil(exec, "1"), Evil(getattr, 1, "real"), Evil(touch), Evil(__import__, "os"))
        for protocol in (0, 2, 4, 5)
    ),
    ("state", pickle.dumps(State(), 2), "asks for tests.checkpoint.test_saved.State"),
    (
        "system",
        b"cos\nsystem\n(X\x02\0\0\0lstR.",
        "asks for os.system, which is not allowed; allowed: tensors and plain",
    ),
    ("inst", b"(X\x02\0\0\0lsios\nsystem\n.", "has the instruction INST"),
    ("obj", b"(cos\nsystem\nX\x02\0\0\0lso.", "asks for os.system"),
    ("hidden", b"X\x02\0\0\0osX\x06\0\0\0system\x93)R.", "asks for os.system"),
    (
        "dotted",
        b"ctorch\n_utils._rebuild_tensor_v2.__globals__\n)R.",
        "asks for torch._utils._rebuild_tensor_v2.__glob",
    ),
    ("builtins", b"cbuiltins\ngetattr\n)R.", "asks for builtins.getattr"),
    ("extension", b"\x82\x01.", "has the instruction EXT1"),
    ("newobj_ex", b"ccollections\nOrderedDict\n)}\x92.", "has the instruction NEWOBJ_EX"),
    ("persid", b"Pname\n.", "has the instruction PERSID"),
    ("call a string", b"X\x02\0\0\0ls)R.", "calls a str, which is not allowed"),
    ("call a dtype", b"ctorch\nfloat16\n)R.", "calls a Format, which is not allowed"),
    ("call with no tuple", b"ctorch\nSize\n]R.", "calls a _Builder, which is not allowed"),
    ("state of a list", b"]}b.", "sets attributes of a list"),
    ("state of a builder", b"ccollections\nOrderedDict\n}b.", "sets attributes of a _Builder"),
    ("bytearray bomb", b"cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x01\x85R.", "makes a bytearray of no bytes"),
    ("encode", b"c_codecs\nencode\nX\x01\0\0\0aX\x03\0\0\0hex\x86R.", "encodes something that is no text"),
    ("tuple of tuples as a key", b"})\x85\x85K\x01s.", "has a key of type tuple"),
    ("list as a key", b"}]K\x01s.", "has a key of type list"),
    ("append to a tuple", b")K\x01a.", "puts items into a tuple"),
    ("no mark", b"K\x01e.", "takes more from its stack than there is"),
    ("mark as a value", b"(.", "takes more from its stack than there is"),
    ("no storage", b"ctorch._utils\n_rebuild_tensor_v2\n(NK\0))\x89NtR.", None),  # type: ignore[list-item]
    ("no storage but a string", b"ctorch._utils\n_rebuild_tensor_v2\n(X\x01\0\0\0aK\0))\x89NtR.", "of no storage"),
    ("unknown storage", b"X\x01\0\0\0aQ.", "names a storage in no way that PyTorch does"),
    ("complex storage", b"ctorch\nComplexFloatStorage\n.", "asks for torch.ComplexFloatStorage"),
    ("sparse", b"ctorch._utils\n_rebuild_sparse_tensor\n.", "asks for torch._utils._rebuild_sparse_tensor"),
    ("end", b"]", "load: the file"),
    ("no end of a line", b"c" + b"a" * 50, "load: the file"),
    ("long text", b"X\xff\xff\xff\x7fa.", "load: the file"),
    ("long number", b"\x8b\xff\xff\xff\x7fa.", "load: the file"),
    ("digits", b"L" + b"9" * 10_000 + b"L\n.", "load: the file"),
    ("memo", b"h\x05.", "load: the file"),
]


@pytest.mark.parametrize(("data", "words"), [row[1:] for row in PICKLES], ids=[row[0] for row in PICKLES])
def test_hostile_pickles_are_refused(data: bytes, words: str | None) -> None:
    if words is None:
        assert hs.load(zipped(data)) is None
        return
    with pytest.raises(ValueError, match=words) as caught:
        hs.load(zipped(data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not TOUCHED


LYING: list[tuple[str, Callable[[], io.BytesIO], str]] = [
    ("past the end", lambda: zipped(tensor((5,), (1,)), FLOATS), "ends at number 4 of a storage of 4"),
    ("offset", lambda: zipped(tensor((2,), (1,), 3), FLOATS), "ends at number 4 of a storage of 4"),
    ("negative stride", lambda: zipped(tensor((2,), (-1,), 2), FLOATS), "a tensor of no shape"),
    ("negative size", lambda: zipped(tensor((-1,), (1,)), FLOATS), "a tensor of no shape"),
    ("negative offset", lambda: zipped(tensor((1,), (1,), -1), FLOATS), "a tensor of no shape"),
    ("unlike lengths", lambda: zipped(tensor((1, 1), (1,)), FLOATS), "a tensor of no shape"),
    ("huge stride", lambda: zipped(tensor((2,), (2**62,)), FLOATS), "ends at number"),
    ("huge size", lambda: zipped(tensor((2**62,), (1,)), FLOATS), "ends at number"),
    ("wide number", lambda: zipped(tensor((2**70,), (0,)), FLOATS), "a tensor of no shape"),
    ("empty but huge", lambda: zipped(tensor((0, 2**40), (1, 1)), FLOATS), "an empty tensor of no shape"),
    ("count", lambda: zipped(tensor((1,), (1,), 0, 10**15), FLOATS), "says 4000000000000000 bytes of storage"),
    ("too few", lambda: zipped(tensor((1,), (1,), 0, 3), FLOATS), "says 12 bytes of storage"),
    ("negative count", lambda: zipped(tensor((1,), (1,), 0, -4), FLOATS), "names a storage in no way"),
    ("missing", lambda: zipped(tensor((1,), (1,))), "is damaged"),
    ("compressed", lambda: zipped(tensor((1,), (1,)), FLOATS, zipfile.ZIP_DEFLATED), "has a compressed member"),
    ("two kinds", lambda: zipped(tensor((1,), (1,))[:-1] + tensor((1,), (1,), 0, 2, "LongStorage")[2:-1] + b"\x86.",
                                 FLOATS), "says two things of storage '0'"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [row[1:] for row in LYING], ids=[row[0] for row in LYING])
def test_lying_files_are_refused_before_anything_is_made(make: Callable[[], io.BytesIO], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        hs.load(make())
    assert "\n" not in str(caught.value)


def test_many_views_take_no_more_memory_than_their_storage() -> None:
    many = b"\x80\x02(" + tensor((250_000,), (1,), 0, 250_000, "HalfStorage")[2:-1] * 2000 + b"l."
    found = hs.load(zipped(many, {"0": bytes(500_000)}))
    assert len(found) == 2000
    assert all(np.shares_memory(found[0].array, x.array) for x in found)
    vast = hs.load(zipped(tensor((2**20, 2**20), (0, 0)), FLOATS))
    assert vast.shape == (2**20, 2**20)


def test_deep_nesting_and_shared_parts_are_no_trouble() -> None:
    assert hs.load(zipped(b"]" * 1 + b"]a" * 5 + b".")) is not None
    doubled = b"]q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(60)) + b"0."
    with pytest.raises(ValueError, match="load: "):
        hs.load(zipped(doubled))


@pytest.mark.parametrize("name", FILES)
def test_damage_gives_one_line_or_other_numbers(name: str) -> None:
    data = (RECORDED / name).read_bytes()
    draw = np.random.default_rng(0)
    for _ in range(150):
        at, bit = int(draw.integers(len(data))), 1 << int(draw.integers(8))
        _try(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
    for end in draw.integers(0, len(data), 80):
        _try(data[:end])


def _try(data: bytes) -> None:
    told = ""
    try:
        hs.load(io.BytesIO(data))
    except ValueError as error:
        told = str(error)
    assert "\n" not in told
    assert len(told) < 400


def test_big_endian_numbers_are_read() -> None:
    file = zipped(tensor((4,), (1,)), {"0": struct.pack(">4f", 1, 2, 3, 4)})
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/byteorder", "big")
    file.seek(0)
    assert hs.load(file).tolist() == [1, 2, 3, 4]
