"""The array API's functions have the standard's signatures and NumPy's results, and run on the simulated unit."""

from __future__ import annotations

import inspect
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim import array_api as xp
from tests.array_api.calls import Draw
from tests.array_api.judging import NAMES, NOT_DRAWN, NOT_NUMPYS, SKIPPED, _quiet, agree, ours, property_of
from tests.array_api.page import names, page
from tests.array_api.standard import FUNCTIONS, LINALG

STANDARD = FUNCTIONS.strip().splitlines() + [f"linalg.{row}" for row in LINALG.strip().splitlines()]
PAGE = Path(__file__).parents[2] / "docs" / "array_api.md"
EXAMPLES = 6
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "eq", "ne", "ge", "gt",
             "and_", "or_", "xor")  # fmt: skip


@pytest.mark.parametrize("row", STANDARD, ids=[row.partition("(")[0] for row in STANDARD])
def test_every_function_has_the_standards_signature(row: str) -> None:
    name = row.partition("(")[0]
    if name in SKIPPED:
        with pytest.raises(AttributeError, match="is left out: |has no attribute"):
            getattr(xp.linalg, name.removeprefix("linalg."))
        return
    function = getattr(xp.linalg if "." in name else xp, name.removeprefix("linalg."))
    bare = [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    assert name + str(inspect.Signature(bare)) == row.replace("expand_dims(x, /, *, axis", "expand_dims(x, /, axis")
    assert function.__doc__


def test_every_function_is_called_below_or_has_a_reason() -> None:
    asked = {row.partition("(")[0] for row in STANDARD}
    assert asked - NAMES.keys() - SKIPPED.keys() == {*NOT_DRAWN, *NOT_NUMPYS}
    assert len(names(FUNCTIONS)) == 133


@pytest.mark.parametrize("name", NAMES)
def test_values_shapes_and_dtypes_are_numpys(name: str) -> None:
    if not hasattr(np.linalg if "." in name else np, name.removeprefix("linalg.")):
        pytest.skip("this NumPy is older than the standard")
    property_of(name, NAMES[name], EXAMPLES)()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_numpys(name: str) -> None:
    apply = getattr(operator, name)
    kind = {"truediv": "floating", "and_": "whole", "or_": "whole", "xor": "whole"}.get(name, "real")

    @settings(_quiet, max_examples=EXAMPLES)
    @given(st.data())
    def holds(data: Any) -> None:
        d = Draw(data)
        dtype = d.dtype(kind)
        shapes = ((2, 3), (3, 2)) if name == "matmul" else ((2, 3), (3,))
        a, b = (d.array(shape=s, dtype=dtype, tame=True) for s in shapes)
        b = (
            np.where(b == 0, b.dtype.type(1), np.abs(b))
            if b.dtype.kind in "iu" and name in ("floordiv", "mod", "pow")
            else b
        )
        agree(apply(ours(a), ours(b)), apply(a, b), False)

    holds()


def test_a_number_on_either_side_adopts_the_dtype() -> None:
    x = xp.asarray([1.0, 2.0], dtype=xp.float32)
    for y in (2 - x, 2.0 / x, 2**x, x**2, 3.5 % x, 3 // x, xp.add(x, 1), xp.multiply(2.5, x), xp.maximum(x, 1)):
        assert y.dtype == xp.float32
    assert xp.add(xp.asarray([1], dtype=xp.int8), 1).dtype == xp.int8
    assert xp.where(x > 1, x, 0).dtype == xp.float32
    with pytest.raises(TypeError, match="allowed: arrays of this namespace"):
        xp.add(x, "1")
    with pytest.raises(TypeError, match="numbers alone are not allowed"):
        xp.add(1, 2)


def test_functions_promote_arrays_without_axes_and_operators_do_not() -> None:
    x, y = xp.ones((2,), dtype=xp.float32), xp.ones((), dtype=xp.float64)
    assert xp.add(x, y).dtype == xp.result_type(x, y) == xp.float64
    assert (x + y).dtype == xp.float32
    with pytest.raises(TypeError, match="uint64 beside a signed dtype"):
        xp.result_type(xp.uint64, xp.int8)


def test_the_namespace_is_that_of_tensors() -> None:
    x = hs.tensor([[1.0, 2.0], [3.0, 4.0]], "fp16")
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is hs.array_api
    assert xp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match="api_version: '1999.01' is not allowed; allowed: 2021.12"):
        x.__array_namespace__(api_version="1999.01")
    assert x.to_device(x.device) is x.to_device("cpu") is x
    with pytest.raises(ValueError, match="device: cuda"):
        x.to_device("cuda")
    assert (x.size, x.ndim, x.shape) == (4, 2, (2, 2))
    assert x.mT.tolist() == x.T.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert (xp.pi, xp.e, xp.inf, xp.newaxis) == (np.pi, np.e, np.inf, None)
    assert np.isnan(xp.nan)
    assert xp.from_dlpack(x).dtype == xp.float16
    assert all(hasattr(xp, name) for name in xp.__all__)


def test_dtypes_and_what_may_be_asked_of_them() -> None:
    info = xp.__array_namespace_info__()
    assert info.default_dtypes() == {"real floating": hs.float32, "integral": hs.int64, "indexing": hs.int64}
    with hs.precision("fp16"):
        assert info.default_dtypes()["real floating"] == xp.zeros((2,)).dtype == hs.float16
        assert xp.asarray([1, 2]).dtype == hs.int64
    assert info.devices() == [info.default_device()] == [hs.tensor(1).device]
    assert info.capabilities()["boolean indexing"]
    assert list(info.dtypes(kind="real floating")) == ["float32", "float64"]
    assert len(info.dtypes()) == 11
    assert info.dtypes(kind=("bool", "complex floating")) == {"bool": xp.bool}
    assert xp.finfo(xp.float16)[:5] == (16, 2**-10, 65504.0, -65504.0, 2**-14)
    assert xp.finfo(hs.tensor([1.0], "bf16")).dtype == xp.bfloat16
    assert xp.iinfo(xp.int8) == (8, 127, -128, xp.int8)
    for wrong in (lambda: xp.finfo(xp.int8), lambda: xp.iinfo(xp.bool), lambda: xp.mean(xp.asarray([1]))):
        with pytest.raises(TypeError, match="is not allowed; allowed: "):
            wrong()
    assert xp.isdtype(xp.float16, "real floating")
    assert xp.isdtype(xp.bfloat16, ("integral", "numeric"))
    assert not xp.isdtype(xp.bool, "numeric")
    with pytest.raises(ValueError, match="kind: 'floats' is not allowed"):
        xp.isdtype(xp.bool, "floats")
    assert xp.can_cast(xp.float16, xp.float32)
    assert not xp.can_cast(xp.float16, xp.bfloat16)
    assert xp.can_cast(xp.int16, xp.float32)
    assert not xp.can_cast(xp.int64, xp.float32)


def test_arrays_are_made_of_what_the_standard_says() -> None:
    x = xp.asarray([1.0, 2.0])
    assert xp.asarray(x) is x
    assert xp.asarray(x, copy=True) is not x
    assert xp.asarray(x, dtype=xp.float64).dtype == xp.float64
    assert [xp.asarray(v).dtype for v in (True, 1, 1.0, [1, 2.5])] == [xp.bool, xp.int64, xp.float32, xp.float32]
    assert xp.asarray([x, x]).shape == (2, 2)
    assert xp.asarray(memoryview(b"ab")).dtype == xp.uint8
    assert xp.astype(x, xp.float32) is not x
    assert xp.astype(x, xp.float32, copy=False) is x
    assert xp.zeros(3).shape == (3,)
    assert xp.full((2,), True).dtype == xp.bool
    assert xp.arange(3, 1).shape == (0,)
    assert xp.empty_like(x).shape == xp.empty((2,)).shape == (2,)
    for wrong, error in [
        (lambda: xp.asarray([1.0], copy=False), ValueError),
        (lambda: xp.from_dlpack(x, copy=False), BufferError),
        (lambda: xp.asarray(2**70), OverflowError),
        (lambda: xp.zeros((1,), device="cuda"), ValueError),
        (lambda: xp.squeeze(x, 0), ValueError),
        (lambda: xp.expand_dims(x, axis=5), IndexError),
        (lambda: xp.nonzero(xp.asarray(1)), ValueError),
        (lambda: xp.take(xp.ones((2, 2)), xp.asarray([0])), ValueError),
        (lambda: xp.linalg.vecdot(x, xp.ones((3,))), ValueError),
        (lambda: xp.matrix_transpose(x), ValueError),
        (lambda: xp.arange(1, step=x), TypeError),
        (lambda: xp.linspace(2, 1j, 3), TypeError),
    ]:
        with pytest.raises(error) as caught:
            wrong()
        assert "\n" not in str(caught.value)


def softmax(x: Any) -> Any:
    space = x.__array_namespace__()
    e = space.exp(x - space.max(x, axis=-1, keepdims=True))
    return e / space.sum(e, axis=-1, keepdims=True)


def test_a_function_of_the_standard_runs_on_the_simulated_unit_and_on_the_tape() -> None:
    values = np.random.default_rng(0).standard_normal((3, 5))
    x = hs.tensor(values, "fp16", requires_grad=True)
    with hs.precision("pure_fp16"):
        y = softmax(x)
        e = hs.ops.exp(x - x.amax(-1, keepdim=True))
        np.testing.assert_array_equal(y.numpy(), (e / e.sum(-1, keepdim=True)).numpy())
    y[0, 0].backward()
    assert x.grad is not None
    assert hs.gradcheck(softmax, hs.tensor(values, "fp64"))
    assert hs.gradcheck(
        lambda v: xp.concat([xp.sort(v, descending=True), xp.std(v, axis=0)[None]]), hs.tensor(values, "fp64")
    )


def test_the_page_says_so() -> None:
    assert PAGE.read_text() == page({})
