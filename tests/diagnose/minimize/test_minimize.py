from __future__ import annotations

import builtins
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim.diagnose.minimize.source import decimal, literal
from halfsim.numerics.formats import Format

ROOT = Path(hs.__file__).parents[1]
SCALE = 3.0
TABLE = np.array([1.0, 0.1], np.float32)


def run(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60)


def fails_alone(small: hs.Minimal, error: str = "AssertionError") -> None:
    """The script, with nothing around it, ends in this error."""
    assert small.self_contained
    kind, _, message = error.partition(": ")
    with np.errstate(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(getattr(builtins, kind), match=message or None):
            exec(compile(str(small), "script", "exec"), {"__name__": "__main__"})


def test_scripts_stand_alone(rng: np.random.Generator) -> None:
    cases = [
        (attention, tuple(hs.tensor(rng.standard_normal((4, 8)), "fp16") for _ in range(3))),
        (checked, rng.normal(0, 30, (20, 20))),
        (lambda x: np.exp(x) * SCALE, 800.5),
    ]
    for fn, inputs in cases:
        small = hs.minimize(fn, inputs)
        done = run(str(small))
        assert done.returncode == 1
        assert f'"<string>", line {len(str(small).splitlines())}, in <module>' in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("AssertionError"), done.stderr


def attention(q: Any, k: Any, v: Any) -> Any:
    """Without a scale, and without taking the largest score away."""
    scores = hs.ops.exp(q @ k.T * SCALE)
    return normalized(scores) @ v


def normalized(x: Any) -> Any:
    return x / x.sum(axis=-1, keepdims=True)


def checked(x: np.ndarray[Any, Any], *, limit: float = 2.0) -> None:
    assert np.abs(x).max() * TABLE[1] < limit, "too large"


def test_a_minimal_input_is_a_document() -> None:
    small = hs.minimize(lambda x: hs.ops.exp(hs.tensor(x, "fp16")), np.linspace(-40, 40, 100))
    facts = json.loads(small.to_json(), parse_constant=pytest.fail)
    assert (facts["failure"], facts["script"]) == ("returns infinity", small.script)
    assert facts["inputs"] == small.inputs.tolist()
    assert "import halfsim" in small.page()


def test_shapes_that_hang_together_shrink_together(rng: np.random.Generator) -> None:
    given_ = tuple(hs.tensor(rng.standard_normal((16, 32)), "fp16") for _ in range(3))
    before = [x.numpy() for x in given_]
    small = hs.minimize(attention, given_)
    assert isinstance(small.inputs, tuple)
    assert [x.shape for x in small.inputs] == [(1, 1)] * 3
    assert all(isinstance(x, hs.Tensor) and x.format == hs.float16 for x in small.inputs)
    assert (small.failure, small.before, small.after) == ("returns NaN", 3 * 512, 3)
    assert all(np.array_equal(x.numpy(), y) for x, y in zip(given_, before, strict=True))
    fails_alone(small)
    assert str(small).splitlines()[0] == f"# returns NaN, with 3 of 1,536 numbers ({small.evaluations} runs)"
    assert hs.minimize(attention, given_).script == small.script


def test_the_length_of_a_sum_that_stops_growing() -> None:
    with hs.precision("pure_fp16"):
        small = hs.minimize(hs.ops.sum, hs.tensor(np.ones(2100)), fails=lambda r: r.item() == 2048 != r.size)
    assert small.inputs.shape == (2048,)
    assert np.array_equal(small.inputs.numpy(), np.ones(2048))
    assert "with hs.precision('pure_fp16'):" in small.script
    assert "np.full((2048,), 1.0)" in small.script
    fails_alone(small)


def test_numbers_become_simple(rng: np.random.Generator) -> None:
    small = hs.minimize(lambda x: (x * x).mean(), hs.tensor(rng.normal(300, 40, (8, 50)), "fp16"))
    assert small.inputs.tolist() == [[small.inputs.item()]]
    value = small.inputs.item()
    assert value == float(f"{value:.0e}")
    fails_alone(small)


def test_a_failure_stays_the_same_failure() -> None:
    """Shrinking the overflow must not end at 0 / 0, which is NaN as well."""
    x = hs.tensor(np.linspace(0, 300, 64), "fp16")
    small = hs.minimize(lambda x: x * x / (x * x).sum(), x)
    assert (small.inputs.numpy().astype(float) ** 2).max() > 65504
    fails_alone(small)
    y = np.array([3.0, 0.0, 2.0])
    small = hs.minimize(lambda y: y / y, y)
    assert small.inputs.tolist() == [0.0]
    fails_alone(small)


def test_arrays_floats_keywords_and_other_arguments(rng: np.random.Generator) -> None:
    def scaled(x: Any, by: float, axis: int = 0, how: str = "") -> Any:
        assert how == "up"
        return {"total": (np.asarray(x) * by).sum(axis)}

    given_ = {"x": rng.normal(1, 0.1, (6, 7)).astype(np.float16), "by": 1234567.89, "axis": -1, "how": "up"}
    small = hs.minimize(scaled, given_)
    assert small.inputs["x"].shape == (1, 1)
    assert small.inputs["x"].dtype == np.float16
    assert (type(small.inputs["by"]), small.inputs["axis"], small.inputs["how"]) == (float, -1, "up")
    assert "how='up'" in small.script
    fails_alone(small)


def test_a_number_in_the_middle_of_many() -> None:
    x = np.zeros((3, 1000), np.float32)
    x[1, 600] = 7e4
    small = hs.minimize(lambda x: hs.tensor(x, "fp16") * 1.0, x, max_evaluations=60)
    assert small.inputs.tolist() == [[7e4]]


def test_a_function_that_writes_into_its_inputs() -> None:
    def careless(x: Any, y: Any) -> Any:
        x.array *= np.float32(1e4)
        y *= 2
        return x * 10.0

    x, y = hs.tensor(np.ones(5), "fp16"), np.ones(5)
    small = hs.minimize(careless, (x, y))
    assert x.tolist() == y.tolist() == [1.0] * 5
    assert [part.tolist() for part in small.inputs] == [[1.0], [0.0]]
    fails_alone(small)


def test_nested_inputs_and_indices() -> None:
    tables = [np.array([1.0, 2.0, np.float32(3e38)], np.float32), [np.array([2, 2, 1, 0])]]
    small = hs.minimize(lambda some: np.take(some[0], some[1][0]) * np.float32(10), (tables,))
    assert small.inputs[0][0].tolist() == [0.0, 0.0, float(np.float32(3e38))]
    assert small.inputs[0][1][0].tolist() == [2]
    fails_alone(small)


def test_exceptions(rng: np.random.Generator) -> None:
    small = hs.minimize(checked, rng.normal(0, 30, (20, 20)))
    assert small.failure.startswith("raises AssertionError: too large")
    assert small.inputs.shape == (1, 1)
    assert "TABLE = np.array([1.0, 0.1], np.float32)" in small.script
    fails_alone(small, "AssertionError: too large")
    with np.errstate(over="raise"):
        small = hs.minimize(np.exp, rng.normal(0, 500, 30))
    assert small.failure.startswith("raises FloatingPointError: overflow")
    assert "np.seterr(over='raise')" in small.script
    fails_alone(small, "FloatingPointError: overflow")

    def odd(x: Any) -> None:
        if x.size % 2:
            raise KeyError("odd")

    small = hs.minimize(odd, np.ones(7), fails=lambda outcome: isinstance(outcome, KeyError))
    assert small.inputs.tolist() == [0.0]
    fails_alone(small, "KeyError: 'odd'")


def test_a_judge_that_expects_no_exceptions() -> None:
    """Lengths of which the function can make nothing are not failures."""

    def pairs(x: Any) -> Any:
        return x.reshape(-1, 2).sum(axis=1)

    small = hs.minimize(pairs, np.arange(12.0), fails=lambda r: r.max() > 4)
    assert small.inputs.shape == (2,)
    fails_alone(small)


def test_what_has_no_source_is_left_to_the_reader() -> None:
    model = hs.nn.Linear(3, 1)
    x = hs.tensor(np.full((5, 3), 60000.0), "fp16")
    model.weight.array[:] = 1.0
    with hs.precision("fp16"):
        small = hs.minimize(model, x)
    assert not small.self_contained
    assert "function = ...  # put here: Linear" in small.script
    compile(small.script, "", "exec")
    assert model.weight.array.max() == 1.0
    small = hs.minimize(lambda x: model(x) * np.inf, x)
    assert not small.self_contained
    assert "# model must be defined here" in small.script
    made = eval("lambda x: x / 0 * x")
    assert "put here: <lambda>" in hs.minimize(made, hs.tensor([1.0])).script


def test_the_lambda_of_several_in_a_line() -> None:
    a, b = (lambda x: x + 1.0, lambda x: x * 1e300 * 1e300)
    small = hs.minimize(b, np.ones(3))
    assert "1e+300 * 1e+300" in small.script
    assert a(1.0) == 2.0
    fails_alone(small)


def test_runs_are_bounded_and_random_numbers_are_the_same_in_each() -> None:
    calls = []

    def noisy(x: Any) -> Any:
        calls.append((np.random.rand(), hs.nn.Linear(1, 1).weight.item()))
        return x * np.inf

    for most in (1, 2, 7):
        calls.clear()
        small = hs.minimize(noisy, np.linspace(1, 2, 100), max_evaluations=most)
        assert small.evaluations == len(calls) <= most
        assert len(set(calls)) == 1
    assert hs.minimize(noisy, np.linspace(1, 2, 1000)).evaluations < 60
    np.random.seed(5)
    first = np.random.rand()
    np.random.seed(5)
    hs.minimize(noisy, 1.0)
    assert np.random.rand() == first


@pytest.mark.parametrize(
    ("fn", "inputs", "options", "message"),
    [
        (3, 1.0, {}, "fn: 3 is not allowed; allowed: a function"),
        (np.exp, 1.0, {"fails": 3}, "fails: 3 is not allowed; allowed: a function"),
        (np.exp, 1.0, {"max_evaluations": 0}, "max_evaluations: 0 is not allowed; allowed: integers from 1"),
        (np.exp, 1.0, {"max_evaluations": "9"}, "max_evaluations: '9' is not allowed; allowed: integers"),
        (np.exp, 1.0, {}, "fn: it does not fail on these inputs, it returns finite numbers; allowed: inputs that fail"),
        (np.exp, np.inf, {}, "inputs: some are not finite already; allowed: finite inputs, or fails="),
        (np.exp, (), {}, "fn: it does not fail on these inputs, it raises TypeError"),
        (np.exp, np.zeros((0, 3)), {}, "fn: it does not fail"),
        (lambda x: object(), 1.0, {}, "fn: it returned object; allowed: numbers, tensors, or fails="),
    ],
)
def test_careless_inputs(fn: Any, inputs: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        hs.minimize(fn, inputs, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(
    st.sampled_from([hs.float16, hs.bfloat16, hs.float8_e4m3fn, hs.float8_e5m2, hs.float32, hs.float64]),
    st.floats(allow_nan=False),
)
def test_decimals_come_back(fmt: Format, x: float) -> None:
    value = hs.tensor([x], fmt.name).array[0]
    again = hs.tensor([eval(decimal(float(value), fmt), {"np": np})], fmt.name).array[0]
    assert again == value or (math.isnan(again) and math.isnan(value))
    assert np.isnan(value) or np.signbit(again) == np.signbit(value)


@settings(max_examples=40)
@given(
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just(...),
            st.builds(slice, st.integers(0, 3), st.none()),
            st.lists(st.floats(width=16), max_size=12).map(lambda x: np.array(x, np.float16)),
            st.lists(st.integers(-9, 9), max_size=3).map(lambda x: np.array(x, np.int32)),
            st.lists(st.floats(width=32), max_size=3).map(lambda x: hs.tensor(x, "bf16", requires_grad=True)),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2), st.tuples(inner), st.dictionaries(st.text(max_size=2), inner, max_size=2)
        ),
        max_leaves=4,
    )
)  # fmt: skip
def test_literals_come_back(value: Any) -> None:
    text = literal(value)
    assert text is not None
    assert same(eval(text, {"np": np, "hs": hs}), value)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, hs.Tensor):
        return (a.format, a.requires_grad) == (b.format, b.requires_grad) and same(a.array, b.array)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return type(a) is type(b) and (a == b or a != a)


@settings(max_examples=40)
@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20), st.integers(0, 10**6))
def test_whatever_fails_is_found_again_smaller(values: list[float], seed: int) -> None:
    """Where one number is to blame, one number is left."""
    draw = np.random.default_rng(seed)
    x = np.array([*values, 7e4 + draw.random() * 1e5])
    draw.shuffle(x)
    small = hs.minimize(lambda x: hs.tensor(x, "fp16") * 1.0, x)
    assert small.inputs.shape == (1,)
    assert small.inputs[0] == float(f"{small.inputs[0]:.0e}")
