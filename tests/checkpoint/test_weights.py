"""Weights of other tools load as they are, and ours load there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim import checkpoint
from tests.checkpoint.test_tree import exactly
from tests.recorded.settings import CODES

RECORDED = Path(__file__).parents[1] / "recorded" / "weights.safetensors"
SPECIAL = [0.1, -0.0, float("inf"), float("-inf"), float("nan"), 1e-7, 6e-8]
FORMATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "tfloat32", "float16_ahp")


@pytest.fixture(params=[".npz", ".safetensors"])
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    return request.param


def test_weights_saved_by_pytorch_load_as_they_are() -> None:
    pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    found = checkpoint.load_weights(RECORDED)
    for name, codes in CODES.items():
        tensor = found.pop(f"special.{name}")
        assert tensor.format.name == name
        assert tensor.bits().tolist() == codes
        assert np.array_equal(tensor.array, hs.decode(codes, name), equal_nan=True)
    assert exactly(found.pop("scalar")) == exactly(hs.tensor(3.0, "bf16"))
    assert exactly(found.pop("empty")) == exactly(hs.tensor(np.zeros((0, 4)), "fp32"))
    assert exactly(found.pop("mask")) == exactly(hs.tensor([[True, False]]))
    assert exactly(found.pop("indices")) == exactly(hs.tensor(np.array([-(2**63), 2**63 - 1])))
    assert exactly(found.pop("bytes")) == exactly(hs.tensor(np.array([0, 255], np.uint8)))
    model = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.BatchNorm1d(2))
    model.load_state_dict(found)
    assert {name: exactly(value)[3:] for name, value in model.state_dict().items()} == {
        name: exactly(value)[3:] for name, value in found.items()
    }
    assert model.state_dict()["1.num_batches_tracked"] == 1


def test_our_weights_load_again(tmp_path: Path, suffix: str) -> None:
    state: dict[str, Any] = {name: hs.tensor(SPECIAL, name) for name in FORMATS}
    state |= {
        "mine": hs.tensor([1.5], hs.Format("mine", 4, 3)),
        "n": np.array(3),
        "m": np.array([True]),
        "a/b": np.ones(1),
    }
    checkpoint.save_weights(tmp_path / f"x{suffix}", state)
    found = checkpoint.load_weights(tmp_path / f"x{suffix}")
    state |= {"a/b": hs.tensor([1.0], "fp64"), "n": hs.tensor(3), "m": hs.tensor([True])}
    assert {key: exactly(value) for key, value in found.items()} == {
        key: exactly(value) for key, value in state.items()
    }
    found["n"] += 1


def test_a_model_and_a_checkpoint_of_it(tmp_path: Path, suffix: str) -> None:
    model = hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.BatchNorm1d(2)).to("bf16")
    checkpoint.save_weights(tmp_path / f"x{suffix}", model)
    checkpoint.save(tmp_path / f"y{suffix}", model, extra=[1])
    for name in "xy":
        found = checkpoint.load_weights(tmp_path / f"{name}{suffix}")
        assert {key: exactly(value) for key, value in found.items()} == {
            key: exactly(value) for key, value in model.state_dict().items()
        }
    checkpoint.save(tmp_path / f"z{suffix}", extra=[1])
    with pytest.raises(ValueError, match=r"a checkpoint without a model; it holds: nothing$"):
        checkpoint.load_weights(tmp_path / f"z{suffix}")


def test_archives_of_numpy(tmp_path: Path) -> None:
    arrays = {"a": np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)), "b": np.float16([0.1]), "c": np.int8(3)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        found = checkpoint.load_weights(tmp_path / "x.npz")
        assert exactly(found["a"]) == exactly(hs.tensor(arrays["a"], "fp32"))
        assert exactly(found["b"]) == exactly(hs.tensor([0.1], "fp16"))
        assert exactly(found["c"]) == exactly(hs.tensor(np.int8(3)))
    checkpoint.save_weights(tmp_path / "y.npz", {"b": hs.tensor([0.1], "fp16"), "c": hs.tensor([0.1], "bf16")})
    with np.load(tmp_path / "y.npz") as archive:
        assert exactly(archive["b"]) == exactly(np.float16([0.1]))
        assert archive["c"].tolist() == hs.tensor([0.1], "bf16").bits().tolist()


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("F8_E8M0", "float8_e8m0fnu"), ("F8_E4M3FNUZ", "float8_e4m3fnuz"), ("F8_E5M2FNUZ", "float8_e5m2fnuz")],
)
def test_eight_bit_dtypes_are_read_and_written(tmp_path: Path, dtype: str, name: str) -> None:
    safetensors = pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    header = json.dumps({"x": {"dtype": dtype, "shape": [3], "data_offsets": [0, 3]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes([1, 64, 100]))
    found = checkpoint.load_weights(tmp_path / "x.safetensors")["x"]
    assert found.dtype == getattr(hs, name)
    assert found.bits().tolist() == [1, 64, 100]
    checkpoint.save_weights(tmp_path / "y.safetensors", {"x": found})
    ((_, written),) = safetensors.deserialize((tmp_path / "y.safetensors").read_bytes())
    assert (written["dtype"], bytes(written["data"])) == (dtype, bytes([1, 64, 100]))


@pytest.mark.parametrize("dtype", ["F6_E2M3", "F4", "C64", "NO"])
def test_other_dtypes_are_refused(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    header = json.dumps({"x": {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match=r"x\.safetensors: no whole \.safetensors file: [^\n]*$"):
        checkpoint.load_weights(tmp_path / "x.safetensors")


def test_what_is_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(TypeError, match=r"^model: int is not allowed; allowed: a model, a mapping"):
        checkpoint.save_weights(path, 3)
    with pytest.raises(TypeError, match=r"^a: list is not allowed; allowed: Tensor, ndarray"):
        checkpoint.save_weights(path, {"a": [1.0]})
    with pytest.raises(TypeError, match=r"^model: name 3 is not allowed; allowed: strings"):
        checkpoint.save_weights(path, {3: np.ones(1)})
    with pytest.raises(TypeError, match=r"^a: dtype complex128 is not allowed"):
        checkpoint.save_weights(path, {"a": np.ones(1, complex)})
    with pytest.raises(ValueError, match=r"^name: 'a\\x00b' is not allowed in an \.npz file"):
        checkpoint.save_weights(path, {"a\0b": np.ones(1)})
    assert list(tmp_path.iterdir()) == []


def test_a_reserved_name(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="the extra safetensors is not installed")
    with pytest.raises(ValueError, match=r"^name: '__metadata__' is not allowed in a \.safetensors file"):
        checkpoint.save_weights(tmp_path / "x.safetensors", {"__metadata__": np.ones(1)})
    assert list(tmp_path.iterdir()) == []


def test_pytorch_reads_our_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    load_file = pytest.importorskip("safetensors.torch", reason="the extra safetensors is not installed").load_file
    state = {name: hs.tensor(SPECIAL, name) for name in FORMATS[:6]} | {"n": np.array(3), "m": np.array([True])}
    checkpoint.save_weights(tmp_path / "x.safetensors", state)
    checkpoint.save(tmp_path / "y.safetensors", extra=state)
    for file, prefix in (("x", ""), ("y", "extra.")):
        found = load_file(tmp_path / f"{file}.safetensors")
        for name in FORMATS[:6]:
            assert found[prefix + name].dtype == getattr(torch, name)
            wide = found[prefix + name].to(torch.float64).numpy()
            assert np.array_equal(wide, state[name].array.astype(np.float64), equal_nan=True)
        assert found[f"{prefix}n"].dtype == torch.int64
        assert found[f"{prefix}m"].tolist() == [True]
