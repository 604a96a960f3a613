"""What a model's conversion to another format loses is counted, told, and warned of where it matters."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import halfsim as hs


def model() -> hs.nn.Module:
    net = hs.nn.Sequential(hs.nn.Linear(4, 1), hs.nn.BatchNorm1d(1))
    net.load_state_dict(
        {
            **net.state_dict(),
            "0.weight": [[70000.0, -65519.0, 1e-9, 2.0**-20]],
            "0.bias": [0.1],
            "1.running_var": [1e6],
        }
    )
    return net


def test_each_loss_is_counted_by_parameter() -> None:
    net = model()
    report = hs.nn.conversion_report(net, "fp16")
    assert net.conversion is None
    assert net[0].weight.format is hs.float32
    weight, bias, *_, variance = report.rows
    assert (weight.name, weight.size, weight.nonzero) == ("0.weight", 4, 4)
    assert (weight.to_infinity, weight.to_zero, weight.to_subnormal, weight.lost) == (1, 1, 1, 3)
    assert weight.largest_relative_error == pytest.approx(15 / 65519)
    assert (bias.lost, bias.largest_relative_error) == (
        0,
        pytest.approx(abs(float(np.float16(0.1)) / float(np.float32(0.1)) - 1)),
    )
    assert (variance.name, variance.to_infinity) == ("1.running_var", 1)
    assert (report.size, report.to_infinity, report.to_zero, report.to_subnormal) == (9, 2, 1, 1)
    assert report.format is hs.float16
    assert [row.name for row in report.worst()] == ["0.weight", "1.running_var"]


def test_converting_reports_and_warns_in_one_line() -> None:
    net = model()
    with pytest.warns(hs.nn.ConversionWarning) as caught:
        assert net.to(hs.float16) is net
    (warning,) = caught
    assert str(warning.message) == (
        "to(float16) made 2 values infinite and 1 zero of 9, most in 0.weight; see model.conversion"
    )
    assert warning.filename == __file__
    assert net.conversion == hs.nn.conversion_report(model(), "fp16")
    assert net[0].weight.numpy().tolist() == [[np.inf, -65504, 0, 2.0**-20]]
    table = str(net.conversion).splitlines()
    assert table[0].split() == [
        "to",
        "float16",
        "values",
        "infinite",
        "to",
        "zero",
        "to",
        "subnormal",
        "relative",
        "error",
    ]
    assert [line.split()[0] for line in table[1:]] == ["0.weight", "1.running_var", "all"]


def test_nothing_lost_is_said_in_a_sentence() -> None:
    net = hs.nn.Linear(2, 2)
    text = str(net.half().conversion)
    assert text.startswith("float16: of 6 values none became infinite, zero or subnormal; largest relative error ")
    for other in (net.half(), net.float(), net.double(), net.bfloat16()):
        assert other.conversion is not None
        assert other.conversion.to_infinity == other.conversion.to_zero == other.conversion.to_subnormal == 0
    assert hs.nn.conversion_report(hs.nn.ReLU(), "fp16").rows == ()
    assert "of 0 values" in str(hs.nn.conversion_report(hs.nn.ReLU(), "fp16"))


def test_a_few_tiny_weights_of_many_are_counted_without_a_warning() -> None:
    """Some of a million random weights are always below half of the smallest subnormal."""
    net = hs.nn.Linear(2000, 1, bias=False)
    values = np.full((1, 2000), 0.5)
    for count, warned in ((2, False), (3, True)):
        values[0, :count] = 1e-9
        net.float().load_state_dict({"weight": values})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            net.half()
        assert net.conversion is not None
        assert net.conversion.to_zero == count
        assert bool(caught) == warned


def test_special_values_and_formats() -> None:
    net = hs.nn.Linear(5, 1, bias=False)
    net.load_state_dict({"weight": [[np.nan, np.inf, 0.0, -0.0, 500.0]]})
    row = hs.nn.conversion_report(net, "float8_e4m3fn").rows[0]
    assert (row.nonzero, row.to_infinity, row.to_zero) == (1, 1, 0), "overflow of this format is NaN"
    net.load_state_dict({"weight": [[2.0**-20] * 5]})
    half = hs.nn.conversion_report(net, "fp16").rows[0]
    assert half.to_subnormal == 5
    net.half()
    assert net.conversion is not None
    assert net.conversion.to_subnormal == 5
    assert hs.nn.conversion_report(net, "fp16").to_subnormal == 0, "they were subnormal before"
    assert hs.nn.conversion_report(net, "fp32").worst() == []


def test_tied_weights_are_converted_once() -> None:
    a, b = hs.nn.Linear(2, 2, bias=False), hs.nn.Linear(2, 2, bias=False)
    b.weight = a.weight
    assert len(hs.nn.conversion_report(hs.nn.Sequential(a, b), "fp16").rows) == 1


@pytest.mark.parametrize("spec", ["fp17", "gpu"])
def test_formats_are_known(spec: str) -> None:
    with pytest.raises(ValueError, match=f"format: '{spec}' is not allowed"):
        hs.nn.Linear(1, 1).to(spec)
    with pytest.raises(ValueError, match="format"):
        hs.nn.conversion_report(hs.nn.Linear(1, 1), spec)


def test_only_modules_are_converted() -> None:
    with pytest.raises(TypeError, match="model: int is not allowed; allowed: Module"):
        hs.nn.conversion_report(3, "fp16")  # type: ignore[arg-type]


def test_loading_tells_what_rounding_cost() -> None:
    """The state of a float32 model, loaded into one that is in bfloat16: the weights are rounded for good."""
    net = hs.nn.Linear(3, 2)
    state = net.state_dict()
    assert net.load_state_dict(state) == ([], [])
    assert net.conversion is None, "nothing was rounded"
    net.to("bf16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.load_state_dict(state)
    found = net.conversion
    assert found is not None
    assert [row.name for row in found.rows] == ["weight", "bias"]
    assert 0 < found.largest_relative_error <= 2.0**-8
    assert found.format is hs.bfloat16
    net.load_state_dict({"weight": np.zeros((2, 3)), "bias": [1.0, 2.0]})
    assert net.conversion is found, "the latest that rounded"


def test_loading_warns_of_infinities_and_zeros() -> None:
    net = hs.nn.Linear(2, 1, bias=False).to("fp16")
    with pytest.warns(hs.nn.ConversionWarning) as caught:
        net.load_state_dict({"weight": np.array([[1e6, 1e-9]], np.float32)})
    (warning,) = caught
    assert str(warning.message) == (
        "load_state_dict made 1 values infinite and 1 zero of 2, most in weight; see model.conversion"
    )
    assert warning.filename == __file__
    assert str(net.conversion).split()[:2] == ["to", "float16"]


def test_loading_under_a_wider_precision_rounds_nothing() -> None:
    net = hs.nn.Linear(3, 2).to("fp16")
    with hs.precision("fp32"):
        before = net.conversion
        net.load_state_dict(hs.nn.Linear(3, 2).state_dict())
    assert net.conversion is before


@pytest.mark.parametrize(
    ("format", "past", "values", "lost"),
    [
        ("float16", "infinite", [65519.0, 65520.0, 1.0], 1),
        ("float8_e4m3fnuz", "NaN", [247.0, 249.0, -1.0], 1),
        ("float4_e2m1fn", "clipped", [6.5, 7.5, -100.0], 2),
        ("float8_e8m0fnu", "NaN", [0.0, -1.0, 2.0], 2),
    ],
)
def test_what_is_past_a_format_is_named_by_what_became_of_it(
    format: str, past: str, values: list[float], lost: int
) -> None:
    model = hs.nn.Linear(3, 1, bias=False)
    model.weight = hs.nn.Parameter([values])
    report = hs.nn.conversion.conversion_report(model, format)
    assert (report.to_infinity, report.past) == (lost, past)
    with pytest.warns(hs.nn.conversion.ConversionWarning, match=f"made {lost} values {past} and 0 zero of 3"):
        model.to(format)
