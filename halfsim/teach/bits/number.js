// The first view: a number, its bits, its neighbours, and what was lost on the way in.

const FIELDS = ['sign', 'exponent', 'fraction'];

// Which field a bit is in, the highest being 0, and its place from the right in there.
function fieldOf(i, { exponentBits, stored }) {
  if (i === 0) return { field: 'sign', place: 0 };
  if (i <= exponentBits) return { field: 'exponent', place: exponentBits - i };
  return { field: 'fraction', place: exponentBits + stored - i };
}

// The number in view: from its bits, or from what was typed; null with a word for why not.
function inView() {
  if (state.code !== undefined) {
    const code = readCode(state.code, format());
    return code === null ? { wrong: 'not_code' } : { number: numberOf(format(), code), exact: null, step: null };
  }
  const given = read(state.x);
  return given ? taken(given, format(), state.m) : { wrong: 'not_read' };
}

function drawBits(number) {
  const box = at('bits'),
    { name, bits } = format();
  if (box.dataset.format !== name) {
    box.dataset.format = name;
    box.innerHTML = FIELDS.map(
      (
        field,
      ) => `<div class="field ${field}${bits > 20 ? ' long' : ''}" role="group" aria-label="${said(`number.${field}`)}">
<span class="soft" aria-hidden="true">${said(`number.${field}`)}</span>
<div class="row"></div><span class="says"></span></div>`,
    ).join('');
    for (let i = 0; i < bits; i += 1) {
      const { field } = fieldOf(i, format()),
        button = document.createElement('button');
      Object.assign(button, { type: 'button', tabIndex: i ? -1 : 0 });
      button.dataset.bit = i;
      box.querySelector(`.${field} .row`).append(button);
    }
  }
  const digits = binary(number);
  for (const button of box.querySelectorAll('button')) {
    const i = Number(button.dataset.bit),
      bit = digits[i],
      { field, place } = fieldOf(i, format());
    button.textContent = bit;
    button.setAttribute('aria-pressed', String(bit === '1'));
    const worth = field === 'exponent' ? String(2n ** BigInt(place)) : `2^${place - format().stored}`;
    button.ariaLabel = word(`number.bit_${field}`, { place: place + 1, worth, bit });
  }
  const { bias, largest } = format(),
    { field, exponent, kind, magnitude } = number;
  const special = magnitude > largest && (format().nan === format().sign - 1n ? 'says_last_nan' : 'says_special');
  const small = kind === 'subnormal' || kind === 'zero';
  const says = {
    sign: word('number.says_sign', { sign: number.negative ? '\u2212' : '+' }),
    exponent: word(`number.${special || (small ? 'says_subnormal' : 'says_exponent')}`, { field, bias, exponent }),
    fraction: number.value ? significandOf(number) : word(`kinds.${kind}`),
  };
  for (const name of FIELDS) box.querySelector(`.${name} .says`).textContent = says[name];
}

// The distance to the next number away from zero, as a power of two and in decimal.
function ulpOf(number) {
  const exponent = number.exponent - number.format.stored;
  return { exponent, exact: scaled(false, 1n, exponent) };
}

const apart = (x, y) => plus(x, minus(y), 'nearest_even');
const over = (x, y) => times(x, { negative: y.negative, top: y.bottom, bottom: y.top });

function errorText(number, exact, step) {
  if (!number.value) return word('number.error_infinite', { format: format().name });
  const error = apart(number.value, exact);
  if (!error.top) return word('number.error_none');
  const ulps = over(error, scaled(false, 1n, step.unit));
  const relative = { ...over(error, exact), negative: false };
  return word('number.error_value', { absolute: brief(error), ulps: brief(ulps), relative: brief(relative, 3) });
}

