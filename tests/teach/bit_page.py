"""What the bit page must compute, as halfsim computes it: rows of cases for a browser, which tells where it differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from halfsim.numerics import ieee
from halfsim.numerics.accumulate import Accumulator, sum_
from halfsim.numerics.codec import decode, encode
from halfsim.numerics.exact_rounding import Number
from halfsim.numerics.explain import MODES, Explanation, explain, numerals
from halfsim.numerics.explain.alignment import alignment
from halfsim.numerics.flags import Flag
from halfsim.numerics.formats import Format, as_format, float64
from halfsim.numerics.layout import layout
from halfsim.numerics.rounding import Mode, Rounding
from halfsim.teach.bits import FORMATS

NARROW = [name for name in FORMATS if as_format(name).bits <= 16]
OPERATIONS = {"add": (ieee.add, 2), "mul": (ieee.mul, 2), "fma": (ieee.fma, 3)}
ORDERS = {"sequential": "sequential", "reverse": "sequential", "sorted": "sequential", "pairwise": "pairwise",
          "kahan": "kahan"}  # fmt: skip

# JavaScript that compares; `differ` collects the first few differences of a check, and how many there are.
COMPARE = """
const found = {};
function differ(check, at, got, wanted) {
  if (String(got) === String(wanted)) return;
  found[check] ??= { count: 0, first: [] };
  if ((found[check].count += 1) <= 5) found[check].first.push(`${at}: ${got}, not ${wanted}`);
}
const code = (x) => BigInt(`0x${x}`), short = (x) => x.code.toString(16);
"""

_CODES = """
for (const [name, rows] of Object.entries(codes)) rows.forEach(([at, kind, value, up, down], i) => {
  const x = numberOf(FORMATS[name], code(at));
  differ('kind', `${name} ${at}`, x.kind, kind);
  if (x.value) differ('value', `${name} ${at}`, short(rounded(x.value, FORMATS.float64, 'toward_zero').result), value);
  if (x.value) differ('exactly', `${name} ${at}`, rounded(x.value, FORMATS.float64, 'toward_zero').inexact, false);
  if (x.value) differ('back', `${name} ${at}`, short(rounded(x.value, FORMATS[name], 'to_odd').result), at);
  for (const [upward, wanted] of [[true, up], [false, down]]) {
    const next = neighbour(x, upward);
    differ('neighbour', `${name} ${at} ${upward}`, next ? short(next) : '', wanted);
  }
});
"""

_OPERATIONS = """
for (const [name, op, mode, rows] of operations) for (const row of rows) {
  const texts = row.split(' '), operands = texts.slice(0, -2).map((x) => numberOf(FORMATS[name], code(x)));
  const { result, step } = worked(op, mode, operands), [wanted, raised] = texts.slice(-2);
  const at = `${name} ${op} ${mode} ${row}`, overflow = Number(step !== null && step.overflow);
  differ('result', at, short(result), wanted);
  differ('raised', at, `${Number(overflow || (step !== null && step.inexact))}${overflow}`, raised);
}
"""

_SUMS = """
for (const [name, mode, terms, wanted] of sums) {
  const list = terms.map((x) => numberOf(FORMATS[name], code(x)));
  for (const [order, total] of Object.entries(wanted)) {
    const got = ORDERS[order](list, adder(FORMATS[name], mode)).total;
    differ(`sum ${order}`, `${name} ${mode} ${terms}`, got.kind === 'nan' ? 'nan' : short(got), total);
  }
}
"""

_TEXTS = """
for (const [text, name, mode, wanted] of texts) {
  const given = read(text);
  differ('read', `${text} ${name} ${mode}`, given && short(taken(given, FORMATS[name], mode).number), wanted);
}
for (const text of nonsense) differ('nonsense', text, read(text), null);
"""

_WORKED = r"""
for (const [name, op, mode, operands, wanted] of explained) {
  const { exact, step, result, why } = worked(op, mode, operands.map((x) => numberOf(FORMATS[name], code(x))));
  const at = `${name} ${op} ${mode} ${operands}`;
  differ('value in decimal', at, valueOf(result, 3000), wanted.value);
  differ('exact in decimal', at, exact ? decimal(exact, 3000) : '', wanted.exact);
  if (!step) continue;
  differ('bits', at, [step.guard, step.round, step.sticky].map(Number).join(''), wanted.bits);
  differ('way', at, step.up, wanted.up);
  if (step.inexact) differ('around', at, step.around.map(short).join(' '), wanted.around);
  const error = result.value ? over(apart(result.value, exact), scaled(false, 1n, step.unit)) : null;
  differ('error in ulp', at, error ? brief(error).replace('\u2248', '~') : '', wanted.error);
  differ('reason', at, reason(mode, exact, step), wanted.reason);
  const box = document.createElement('div');
  box.innerHTML = operationRows(op, operands.map((x) => numberOf(FORMATS[name], code(x))), exact, step);
  const rows = box.querySelector('.align').textContent.split('\n').map((line) => line.replace(/^[^+\u2212]*/, ''));
  const drawn = rows.map((line) => line.replaceAll(/[ |]/g, '').replaceAll('\u2212', '-')).join(' ');
  if (wanted.drawn && !drawn.includes('\u2026')) differ('drawn', at, drawn, wanted.drawn);
}
"""


def probe(**data: Any) -> str:
    """The script that checks what is given: codes, operations, sums, texts (with nonsense) and explained."""
    checks = {"codes": _CODES, "operations": _OPERATIONS, "sums": _SUMS, "texts": _TEXTS, "explained": _WORKED}
    given = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in data.items())
    body = "".join(checks.get(name, "") for name in data)
    return f"{COMPARE}{given}try {{ {body} }} catch (error) {{ differ('error', '', error.stack, ''); }} return found;"


def _hex(codes: Any) -> list[str]:
    return [f"{int(x):x}" for x in np.ravel(codes)]


def codes(name: str, every: int = 1) -> list[list[str]]:
    """Code, kind, value as a float64's code, and the codes above and below (none of NaN, past the ends)."""
    fmt = as_format(name)
    at = np.arange(0, 1 << fmt.bits, every, dtype=np.uint64).astype(layout(fmt).word)
    classes = [str(c).rpartition("_")[2] for c in ieee.classify(at, format=fmt)[0]]
    values = _hex(np.asarray(decode(at, fmt), np.float64).view(np.uint64))
    up, down = (_hex(step(at, format=fmt)[0]) for step in (ieee.next_up, ieee.next_down))
    ends = {"up": fmt.largest, "down": fmt.largest | 1 << (fmt.bits - 1)}
    if fmt.has_infinity:
        ends = {key: code + 1 for key, code in ends.items()}
    rows = zip(_hex(at), classes, values, up, down, strict=True)
    return [
        [c, kind, value, *("" if kind == "nan" or c == f"{ends[way]:x}" else x for way, x in (("up", u), ("down", d)))]
        for c, kind, value, u, d in rows
    ]


