// What the three views draw alike: digits in columns, the number line, the decision in every mode.

const html = (text) =>
  String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const said = (key, values) => html(word(key, values));

// A table whose rows become blocks where there is little room, each cell after its column's name; roles, since a block
// is no row to a screen reader. Columns are [heading, class]; the first cell of a row names it.
function tableOf(columns, rows, label) {
  const mark = `<span class="hidden"> (${said('operation.chosen')})</span>`;
  const heads = columns.map(([head, kind]) => `<th scope="col" role="columnheader" class="${kind}">${html(head)}</th>`);
  const body = rows.map(({ cells, chosen }) => {
    const [name, ...rest] = cells.map((cell, i) =>
      i
        ? `<td role="cell" class="${columns[i][1] || 'plain'}" data-head="${html(columns[i][0])}">${html(cell)}</td>`
        : `<th scope="row" role="rowheader" class="word">${html(cell)}${chosen ? mark : ''}</th>`,
    );
    return `<tr role="row"${chosen ? ' class="chosen"' : ''}>${name}${rest.join('')}</tr>`;
  });
  const top = columns.some(([head]) => head)
    ? `<thead role="rowgroup"><tr role="row">${heads.join('')}</tr></thead>`
    : '';
  return `<table role="table" class="stack" aria-label="${html(label)}">${top}
<tbody role="rowgroup">${body.join('')}</tbody></table>`;
}

const MOST_COLUMNS = 76;
const TAIL = 14; // digits after the bar of a number whose digits never end

const endless = ({ bottom }) => (bottom & (bottom - 1n)) !== 0n;

// The weight of the last digit of an exact number, or where to stop.
function lowest(exact, unit) {
  if (endless(exact)) return unit - TAIL;
  if (!exact.top) return unit - 1;
  const twos = (x) => bitLength(x & -x) - 1;
  return Math.min(twos(exact.top) - twos(exact.bottom), unit - 1);
}

// Rows of digits above each other, one column for each weight, the last row under a rule with a bar after the last bit
// that is kept. A row is { label, sign, exact, low }. Columns in which nobody has a 1 are drawn together.
function alignment(rows, point, unit) {
  const result = rows.at(-1),
    low = Math.min(unit - 1, ...rows.map((row) => row.low));
  const digits = rows.map(({ exact: { top, bottom } }) =>
    low > 0 ? top / (bottom << BigInt(low)) : (top << BigInt(-low)) / bottom,
  );
  const top = Math.max(point, unit, ...digits.map((whole) => low + bitLength(whole) - 1));
  const at = (i, weight) => {
    const above = Math.max(point, low + bitLength(digits[i]) - 1);
    return weight < rows[i].low || weight > above ? ' ' : String((digits[i] >> BigInt(weight - low)) & 1n);
  };
  const columns = [];
  let empty = [];
  const flush = () => {
    columns.push(...(empty.length > 16 ? [empty.slice(0, 2), [empty], empty.slice(-2)] : [empty]).flat());
    empty = [];
  };
  for (let weight = top; weight >= low; weight -= 1) {
    const special = weight >= point - 1 || weight === unit || weight === unit - 1;
    if (!special && rows.every((_, i) => ' 0'.includes(at(i, weight)))) empty.push(weight);
    else {
      flush();
      columns.push(weight);
    }
  }
  flush();
  const cut = columns.length > MOST_COLUMNS,
    shown = columns.slice(0, MOST_COLUMNS);
  const kind = (weight) => (weight > unit ? '' : weight === unit ? 'g' : weight === unit - 1 ? 'r' : 's');
  const after = (weight) => (weight === point ? '.' : '') + (weight === unit ? '|' : '');
  const cells = (i) =>
    shown
      .map((column) => {
        const many = Array.isArray(column),
          weight = many ? column.at(-1) : column;
        const filler = many ? `\u2026${column.length}\u00d70\u2026` : '';
        const text = many ? (at(i, weight) === ' ' ? ' '.repeat([...filler].length) : filler) : at(i, weight);
        const mark = kind(weight),
          last = i === rows.length - 1;
        const tail = after(weight).replace('|', last ? '<span class="bar">|</span>' : ' ');
        return (last && mark ? `<span class="${mark}">${text}</span>` : text) + tail;
      })
      .join('');
  const lines = rows.map((row, i) => {
    const line = `${row.sign} ${cells(i)}${i === rows.length - 1 && (cut || endless(result.exact)) ? '\u2026' : ''}`;
    const label = `<span class="label">${html(row.label)}</span> `;
    return label + (i && i === rows.length - 1 ? `<span class="over">${line}</span>` : line);
  });
  const note = word('operation.scale', { point, format: result.format.name });
  return `<div class="scroll" tabindex="0" role="group" aria-label="${html(note)}">
<div class="align">${lines.join('\n')}</div></div>
<p class="soft">${html(note)}</p>`;
}

// The exact value as a row of its own.
const exactRow = (label, exact, format, unit) => ({
  label,
  sign: exact.negative ? '\u2212' : '+',
  exact,
  low: lowest(exact, unit),
  format,
});

