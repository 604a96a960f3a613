// Formats, their numbers, one exact operation and its one rounding. All of it in BigInt: no floating-point number
// takes part. A finite number is exact: { negative, top, bottom } is top / bottom with its sign, so that -0 is one too.

const ZERO = { negative: false, top: 0n, bottom: 1n };

const bitLength = (x) => {
  const digits = x.toString(16);
  return x ? 4 * digits.length - Math.clz32(parseInt(digits[0], 16)) + 28 : 0;
};

const scaled = (negative, whole, exponent) => ({
  negative,
  top: exponent > 0 ? whole << BigInt(exponent) : whole,
  bottom: exponent < 0 ? 1n << BigInt(-exponent) : 1n,
});

// The largest e with 2**e <= top / bottom, which is not zero.
function exponentOf({ top, bottom }) {
  const e = bitLength(top) - bitLength(bottom);
  const reached = e >= 0 ? top >= bottom << BigInt(e) : top << BigInt(-e) >= bottom;
  return reached ? e : e - 1;
}

// What follows from a format's row: { name, exponentBits, precision, bias, infinity, nan }. Infinity is in the largest
// exponent "field" or nowhere; NaN is there too, or the "last" code, or nowhere.
function derived(row) {
  const stored = row.precision - 1,
    bits = row.exponentBits + row.precision;
  const sign = 1n << BigInt(bits - 1),
    normal = 1n << BigInt(stored),
    field = sign - normal;
  const infinity = row.infinity === 'field' ? field : -1n;
  const nan = { field: field | (normal >> 1n), last: sign - 1n, '': -1n }[row.nan];
  const largest = { field: field - 1n, last: sign - 2n, '': sign - 1n }[row.infinity || row.nan];
  const beyond = infinity >= 0n ? infinity : nan >= 0n ? nan : largest; // what an overflow gives
  const quiet = row.nan === 'field' ? normal >> 1n : 0n;
  return { ...row, stored, bits, sign, normal, infinity, nan, largest, beyond, quiet, emin: 1 - row.bias };
}

// A code read as sign, exponent and significand.
function numberOf(format, code) {
  const { stored, normal, largest, infinity, emin, bias, sign } = format;
  const negative = code >= sign,
    magnitude = code & (sign - 1n),
    trailing = code & (normal - 1n);
  const field = Number(magnitude >> BigInt(stored)),
    exponent = Math.max(field - bias, emin);
  const special = magnitude > largest ? (magnitude === infinity ? 'infinity' : 'nan') : '';
  const kind = special || (magnitude >= normal ? 'normal' : magnitude ? 'subnormal' : 'zero');
  const significand = kind === 'normal' ? trailing | normal : trailing;
  const value = special ? null : scaled(negative, significand, exponent - stored);
  return { format, code, negative, magnitude, trailing, field, exponent, kind, significand, value };
}

const signed = (format, magnitude, negative) => (negative ? magnitude | format.sign : magnitude);

// The next number above or below; null past the infinities, past the largest number without them, and for NaN.
function neighbour(x, upward) {
  const { format, kind, magnitude, negative } = x;
  if (kind === 'nan' || (kind === 'infinity' && negative !== upward)) return null;
  if (kind === 'zero') return numberOf(format, signed(format, 1n, !upward));
  const next = negative !== upward ? magnitude + 1n : magnitude - 1n;
  return next > format.largest && next !== format.infinity ? null : numberOf(format, signed(format, next, negative));
}

// Whether a mode takes the larger of the two magnitudes around a number: by its sign, whether the smaller one is odd,
// whether half of their distance is reached, and whether there is more than that, or than nothing.
const MODES = {
  nearest_even: (negative, odd, half, more) => half && (more || odd),
  nearest_away: (negative, odd, half) => half,
  toward_zero: () => false,
  upward: (negative, odd, half, more) => !negative && (half || more),
  downward: (negative, odd, half, more) => negative && (half || more),
  to_odd: (negative, odd, half, more) => !odd && (half || more),
};

