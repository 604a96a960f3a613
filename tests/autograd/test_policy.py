from __future__ import annotations

import pytest

import halfsim as hs
from halfsim.autograd.policy import resolve, resolve_for


def format_of_sum(**kwargs: object) -> str:
    return (hs.tensor([1.0]) + hs.tensor([1.0])).format.name


def test_without_a_scope_operands_decide() -> None:
    half, single = hs.tensor([1.0], "fp16"), hs.tensor([1.0], "fp32")
    assert (half + half).format is hs.float16
    assert (half + single).format is hs.float32
    assert (hs.tensor([1.0], "bf16") + half).format is hs.float32


def test_the_innermost_scope_wins_unless_one_overrides() -> None:
    with hs.precision("fp32"):
        with hs.precision("fp16"):
            assert format_of_sum() == "float16"
        assert format_of_sum() == "float32"
    with hs.precision("fp64", override=True), hs.precision("fp16"):
        assert format_of_sum() == "float64"


def test_scopes_end_when_an_error_passes_through() -> None:
    with pytest.raises(KeyError), hs.precision("fp16"):
        raise KeyError
    assert format_of_sum() == "float32"


def test_amp_follows_pytorchs_lists() -> None:
    single = hs.tensor([[1.0, 2.0]], "fp32")
    half = single.half()
    with hs.precision("amp"):
        assert (single @ single.T).format is hs.float16
        assert hs.ops.exp(half).format is hs.float32
        assert hs.ops.relu(half).format is hs.float16
        assert (half + single).format is hs.float32
        assert (1 / half).format is hs.float32, "a reciprocal is in PyTorch's float32 list"
        assert hs.nn.cross_entropy(half, [0]).format is hs.float32
        assert (single.double() @ single.double().T).format is hs.float64


def test_optimizers_keep_to_their_parameters_format() -> None:
    assert resolve_for(hs.float16) == hs.FP16
    with hs.precision("pure_fp16"):
        assert resolve_for(hs.float16) == hs.PURE_FP16
        assert resolve_for(hs.float32) == hs.FP32
    with hs.precision("amp"):
        assert resolve_for(hs.float32) == hs.FP32
        assert resolve("fp16", hs.float32) == hs.FP16


@pytest.mark.parametrize("spec", ["fp17", "half precision", "storage=nope"])
def test_unknown_precisions_fail_when_named(spec: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        hs.precision(spec)
    assert "\n" not in str(caught.value)


def test_format_names_are_precisions_too() -> None:
    with hs.precision("float16"):
        assert format_of_sum() == "float16"
    with pytest.raises(TypeError, match="allowed: a Precision, a Policy, a string"):
        hs.precision(hs.float16)


def test_role_strings_work_as_scopes() -> None:
    with hs.precision("storage=fp16, compute=fp16"):
        assert format_of_sum() == "float16"
