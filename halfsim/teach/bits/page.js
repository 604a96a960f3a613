// What is seen, kept in the address so that a link shows the same; words in two languages; tabs.

const START = {
  view: 'number',
  f: 'float16',
  m: 'nearest_even',
  x: '0.1',
  op: 'add',
  a: '2048',
  b: '1',
  c: '1',
  list: '4096*1',
  order: 'sequential',
  step: '1',
};
const VIEWS = { number: showNumber, operation: showOperation, sum: showSum };
// What of it belongs to which view, so that an address has no more than it needs. `code` takes the place of x.
const KEPT = { number: ['code', 'x'], operation: ['op', 'a', 'b', 'c'], sum: ['list', 'order', 'step'] };

const at = (id) => document.getElementById(id);
let state,
  language,
  writing = ''; // the last is the box that somebody writes in just now

function word(key, values = {}) {
  const text = key.split('.').reduce((table, part) => table?.[part], WORDS[language]);
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => values[name]);
}

const format = () => FORMATS[state.f];

// The state that an address tells; words that it does not know are left out, so that any address shows something.
function told(hash) {
  const given = Object.fromEntries(new URLSearchParams(hash));
  const found = { ...START, ...given };
  const allowed = { view: VIEWS, f: FORMATS, m: MODES, op: OPERATIONS, order: ORDERS };
  for (const [key, table] of Object.entries(allowed)) if (!Object.hasOwn(table, found[key])) found[key] = START[key];
  if (given.x !== undefined) delete found.code;
  return found;
}

function address() {
  const keys = ['view', 'f', 'm', ...KEPT[state.view]];
  const told = keys
    .filter((key) => state[key] !== undefined && !(key === 'x' && state.code))
    .map((key) => [key, state[key]]);
  return `#${new URLSearchParams([...told, ['lang', language]])}`;
}

// Change the state, and with it the page and the address.
function change(changes) {
  Object.assign(state, changes);
  if ('x' in changes) delete state.code;
  show();
}

function show() {
  for (const name of Object.keys(VIEWS)) {
    const tab = at(`tab-${name}`),
      chosen = name === state.view;
    tab.ariaSelected = String(chosen);
    tab.tabIndex = chosen ? 0 : -1;
    at(name).hidden = !chosen;
  }
  const { name, bits, exponentBits, stored, largest } = format();
  const end = (magnitude) => shortly(numberOf(format(), magnitude));
  at('format').value = name;
  at('mode').value = state.m;
  at('format-fact').textContent = word('format_fact', {
    bits,
    exponent: exponentBits,
    stored,
    largest: end(largest),
    least: end(1n),
  });
  VIEWS[state.view]();
  try {
    history.replaceState(null, '', address());
  } catch {
    /* some viewers allow no address of its own */
  }
}

// Put a text into a box, unless somebody is writing there.
function fill(id, text) {
  if (writing !== id) at(id).value = text;
}

function wrong(id, text, ...boxes) {
  if (at(id).textContent !== text) at(id).textContent = text;
  for (const box of boxes) at(box).setAttribute('aria-invalid', String(text !== ''));
}

// Live regions speak when they change; the same text again is no change.
function say(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

const options = (names, text) => names.map((name) => `<option value="${name}">${html(text(name))}</option>`).join('');

// Buttons with something to try: [text on it, the state that it makes].
function tries(id, list) {
  at(id).innerHTML = `<span class="soft">${said('try')}</span>`;
  for (const [text, changes] of list) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = text;
    button.addEventListener('click', () => change({ ...changes }));
    at(id).append(button);
  }
}

function speak(name) {
  language = name;
  document.documentElement.lang = { en: 'en', zh: 'zh-CN' }[name];
  document.title = word('title');
  for (const element of document.querySelectorAll('[data-word]')) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll('[data-label]')) element.ariaLabel = word(element.dataset.label);
  at('language').ariaLabel = word('switch_language');
  at('language').lang = name === 'en' ? 'zh-CN' : 'en';
  at('format').innerHTML = options(
    Object.keys(FORMATS),
    (key) => `${key} (1 + ${FORMATS[key].exponentBits} + ${FORMATS[key].stored})`,
  );
  at('mode').innerHTML = options(Object.keys(MODES), (key) => word(`modes.${key}`));
  at('which').innerHTML = options(Object.keys(OPERATIONS), (key) => word(`operation.${key}`));
  at('order').innerHTML = options(Object.keys(ORDERS), (key) => word(`sum.${key}`));
  delete at('bits').dataset.format; // its labels are words, too
  tries(
    'x-tries',
    ['0.1', '1/3', '2049', '65519', '65520', '2^-24', '1e-8', '-0', 'nan'].map((x) => [x, { x }]),
  );
  tries('operation-tries', [
    ['2048 + 1', { op: 'add', a: '2048', b: '1' }],
    ['2048 + 3', { op: 'add', a: '2048', b: '3' }],
    ['0.1 + 0.2', { op: 'add', a: '0.1', b: '0.2' }],
    ['1 + 0.0004', { op: 'add', a: '1', b: '0.0004' }],
    ['1.001 + (-1)', { op: 'add', a: '1.001', b: '-1' }],
    ['300 \u00d7 300', { op: 'mul', a: '300', b: '300' }],
    ['0.0001 \u00d7 0.0001', { op: 'mul', a: '0.0001', b: '0.0001' }],
    ['0.1 \u00d7 10 + (-1)', { op: 'fma', a: '0.1', b: '10', c: '-1' }],
  ]);
  const sums = ['4096*1', '1000*0.1', '2048, 8*1', '100, 1000*0.01', '60000, 10000, -60000'];
  tries(
    'sum-tries',
    sums.map((list) => [list, { list, order: 'sequential', step: '1' }]),
  );
}

function begin(hash) {
  state = told(hash.replace(/^#/, '') || BEGIN);
  const asked = [state.lang, LANGUAGE, ...(navigator.languages ?? [])].map((lang) =>
    (lang ?? '').slice(0, 2).toLowerCase(),
  );
  speak(asked.find((lang) => Object.hasOwn(WORDS, lang)) ?? 'en');
  delete state.lang;
  show();
}

function wire() {
  at('language').addEventListener('click', () => {
    speak(language === 'en' ? 'zh' : 'en');
    show();
  });
  const on = (id, event, changes) =>
    at(id).addEventListener(event, () => {
      writing = event === 'input' ? id : '';
      change(changes(at(id).value));
      writing = '';
    });
  on('format', 'change', (f) => {
    const code = state.code === undefined ? undefined : readCode(state.code, FORMATS[f]);
    return code === null ? { f, x: '0.1' } : { f };
  });
  on('mode', 'change', (m) => ({ m }));
  on('which', 'change', (op) => ({ op }));
  on('order', 'change', (order) => ({ order, step: '1' }));
  for (const id of ['x', 'code', 'a', 'b', 'c']) on(id, 'input', (text) => ({ [id]: text }));
  on('list', 'input', (list) => ({ list, step: '1' }));
  on('step', 'input', (step) => ({ step }));
  at('tabs').addEventListener('click', ({ target }) => target.role === 'tab' && change({ view: target.id.slice(4) }));
  at('tabs').addEventListener('keydown', (event) => {
    const names = Object.keys(VIEWS),
      now = names.indexOf(state.view);
    const to = { ArrowRight: now + 1, ArrowLeft: now + 2, Home: 0, End: 2 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    change({ view: names[to % 3] });
    at(`tab-${state.view}`).focus();
  });
  wireNumber();
  wireSum();
  addEventListener('hashchange', () => begin(location.hash));
}
