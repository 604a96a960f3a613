"""Windows: PyTorch's where it is installed, its recorded numbers, and what can be said of each by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.signal import windows

OPTIONS: dict[str, dict[str, Any]] = {
    "exponential": {"tau": 2.5},
    "gaussian": {"std": 1.5},
    "general_cosine": {"a": [0.4, 0.3, 0.2, 0.1]},
    "general_hamming": {"alpha": 0.6},
    "kaiser": {"beta": 8.0},
}
# The second and third of seven, by PyTorch 2.13 in float64.
SECOND_AND_THIRD = {
    "bartlett": (0.33333333333333326, 0.6666666666666666),
    "blackman": (0.12999999999999995, 0.6299999999999999),
    "cosine": (0.6234898018587335, 0.9009688679024191),
    "exponential": (0.44932896411722156, 0.6703200460356393),
    "gaussian": (0.41111229050718745, 0.8007374029168081),
    "general_cosine": (0.25, 0.34999999999999987),
    "general_hamming": (0.3999999999999999, 0.7999999999999999),
    "hamming": (0.31, 0.7699999999999999),
    "hann": (0.24999999999999994, 0.7499999999999999),
    "kaiser": (0.15201069714466178, 0.6524786744624014),
    "nuttall": (0.061334499999999986, 0.5292297999999999),
}


@pytest.mark.parametrize("name", windows.__all__)
@pytest.mark.parametrize("sym", [True, False])
def test_windows_are_pytorchs(name: str, sym: bool) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.signal.windows, name)
    for M in (0, 1, 2, 7, 8):
        found = getattr(windows, name)(M, sym=sym, dtype="float64", **OPTIONS.get(name, {}))
        expected = theirs(M, sym=sym, dtype=torch.float64, **OPTIONS.get(name, {}))
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", windows.__all__)
def test_windows_are_recorded_ones(name: str) -> None:
    w = getattr(windows, name)(7, dtype="float64", **OPTIONS.get(name, {})).numpy()
    np.testing.assert_allclose(w[1:3], SECOND_AND_THIRD[name], rtol=1e-8)
    np.testing.assert_allclose(w, w[::-1], rtol=1e-12, atol=1e-15)
    periodic = getattr(windows, name)(6, sym=False, dtype="float64", **OPTIONS.get(name, {})).numpy()
    np.testing.assert_allclose(periodic, w[:6], rtol=1e-12, atol=1e-15)


def test_each_value_is_rounded_once_to_the_format_in_force() -> None:
    wide = windows.hann(9, dtype="float64").numpy()
    with hs.precision("fp16"):
        w = windows.hann(9)
    assert w.dtype == hs.float16
    assert (w.numpy() == wide.astype(np.float16)).all()
    assert windows.hann(4, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    "call",
    [
        lambda: windows.hann(-1),
        lambda: windows.gaussian(3, std=0),
        lambda: windows.exponential(3, tau=0),
        lambda: windows.exponential(3, center=1),
        lambda: windows.kaiser(3, beta=-1),
        lambda: windows.general_cosine(3, a=[]),
        lambda: windows.cosine(3, dtype="int64"),
        lambda: windows.hann(2.5),
    ],
)
def test_refusals_are_one_line(call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^\S+: .* allowed.*: [^\n]+$"):
        call()