// The three bits that a rounding looks at.
function lookedAt(step, format) {
  if (!step.inexact) {
    const largest = shortly(numberOf(format, format.largest));
    const key = step.overflow ? 'operation.rest_over' : 'operation.rest_none';
    return `<p>${said(key, { format: format.name, largest })}</p>`;
  }
  const bit = (mark, key, value) => `<li><span class="${mark}">${said(key, { bit: Number(value) })}</span></li>`;
  const rest = word(...droppedText(step.rest));
  const bits = bit('g', 'operation.guard', step.guard) + bit('r', 'operation.round', step.round);
  return `<ul class="steps">${bits}${bit('s', `operation.sticky_${Number(step.sticky)}`)}</ul><p>${html(rest)}</p>`;
}

// How much of a step is dropped; six digits would call a little more than a half a half.
function droppedText(rest) {
  const text = brief(rest),
    plain = text.replace('\u2248', '');
  if (plain === text || !['0.5', '1'].includes(plain)) return ['operation.rest', { rest: text }];
  const above = plain === '0.5' && 2n * rest.top > rest.bottom;
  return [above ? 'operation.rest_above' : 'operation.rest_below', { rest: plain }];
}

// Why a mode goes where it goes, as a word of [why].
function reason(mode, { negative }, { guard, round, sticky, inexact }) {
  if (!inexact) return 'exact';
  const directed = {
    toward_zero: 'cut',
    upward: negative ? 'up_negative' : 'up_positive',
    downward: negative ? 'down_negative' : 'down_positive',
    to_odd: guard ? 'odd_odd' : 'odd_even',
  }[mode];
  if (directed) return directed;
  if (!round) return 'below';
  return sticky ? 'above' : mode === 'nearest_away' ? 'tie_away' : guard ? 'tie_odd' : 'tie_even';
}

// A table with a row for each mode: what an exact value becomes, and why. Exact results that differ are zeros, of terms
// that cancel. Where all modes agree on an exact result there is nothing to decide.
function decisions(inEveryMode, chosen) {
  const all = Object.values(inEveryMode),
    differ = all.some(({ result }) => result.code !== all[0].result.code);
  if (!differ && !all[0].step.inexact && !all[0].step.overflow) return `<p>${said('why.agreed')}</p>`;
  const rows = Object.entries(inEveryMode).map(([mode, { exact, step, result }]) => {
    const key = exact.top ? reason(mode, exact, step) : mode === 'downward' ? 'cancel_down' : 'cancel';
    let why = word(`why.${key}`);
    if (step.overflow) {
      const end = word(`why.end_${result.value ? 'largest' : result.kind}`);
      why += word('why.over', { largest: shortly(numberOf(result.format, result.format.largest)), end });
    }
    return { cells: [word(`modes.${mode}`), shortly(result), hex(result), why], chosen: mode === chosen };
  });
  const columns = [
    ['mode', 'word'],
    ['result', ''],
    ['bits', 'code'],
    ['why', 'word'],
  ];
  const title = word('operation.step_decide').replace(/^\d\. /, '');
  return tableOf(
    columns.map(([key, kind]) => [word(`operation.columns_${key}`), kind]),
    rows,
    title,
  );
}

// Two neighbours, the midpoint between them, the exact value, and which of them it becomes. None where it is one.
function numberLine(exact, { around, result, rest, overflow }) {
  if (!around || overflow || !around[1].value) return '';
  const share = Number((rest.top * 10000n) / rest.bottom) / 10000;
  const [left, right] = exact.negative ? [around[1], around[0]] : around;
  const x = (part) => 68 + 224 * part,
    place = x(exact.negative ? 1 - share : share),
    chosen = x(result.code === left.code ? 0 : 1);
  const end = (
    n,
    at,
  ) => `<circle cx="${at}" cy="50" r="${at === chosen ? 7 : 5}" fill="${at === chosen ? 'var(--c0)' : 'var(--paper)'}"
 stroke="${at === chosen ? 'var(--c0)' : 'currentcolor'}" stroke-width="2"/>
<text x="${at}" y="74" text-anchor="middle" font-weight="${at === chosen ? 700 : 400}">${html(shortly(n, 16, 9))}</text>
<text x="${at}" y="90" text-anchor="middle" class="code">${hex(n)}</text>`;
  const told = word('operation.line', {
    share: brief(rest),
    inner: shortly(around[0]),
    outer: shortly(around[1]),
    result: shortly(result),
  });
  return `<svg class="line" viewBox="0 0 360 96" role="img" aria-label="${html(told)}">
<path d="M8 50H352" stroke="currentcolor" opacity=".6"/>
<path d="M180 40V60" stroke="currentcolor" stroke-dasharray="3 3"/>
<text x="180" y="74" text-anchor="middle" opacity=".8">\u00bd</text>
${end(left, x(0))}${end(right, x(1))}<path d="M${place} 43l6 7-6 7-6-7Z" fill="var(--c1)"/>
<path d="M${place} 40Q${(place + chosen) / 2} 18 ${chosen} 41" fill="none" stroke="var(--c0)" stroke-width="1.5"/>
<text x="${Math.min(Math.max(place, 60), 300)}" y="18" text-anchor="middle" fill="var(--c1)">
${said('operation.line_exact')} ${html(decimal(exact, 16))}</text></svg>`;
}
