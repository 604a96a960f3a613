from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import halfsim as hs


def test_bits_are_softfloats() -> None:
    assert [int(flag) for flag in hs.Flag] == [1, 2, 4, 8, 16]


def test_flags_add_up_over_rounding_and_operations() -> None:
    with hs.flags() as outer:
        hs.round_to([0.1, 1e9, 1e-9], "float16")
        with hs.flags() as inner, hs.precision("pure_fp16"):
            x = hs.tensor([1.0, 0.0], requires_grad=True) / hs.tensor([0.0, 0.0])
            x.backward(np.ones(2))
    assert (outer.inexact, outer.underflow) == (3, 1)
    assert outer.overflow == 1
    assert inner.divide_by_zero == outer.divide_by_zero > 0
    assert inner.invalid >= 1
    with hs.flags() as nothing:
        pass
    hs.round_to(0.1)
    assert nothing.inexact == 0


def test_counts_and_masks_agree() -> None:
    x = np.float32([0.1, 1e9, 1e-9, 1.0, np.inf, np.nan])
    with hs.flags() as f:
        _, mask = hs.round_to(x, return_flags=True)
    assert f.inexact == np.count_nonzero(mask & hs.Flag.INEXACT) == 3
    assert f.size == 6


def test_errstate_raises_warns_and_ignores() -> None:
    with hs.errstate(overflow="raise"):
        hs.round_to([0.1], "float16")
        with pytest.raises(FloatingPointError, match="round_to: overflow in 1 of 2 values"):
            hs.round_to([1e9, 1.0], "float16")
        with hs.errstate(overflow="ignore"):
            hs.round_to([1e9], "float16")
        with pytest.raises(FloatingPointError, match="mul: overflow"):
            hs.tensor([60000.0], "fp16") * 2
    with hs.errstate(all="raise", inexact="warn"), pytest.warns(hs.FlagWarning, match="inexact in 1 of 1 values"):
        hs.round_to(0.1, "float16")
    with hs.errstate(divide_by_zero="raise"), pytest.raises(FloatingPointError, match="div: divide by zero"):
        hs.tensor([1.0]) / hs.tensor([0.0])
    hs.round_to(1e9, "float16")


def test_the_host_has_no_say() -> None:
    with np.errstate(all="raise"), hs.errstate(all="ignore"):
        hs.round_to([1e9, 1e-9], "float16")


@pytest.mark.parametrize(
    ("words", "text"), [({"overflw": "raise"}, "did you mean 'overflow'"), ({"all": "stop"}, "allowed: ignore")]
)
def test_other_words_are_refused(words: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text), hs.errstate(**words):
        pass


def test_the_making_of_tables_raises_nothing() -> None:
    expected = hs.round_to(0.15729920705028513, "bfloat16")
    with hs.errstate(all="raise"), hs.flags() as f:
        assert hs.elementary.erfc(1.0, "bfloat16") == expected
    assert f.size == 0


def test_a_warning_points_at_the_callers_line() -> None:
    """Through an operation, a function of NumPy, a module, a rounding and the backward pass."""
    w = hs.tensor([300.0], "fp16", requires_grad=True)
    layer = hs.nn.Linear(1, 1).half()
    layer.weight.array[:] = 300.0
    root = (w * 100).sum()
    calls = [
        lambda: w * 300,
        lambda: np.multiply(w, 300),
        lambda: layer(w),
        lambda: hs.round_to(1e9, "float16"),
        lambda: root.backward(np.array(1000.0)),
    ]
    for call in calls:
        with hs.errstate(overflow="warn"), pytest.warns(hs.FlagWarning) as caught:
            call()
        assert [(x.filename, x.lineno) for x in caught] == [(__file__, call.__code__.co_firstlineno)]


def test_flags_of_operations_are_counted_where_nothing_else_was_imported() -> None:
    program = "import halfsim as hs\nwith hs.flags() as f:\n    hs.tensor([6e4], 'fp16') * 2\nprint(f.overflow)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"


def test_errstate_knows_numpys_words() -> None:
    with hs.errstate(over="raise", under="warn", divide="ignore", invalid="ignore"):
        with pytest.raises(FloatingPointError, match="overflow in 1 of 1 values"):
            hs.round_to(1e9, "float16")
        with pytest.warns(hs.FlagWarning, match="underflow in 1 of 1 values"):
            hs.round_to(1e-9, "float16")
    with hs.errstate(all="raise", over="ignore", inexact="ignore"):
        hs.round_to(1e9, "float16")
        with pytest.raises(FloatingPointError, match="divide by zero"), hs.precision("pure_fp16"):
            hs.tensor([1.0]) / hs.tensor([0.0])
    with (
        pytest.raises(ValueError, match="over, overflow name one flag twice"),
        hs.errstate(over="raise", overflow="warn"),
    ):
        pass
    with pytest.raises(ValueError, match="'call' is not allowed"), hs.errstate(over="call"):
        pass
