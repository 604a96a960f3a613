"""Every count of the trace against one made by hand, and from the bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halfsim as hs
from halfsim import ops

KEY = ("forward", "", "add", "")


def patterns(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, size, dtype=np.uint16)


def exponent(code: int) -> int | None:
    """floor(log2 |x|) of a finite nonzero half, from its bits."""
    field, fraction = code >> 10 & 31, code & 1023
    if field == 31 or code & 0x7FFF == 0:
        return None
    return field - 15 if field else fraction.bit_length() - 25


def finite(code: int) -> Fraction | None:
    """The value of a finite half, from its bits."""
    sign, field, fraction = -1 if code >> 15 else 1, code >> 10 & 31, code & 1023
    if field == 31:
        return None
    return sign * (Fraction(1024 + fraction) * Fraction(2) ** (field - 25) if field else Fraction(fraction, 2**24))


def is_nan(code: int) -> bool:
    return code >> 10 & 31 == 31 and code & 1023 != 0


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(2, 60), st.sampled_from(["fp16", "pure_fp16"]))
def test_the_counts_of_additions_are_those_of_the_bits(seed: int, size: int, rule: str) -> None:
    a, b = patterns(seed, size), patterns(seed + 1, size)
    b[: size // 2] = a[: size // 2] ^ 0x8000 ^ (patterns(seed + 2, size // 2) & 7)  # half of them cancel
    with hs.precision(rule), hs.trace() as t:
        y = ops.add(hs.tensor(hs.decode(a), "fp16"), hs.tensor(hs.decode(b), "fp16")).bits()
    c = t.totals[KEY]
    triples = [(finite(int(i)), finite(int(j)), int(k)) for i, j, k in zip(a, b, y, strict=True)]
    sums = [(p, q, finite(k), k) for p, q, k in triples if p is not None and q is not None]
    assert c.size == c.sums == size
    unit = np.float32 if rule == "fp16" else np.float64  # where the sum is formed that the store rounds
    assert c.inexact == sum(z is None or z != Fraction(float(unit(float(p + q)))) for p, q, z, _ in sums)
    assert c.overflow == sum(z is None for _, _, z, _ in sums)
    assert c.invalid == sum(
        is_nan(int(k)) and not (is_nan(int(i)) or is_nan(int(j))) for i, j, k in zip(a, b, y, strict=True)
    )
    both = [(p, q, z, k) for p, q, z, k in sums if p and q]
    infinite = sum((p is None or q is None) and not (is_nan(int(i)) or is_nan(int(j))) and p != 0 and q != 0
                   for (p, q, _), i, j in zip(triples, a, b, strict=True))  # fmt: skip
    nan = sum((is_nan(int(i)) and q != 0) or (is_nan(int(j)) and p != 0)
              for (p, q, _), i, j in zip(triples, a, b, strict=True))  # fmt: skip
    assert c.addends == len(both) + infinite + nan
    assert c.swamped == sum(z is not None and z in (p, q) for p, q, z, _ in both)
    assert c.annulled == sum(z == 0 for _, _, z, _ in both)
    lost = [max(map(exponent_of, (p, q))) - exponent_of(z) for p, q, z, _ in both if z]
    small = [
        bits for bits, (p, q, z, _) in zip(lost, (s for s in both if s[2]), strict=True)
        if abs(z) * 2**7 < max(abs(p), abs(q))
    ]  # fmt: skip
    assert (c.cancelled, c.bits) == (len(small), max(small, default=0))
    small_codes = [int(k) for k in y if exponent(int(k)) is not None and exponent(int(k)) < -14]
    assert c.subnormals == len(small_codes)


def exponent_of(x: Fraction) -> int:
    return np.frexp(float(x))[1] - 1


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(2, 60), st.sampled_from(["fp16", "pure_fp16"]))
def test_the_counts_of_products_and_quotients_are_those_of_the_bits(seed: int, size: int, rule: str) -> None:
    a, b = patterns(seed, size), patterns(seed + 1, size)
    b[:2] = 0, 0x8000
    with hs.precision(rule), hs.trace() as t:
        x, z = (hs.tensor(hs.decode(v), "fp16") for v in (a, b))
        products, quotients = ops.mul(x, z).bits(), ops.div(x, z).bits()
    for op, codes in (("mul", products), ("div", quotients)):
        c = t.totals["forward", "", op, ""]
        exact = []
        for i, j, k in zip(a, b, codes, strict=True):
            p, q = finite(int(i)), finite(int(j))
            if p is not None and q is not None and (op == "mul" or q):
                exact.append((p * q if op == "mul" else p / q, finite(int(k))))
        assert c.overflow == sum(got is None for _, got in exact)
        assert c.flushed == sum(got == 0 and true != 0 for true, got in exact)
        smallest = Fraction(1, 2**14)
        tiny = [(true, got) for true, got in exact if got != true and got is not None and abs(true) < smallest]
        assert c.underflow == sum(abs(true) < smallest - Fraction(1, 2**26) for true, _ in tiny)
        poles = [i for i, j in zip(a, b, strict=True) if finite(int(i)) and finite(int(j)) == 0]
        assert c.divide_by_zero == (len(poles) if op == "div" else 0)
        new = [k for i, j, k in zip(a, b, codes, strict=True) if is_nan(int(k)) and not is_nan(int(i)) | is_nan(int(j))]
        assert c.invalid == len(new)


def test_the_exponent_histogram_and_its_range_are_those_of_the_bits() -> None:
    codes = patterns(3, 500)
    with hs.trace() as t:
        ops.mul(hs.tensor(hs.decode(codes), "fp16"), 1.0)
    total = t.places["forward", "", "mul", ""]
    known = [e for code in codes if (e := exponent(int(code))) is not None]
    assert total.exponents is not None
    for e in range(-24, 16):
        assert total.exponents[e + 127] == known.count(e)
    assert total.exponents[0] == np.count_nonzero(codes & 0x7FFF == 0)
    assert total.exponents[255] == np.count_nonzero(codes >> 10 & 31 == 31)
    assert total.range == (min(known), max(known))
    assert total.exponents.sum() == 500


def test_of_large_tensors_every_so_many_th_is_looked_at() -> None:
    x = hs.tensor(np.tile(np.float32([1.0, 2.0**-20]), 50000), "fp16")
    with hs.trace() as t:
        ops.mul(x, 1.0)
    total = t.places["forward", "", "mul", ""]
    assert total.exponents.sum() <= 4096
    assert total.counts.subnormals in (50000, 0, 100000) or abs(total.counts.subnormals - 50000) < 5000


def test_subnormals_of_float32_and_bfloat16_are_counted() -> None:
    with hs.trace() as t:
        ops.mul(hs.tensor([1e-39, 0.0, 1.0, 1e-38]), 1.0)
        ops.add(hs.tensor([1e-39, 1.0], "bf16"), 0.0)
    assert t.totals["forward", "", "mul", ""].subnormals == 2
    assert t.totals[KEY].subnormals == 1
    with hs.trace() as t:
        ops.mul(hs.tensor([1e-310], "fp64"), 1.0)
    assert t.count().subnormals == 0, "a float64 is not looked at so closely"


def test_running_sums_count_what_they_swallow() -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        ops.cumsum(hs.tensor(np.float32([2048, 1, 1, 0, 2, 1])))
    c = t.totals["forward", "", "cumsum", ""]
    assert (c.addends, c.swamped) == (5, 2)


def test_a_loop_that_stands_still_is_seen_when_it_is_off_by_one_percent() -> None:
    total = hs.tensor([2048.0], "fp16")
    one = hs.tensor([1.0], "fp16")
    with hs.precision("fp16"), hs.trace() as t:
        for _ in range(20):
            total = total + one
        assert t.first("swamping") is None
        total = total + one
    assert t.totals[KEY].swamped == 21
    found = t.first("swamping")
    assert found is not None
    assert found.op == "add"


def test_a_bias_or_an_eps_that_is_swallowed_is_no_trouble() -> None:
    x = hs.tensor(np.full((4, 4), 1000.0), "fp16")
    with hs.precision("fp16"), hs.trace() as t:
        for _ in range(50):
            x + 1e-3
            x - hs.tensor(np.full(4, 0.01), "fp16")
    assert t.totals[KEY].swamped == 50 * 16
    assert t.verdict().klass == "benign rounding"


def test_a_step_of_a_warm_up_that_moves_nothing_is_no_trouble() -> None:
    w = hs.tensor(np.ones(8), "fp16", requires_grad=True)
    optimizer = hs.optim.SGD([w], lr=0.0)
    with hs.trace() as t:
        for lr in (0.0, 1e-5, 1e-2, 1e-2, 1e-2):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            (w * 1.0).sum().backward()
            optimizer.step()
    assert t.totals["optimizer", "", "update", ""].addends == 4 * 8, "a rate of zero means to move nothing"
    assert t.first("swamping") is None, "one in four"


def test_statistics_that_have_arrived_are_no_trouble() -> None:
    model = hs.nn.BatchNorm1d(4).to("fp16")
    x = hs.tensor(np.random.default_rng(0).standard_normal((16, 4)), "fp16")
    with hs.precision("fp16"), hs.trace() as t:
        for _ in range(100):
            model(x)
    assert t.first("swamping") is None


def test_factors_are_told_from_eps() -> None:
    with hs.precision("pure_fp16"), hs.trace() as t:
        hs.tensor([1.0]) * 1e-9
    assert str(t.constant.lost).startswith("factor 1e-09 is zero")
    assert t.verdict().klass == "constant changed"
    with hs.precision("fp16"), hs.trace() as t:
        hs.tensor([0.0]) / ops.clamp(hs.tensor([0.0]), 1e-12)
    assert t.verdict().klass == "eps lost"
    with hs.precision("fp16"), hs.trace() as t:
        hs.tensor([0.0]) / ops.clamp(hs.tensor([1.0]), 1e-12)
    assert t.verdict() is None, "the bound was not taken"


def test_allowed_places_raise_no_alarm_and_are_counted() -> None:
    x = hs.tensor([300.0], "fp16")
    for patterns_, silent in (
        (["@mul"], True), ("@m*", True), (["@add"], False), (["layer*"], False), (["*"], True), (["x@mul"], False),
    ):  # fmt: skip
        with hs.trace(allow=patterns_) as t:
            x * x
        assert (t.first() is None) is silent, patterns_
        assert t.count().overflow == 1
    with hs.trace(allow=["@mul"]) as t:
        (x * x) - (x * x)
    assert t.first() is not None
    assert t.first().op == "sub", "what comes of what is allowed is not allowed for that"


def test_intended_infinities_of_a_mask_raise_no_alarm() -> None:
    mask = np.where(np.tri(4, dtype=bool), 0.0, -np.inf)
    with hs.precision("fp16"), hs.trace() as t:
        scores = hs.tensor(np.ones((4, 4))) + hs.tensor(mask)
        ops.softmax(ops.masked_fill(scores, np.eye(4, k=2, dtype=bool), -np.inf))
    assert t.first() is None


def test_the_latest_events_and_the_tensors_of_the_failing_one_are_kept() -> None:
    with hs.trace(frames=3) as t:
        x = hs.tensor([200.0, 300.0], "fp16")
        for _ in range(5):
            x = x + 1.0
        y = x * x
        y - y
    assert [e.op for e in t.latest] == ["add", "mul", "sub"]
    frame = next(iter(t.captured.values()))
    assert [e.op for e in frame.before] == ["add", "add", "mul"]
    np.testing.assert_array_equal(frame.arrays["a"], [205.0, 305.0])
    np.testing.assert_array_equal(frame.arrays["result"], [42016.0, np.inf])
    assert t.first_event("NaN propagation").origin is frame.event
    assert t.verdict().values["operands"]["a"]["largest"] == 305.0


def test_frames_hold_at_most_so_many_elements() -> None:
    with hs.trace() as t:
        hs.tensor(np.full(100_000, 300.0), "fp16") * 300.0
    assert next(iter(t.captured.values())).arrays["result"].size == 65536


@pytest.mark.parametrize("reference", [None, "fp64"])
def test_a_trace_of_many_steps_stays_small(reference: str | None) -> None:
    import tracemalloc

    model = hs.nn.Sequential(hs.nn.Linear(8, 8), hs.nn.ReLU(), hs.nn.Linear(8, 2)).to("fp16")
    optimizer = hs.optim.SGD(model.parameters(), lr=0.01)
    x, y = hs.tensor(np.ones((4, 8)), "fp16"), np.zeros(4, int)
    with hs.precision("fp16"), hs.trace(reference=reference) as t:
        sizes = []
        tracemalloc.start()
        for i in range(48):
            optimizer.zero_grad()
            hs.nn.cross_entropy(model(x), y).backward()
            optimizer.step()
            if i % 24 == 23:
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 50_000
    assert t.step == 49


def test_of_two_troubles_the_one_that_is_not_finite_is_the_cause_of_a_nan() -> None:
    with hs.precision("fp16"), hs.trace() as t:
        small = hs.tensor([1e-5, 1e-5]) * hs.tensor([1e-5, 1e-5])
        large = hs.tensor([300.0, 300.0]) * hs.tensor([300.0, 1.0])
        (small + large) - large
    assert t.first().klass == "underflow", "which came first"
    found = t.verdict()
    assert (found.klass, found.event.shape) == ("overflow", (2,))
    assert t.first_event("NaN propagation").origin is t.first_event("overflow")


@pytest.mark.parametrize("reference", [None, "fp64"])
def test_zeros_made_before_the_trace_explain_a_later_pole(reference: str | None) -> None:
    x = hs.tensor([1e-9, 0.3], "fp16")
    layer = hs.nn.Linear(2, 2, bias=False)
    layer.load_state_dict({"weight": [[1e-9, 0.0], [0.3, 0.7]]})
    with pytest.warns(UserWarning, match="1 zero of 4"):
        layer.to("fp16")
    with hs.precision("fp16"), hs.trace(reference=reference) as t:
        1 / x
    found = t.verdict()
    assert (found.klass, found.op) == ("underflow", "tensor")
    assert found.where.startswith("test_counts.py:"), "where the tensor was made"
    with hs.precision("fp16"), hs.trace(reference=reference) as t:
        1 / layer.weight[:, 0]
    assert (t.verdict().klass, t.verdict().op) == ("underflow", "tensor")
    with hs.precision("fp16"), hs.trace(reference=reference) as t:
        1 / hs.tensor([0.0, 1.0])
    assert t.verdict().klass == "overflow", "a zero that was one"
