from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.policy import as_rule
from halfsim.autograd.scope import resolve, resolve_for


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
        assert resolve("linear", "fp16", hs.float32) == hs.FP16


@pytest.mark.parametrize("spec", ["fp17", "half precision", "storage=nope"])
def test_unknown_precisions_fail_when_named(spec: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        hs.precision(spec)
    assert "\n" not in str(caught.value)


def test_format_names_are_precisions_too() -> None:
    with hs.precision("float16"):
        assert format_of_sum() == "float16"
    with pytest.raises(
        TypeError, match="precision: int is not allowed; allowed: a Precision, a Policy, a Format, a str"
    ):
        hs.precision(3)


@pytest.mark.parametrize(
    ("spec", "preset"),
    [
        (hs.float16, "fp16"),
        (np.float16, "fp16"),
        (np.dtype("float32"), "fp32"),
        (hs.bfloat16, "bf16"),
        (hs.float64, "fp64"),
        (hs.tfloat32, "tf32"),
        (hs.float8_e5m2, "storage=float8_e5m2"),
        (hs.Format("float16", 4, 12), None),
    ],
)
def test_a_format_names_its_preset(spec: object, preset: str | None) -> None:
    expected = hs.Precision(storage=spec) if preset is None else hs.Precision(preset)
    assert as_rule(spec) == expected
    with hs.precision(spec):
        assert (hs.tensor([1.0]) + 1).format == expected.storage


def test_role_strings_work_as_scopes() -> None:
    with hs.precision("storage=fp16, compute=fp16"):
        assert format_of_sum() == "float16"


class object_:  # noqa: N801  # weakly referenced
    pass


LAYERS = ["encoder", "encoder.layers", "encoder.layers.0", "encoder.layers.0.norm", "encoder.layers.0.fc", "head"]


@pytest.mark.parametrize(
    ("rules", "op", "path", "expected"),
    [
        ({"default": "fp32", "encoder.*": "fp16"}, "linear", "encoder.layers.0.fc", "float16"),
        ({"default": "fp32", "encoder.*": "fp16"}, "linear", "encoder", "float32"),
        ({"default": "fp32", "encoder": "fp16"}, "linear", "encoder.layers.0.fc", "float16"),
        ({"default": "fp32", "encoder": "fp16"}, "linear", "encoders", "float32"),
        ({"*.norm": "fp32", "encoder.*": "fp16"}, "mul", "encoder.layers.0.norm", "float32"),
        ({"encoder.layers.0": "fp16", "encoder.*": "fp32"}, "mul", "encoder.layers.0.fc", "float16"),
        ({"encoder.layers.0": "fp16", "*.norm": "fp32"}, "mul", "encoder.layers.0.norm", "float32"),
        ({"*": "fp16", "default": "fp32"}, "mul", "head", "float16"),
        ({"*": "fp16", "default": "fp32"}, "mul", "", "float32"),
        ({"@mul": "bf16", "head": "fp16"}, "mul", "head", "bfloat16"),
        ({"@mu*": "bf16", "@mul": "fp16"}, "mul", "head", "float16"),
        ({"@mul": "bf16", "head@mul": "fp16"}, "mul", "head", "float16"),
        ({"head@mul": "fp16", "default": "fp32"}, "mul", "encoder", "float32"),
        ({"default": "amp", "head": "fp32"}, "linear", "encoder", "float16"),
        ({"default": "amp", "head": "fp32"}, "linear", "head", "float32"),
        ({"head": "bf16", "hea?": "fp16"}, "linear", "head", "bfloat16"),
    ],
)
def test_the_most_specific_rule_wins(rules: dict[str, str], op: str, path: str, expected: str) -> None:
    category = {"linear": "fp16"}.get(op)
    assert hs.Policy(rules).precision(op, path, category).storage.name == expected


def test_a_policy_round_trips_through_its_string() -> None:
    policy = hs.Policy(
        {
            "default": "amp",
            "encoder.*": "storage=fp16, accumulate=fp16:blocked(16)",
            "*.norm": "fp32",
            "@softmax": "tf32",
        }
    )
    assert hs.Policy(str(policy)) == policy
    with hs.precision(str(policy)):
        pass
    assert str(hs.AMP) == "amp"
    assert hs.Policy("fp16").precision("mul").storage == hs.float16


def test_an_operation_that_does_not_exist_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="'@sofmax'.*'?@softmax"):
        hs.Policy({"@sofmax": "fp32"})
    with pytest.raises(ValueError, match="policy: 3 is not allowed"):
        hs.Policy({3: "fp32"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="policy: 'fc1:' is not allowed"):
        hs.Policy("fc1:")


def test_paths_are_checked_against_a_model() -> None:
    hs.Policy({"*.norm": "fp32", "encoder.layers": "fp16", "default": "fp32"}).check(object_(), LAYERS)
    with pytest.raises(ValueError, match="'encodr'.*encoder"):
        hs.Policy({"encodr": "fp16"}).check(object_(), LAYERS)
    with pytest.raises(ValueError, match="'head2@mul'"):
        hs.Policy({"head2@mul": "fp16"}).check(object_(), LAYERS)


def test_a_policy_rules_operations_by_name() -> None:
    x = hs.tensor([[1.0, 2.0]])
    with hs.precision({"default": "fp32", "@softmax": "fp16"}):
        assert hs.ops.softmax(x).format == hs.float16
        assert hs.ops.exp(x).format == hs.float32


def net() -> hs.nn.Sequential:
    return hs.nn.Sequential(hs.nn.Linear(4, 4), hs.nn.Sequential(hs.nn.LayerNorm(4), hs.nn.Linear(4, 2)))


def test_a_path_that_no_module_has_is_an_error_when_the_model_runs() -> None:
    model, x = net(), hs.tensor(np.ones((1, 4)), "fp32")
    with hs.precision({"default": "fp32", "1.O": "fp16"}), pytest.raises(ValueError, match="policy: '1.O'.*1.0"):
        model(x)
    model.precision = {"2": "fp16"}
    with pytest.raises(ValueError, match="policy: '2'"):
        model(x)
    model.precision = None
    with hs.precision({"default": "fp32", "1.0": "fp16"}):
        assert model(x).format == hs.float32
        assert hs.nn.CrossEntropyLoss()(model(x), [0]).format == hs.float32  # has no modules of these names


def test_paths_of_a_modules_own_policy_begin_at_that_module() -> None:
    model, x = net(), hs.tensor(np.ones((1, 4)), "fp32")
    model[1].precision = {"default": "fp32", "1": "fp16"}
    assert model(x).format == hs.float16
    with hs.precision("fp32", override=True):
        assert model(x).format == hs.float32


def test_composed_functions_go_by_their_names() -> None:
    x = hs.tensor([[1.0, 2.0]])
    with hs.precision({"default": "fp32", "@cross_entropy": "fp16"}):
        assert hs.nn.cross_entropy(x, [0]).format == hs.float16
        assert hs.ops.log_softmax(x).format == hs.float32


def test_a_scope_can_be_entered_again() -> None:
    x = hs.tensor([1.0], requires_grad=True)
    half, quiet = hs.precision("fp16"), hs.no_grad()
    for _ in range(2):
        with half, quiet, half:
            assert (x + 1).format is hs.float16
            assert not (x + 1).requires_grad
        assert (x + 1).format is hs.float32
        assert (x + 1).requires_grad

    @hs.no_grad
    def f() -> bool:
        return (x + 1).requires_grad

    assert not f()


def test_a_decorated_function_draws_the_same_numbers_each_time() -> None:
    @hs.precision("storage=fp16, rounding=stochastic(seed=1)")
    def f() -> list[float]:
        return (hs.tensor(np.full(50, 2048.0)) + 1).tolist()

    assert f() == f()


def test_a_policy_shows_its_string() -> None:
    assert repr(hs.Policy({"default": "fp32", "@softmax": "fp16"})) == "Policy('default: fp32; @softmax: fp16')"