function showNumber() {
  const seen = inView(),
    { number, exact, step } = seen,
    example = hex(numberOf(format(), format().normal));
  const text = state.code ?? state.x;
  wrong(
    'x-wrong',
    seen.wrong ? word(`number.${seen.wrong}`, { text, bits: format().bits, example }) : '',
    state.code === undefined ? 'x' : 'code',
  );
  at(state.code === undefined ? 'code' : 'x').removeAttribute('aria-invalid');
  at('x-works').hidden = Boolean(seen.wrong);
  if (seen.wrong) {
    fill('x', state.x);
    return;
  }
  fill('x', state.code === undefined ? state.x : valueOf(number, 60));
  fill('code', hex(number));
  const facts = {
    typed: decimalOrText(exact, state.x),
    format: format().name,
    value: valueOf(number, 40),
    kind: word(`kinds.${number.kind}`),
    hex: hex(number),
    what: state.x,
  };
  say(
    'x-told',
    word(seen.lacks ? 'number.told_lacks' : state.code === undefined ? 'number.told' : 'number.told_code', facts),
  );
  drawBits(number);
  const rows = [['kind', facts.kind]];
  if (number.value) {
    const { exponent, exact: ulp } = ulpOf(number);
    const sign = number.negative ? '\u2212' : '+';
    rows.unshift(
      ['value', valueOf(number, 400)],
      ['equation', `${sign}${significandOf(number)}\u2082 \u00d7 2^${number.exponent}`],
    );
    rows.push(['ulp', `2^${exponent} = ${decimal(ulp, 40)}`]);
  }
  if (exact) rows.push(['typed', decimal(exact, 40)], ['error', errorText(number, exact, step)]);
  at('x-facts').innerHTML = rows
    .map(([key, value]) => `<dt>${said(`number.${key}`)}</dt><dd>${html(value)}</dd>`)
    .join('');
  drawNeighbours(number);
  at('x-rounding').innerHTML = step && (step.inexact || step.overflow) ? roundingOf(exact, step) : '';
}

const decimalOrText = (exact, text) => (exact && text.length > 40 ? decimal(exact, 40) : text.trim());

function drawNeighbours(number) {
  const around = [
    ['above', neighbour(number, true)],
    ['this', number],
    ['below', neighbour(number, false)],
  ];
  const rows = around.map(([key, x]) => ({
    cells: [word(`number.${key}`), x ? valueOf(x, 48) : word('number.none'), x ? hex(x) : ''],
    chosen: key === 'this',
  }));
  const title = word('number.neighbours_of', { value: shortly(number) });
  at('x-neighbours').innerHTML = tableOf(
    [
      ['', 'word'],
      ['', 'value'],
      ['', 'code'],
    ],
    rows,
    title,
  );
  at('up').disabled = !around[0][1];
  at('down').disabled = !around[2][1];
}

function roundingOf(exact, step) {
  const row = exactRow(word('operation.exact'), exact, format(), step.unit);
  const all = Object.fromEntries(
    Object.keys(MODES).map((mode) => {
      const one = rounded(exact, format(), mode);
      return [mode, { exact, step: one, result: one.result }];
    }),
  );
  return `<h2>${said('number.rounding')}</h2>${alignment([row], step.unit + format().stored, step.unit)}
${lookedAt(step, format())}${numberLine(exact, step)}${decisions(all, state.m)}`;
}

// Set bits, and go on in the row of them.
function flip(i, to) {
  const digits = [...binary(inView().number)];
  digits[i] = to ?? (digits[i] === '1' ? '0' : '1');
  change({ code: hex(numberOf(format(), BigInt(`0b${digits.join('')}`))) });
}

function walkBits(event) {
  const i = Number(event.target.dataset.bit),
    last = format().bits - 1;
  const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: last, 0: i + 1, 1: i + 1 }[event.key];
  const next = { ArrowUp: true, ArrowDown: false }[event.key];
  if (Number.isNaN(i) || (to === undefined && next === undefined)) return;
  event.preventDefault();
  if (next !== undefined) step(next);
  else {
    if ('01'.includes(event.key)) flip(i, event.key);
    focusBit(Math.min(Math.max(to, 0), last));
  }
}

function focusBit(i) {
  for (const button of at('bits').querySelectorAll('button'))
    button.tabIndex = Number(button.dataset.bit) === i ? 0 : -1;
  at('bits').querySelector(`[data-bit="${i}"]`).focus();
}

function step(upward) {
  const next = neighbour(inView().number, upward);
  if (next) change({ code: hex(next) });
}

function wireNumber() {
  at('bits').addEventListener('click', ({ target }) => {
    if (target.dataset.bit === undefined) return;
    flip(Number(target.dataset.bit));
    focusBit(Number(target.dataset.bit));
  });
  at('bits').addEventListener('keydown', walkBits);
  at('up').addEventListener('click', () => step(true));
  at('down').addEventListener('click', () => step(false));
}
