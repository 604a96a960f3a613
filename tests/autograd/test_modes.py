"""Precisions that round, flush and saturate otherwise: against `hs.ieee`, which is held to SoftFloat, and the loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.arithmetic import Arithmetic
from halfsim.numerics.quantize import round_to
from tests.oracles import same

MODES = ["nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd"]
FORMATS = ["float16", "bfloat16", "float32"]


def unit(fmt: str, mode: str) -> Arithmetic:
    return Arithmetic(hs.Precision(storage=fmt, compute=fmt, accumulate=f"{fmt}:sequential", rounding=mode))


def codes(fmt: str, n: int, rng: np.random.Generator) -> Any:
    """Codes of every magnitude, and some near each other so that sums cancel."""
    bits = hs.float32.bits if fmt == "float32" else 16
    wide = rng.integers(0, 1 << bits, n, dtype=np.uint64)
    wide[1::4] = wide[::4][: len(wide[1::4])] ^ np.uint64(1 << (bits - 1)) ^ np.uint64(3)
    wide[:4] = 0, 1 << (bits - 1), 1, (1 << (bits - 1)) + 1
    return wide.astype(np.uint32 if bits == 32 else np.uint16)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_every_step_rounds_as_the_mode_says(fmt: str, mode: str, op: str, rng: np.random.Generator) -> None:
    n = 1000 if fmt == "float32" else 4000
    a, b = codes(fmt, n, rng), codes(fmt, n, rng)[::-1].copy()
    b[1::5] = a[1::5]
    fp = unit(fmt, mode)
    with np.errstate(all="ignore"):
        x, y = (hs.decode(v, fmt).astype(fp.dtype) for v in (a, b))
        got = getattr(fp, op)(x, y)
    expected = hs.decode(getattr(hs.ieee, op)(a, b, format=fmt, rounding=mode)[0], fmt)
    assert same(got, expected).all()


@pytest.mark.parametrize("mode", MODES)
def test_square_roots_and_functions(mode: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    x = hs.decode(every, "float16")
    fp = unit("float16", mode)
    with np.errstate(all="ignore"):
        values = x.astype(fp.dtype)
        root = fp.sqrt(values)
        assert same(root, hs.decode(hs.ieee.sqrt(every, format="float16", rounding=mode)[0], "float16")).all()
        for name in ("exp", "log", "tanh", "sigmoid", "rsqrt"):
            assert same(getattr(fp, name)(values), getattr(hs.elementary, name)(x, "float16", mode)).all()
        for name in ("erf", "expm1", "sin", "softplus"):
            assert same(fp.function(name, values), getattr(hs.elementary, name)(x, "float16", mode)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ["sequential", "sequential+fma", "pairwise", "kahan", "neumaier", "blocked(2)"])
def test_accumulations_equal_the_loop(mode: str, order: str, rng: np.random.Generator) -> None:
    a = round_to(rng.standard_normal((3, 7)), "float16")
    b = round_to(rng.standard_normal((7, 5)), "float16")
    precision = hs.Precision(storage="fp16", compute="fp16", accumulate=f"fp16:{order}", rounding=mode)
    got = Arithmetic(precision).matmul(a.astype(np.float32), b.astype(np.float32))
    assert same(got, [[loop(row, column, order, mode) for column in b.T] for row in a]).all()


def loop(row: Any, column: Any, order: str, mode: str) -> float:
    """A dot product in `hs.ieee`, an operation at a time."""

    def value(operation: str, *operands: float) -> float:
        bits = [hs.encode(x, "float16") for x in operands]
        return float(hs.decode(getattr(hs.ieee, operation)(*bits, format="float16", rounding=mode)[0], "float16"))

    if order.startswith("blocked"):
        total = 0.0
        for k in range(0, len(row), 2):
            part = sum(x * y for x, y in zip(row[k : k + 2], column[k : k + 2], strict=True))  # exact in float64
            part = float(round_to(part, "float32", mode))
            total = float(round_to(round_to(total + part, "float32", mode), "float16", mode))
        return total
    if order == "sequential+fma":
        total = 0.0
        for x, y in zip(row, column, strict=True):
            total = value("fma", x, y, total)
        return total
    products = [value("mul", x, y) for x, y in zip(row, column, strict=True)]
    if order == "pairwise":
        level = products
        while len(level) > 1:
            odd = level[-1:] if len(level) % 2 else []
            level = [value("add", x, y) for x, y in zip(level[::2], level[1::2], strict=False)] + odd
        return level[0]
    total, aside = 0.0, 0.0
    for x in products:
        if order == "kahan":
            y = value("sub", x, aside)
            new = value("add", total, y)
            aside = value("sub", value("sub", new, total), y)
            total = new
        elif order == "neumaier":
            new = value("add", total, x)
            large, small = (total, x) if abs(total) >= abs(x) else (x, total)
            aside, total = value("add", aside, value("add", value("sub", large, new), small)), new
        else:
            total = value("add", total, x)
    return value("add", total, aside) if order == "neumaier" else total


def test_flushing() -> None:
    tiny = 2.0**-20
    x = hs.tensor([tiny, 1.0], "fp16")
    with hs.precision("storage=fp16, compute=fp16, accumulate=fp16:sequential, subnormals=flush_inputs"):
        assert (x * 1).numpy().tolist() == [0, 1]
        assert (hs.tensor([2.0**-10], "fp16") * 2.0**-10).numpy().tolist() == [tiny]
        assert x[0].item() == tiny  # moved, not computed
    with hs.precision("fp16", override=True), hs.precision(hs.Precision("fp16", subnormals="flush")):
        assert (x * 1).numpy()[0] == np.float16(tiny)
    with hs.precision("storage=fp16, subnormals=flush_outputs"):
        assert (x * 1).numpy().tolist() == [0, 1]
        assert (x * 2.0**10).numpy()[0] == 2.0**-10
    with hs.precision("storage=fp32, subnormals=flush"):
        assert (hs.tensor([1e-39]) * 1).numpy()[0] == 0
        assert (hs.tensor([1e-30]) * 1e-10).numpy()[0] == 0


def test_saturation() -> None:
    x = hs.tensor([60000.0, -60000.0, np.inf], "fp16")
    for spec in ("storage=fp16", "storage=fp16, compute=fp16"):
        with hs.precision(spec + ", overflow=saturate"):
            assert (x * 2).numpy().tolist() == [65504, -65504, np.inf]
    with hs.precision("storage=fp32, overflow=saturate"):
        assert (hs.tensor([3e38]) * 2).numpy()[0] == hs.float32.max


def test_stochastic_rounding_begins_anew_with_each_scope() -> None:
    x = hs.tensor(np.full(1000, 1.0), "fp16")
    precision = hs.Precision("fp16", rounding="stochastic(seed=5, bits=16)")
    runs = []
    for _ in range(2):
        with hs.precision(precision):
            first, second = (x + 2.0**-12).numpy(), (x + 2.0**-12).numpy()
            assert (first != second).any()
            runs.append(first)
    assert (runs[0] == runs[1]).all()
    assert 150 < np.count_nonzero(runs[0] != 1) < 350  # a quarter of them


def test_reproducible_replaces_the_blas(rng: np.random.Generator) -> None:
    a, b = (hs.tensor(rng.standard_normal((64, 64)), "fp32") for _ in range(2))
    with hs.reproducible():
        product = (a @ b).numpy()
        with hs.precision("fp16"):
            assert (a @ b).format == hs.float16
        assert (hs.ops.sum(a).numpy() == np.float32(np.longdouble(a.numpy()).sum())).all()
    rows, columns = (x.numpy().astype(np.longdouble) for x in (a, b))
    exact = np.einsum("ik,kj->ij", rows, columns)  # 64 bits and 64 terms: right to well below half a float32 ulp
    assert (product == exact.astype(np.float32)).all()


def test_careless_words() -> None:
    with pytest.raises(ValueError, match=r"subnormals: 'flash'.*did you mean|subnormals: .*allowed: keep"):
        hs.Precision("fp16", subnormals="flash")
    with pytest.raises(ValueError, match="overflow: "):
        hs.Precision("storage=fp16, overflow=clip")
    with pytest.raises(ValueError, match="rounding: "):
        hs.Precision("storage=fp16, rounding=up")
    with pytest.raises(ValueError, match="rounding: the host computes in float64"):
        hs.Precision("fp64", rounding="upward")
    with pytest.raises(ValueError, match="rounding: 'sead=1' is not allowed"):
        hs.Precision("storage=fp16, rounding=stochastic(sead=1)")


@pytest.mark.parametrize(
    "text",
    [
        "compute=float16, accumulate=float32:sequential, operands=float16, rounding=toward_zero, subnormals=flush",
        "compute=float32, accumulate=float32, operands=tfloat32",
        "compute=float32, accumulate=exact, operands=float16, rounding=stochastic(seed=3, bits=8), overflow=saturate",
    ],
)
def test_the_grammar_round_trips(text: str) -> None:
    text = f"storage=float16, {text}"
    assert str(hs.Precision(text)) == text
    assert hs.Precision(str(hs.Precision(text))) == hs.Precision(text)


@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("name", ["erf", "exp", "log1p", "tan", "tanh"])
def test_functions_in_half_take_arrays_of_any_shape(name: str, shape: tuple[int, ...]) -> None:
    x = hs.tensor(np.linspace(-0.9, 1.5, int(np.prod(shape))).reshape(shape), "fp16")
    with hs.precision("storage=fp16, compute=fp16, rounding=upward"):
        y = getattr(hs.ops, name)(x)
    expected = getattr(hs.elementary, name)(x.numpy(), "fp16", "upward")
    assert y.shape == shape
    assert same(y.numpy(), np.asarray(expected, np.float16)).all()
