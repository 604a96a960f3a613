from __future__ import annotations

import json

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware import Device, device, devices, rows, unit_matmul

NAMED = [
    "P100", "V100", "T4", "RTX 2080 Ti", "RTX 3090", "RTX 4090", "L40S", "A2", "A100", "H100", "H200", "B200", "MI100",
    "MI250X", "MI300X", "Xeon Ice Lake", "Xeon Cooper Lake", "Xeon Sapphire Rapids", "Xeon Granite Rapids", "Zen 4",
    "Cortex-A76", "Apple M1", "Cortex-M4F", "Cortex-M55",
]  # fmt: skip


def test_the_catalogue_has_every_device_and_every_figure_a_source() -> None:
    assert [d.name for d in devices()] == NAMED
    for d in devices():
        assert d.evidence.split(":")[0] in ("GPU outputs", "literature", "executed", "documents")
        assert d.rounds
        assert d.subnormals
        assert d.accumulates
        assert set(d.support.values()) <= {"convert", "vector", "matrix"}
        assert "fp16" in d.support
        for figure in (*d.peaks.values(), d.bandwidth, d.memory):
            assert figure.value > 0
            assert figure.source
            assert figure.mark == figure.mark.strip()
        for fmt, kind in d.support.items():  # a unit that is claimed has a rate
            if kind == "matrix":
                assert f"{fmt} matrix" in d.peaks
            assert any(key.startswith(fmt) for key in d.peaks) or kind == "convert"


def test_rows_of_units_agree_with_what_is_said_of_support() -> None:
    for d in devices():
        taken = {row.inputs.split("_")[0] for name in d.units for row in rows(name).values()}
        assert taken == set(d.support), d.name


@pytest.mark.parametrize(
    ("word", "name"),
    [("a100", "A100"), ("NVIDIA A100", "A100"), ("rtx4090", "RTX 4090"), (" GeForce RTX 2080 Ti ", "RTX 2080 Ti"),
     ("ice lake", "Xeon Ice Lake"), ("cortex_a76", "Cortex-A76"), ("mi250", "MI250X"), ("APPLE M1", "Apple M1"),
     ("zen4", "Zen 4"), ("tesla-v100", "V100"), ("Intel Xeon Sapphire Rapids", "Xeon Sapphire Rapids")],
)  # fmt: skip
def test_names_are_read_as_people_write_them(word: str, name: str) -> None:
    assert device(word).name == name
    assert device(device(word)) is device(word)


@pytest.mark.parametrize(
    ("word", "text"),
    [("A10O", "did you mean 'A100'"), ("saphire rapids", "did you mean 'Xeon Sapphire Rapids'"), ("", "allowed: P100"),
     ("v1000", "did you mean 'V100'")],
)  # fmt: skip
def test_typos_name_the_nearest_in_one_line(word: str, text: str) -> None:
    with pytest.raises(ValueError, match="device: ") as error:
        device(word)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(TypeError, match="device: expected a name such as 'A100', got int"):
        device(100)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [("V100", {"inputs": "bf16"}, "V100: no unit takes bf16; allowed: fp16 to fp32, fp16 to fp16"),
     ("MI250X", {"accumulate": "fp16"}, "MI250X: no unit takes fp16 to fp16"),
     ("P100", {"accumulate": "fp32"}, "P100: no unit takes fp16 to fp32; allowed: fp16 to fp16"),
     ("Xeon Ice Lake", {"inputs": "bf16"}, "Xeon Ice Lake: no unit takes bf16; allowed: fp16 to fp32"),
     ("A100", {"inputs": "fp8_e4m3"}, "A100: no unit takes fp8_e4m3"),
     ("A100", {"inputs": "fp17"}, "inputs: 'fp17' is not allowed"),
     ("A100", {"accumulate": "fp17"}, "accumulate: 'fp17' is not allowed")],
)  # fmt: skip
def test_units_that_a_device_lacks_are_refused_in_one_line(name: str, options: dict[str, str], text: str) -> None:
    ones = np.ones((2, 2), np.float32)
    for call in (lambda d: d.matmul(ones, ones, **options), lambda d: d.precision(**options)):
        with pytest.raises(ValueError, match="allowed") as error:
            call(device(name))
        assert text in str(error.value)
        assert "\n" not in str(error.value)


def test_matmul_is_that_of_the_device_s_row(rng: np.random.Generator) -> None:
    a, b, c = (rng.normal(size=shape).astype(np.float16) for shape in ((2, 5, 40), (40, 3), (2, 5, 3)))
    for name, row in (("H100", rows("hopper")["fp16", "fp32"]), ("P100", rows("pascal")["fp16", "fp16"])):
        np.testing.assert_array_equal(device(name).matmul(a, b, c), unit_matmul(a, b, c, row))
    assert device("V100").matmul(a, b, accumulate="float16").dtype == np.float16
    narrow, wide = device("V100").matmul(a, b), device("H100").matmul(a, b)
    assert not np.array_equal(narrow, wide), "blocks of 4 and of 16 give other bits"


