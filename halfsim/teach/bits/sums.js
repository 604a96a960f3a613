// A list summed in five orders. Every addition is one of the format and rounds once; each order gives its additions.

const MOST_TERMS = 20000;

// The numbers of a list: separated by commas, semicolons, spaces or lines; "4096*1" is 4096 ones. An error is a word.
function readList(text) {
  const parts = text
    .normalize('NFKC')
    .replaceAll(/\s*[*\u00d7]\s*/g, '*')
    .split(/[,;\u3001\s]+/)
    .filter(Boolean);
  const terms = [];
  for (const part of parts) {
    const [, times_, one] = /^(\d+)\*([^*].*)$/.exec(part) ?? [null, '1', part];
    const given = read(one);
    if (!given) return { error: 'list_word', part };
    if (Number(times_) + terms.length > MOST_TERMS) return { error: 'list_long', part };
    for (let i = 0; i < Number(times_); i += 1) terms.push(given);
  }
  return { terms };
}

function adder(format, mode) {
  const add = (a, b) => worked('add', mode, [a, b]).result;
  const zero = numberOf(format, 0n),
    negated = (x) => numberOf(format, x.code ^ format.sign);
  return { add, zero, subtract: (a, b) => (b.kind === 'nan' ? add(a, b) : add(a, negated(b))) };
}

function sequential(terms, { add, zero }) {
  let total = zero;
  const steps = terms.map((x) => {
    const step = { left: total, right: x, sum: add(total, x) };
    total = step.sum;
    return step;
  });
  return { total, steps };
}

// Adjacent pairs, level by level; an odd one waits for the next level.
function pairwise(terms, { add, zero }) {
  const steps = [];
  let level = terms;
  while (level.length > 1) {
    const next = [];
    for (let i = 0; i + 1 < level.length; i += 2) {
      steps.push({ left: level[i], right: level[i + 1], sum: add(level[i], level[i + 1]) });
      next.push(steps.at(-1).sum);
    }
    level = level.length % 2 ? [...next, level.at(-1)] : next;
  }
  return { total: level.length ? add(level[0], zero) : zero, steps }; // as if it had started from +0
}

// Kahan 1965: what an addition lost is taken off the next term.
function kahan(terms, { add, subtract, zero }) {
  let total = zero,
    lost = zero;
  const steps = terms.map((x) => {
    const before = lost,
      term = subtract(x, lost),
      left = total;
    total = add(left, term);
    lost = subtract(subtract(total, left), term);
    return { left, right: x, term, before, sum: total, lost };
  });
  return { total, steps };
}

const byMagnitude = (a, b) => (a.magnitude < b.magnitude ? -1 : Number(a.magnitude > b.magnitude));

const ORDERS = {
  sequential,
  reverse: (terms, unit) => sequential([...terms].reverse(), unit),
  sorted: (terms, unit) => sequential([...terms].sort(byMagnitude), unit),
  pairwise,
  kahan,
};

// The exact sum of numbers of a format, null with an infinity or a NaN among them.
function exactSum(terms) {
  if (terms.some((x) => !x.value)) return null;
  if (!terms.length) return ZERO;
  const { emin, stored } = terms[0].format,
    unit = emin - stored; // all are multiples of 2**unit
  let total = 0n;
  for (const x of terms) {
    const units = x.significand << BigInt(x.exponent - stored - unit);
    total += x.negative ? -units : units;
  }
  return scaled(total < 0n, total < 0n ? -total : total, unit);
}

// How many additions left the larger operand as it was, though the other one is not zero; and after how many additions
// nothing moved any more, -1 where the last one still did.
function swallowed({ steps }) {
  const still = steps.map(({ left, right, sum }) => {
    const same = (x) => x.kind !== 'zero' && x.value && x.code === sum.code;
    return (same(left) && right.kind !== 'zero') || (same(right) && left.kind !== 'zero');
  });
  const last = still.lastIndexOf(false) + 1;
  return { count: still.filter(Boolean).length, first: still.indexOf(true), from: last < steps.length ? last : -1 };
}
