from __future__ import annotations

import copy
import inspect
import itertools
import json
import pickle
import re

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware import Device, device, devices, rows, unit_matmul
from halfsim.hardware.catalogue import DOCUMENTS, FAMILIES
from halfsim.hardware.names import key

NAMED = [d.name for d in devices()]
WITH_UNITS = [d.name for d in devices() if d.units]
MARKS = ("derived: ", "quoted: ", "unverified: ", "conflicting: ")

# What people look for. Each answers, or says which products there are.
ASKED = [
    "P100", "P100 PCIe", "V100", "V100 PCIe", "T4", "RTX 2080 Ti", "RTX 3060", "RTX 3090", "RTX 4060", "RTX 4090",
    "RTX 4090D", "RTX 5090", "A2", "A10", "A40", "L4", "L40S", "Jetson AGX Orin", "A100", "A100 40 GB", "A100 PCIe",
    "A100 PCIe 40 GB", "H100", "H100 PCIe", "H100 NVL", "H200", "H800", "H20", "GH200", "B200", "GB200", "MI100",
    "MI210", "MI250", "MI250X", "MI300A", "MI300X", "MI325X", "MI355X", "RX 7900 XTX", "RX 9070 XT", "GPU Max 1550",
    "Arc A770", "Ice Lake", "Cooper Lake", "Sapphire Rapids", "Granite Rapids", "Zen 4", "Ryzen 9 7950X", "Kunpeng 920",
    "Cortex-A76", "Raspberry Pi 5", "Apple M1", "Apple M2", "Apple M3", "Apple M4", "Cortex-M4F", "Cortex-M55",
    "TPU v4", "TPU v5e", "TPU v5p", "Ascend 910", "Ascend 910A", "Ascend 910B", "Ascend 910C", "Kunlun K200",
    "Kunlun R200", "MLU370-X8", "Hygon K100 AI", "Adreno 740", "Mali-G710 MP7",
]  # fmt: skip

# The list of figures that research gathered by hand, apart from the catalogue: fp32, fp16, fp16 matrix, GB/s, GiB.
GATHERED = {
    "P100": (10.6, 21.2, None, 732, 16), "V100": (15.7, 31.4, 125, 900, 32), "T4": (8.1, 16.2, 65, 320, 16),
    "RTX 2080 Ti": (14.2, 28.5, 56.9, 616, 11), "A100": (19.5, 78, 312, 2039, 80),
    "A100 40 GB": (19.5, 78, 312, 1555, 40), "H100": (66.9, 133.8, 989.4, 3352, 80),
    "MI100": (23.1, 46.1, 184.6, 1229, 32), "MI250X": (47.9, 95.7, 383, 3277, 128),
    "MI300X": (163.4, 163.4, 1307.4, 5325, 192), "MI210": (22.6, 45.3, 181, 1638, 64),
    "MI250": (45.3, 90.5, 362.1, 3277, 128), "MI300A": (122.6, 122.6, 980.6, 5300, 128),
    "B200": (75, 150, 2250, 7700, 180), "Apple M1": (0.41, 0.82, None, 68.3, 16),
}  # fmt: skip


def test_every_figure_has_a_document_or_a_mark() -> None:
    used = set()
    for d in devices():
        assert d.evidence.split(":")[0] in ("GPU outputs", "literature", "executed", "documents", "none")
        assert d.rounds
        assert d.subnormals
        assert d.accumulates
        assert set(d.support.values()) <= {"convert", "vector", "matrix"}
        assert d.year == d.announced.value
        for name, figure in d.figures.items():
            assert figure.value > 0, name
            assert figure.documents, name
            used |= set(figure.documents)
            for document in figure.documents:
                assert document.publisher
                assert document.title
                assert any(c.isdigit() for c in document.edition), document
                assert str(document) in figure.source
            read = any(document.read for document in figure.documents)
            assert read or figure.mark.startswith(MARKS), (d.name, name, "rests on a document that was not read")
            assert "  " not in figure.mark
        for fmt, kind in d.support.items():  # a unit that is claimed has a rate, or the figure is not known
            if kind == "matrix":
                assert f"{fmt} matrix" in d.peaks
            assert any(rate.startswith(fmt) for rate in d.peaks) or kind == "convert"
        used |= set(d.described)
    assert used == set(DOCUMENTS.values()), "a document that no figure needs"