def test_mi250x_flushes_what_others_keep() -> None:
    tiny, one = np.full((1, 1), 2.0**-20), np.ones((1, 1))
    assert device("MI250X").matmul(tiny, one)[0, 0] == 0
    assert device("MI100").matmul(tiny, one)[0, 0] == 2.0**-20


@pytest.mark.parametrize("name", NAMED)
def test_a_model_runs_in_a_device_s_precision(name: str, rng: np.random.Generator) -> None:
    d = device(name)
    for inputs in d.support:
        inputs = "fp8_e4m3" if inputs == "fp8" else inputs
        precision = d.precision(inputs)
        assert hs.Precision(str(precision)) == precision
        a, b = (
            hs.round_to(rng.normal(size=s).astype(np.float32), d.unit(inputs).input_format) for s in ((4, 40), (40, 3))
        )
        with hs.precision(precision):
            y = hs.tensor(a) @ hs.tensor(b)
        expected = hs.round_to(d.matmul(a, b, inputs=inputs).astype(np.float32), y.format)
        np.testing.assert_array_equal(y.array, expected)


def test_a_device_s_precision_trains() -> None:
    model = hs.nn.Linear(8, 2)
    with hs.precision(device("MI250X").precision("fp16")):
        model(hs.tensor(np.ones((4, 8)), "fp16")).sum().backward()
    assert model.weight.grad is not None
    np.testing.assert_array_equal(model.weight.grad.array, np.full((2, 8), 4.0))


def test_ice_lake_only_converts_and_sapphire_rapids_computes() -> None:
    assert device("Ice Lake").support == {"fp16": "convert"}
    assert device("Cooper Lake").support == {"fp16": "convert", "bf16": "vector"}
    assert device("Sapphire Rapids").support == {"fp16": "vector", "bf16": "matrix"}
    assert device("Granite Rapids").support["fp16"] == "matrix"


def test_peaks_are_those_of_the_fastest_unit_for_a_format() -> None:
    assert device("A100").peak("fp16", True) == ("fp16 matrix", 312e12)
    assert device("A100").peak("fp16", False) == ("fp16 vector", 78e12)
    assert device("P100").peak("fp16", True) == ("fp16 vector", 21.2e12)
    assert device("MI250X").peak("fp32", True) == ("fp32 matrix", 95.7e12)
    assert device("Ice Lake").peak("fp16", True) == ("fp32 vector", 5.9e12)


def test_tables_fit_a_terminal_and_json_holds_everything() -> None:
    for text in (str(devices()), *map(str, devices())):
        assert max(map(len, text.split("\n"))) <= 100
    facts = json.loads(json.dumps(devices().to_dict(), allow_nan=False))
    assert [d["name"] for d in facts] == NAMED
    assert facts[8]["peak_tflops"]["fp16 matrix"]["value"] == 312
    assert not facts[4]["bandwidth_gb_per_s"]["verified"], "marked, as it was not read in the document"
    assert "unverified" in str(device("RTX 3090"))
    assert "312 TFLOP/s" in str(device("A100"))


def test_devices_are_values() -> None:
    assert isinstance(device("A100"), Device)
    with pytest.raises(AttributeError):
        device("A100").name = "B100"  # type: ignore[misc]
    with pytest.raises(TypeError):
        device("A100").peaks["fp16"] = 1  # type: ignore[index]


@pytest.mark.parametrize("name", ["A100", "H100", "MI300X"])
def test_tf32_drops_bits_inside_a_model_too(name: str, rng: np.random.Generator) -> None:
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 40), (40, 3)))
    with hs.precision(device(name).precision("tf32")):
        y = hs.tensor(a) @ hs.tensor(b)
    np.testing.assert_array_equal(y.array, device(name).matmul(a, b, inputs="tf32"))


def test_cores_with_arithmetic_of_their_own_round_every_step() -> None:
    computes = {name: str(device(name).precision("fp16").compute) for name in NAMED}
    halves = {name for name, compute in computes.items() if compute == "float16"}
    assert halves == {"Xeon Sapphire Rapids", "Cortex-A76", "Apple M1", "Cortex-M55"}


def test_mi300x_has_fp8_formats_of_its_own() -> None:
    """Their bias is one more than usual: 2**-10 is a number there, and half the smallest one elsewhere."""
    tiny, one = np.full((1, 1), 2.0**-10, np.float32), np.ones((1, 1), np.float32)
    for name, expected in (("MI300X", 2.0**-10), ("H100", 0.0)):
        with hs.precision(device(name).precision("fp8_e4m3")):
            assert (hs.tensor(tiny, "bf16") @ hs.tensor(one, "bf16")).item() == expected
