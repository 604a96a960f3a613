// What the three views draw alike: digits in columns, the number line, the decision in every mode.

const html = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

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
  const result = rows.at(-1), low = Math.min(unit - 1, ...rows.map((row) => row.low));
  const digits = rows.map(({ exact: { top, bottom } }) => (low > 0 ? top / (bottom << BigInt(low)) : (top << BigInt(-low)) / bottom));
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
  const cut = columns.length > MOST_COLUMNS, shown = columns.slice(0, MOST_COLUMNS);
  const kind = (weight) => (weight > unit ? '' : weight === unit ? 'g' : weight === unit - 1 ? 'r' : 's');
  const after = (weight) => (weight === point ? '.' : '') + (weight === unit ? '|' : '');
  const wide = Math.max(...rows.map((row) => row.label.length));
  const cells = (i) => shown.map((column) => {
    const many = Array.isArray(column), weight = many ? column.at(-1) : column;
    const filler = many ? `\u2026${word('operation.zeros', { count: column.length })}\u2026` : '';
    const text = many ? (at(i, weight) === ' ' ? ' '.repeat([...filler].length) : filler) : at(i, weight);
    const mark = kind(weight), last = i === rows.length - 1;
    const tail = after(weight).replace('|', last ? '<span class="bar">|</span>' : ' ');
    return (last && mark ? `<span class="${mark}">${text}</span>` : text) + tail;
  }).join('');
  const lines = rows.map((row, i) => {
    const line = `${row.sign} ${cells(i)}${i === rows.length - 1 && (cut || endless(result.exact)) ? '\u2026' : ''}`;
    const label = `${' '.repeat(wide - row.label.length)}${html(row.label)}  `;
    return label + (i && i === rows.length - 1 ? `<span class="over">${line}</span>` : line);
  });
  const note = word('operation.scale', { point, format: result.format.name });
  return `<div class="scroll" tabindex="0" role="group" aria-label="${html(note)}"><div class="align">${lines.join('\n')}</div></div>
<p class="soft">${html(note)}</p>`;
}

// The exact value as a row of its own.
const exactRow = (label, exact, format, unit) => ({ label, sign: exact.negative ? '\u2212' : '+', exact, low: lowest(exact, unit), format });

// The three bits that a rounding looks at.
function lookedAt(step, format) {
  if (!step.inexact) return `<p>${html(word('operation.rest_none', { format: format.name }))}</p>`;
  const bit = (mark, key, value) => `<li><span class="${mark}">${html(word(key, { bit: Number(value) }))}</span></li>`;
  const rest = word('operation.rest', { rest: brief(step.rest) });
  const bits = bit('g', 'operation.guard', step.guard) + bit('r', 'operation.round', step.round);
  return `<ul class="steps">${bits}${bit('s', `operation.sticky_${Number(step.sticky)}`)}</ul><p>${html(rest)}</p>`;
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

// A table with a row for each mode: what an exact value becomes, and why. An exact zero is made by the operation.
function decisions(inEveryMode, chosen) {
  const rows = Object.entries(inEveryMode).map(([mode, { exact, step, result }]) => {
    const { format } = result;
    let why = word(`why.${reason(mode, exact, step)}`);
    if (step.overflow) {
      const end = word(`why.end_${result.value ? 'largest' : result.kind}`);
      why += word('why.over', { largest: shortly(numberOf(format, format.largest)), end });
    }
    const mark = mode === chosen ? ' class="chosen" aria-current="true"' : '';
    const note = mode === chosen ? `<span class="hidden"> (${html(word('operation.chosen'))})</span>` : '';
    return `<tr${mark}><th scope="row" class="word grow">${html(word(`modes.${mode}`))}${note}</th><td>${html(shortly(result))}</td>
<td class="code">${hex(result)}</td><td class="word grow">${html(why)}</td></tr>`;
  });
  const heads = ['mode', 'result', 'bits', 'why'].map((key) =>
    `<th scope="col"${'mode why'.includes(key) ? ' class="word"' : ''}>${html(word(`operation.columns_${key}`))}</th>`);
  return `<div class="scroll" tabindex="0"><table><thead><tr>${heads.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

// Two neighbours, the midpoint between them, the exact value, and which of them it becomes. None where it is one.
function numberLine(exact, { around, result, rest, overflow }) {
  if (!around || overflow || !around[1].value) return '';
  const share = Number((rest.top * 10000n) / rest.bottom) / 10000;
  const [left, right] = exact.negative ? [around[1], around[0]] : around;
  const x = (part) => 60 + 240 * part, place = x(exact.negative ? 1 - share : share), chosen = x(result.code === left.code ? 0 : 1);
  const end = (n, at) => `<circle cx="${at}" cy="50" r="${at === chosen ? 7 : 5}" fill="${at === chosen ? 'var(--c0)' : 'var(--paper)'}"
 stroke="${at === chosen ? 'var(--c0)' : 'currentcolor'}" stroke-width="2"/>
<text x="${at}" y="74" text-anchor="middle"${at === chosen ? ' font-weight="700"' : ''}>${html(shortly(n))}</text>
<text x="${at}" y="90" text-anchor="middle" class="code">${hex(n)}</text>`;
  const told = word('operation.line', { share: brief(rest), inner: shortly(around[0]), outer: shortly(around[1]), result: shortly(result) });
  return `<svg class="line" viewBox="0 0 360 96" role="img" aria-label="${html(told)}"><path d="M8 50H352" stroke="currentcolor" opacity=".6"/>
<path d="M180 40V60" stroke="currentcolor" stroke-dasharray="3 3"/><text x="180" y="74" text-anchor="middle" opacity=".8">\u00bd</text>
${end(left, x(0))}${end(right, x(1))}<path d="M${place} 43l6 7-6 7-6-7Z" fill="var(--c1)"/>
<path d="M${place} 40Q${(place + chosen) / 2} 18 ${chosen} 41" fill="none" stroke="var(--c0)" stroke-width="1.5"/>
<text x="${Math.min(Math.max(place, 60), 300)}" y="18" text-anchor="middle" fill="var(--c1)">${html(word('operation.line_exact'))} ${html(decimal(exact, 16))}</text></svg>`;
}