def test_wrong_arguments_get_one_line() -> None:
    for name in hs.hardware.__all__:
        function = getattr(hs.hardware, name)
        if inspect.isfunction(function):
            with pytest.raises(TypeError, match=rf"^{name}: nope= is not an option here; allowed: [^\n]+$"):
                function(nope=1)


def test_marks_and_sources_name_figures() -> None:
    from halfsim.hardware.catalogue import ROWS

    for row in ROWS:
        for table in (row.sources, row.marks):
            names = {name for names in table for name in names.split(", ")}
            assert names <= {"*", *row.figures}, row.name
        assert "*" in row.sources
        assert set(row.low) <= set(row.figures)


@pytest.mark.parametrize("name", GATHERED)
def test_figures_are_those_that_were_gathered_apart(name: str) -> None:
    d = device(name)
    peaks = [d.peaks[key].value if key in d.peaks else None for key in ("fp32", "fp16", "fp16 matrix")]
    assert (*peaks, d.bandwidth.value) == GATHERED[name][:4]
    assert d.memory.value * 1e9 == GATHERED[name][4] * 2**30


def test_memory_is_what_software_sees() -> None:
    assert device("A100").memory.value * 1e9 == pytest.approx(85.9e9, rel=1e-3)
    assert device("A100").memory.stated == "80 GiB"
    assert device("STM32F407").memory.value * 1e9 == 192 * 1024


def test_rows_of_units_agree_with_what_is_said_of_support() -> None:
    for d in devices():
        if d.units:
            taken = {row.inputs.split("_")[0] for name in d.units for row in rows(name).values()}
            assert taken == set(d.support), d.name


def test_what_people_look_for_answers_with_itself() -> None:
    for word in ASKED:
        d = device(word)
        words = {key(name) for name in (d.name, *d.aliases)}
        assert key(word) in words
    assert {device(word).name for word in ASKED} == set(NAMED)


def test_no_name_is_two_devices() -> None:
    names = [(key(name), d.name) for d in devices() for name in (d.name, *d.aliases)]
    assert len({word for word, _ in names}) == len(names)
    families = {key(word) for word in FAMILIES}
    assert not families & {word for word, _ in names}
    for products in FAMILIES.values():
        for product in products:
            device(product)


def test_an_alias_has_the_model_number_of_its_device() -> None:
    """MI210 was MI250X once, and Ryzen 7000 an EPYC: a number in an alias stands in the name or the product too."""
    for d in devices():
        for alias in d.aliases:
            numbers = [number for number in re.findall(r"\d+", alias) if len(number) > 2]
            assert all(number in f"{d.name} {d.product} {d.note}" for number in numbers), (d.name, alias)


@pytest.mark.parametrize(
    ("word", "name"),
    [("a100", "A100"), ("NVIDIA A100", "A100"), ("rtx4090", "RTX 4090"), (" GeForce RTX 2080 Ti ", "RTX 2080 Ti"),
     ("ice lake", "Xeon Ice Lake"), ("cortex_a76", "Cortex-A76"), ("mi250", "MI250"), ("APPLE M1", "Apple M1"),
     ("zen4", "Zen 4"), ("tesla-v100", "V100"), ("Intel Xeon Sapphire Rapids", "Xeon Sapphire Rapids"),
     ("NVIDIA A100-SXM4-40GB", "A100 40 GB"), ("NVIDIA A100 80GB PCIe", "A100 PCIe"), ("Tesla T4", "T4"),
     ("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA GeForce RTX 4090", "RTX 4090"), ("昇腾910", "Ascend 910A"),
     ("AMD Instinct MI300X", "MI300X"), ("RTX 4090D", "RTX 4090 D")],
)  # fmt: skip
def test_names_are_read_as_people_write_them(word: str, name: str) -> None:
    assert device(word).name == name
    assert device(device(word)) is device(word)


