// The third view: a list summed in five orders, and one addition of them under the glass.

let summed = { key: '' };

// All five sums; kept while list, format and mode stay, since a step through them changes none.
function sumsOf(text) {
  const key = [state.f, state.m, text].join('|');
  if (summed.key === key) return summed;
  const list = readList(text);
  if (list.error || !list.terms.length) return { key, error: list.error ?? 'list_empty', part: list.part };
  const known = new Map();
  const terms = list.terms.map((given) => {
    // the same text many times is one number
    if (!known.has(given)) known.set(given, taken(given, format(), state.m).number);
    return known.get(given);
  });
  const unit = adder(format(), state.m),
    exact = exactSum(terms);
  const orders = Object.fromEntries(
    Object.entries(ORDERS).map(([name, order]) => {
      const found = order(terms, unit);
      return [name, { ...found, swallowed: swallowed(found) }];
    }),
  );
  summed = { key, terms, exact, orders };
  return summed;
}

function orderTable({ orders, exact }) {
  const rows = Object.entries(orders).map(([name, { total, steps, swallowed: lost }]) => {
    const error = exact && total.value ? brief(apart(total.value, exact)) : '';
    const stopped =
      name === 'pairwise' || name === 'kahan'
        ? ''
        : lost.from < 0
          ? word('sum.stops_not')
          : word('sum.stops_at', { value: shortly(total), count: lost.from });
    const many = name === 'kahan' ? '' : `${lost.count} / ${steps.length}`;
    return {
      cells: [word(`sum.${name}`), shortly(total), hex(total), error, many, stopped],
      chosen: name === state.order,
    };
  });
  const columns = [
    ['order', 'word'],
    ['sum', ''],
    ['bits', 'code'],
    ['error', ''],
    ['swallowed', ''],
    ['stopped', 'word'],
  ];
  return tableOf(
    columns.map(([key, kind]) => [word(`sum.${key}`), kind]),
    rows,
    word('sum.order'),
  );
}

// Exact sums so far, as the picture needs them: of every addition's two parts.
function exactParts(name, terms) {
  const value = (x) => approximate(x);
  if (name !== 'pairwise') {
    const ordered =
      { reverse: () => [...terms].reverse(), sorted: () => [...terms].sort(byMagnitude) }[name]?.() ?? terms;
    let total = 0;
    return ordered.map((x) => (total += value(x)));
  }
  const found = [];
  let level = terms.map(value);
  while (level.length > 1) {
    const next = [];
    for (let i = 0; i + 1 < level.length; i += 2) next.push(level[i] + level[i + 1]);
    found.push(...next);
    level = level.length % 2 ? [...next, level.at(-1)] : next;
  }
  return found;
}

function chartOf({ terms, exact, orders }, name, now) {
  const { steps, total } = orders[name];
  const got = steps.map((one) => approximate(one.sum)),
    truth = exact ? exactParts(name, terms) : [];
  const shown = [...got, ...truth].filter(Number.isFinite);
  if (steps.length < 2 || !shown.length) return '';
  const low = Math.min(0, ...bounds(shown)),
    high = Math.max(0, ...bounds(shown)),
    span = high - low || 1;
  const x = (i) => (56 + (290 * i) / (steps.length - 1)).toFixed(1),
    y = (v) => (128 - (112 * (v - low)) / span).toFixed(1);
  const every = Math.ceil(steps.length / 600); // no more points than a screen shows
  const path = (values) => {
    let pen = 'M';
    return values
      .map((v, i) => {
        if (!Number.isFinite(v)) pen = 'M';
        if (!Number.isFinite(v) || (i % every && i !== values.length - 1)) return '';
        const point = `${pen}${x(i)} ${y(v)}`;
        pen = 'L';
        return point;
      })
      .join('');
  };
  const told = word('sum.chart_label', { end: shortly(total), exact: exact ? brief(exact) : '' });
  const label = (v) => `<text x="50" y="${Number(y(v)) + 4}" text-anchor="end">${Number(v.toPrecision(4))}</text>`;
  const dot = Number.isFinite(got[now]) ? `<circle cx="${x(now)}" cy="${y(got[now])}" r="4.5" fill="var(--c1)"/>` : '';
  return `<svg class="chart" viewBox="0 0 360 160" role="img" aria-label="${html(told)}">
<path d="M56 10V128H350" fill="none" stroke="var(--soft)"/>
${low < 0 ? `<path d="M56 ${y(0)}H350" stroke="var(--line)"/>` : ''}${label(high)}${label(low)}
<text x="350" y="146" text-anchor="end">${steps.length} ${said('sum.chart_additions')}</text>
<path d="${path(truth)}" fill="none" stroke="var(--ink)" stroke-dasharray="5 4" stroke-width="1.5"/>
<path d="${path(got)}" fill="none" stroke="var(--c0)" stroke-width="2.5"/>${dot}</svg>
<p class="soft">${said('sum.chart')} ${got.every(Number.isFinite) ? '' : said('sum.chart_gone')}</p>`;
}

