"""One function of the array API against NumPy's of that name: values, shapes and dtypes of drawn calls."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfsim import Tensor, array_api
from tests.array_api.calls import CALLS, LINALG, Call, Draw

# What of the standard is left out, and why.
SKIPPED = {
    **{f"linalg.{name}": "these need factorizations, which are not simulated; `np.linalg` takes `x.numpy()`"
       for name in ("eigh", "eigvalsh", "pinv", "qr", "svd")},
    "fft": "there are no complex numbers; `np.fft` takes `x.numpy()`",
    "complex64, complex128": "there are no complex numbers; `conj` and `real` give the array, `imag` zeros",
}  # fmt: skip
# What differs from the standard, and why.
DIFFERENT = {
    "`x + y`, the other operators": "an array without axes adopts the dtype of one with axes, as in PyTorch; "
    "`xp.add(x, y)` promotes as the standard says",
    "`remainder`, `%`": "a zero has the sign of the dividend, as in PyTorch",
    "`copy=False`": "of `from_dlpack`, and of `asarray` where it would convert, is refused: an array owns its values",
    "floats without a dtype": "have the format in force, float32 outside `hs.precision`",
    "`float16`, `bfloat16`": "are there beside the standard's dtypes; any `hs.Format` is a real floating dtype",
}
NOT_DRAWN = ("empty", "empty_like")  # whose values the standard leaves open
NOT_NUMPYS = ("finfo", "iinfo")  # whose results are objects of another kind


def ours(x: Any) -> Any:
    """An argument for `halfsim.array_api`: tensors for arrays."""
    if isinstance(x, (np.ndarray, np.generic)):
        return array_api.asarray(x)
    return [ours(item) for item in x] if isinstance(x, list) else x


def agree(got: Any, expected: Any, exact: bool) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            agree(a, b, exact)
        return
    if isinstance(expected, (bool, np.dtype)):
        assert got == expected
        return
    assert isinstance(got, Tensor)
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype, (got.dtype, expected.dtype)
    if exact or expected.dtype.kind != "f":
        np.testing.assert_array_equal(got.array, expected)
    else:
        few = 1e-4 if expected.dtype == np.float32 else 1e-10
        size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        np.testing.assert_allclose(got.array, expected, rtol=few, atol=float(few * min(size, 1e4) * 0.01))


_quiet = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def property_of(name: str, call: Call, examples: int = 20) -> Any:
    """A test of one function, the same calls each time."""
    extension = name.startswith("linalg.")
    function = getattr(array_api.linalg if extension else array_api, name.removeprefix("linalg."))
    theirs: Any = getattr(np.linalg if extension else np, name.removeprefix("linalg."))

    @settings(_quiet, max_examples=examples)
    @given(st.data())
    def holds(data: Any) -> None:
        args, kwargs = call(Draw(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = _numpys(name, theirs, args, kwargs)
            agree(function(*map(ours, args), **{key: ours(x) for key, x in kwargs.items()}), expected, False)

    return holds


def _numpys(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's result; it knows no descending order, and leaves the order of unique values open."""
    descending = kwargs.get("descending", False)
    kwargs = {key: x for key, x in kwargs.items() if key != "descending" and not (key == "append" and x is None)}
    if name in ("sort", "argsort"):
        (x,), axis = args, kwargs["axis"]
        if not descending:
            return function(x, axis=axis, stable=True)
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, stable=True), axis)
        return order if name == "argsort" else np.take_along_axis(x, order, axis)
    found = function(*args, **kwargs)
    return np.sort(found) if name == "unique_values" else found


NAMES = {**CALLS, **{f"linalg.{name}": call for name, call in LINALG.items()}}