@pytest.mark.parametrize(
    ("word", "text"),
    [("A10O", "did you mean 'A100'"), ("saphire rapids", "did you mean 'Xeon Sapphire Rapids'"), ("", "allowed: P100"),
     ("v1000", "did you mean 'V100'"), ("MI300", "did you mean 'MI300X' or 'MI300A'"), ("H10", "did you mean 'H100'"),
     ("M4", "did you mean 'Apple M4' or 'Cortex-M4F'"), ("Ryzen 7000", "did you mean 'Ryzen 9 7950X'"),
     ("Jetson Orin", "did you mean 'Jetson AGX Orin'"), ("TPU", "'TPU v4' or 'TPU v5e' or 'TPU v5p'"),
     ("x" * 100_000, "device: 'xxx"), ("A1\n\0", "\\x00")],
)  # fmt: skip
def test_typos_and_families_name_the_nearest_in_one_line(word: str, text: str) -> None:
    with pytest.raises(ValueError, match="device: ") as error:
        device(word)
    assert text in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 300


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
     ("A100", {"accumulate": "fp17"}, "accumulate: 'fp17' is not allowed"),
     ("A100", {"instruction": "wgmma"}, "A100: instruction: 'wgmma' is not allowed (did you mean 'mma'?)"),
     ("H100", {"instruction": "tcgen05"}, "H100: instruction: 'tcgen05' is not allowed; allowed: wgmma, mma"),
     ("MI300X", {"instruction": "mma"}, "MI300X: instruction: 'mma' is not allowed; allowed: None"),
     ("TPU v4", {"inputs": "bf16"}, "TPU v4: no unit takes bf16, for nobody has described the bits of its sums"),
     ("MI355X", {}, "MI355X: no unit takes fp16, for nobody has described"),
     ("RX 9070 XT", {}, "RX 9070 XT: no unit takes fp16, for nobody has described"),
     ("Ascend 910A", {"inputs": "bf16"}, "Ascend 910A: no unit takes bf16, for nobody has described")],
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