def random_codes(fmt: Format, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Codes of every kind: any at all, near each other in size, few bits, and those at the ends."""
    stored, sign = fmt.nmant, 1 << (fmt.bits - 1)
    near = random.integers(0, 1 << fmt.exponent_bits, (1, *shape[1:])).astype(np.int64)
    field = np.clip(near + random.integers(-3, 4, shape) * random.integers(0, fmt.precision // 2 + 1, shape), 0, None)
    field = np.minimum(field, (1 << fmt.exponent_bits) - 1).astype(np.uint64)
    trailing = random.integers(0, 1 << stored, shape, dtype=np.uint64)
    masks = [0, 1, (1 << stored) - 1, (1 << stored) >> 1]
    sparse = np.array(masks, np.uint64)[random.integers(0, 4, shape)]
    trailing = np.where(random.integers(0, 3, shape) == 0, sparse, trailing)
    signs = random.integers(0, 2, shape, dtype=np.uint64) * np.uint64(sign)
    drawn = signs | (field << np.uint64(stored)) | trailing
    lay = layout(fmt)
    ends = [0, 1, lay.normal, lay.normal - 1, fmt.largest, fmt.largest - 1, lay.beyond, max(lay.nan, 0)]
    special = np.array(ends, np.uint64)[random.integers(0, len(ends), shape)] | signs
    ended = (random.integers(0, 12, shape) == 0) | (random.integers(0, 10, shape[-1]) == 0)
    return np.where(ended, special, drawn).astype(lay.word)


def operations(each: int, seed: int) -> list[list[Any]]:
    """``each`` operations of every kind, format and mode: operands, result, inexact and overflow."""
    random, found = np.random.default_rng(seed), []
    for (op, (function, count)), name, mode in product(OPERATIONS.items(), FORMATS, MODES):
        operands = random_codes(as_format(name), (count, each), random)
        result, flags = function(*operands, format=name, rounding=mode)
        special = as_format(name).has_special
        over = (flags & (Flag.OVERFLOW if special else Flag.INVALID)) != 0
        inexact = ((flags & Flag.INEXACT) != 0) | over
        raised = [f"{int(a)}{int(b)}" for a, b in zip(inexact, over, strict=True)]
        rows = zip(*map(_hex, operands), _hex(result), raised, strict=True)
        found.append([name, op, mode.value, [" ".join(row) for row in rows]])
    return found


def sums(each: int, seed: int) -> list[list[Any]]:
    """Lists of numbers, and what each order makes of them."""
    random, found = np.random.default_rng(seed), []
    for name, mode in product(FORMATS, MODES):
        fmt = as_format(name)
        if fmt == float64 and mode is not Rounding.NEAREST_EVEN:
            continue  # which halfsim adds in no other mode
        for i in range(each):
            length = int(random.integers(0, 40))
            drawn = random_codes(fmt, (length,), random) if i % 2 else np.full(length, encode(0.1, fmt))
            drawn = drawn if i else np.array([1 << (fmt.bits - 1)], drawn.dtype)  # -0 alone, whose sum is +0
            terms = drawn[[Number(fmt, int(x)).value is not None for x in drawn]] if i % 4 else drawn
            found.append([name, mode.value, _hex(terms), {order: summed(terms, fmt, mode, order) for order in ORDERS}])
    return found


def summed(terms: Any, fmt: Format, mode: Rounding, order: str) -> str:
    """The code of the sum, or "nan"."""
    magnitudes = terms & (layout(fmt).sign - 1)
    ordered = {"reverse": terms[::-1], "sorted": terms[np.argsort(magnitudes, kind="stable")]}.get(order, terms)
    values = np.asarray(decode(ordered, fmt), np.float64)
    options = None if mode is Rounding.NEAREST_EVEN else Mode(mode)
    total = sum_(values, None, False, Accumulator(fmt, ORDERS[order]), mode=options)
    return "nan" if np.isnan(total) else f"{int(encode(total, fmt)):x}"


def texts(each: int, seed: int) -> Iterator[list[str]]:
    """Numbers as people write them, many on a midpoint or a digit away from one; format, mode and code."""
    random = np.random.default_rng(seed)
    plain = ["0.1", "-0", "1e-8", "65519.999", "65520", "1/3", "-2/7", "2^-24", "2**-25", "0x1.8p3", "0x.8", "1e400",
             "-1e-400", "5.", ".5e1", "448", "464", "464.1", "3e38", "inf", "-inf", "nan",
             "-nan"]  # fmt: skip
    for name, mode in product(FORMATS, MODES):
        fmt = as_format(name)
        for text in plain:
            yield [text, name, mode.value, _code_of(text, fmt, mode)]
        for code in random.integers(0, fmt.largest, each):
            low, high = (Number(fmt, int(code) + i).value for i in (0, 1))
            middle = numerals.number(((low or Fraction(0)) + (high or Fraction(0))) / 2, 3000)
            bare = middle.partition("e")
            for text in (middle, f"-{bare[0]}{'' if '.' in bare[0] else '.'}0001{bare[1]}{bare[2]}"):
                yield [text, name, mode.value, _code_of(text, fmt, mode)]


NONSENSE = [
    "",
    "-",
    ".",
    "abc",
    "1..2",
    "0x",
    "1/0",
    "1/2/3",
    "1e",
    "0^-1",
    "1e999999",
    "2^99999",
    "--1",
    "0x1p",
    "nan1",
]


def _code_of(text: str, fmt: Format, mode: Rounding) -> str:
    if "/" in text:
        value: object = Fraction(text)
    elif "^" in text or "**" in text:
        value = Fraction(2) ** int(text.replace("**", "^").partition("^")[2])
    else:
        value = text
    return f"{explain(value, fmt, rounding=mode).result.code:x}"


def explained(each: int, seed: int) -> list[list[Any]]:
    """Operations with everything that `halfsim.explain` says of them."""
    random, found = np.random.default_rng(seed), []
    for (op, (_, count)), name, mode in product(OPERATIONS.items(), FORMATS, MODES):
        fmt = as_format(name)
        for operands in random_codes(fmt, (each, count), random):
            shown = [f"{int(x):#x}" for x in operands]
            text = {"add": " + ", "mul": " * "}.get(op, ", ").join(shown)
            e = explain(f"fma({text})" if op == "fma" else text, fmt, rounding=mode, bits=True)
            found.append([name, op, mode.value, _hex(operands), _facts(e)])
    return found


def _facts(e: Explanation) -> dict[str, Any]:
    facts: dict[str, Any] = {"value": numerals.value(e.result, 3000), "exact": ""}
    if e.exact is None or e.step is None:
        return facts
    facts["exact"] = numerals.number(e.exact, 3000) if e.exact else "-0" if e.result.sign else "0"
    facts["bits"] = f"{e.guard}{e.round}{e.sticky}"
    facts["up"] = str(bool(e.step.up)).lower()
    facts["error"] = "" if e.ulp_error is None else numerals.brief(e.ulp_error)
    facts["reason"] = _reason(e)
    inner, outer = (e.below, e.above) if e.exact > 0 else (e.above, e.below)
    if e.step.rest:
        facts["around"] = " ".join(f"{x.code:x}" for x in (inner, outer or inner) if x is not None)
    _, lines = alignment(e)
    zero = any(o.number.kind == "zero" for o in e.operands)  # of which, as of a sum of zero, halfsim draws no sign
    if e.operation != "mul" and e.exact and not zero and not any(".." in line for line in lines):
        rows = [line[18:].replace(" ", "").replace("|", "") for line in lines[:-1] if "--" not in line]
        facts["drawn"] = " ".join(rows) if max(map(len, rows)) < 60 else ""  # for what is longer is cut
    return facts


# Words of a decision of halfsim's, and the page's key for them; the first that occurs.
_REASONS = {
    "nothing to round": "exact", "No bit is dropped": "exact", "below the midpoint": "below",
    "above the midpoint": "above", "(even)": "tie_even", "(odd)": "tie_odd", "rounds away from zero": "tie_away",
    "toward zero": "cut", "upward: the value is positive": "up_positive",
    "upward: the value is negative": "up_negative", "downward: the value is positive": "down_positive",
    "downward: the value is negative": "down_negative", "last kept bit is 1 and": "odd_odd",
    "last kept bit is 0 and": "odd_even",
}  # fmt: skip


def _reason(e: Explanation) -> str:
    return next(key for words, key in _REASONS.items() if words in e.decision)


def differences(found: dict[str, Any]) -> Sequence[str]:
    """What the browser found, a line each."""
    return [f"{check}: {case['count']}, as {'; '.join(case['first'])}" for check, case in found.items()]