// One rounding: `kept` units of 2**unit, of which the last bit is guard; the first bit dropped, and whether there
// is any other. Codes of one sign are consecutive, so that a carry moves into the exponent by itself.
function rounded(exact, format, mode) {
  const { negative, top, bottom } = exact,
    { stored, emin, normal, largest } = format;
  const own = top ? exponentOf(exact) : emin;
  const unit = Math.max(own, emin) - stored;
  const dividend = unit < 0 ? top << BigInt(-unit) : top,
    divisor = unit > 0 ? bottom << BigInt(unit) : bottom;
  const kept = dividend / divisor,
    twice = 2n * (dividend % divisor);
  const guard = (kept & 1n) === 1n,
    round = twice >= divisor,
    sticky = twice !== 0n && twice !== divisor;
  const inexact = round || sticky,
    up = MODES[mode](negative, guard, round, sticky);
  const cut = (BigInt(unit + stored - emin) << BigInt(stored)) + kept;
  const magnitude = cut + (up ? 1n : 0n),
    overflow = magnitude > largest;
  const outward = MODES[mode](negative, true, true, true); // far past the largest number, whose last bit counts as one
  const code = signed(format, overflow ? (outward ? format.beyond : largest) : magnitude, negative);
  // The two numbers around it, towards zero and away from it; past the largest one is infinity, or what stands for it.
  const inner = cut < largest ? cut : largest,
    outer = cut < largest ? cut + 1n : format.beyond;
  const around = inexact || overflow ? [inner, outer].map((m) => numberOf(format, signed(format, m, negative))) : null;
  const rest = { negative: false, top: dividend % divisor, bottom: divisor };
  return { result: numberOf(format, code), unit, kept, guard, round, sticky, inexact, up, overflow, around, rest };
}

function plus(x, y, mode) {
  const of = ({ negative, top }) => (negative ? -top : top);
  const sum = of(x) * y.bottom + of(y) * x.bottom;
  if (sum) return { negative: sum < 0n, top: sum < 0n ? -sum : sum, bottom: x.bottom * y.bottom };
  // Of one sign they are zeros, which keep it; else they cancel, and only downward makes that -0.
  return { ...ZERO, negative: x.negative === y.negative ? x.negative : mode === 'downward' };
}

const times = (x, y) => ({ negative: x.negative !== y.negative, top: x.top * y.top, bottom: x.bottom * y.bottom });

const minus = (x) => ({ ...x, negative: !x.negative });

// An operation on numbers: { exact }, or the code that is the result without any rounding, and the word for why.
const OPERATIONS = {
  add(mode, a, b) {
    if (a.kind === 'infinity' && b.kind === 'infinity' && a.negative !== b.negative) return { why: 'invalid_sum' };
    for (const x of [a, b]) if (x.kind === 'infinity') return { code: x.code, why: 'infinite' };
    return { exact: plus(a.value, b.value, mode) };
  },
  mul(mode, a, b) {
    const negative = a.negative !== b.negative;
    if (a.kind !== 'infinity' && b.kind !== 'infinity') return { exact: times(a.value, b.value) };
    if (a.kind === 'zero' || b.kind === 'zero') return { why: 'invalid_product' };
    return { code: signed(a.format, a.format.infinity, negative), why: 'infinite' };
  },
  fma(mode, a, b, c) {
    const product = OPERATIONS.mul(mode, a, b);
    if (product.exact && c.kind !== 'infinity') return { exact: plus(product.exact, c.value, mode) };
    if (product.exact) return { code: c.code, why: 'infinite' };
    return product.code !== undefined && c.kind === 'infinity' && product.code !== c.code
      ? { why: 'invalid_sum' }
      : product;
  },
};

// The first NaN among the operands wins, quieted; an invalid operation gives the default one.
function operated(name, mode, operands) {
  const nan = operands.find((x) => x.kind === 'nan');
  if (nan) return { code: nan.code | nan.format.quiet, why: 'nan' };
  const outcome = OPERATIONS[name](mode, ...operands);
  return outcome.exact || outcome.code !== undefined ? outcome : { ...outcome, code: operands[0].format.nan };
}

// The result of an operation in one mode, with its rounding where there was one.
function worked(name, mode, operands) {
  const { format } = operands[0],
    outcome = operated(name, mode, operands);
  const step = outcome.exact ? rounded(outcome.exact, format, mode) : null;
  return { ...outcome, step, result: step ? step.result : numberOf(format, outcome.code) };
}

// The number itself, as JavaScript has it: the nearest float64. Only pictures use it.
function approximate({ kind, negative, value }) {
  if (!value) return kind === 'nan' ? NaN : negative ? -Infinity : Infinity;
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, rounded(value, FORMATS.float64, 'nearest_even').result.code);
  return view.getFloat64(0);
}
