// Numbers as people write them. Reading and writing are exact: no digit is lost or made up on the way.

const LONGEST = 5000; // digits, and decimal exponents

const DECIMAL = /^(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/;
const HEXADECIMAL = /^0x([\da-f]*)(?:\.([\da-f]*))?(?:p([+-]?\d+))?$/;
const POWER = /^(\d+(?:\.\d+)?)(?:\*\*|\^)([+-]?\d{1,4})$/;

const raised = (base, exponent) =>
  exponent < 0n
    ? { negative: false, top: 1n, bottom: base ** -exponent }
    : { negative: false, top: base ** exponent, bottom: 1n };

function digitsOf(match, radix, base, shift) {
  if (!match || !(match[1] || match[2]) || Math.abs(match[3] ?? 0) > LONGEST) return null;
  const whole = BigInt((radix === 16 ? '0x' : '') + match[1] + (match[2] ?? ''));
  return times({ ...ZERO, top: whole }, raised(base, BigInt(match[3] ?? 0) - shift * BigInt((match[2] ?? '').length)));
}

function power(match) {
  if (!match) return null;
  const exponent = BigInt(match[2]),
    base = digitsOf(DECIMAL.exec(match[1]), 10, 10n, 1n);
  if (!base.top && exponent < 0n) return null;
  if (bitLength(base.top) * Math.abs(Number(exponent)) > 4 * LONGEST) return null;
  const size = exponent < 0n ? -exponent : exponent,
    up = base.top ** size,
    down = base.bottom ** size;
  return exponent < 0n ? { negative: false, top: down, bottom: up } : { negative: false, top: up, bottom: down };
}

// What a text says, exactly: 0.1, 1e-8, 0x1.8p3, 1/3, 2^-14; or { special: 'infinity' or 'nan', negative }; else null.
function read(text) {
  let rest = text
    .normalize('NFKC')
    .replaceAll(/[\u2212\u2013]/g, '-')
    .replaceAll('\u221e', 'inf')
    .toLowerCase();
  rest = rest.replaceAll(/\s/g, '');
  const negative = rest.startsWith('-');
  rest = rest.replace(/^[+-]/, '');
  if (rest.length > LONGEST) return null;
  if (/^(inf|infinity)$/.test(rest)) return { special: 'infinity', negative };
  if (rest === 'nan') return { special: 'nan', negative };
  const [first, second, ...more] = rest
    .split('/')
    .map(
      (part) =>
        digitsOf(DECIMAL.exec(part), 10, 10n, 1n) ??
        digitsOf(HEXADECIMAL.exec(part), 16, 2n, 4n) ??
        power(POWER.exec(part)),
    );
  if (!first || second === null || more.length || (second && !second.top)) return null;
  const { top, bottom } = second ? times(first, { ...second, top: second.bottom, bottom: second.top }) : first;
  return { negative, top, bottom };
}

// The code that a text of digits says, 0x2e66 or 2e66 or 0b0010111001100110; null where it is none of the format.
function readCode(text, format) {
  const rest = text.normalize('NFKC').toLowerCase().replaceAll(/[\s_]/g, '');
  const given = /^0b[01]+$/.test(rest) || /^0x[\da-f]+$/.test(rest) ? rest : `0x${rest}`;
  if (!/^0(b[01]+|x[\da-f]+)$/.test(given) || given.length > 70) return null;
  const code = BigInt(given);
  return code >> BigInt(format.bits) ? null : code;
}

// The number of a format that a text names: { number, exact, step }, the last two null for infinities and NaN.
// Where a format has no infinity or no NaN, what stands for it is taken, and `lacks` says so.
function taken(given, format, mode) {
  if (!given.special) {
    const step = rounded(given, format, mode);
    return { number: step.result, exact: given, step };
  }
  const code = given.special === 'nan' ? (format.nan >= 0n ? format.nan : 0n) : format.beyond;
  const number = numberOf(format, signed(format, code, given.negative));
  return { number, exact: null, step: null, lacks: number.kind === given.special ? '' : given.special };
}

const hex = (x) => `0x${x.code.toString(16).padStart(Math.ceil(x.format.bits / 4), '0')}`;
const binary = (x) => x.code.toString(2).padStart(x.format.bits, '0');

// The significand in binary with its point, as 1.1001100110.
function significandOf(x) {
  const digits = x.significand.toString(2).padStart(x.format.precision, '0');
  return digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
}

function positional(digits, exponent) {
  const plain = exponent >= -7 && exponent < 24;
  const bare = digits.replace(/0+$/, '');
  let text = plain && exponent < 0 ? `0.${'0'.repeat(-exponent - 1)}${bare}` : bare;
  if (plain && exponent >= 0) {
    const padded = bare.padEnd(exponent + 1, '0');
    text = `${padded.slice(0, exponent + 1)}.${padded.slice(exponent + 1)}`.replace(/\.$/, '');
  } else if (!plain) text = `${bare[0]}.${bare.slice(1)}`.replace(/\.$/, '');
  return [text, plain ? '' : `e${exponent < 0 ? '' : '+'}${exponent}`];
}

// floor(log10(top / bottom)).
function decimalExponent({ top, bottom }) {
  let e = Math.floor((bitLength(top) - bitLength(bottom) - 1) * 0.30102999566398);
  const reaches = (k) => (k >= 0 ? top >= bottom * 10n ** BigInt(k) : top * 10n ** BigInt(-k) >= bottom);
  while (reaches(e + 1)) e += 1;
  return e;
}

// A finite number in decimal: all of its digits where they end within `most` characters, else as many, and what is
// left out shows. Positional from 1e-7 to 1e24. Never rounded.
function decimal(exact, most = 120) {
  const { negative, top, bottom } = exact,
    sign = negative ? '-' : '';
  if (!top) return `${sign}0`;
  const e = decimalExponent(exact),
    room = BigInt(Math.max(most, 1) - e);
  const cut = room >= 0n ? (top * 10n ** room) / bottom : top / (bottom * 10n ** -room);
  const ends = room >= 0n ? cut * bottom === top * 10n ** room : cut * bottom * 10n ** -room === top;
  const [text, scale] = positional(cut.toString(), e);
  return ends && text.length <= most ? `${sign}${text}${scale}` : `${sign}${text.slice(0, most)}\u2026${scale}`;
}

// The number to 6 significant digits, to nearest, ties to even, with a ≈ where that is not exact.
function brief(exact, places = 6) {
  const { negative, top, bottom } = exact;
  if (!top) return negative ? '-0' : '0';
  let e = decimalExponent(exact);
  const shift = BigInt(places - 1 - e);
  const [up, down] = shift >= 0n ? [top * 10n ** shift, bottom] : [top, bottom * 10n ** -shift];
  let whole = up / down;
  const twice = 2n * (up % down);
  if (twice > down || (twice === down && whole & 1n)) whole += 1n;
  if (whole === 10n ** BigInt(places)) e += 1;
  const [text, scale] = positional(whole.toString(), e);
  return `${twice ? '\u2248' : ''}${negative ? '-' : ''}${text}${scale}`;
}

// Any number of a format: its exact value, or inf, or nan.
function valueOf(x, most) {
  if (x.value) return decimal(x.value, most);
  return `${x.negative ? '-' : ''}${x.kind === 'nan' ? 'nan' : 'inf'}`;
}

// The same in few characters: exact where that is short, else so many digits that neighbours differ, or `places`.
function shortly(x, most = 18, places = Infinity) {
  const whole = valueOf(x, most),
    enough = Math.max(6, Math.ceil(x.format.precision * 0.30103) + 1);
  return whole.includes('\u2026') ? brief(x.value, Math.min(enough, places)) : whole;
}