function bounds(values) {
  let low = Infinity,
    high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

// One addition in words.
function stepText({ left, right, term, before, sum, lost }) {
  const added = term ?? right,
    lines = [];
  if (term && before.kind !== 'zero') {
    lines.push(word('sum.told_kahan', { before: shortly(before), right: shortly(right), term: shortly(term) }));
  }
  if (!left.value || !added.value) {
    return [...lines, `${valueOf(left)} + ${written(valueOf(added))} = ${valueOf(sum)}`];
  }
  const exact = plus(left.value, added.value, state.m);
  lines.push(
    word('sum.told_step', {
      left: shortly(left),
      right: written(shortly(added)),
      exact: decimal(exact, 40),
      format: format().name,
      sum: valueOf(sum),
    }),
  );
  const [large, small] = left.magnitude < added.magnitude ? [added, left] : [left, added];
  if (sum.value) {
    const error = apart(exact, sum.value);
    const nearest = state.m.startsWith('nearest');
    if (sum.code === large.code && small.kind !== 'zero') {
      lines.push(
        word(nearest ? 'sum.told_same' : 'sum.told_same_directed', {
          left: shortly(large),
          ulp: decimal(ulpOf(large).exact, 20),
          right: shortly(small),
        }),
      );
    } else lines.push(error.top ? word('sum.told_lost', { lost: decimal(error, 40) }) : word('sum.told_nothing'));
  }
  if (term && lost.kind !== 'zero') lines.push(word('sum.told_kahan_lost', { lost: shortly(lost) }));
  return lines;
}

function showSum() {
  fill('list', state.list);
  at('order').value = state.order;
  const found = sumsOf(state.list);
  wrong('sum-wrong', found.error ? word(`sum.${found.error}`, { part: found.part, most: MOST_TERMS }) : '', 'list');
  at('sum-works').hidden = Boolean(found.error);
  if (found.error) return;
  const { terms, exact, orders } = found,
    { steps, swallowed: lost } = orders[state.order];
  const facts = {
    count: terms.length,
    format: format().name,
    exact: exact ? decimal(exact, 40) : '',
    sequential: valueOf(orders.sequential.total, 40),
  };
  say('sum-told', word(exact ? 'sum.told' : 'sum.told_special', facts));
  at('sum-orders').innerHTML = orderTable(found);
  const now = Math.min(Math.max(Math.trunc(Number(state.step)) || 1, 1), steps.length || 1) - 1;
  state.step = String(now + 1);
  fill('step', state.step);
  at('step').max = steps.length;
  at('step-of').textContent = word('sum.of', { count: steps.length });
  at('sum-chart').innerHTML = chartOf(found, state.order, now);
  at('walk').hidden = !steps.length;
  for (const button of at('walk').querySelectorAll('button')) {
    button.disabled = button.dataset.walk === 'swallow' && lost.first < 0;
  }
  const lines = steps.length ? stepText(steps[now]) : [word('sum.empty_steps')];
  const text = lines.map((line) => `<p>${html(line)}</p>`).join('');
  if (at('step-told').innerHTML !== text) at('step-told').innerHTML = text;
}

function wireSum() {
  at('walk').addEventListener('click', ({ target }) => {
    const { steps, swallowed: lost } = sumsOf(state.list).orders[state.order],
      now = Number(state.step);
    const to = { first: 1, back: now - 1, next: now + 1, last: steps.length, swallow: lost.first + 1 }[
      target.dataset.walk
    ];
    if (to !== undefined) change({ step: String(to) });
  });
}