@pytest.mark.parametrize(
    ("name", "legacy"), [("H100", "hopper_legacy"), ("H200", "hopper_legacy"), ("B200", "blackwell_legacy")]
)
@pytest.mark.parametrize("inputs", ["fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize("accumulate", [None, "fp32", "fp16"])
def test_the_older_instruction_has_bits_of_its_own(
    name: str, legacy: str, inputs: str, accumulate: str | None, rng: np.random.Generator
) -> None:
    d, fmt = device(name), device(name).unit(inputs).input_format
    a, b = (hs.round_to(rng.normal(size=shape).astype(np.float32), fmt) for shape in ((40, 96), (96, 40)))
    c = rng.normal(size=(40, 40)).astype(np.float32)
    given = {"inputs": inputs, "accumulate": accumulate}
    old, new = d.matmul(a, b, c, **given, instruction="mma"), d.matmul(a, b, c, **given)
    np.testing.assert_array_equal(old, unit_matmul(a, b, c, rows(legacy)[inputs, accumulate or "fp32"]))
    assert np.count_nonzero(old != new) > 300
    np.testing.assert_array_equal(d.matmul(a, b, c, **given, instruction=next(iter(_instructions(d)))), new)
    precision = d.precision(**given, instruction="mma")
    assert precision != d.precision(**given)
    assert ":mma" in str(precision.accumulate)
    assert hs.Precision(str(precision)) == precision
    with hs.precision(precision):
        y = hs.tensor(a, "bf16") @ hs.tensor(b, "bf16")
    product = d.matmul(a, b, **given, instruction="mma")
    np.testing.assert_array_equal(y.array, hs.round_to(product.astype(np.float32), y.format))
    tail = inputs if accumulate is None else f"{inputs}/{accumulate}"
    assert hs.Precision("bf16", accumulate=f"{name}:mma:{tail}").accumulate.format == precision.accumulate.format


def _instructions(d: Device) -> dict[str, str]:
    from halfsim.hardware.units import INSTRUCTIONS

    return INSTRUCTIONS[d.architecture]


def test_other_inputs_are_the_same_by_the_older_instruction(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 30, 30)).astype(np.float32)
    for name, inputs in itertools.product(("H100", "B200"), ("fp16", "bf16", "tf32")):
        d = device(name)
        np.testing.assert_array_equal(d.matmul(a, b, inputs=inputs, instruction="mma"), d.matmul(a, b, inputs=inputs))
    for name in ("V100", "T4", "A100", "RTX 4090", "RTX 5090"):  # have no newer one
        assert device(name).unit(instruction="mma") == device(name).unit()


def test_mi250x_flushes_what_others_keep() -> None:
    tiny, one = np.full((1, 1), 2.0**-20), np.ones((1, 1))
    assert device("MI250X").matmul(tiny, one)[0, 0] == 0
    assert device("MI100").matmul(tiny, one)[0, 0] == 2.0**-20


def test_a_card_that_software_sees_as_two_is_billed_as_one_of_them() -> None:
    card, one = device("MI250X"), device("MI250X").seen
    assert card.devices_seen == 2
    assert one.devices_seen == 1
    assert [one.peaks["fp16 matrix"].value, one.bandwidth.value] == [191.5, 1638.5]
    assert one.memory.value * 1e9 == 64 * 2**30
    assert one.seen is one
    assert one.matmul([[1.0]], [[1.0]]) == 1
    assert "one of 2 devices of MI250X" in one.memory.mark
    bill = hs.cost("mlp", 8, "MI250X").training["fp32"]
    assert bill.largest_model == 64 * 2**30 // 16
    assert {d.name for d in devices() if d.devices_seen > 1} == {
        "MI250", "MI250X", "GB200", "GPU Max 1550", "Ascend 910C"
    }  # fmt: skip


def test_a_device_without_a_rate_for_fp32_has_no_bill() -> None:
    with pytest.raises(ValueError, match="TPU v4: no rate is known for fp32; allowed: bf16 matrix"):
        hs.cost("mlp", 8, "TPU v4")


def test_base_clocks_are_no_ceiling() -> None:
    assert device("A100").ceiling
    assert device("EPYC 9654").ceiling
    for name in ("Cooper Lake", "Apple M1", "Apple M4"):
        assert not device(name).ceiling
        assert "no ceiling" in str(device(name))
    for d in devices():
        assert not d.ceiling or "base clock)" not in "".join(f.mark for f in d.peaks.values()), d.name


@pytest.mark.parametrize("name", WITH_UNITS)
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
    assert device("Ice Lake").peak("fp16", True) == ("fp32 vector", 7.68e12)


def test_tables_fit_a_terminal_and_json_holds_everything() -> None:
    for text in (str(devices()), *map(str, devices())):
        assert max(len(line) for line in text.split("\n") if "://" not in line) <= 100
    facts = json.loads(json.dumps(devices().to_dict(), allow_nan=False))
    assert [d["name"] for d in facts] == NAMED
    by_name = {d["name"]: d for d in facts}
    assert by_name["A100"]["peak_tflops"]["fp16 matrix"]["value"] == 312
    assert "1758950 r4" in by_name["A100"]["peak_tflops"]["fp16 matrix"]["source"]
    assert not by_name["A2"]["bandwidth_gb_per_s"]["verified"], "marked, as it was not read in the document"
    assert "unverified" in str(device("A2"))
    assert "312 TFLOP/s" in str(device("A100"))


def test_the_list_of_sources_is_whole() -> None:
    text = devices().sources()
    for d in devices():
        assert f"{d.name}, {d.vendor}" in text
    assert text.count("TFLOP/s [") == sum(len(d.peaks) for d in devices())
    for shorthand, document in DOCUMENTS.items():
        assert f"[{shorthand}] {document}" in text


def test_devices_are_values() -> None:
    assert isinstance(device("A100"), Device)
    with pytest.raises(AttributeError):
        device("A100").name = "B100"  # type: ignore[misc]
    with pytest.raises(TypeError):
        device("A100").peaks["fp16"] = 1  # type: ignore[index]
    for d in devices():
        for other in (pickle.loads(pickle.dumps(d)), copy.deepcopy(d), copy.copy(d)):
            assert other == d
            assert str(other) == str(d)


@pytest.mark.parametrize("name", ["A100", "H100", "MI300X"])
def test_tf32_drops_bits_inside_a_model_too(name: str, rng: np.random.Generator) -> None:
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 40), (40, 3)))
    with hs.precision(device(name).precision("tf32")):
        y = hs.tensor(a) @ hs.tensor(b)
    np.testing.assert_array_equal(y.array, device(name).matmul(a, b, inputs="tf32"))


def test_cores_with_arithmetic_of_their_own_round_every_step() -> None:
    computes = {name: str(device(name).precision("fp16").compute) for name in WITH_UNITS}
    halves = {name for name, compute in computes.items() if compute == "float16"}
    assert halves == {"Xeon Sapphire Rapids", "Cortex-A76", "Raspberry Pi 5", "Kunpeng 920", "Apple M1", "Apple M2",
                      "Apple M3", "Apple M4", "Cortex-M55"}  # fmt: skip


def test_mi300x_has_fp8_formats_of_its_own() -> None:
    """Their bias is one more than usual: 2**-10 is a number there, and half the smallest one elsewhere."""
    tiny, one = np.full((1, 1), 2.0**-10, np.float32), np.ones((1, 1), np.float32)
    for name, expected in (("MI300X", 2.0**-10), ("H100", 0.0)):
        with hs.precision(device(name).precision("fp8_e4m3")):
            assert (hs.tensor(tiny, "bf16") @ hs.tensor(one, "bf16")).item() == expected
