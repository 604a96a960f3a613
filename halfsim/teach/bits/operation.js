// The second view: one operation worked by hand, and what every mode makes of it.

const NAMES = { add: ['a', 'b'], mul: ['a', 'b'], fma: ['a', 'b', 'c'] };

const written = (x) => (x.startsWith('-') || x.startsWith('\u2212') ? `(${x})` : x);

function expressionOf(name, texts) {
  const [a, b, c] = texts.map((text) => written(text.trim()));
  return { add: `${a} + ${b}`, mul: `${a} \u00d7 ${b}`, fma: `${a} \u00d7 ${b} + ${c}` }[name];
}

const equationOf = (x) =>
  x.value ? `${x.negative ? '\u2212' : '+'}${significandOf(x)} \u00d7 2^${x.exponent}` : valueOf(x);

function operandTable(letters, operands) {
  const rows = operands.map(({ number, exact, lacks }, i) => {
    const changed = lacks || (exact && (!number.value || apart(exact, number.value).top !== 0n));
    const value = shortly(number, 24),
      typed = state[letters[i]].trim();
    return {
      cells: [letters[i], changed ? word('operation.was', { typed, value }) : value, hex(number), equationOf(number)],
    };
  });
  const columns = [
    ['operand', 'word'],
    ['value', 'word value'],
    ['code', 'code'],
    ['equation', 'word code'],
  ];
  return tableOf(
    columns.map(([key, kind]) => [word(`operation.${key}`), kind]),
    rows,
    word('operation.operand'),
  );
}

const operandRow = (label, x) => ({
  label,
  sign: x.negative ? '\u2212' : '+',
  exact: x.value,
  low: x.exponent - x.format.stored,
});

// The digits of an operation above each other.
function operationRows(name, [a, b, c], exact, step) {
  const { stored } = a.format,
    last = exactRow(word('operation.exact'), exact, a.format, step.unit);
  if (name === 'add') {
    const point = Math.max(a.exponent, b.exponent);
    last.low = Math.min(last.low, a.exponent - stored, b.exponent - stored);
    return alignment([operandRow('a', a), operandRow('b', b), last], point, step.unit);
  }
  if (name === 'mul') {
    // each factor with its point above that of the product, whose exponent is the sum of theirs
    const point = a.exponent + b.exponent;
    const factor = (label, sign, x) => ({
      label,
      sign,
      exact: scaled(false, x.significand, point - stored),
      low: point - stored,
    });
    last.low = Math.min(last.low, point - 2 * stored);
    return alignment(
      [factor('a', a.negative ? '\u2212' : '+', a), factor('\u00d7 b', b.negative ? '\u2212' : '+', b), last],
      point,
      step.unit,
    );
  }
  const product = times(a.value, b.value);
  const row = {
    label: word('operation.product'),
    sign: product.negative ? '\u2212' : '+',
    exact: product,
    low: a.exponent + b.exponent - 2 * stored,
  };
  const addend = operandRow('c', c);
  last.low = Math.min(last.low, row.low, addend.low);
  const tops = [product, c.value].filter((x) => x.top).map(exponentOf);
  return alignment([row, addend, last], tops.length ? Math.max(...tops) : step.unit + stored, step.unit);
}

function showOperation() {
  const letters = NAMES[state.op];
  at('which').value = state.op;
  at('c-box').hidden = state.op !== 'fma';
  for (const letter of ['a', 'b', 'c']) fill(letter, state[letter]);
  const given = letters.map((letter) => read(state[letter]));
  wrong('operation-wrong', given.includes(null) ? word('operation.bad') : '');
  letters.forEach((letter, i) => at(letter).setAttribute('aria-invalid', String(given[i] === null)));
  if (given.includes(null)) {
    say('operation-told', '');
    at('operation-steps').innerHTML = '';
    return;
  }
  const operands = given.map((one) => taken(one, format(), state.m));
  const numbers = operands.map((x) => x.number),
    name = format().name;
  const all = Object.fromEntries(Object.keys(MODES).map((mode) => [mode, worked(state.op, mode, numbers)]));
  const { exact, step, result, why } = all[state.m];
  const expression = expressionOf(
    state.op,
    letters.map((letter) => state[letter]),
  );
  say(
    'operation-told',
    word('operation.told', { expression, format: name, value: valueOf(result, 40), hex: hex(result) }),
  );
  const heading = (key, values) => `<h2>${said(`operation.${key}`, values)}</h2>`;
  const parts = [heading('step_operands', { format: name }), operandTable(letters, operands)];
  if (step) {
    parts.push(heading(`step_${state.op}`), operationRows(state.op, numbers, exact, step));
    parts.push(heading('step_bits'), lookedAt(step, format()), numberLine(exact, step));
    parts.push(heading('step_decide'), decisions(all, state.m));
    parts.push(heading('step_result'), resultOf(exact, step, result));
  } else parts.push(`<h2>${said('operation.step_special', { why: word(`why.${why}`) })}</h2>`);
  at('operation-steps').innerHTML = parts.join('');
}

function resultOf(exact, step, result) {
  const rows = [
    [word('operation.exact_value'), decimal(exact, 200)],
    [word('operation.result_value'), `${valueOf(result, 200)} (${hex(result)})`],
    [word('number.kind'), word(`kinds.${result.kind}`)],
    [word('number.error'), errorOf(exact, step, result)],
  ];
  const facts = rows.map(([key, value]) => `<dt>${html(key)}</dt><dd>${html(value)}</dd>`);
  return `<dl class="facts">${facts.join('')}</dl>`;
}

function errorOf(exact, step, result) {
  if (!result.value) return word('number.error_infinite', { format: format().name });
  const error = apart(result.value, exact);
  if (!error.top) return '0';
  return word('number.error_plain', { absolute: brief(error), ulps: brief(over(error, scaled(false, 1n, step.unit))) });
}
