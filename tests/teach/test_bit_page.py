"""The bit page: its arithmetic against halfsim's, and the page as a reader has it, both in headless Chromium.

The last whole run of the slow test, on 2026-11-30: 100,800 operations, 1,720 lists in five orders, 3,312 texts, 4,320
operations explained and all 524,288 codes of tfloat32, without a difference.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from docs.site import generate
from halfsim.cli import main
from halfsim.teach import bits
from tests.browser import needs_chromium, visit
from tests.cli.calling import refusal
from tests.teach import bit_page as cases

FOLDER, ROOT = Path(bits.__file__).parent, Path(__file__).parents[2]
WORDS = {lang: tomllib.loads((FOLDER / f"{lang}.toml").read_text("utf-8")) for lang in ("en", "zh")}


@needs_chromium
def test_it_computes_what_halfsim_computes(tmp_path: Path) -> None:
    probe = cases.probe(
        nonsense=cases.NONSENSE,
        codes={name: cases.codes(name) for name in cases.NARROW},
        operations=cases.operations(33, seed=1),
        sums=cases.sums(2, seed=2),
        texts=list(cases.texts(3, seed=3)),
        explained=cases.explained(2, seed=4),
    )
    found, said = visit(bits.page("en"), probe, tmp_path)
    assert cases.differences(found) == said == []


@pytest.mark.slow
@needs_chromium
def test_it_computes_100_000_operations(tmp_path: Path) -> None:
    operations, sums = cases.operations(700, seed=11), cases.sums(40, seed=12)
    assert sum(len(group[3]) for group in operations) == 100_800
    probe = cases.probe(
        nonsense=cases.NONSENSE,
        operations=operations,
        sums=sums,
        texts=list(cases.texts(23, seed=13)),
        explained=cases.explained(30, seed=14),
    )
    found, said = visit(bits.page("en"), probe, tmp_path)
    assert cases.differences(found) == said == []
    for part in range(4):  # of the codes of tfloat32
        codes = cases.codes("tfloat32")[part::4]
        found, said = visit(bits.page("en"), cases.probe(codes={"tfloat32": codes}), tmp_path)
        assert cases.differences(found) == said == []


# What a reader does, in JavaScript, and what the page then shows.
ACT = """
const write = (id, text) => {
  at(id).focus();
  at(id).value = text;
  at(id).dispatchEvent(new Event('input', { bubbles: true }));
};
const choose = (id, value) => {
  at(id).value = value;
  at(id).dispatchEvent(new Event('change', { bubbles: true }));
};
const key = (key) => document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
const text = (id) => at(id).innerText.replaceAll(/\\s+/g, ' ').trim();
const shown = {};
"""


def seen(probe: str, folder: Path, html: str = "", **options: Any) -> dict[str, Any]:
    """What the page shows after ``probe``; the console has to stay silent."""
    found, said = visit(html or bits.page("en"), f"{ACT}{probe} return shown;", folder, **options)
    assert said == []
    assert isinstance(found, dict)
    return found


@needs_chromium
def test_a_reader_types_clicks_and_steps(tmp_path: Path) -> None:
    shown = seen(
        """
shown.first = text('x-told');
write('x', '65520'); shown.over = text('x-told'); shown.error = text('x-facts');
write('x', '<img src=x onerror=document.title=1>'); shown.wrong = text('x-wrong'); shown.hidden = at('x-works').hidden;
shown.invalid = at('x').getAttribute('aria-invalid'); shown.images = document.images.length;
write('code', '0x0001'); shown.least = text('x-told'); shown.says = text('bits');
at('bits').querySelector('[data-bit="0"]').click(); shown.flipped = at('code').value;
at('bits').querySelector('button').focus(); key('1'); key('0'); key('1'); key('End'); key('0');
shown.keys = at('code').value; shown.focus = document.activeElement.dataset.bit;
key('ArrowUp'); shown.up = at('code').value; at('down').click(); at('down').click(); shown.down = at('code').value;
shown.stops = [...at('bits').querySelectorAll('[tabindex="0"]')].length;
choose('format', 'float4_e2m1fn'); write('x', 'nan'); shown.lacks = text('x-told');
write('x', '1e9'); shown.largest = at('code').value;
shown.address = location.hash;
""",
        tmp_path,
    )
    assert shown["first"] == "0.1 in float16 is 0.0999755859375: normal number, bits 0x2e66."
    assert shown["over"] == "65520 in float16 is inf: infinity, bits 0x7c00."
    assert "infinite: it is too large for float16" in shown["error"]
    assert (shown["hidden"], shown["invalid"], shown["images"]) == (True, "true", 0)
    assert shown["wrong"].startswith("“<img src=x onerror=document.title=1>” is not a number")
    assert shown["least"].startswith("The bits 0x0001 of float16 are 5.9604644775390625e-8: subnormal number")
    assert "0: counts as 1 − 15 = -14, no hidden 1" in shown["says"]
    assert shown["flipped"] == "0x8001"
    assert (shown["keys"], shown["focus"], shown["stops"]) == ("0xa000", "15", 1)
    assert (shown["up"], shown["down"]) == ("0x9fff", "0xa001")
    assert shown["lacks"] == "float4_e2m1fn has no nan; it is 0 instead, bits 0x0."
    assert shown["largest"] == "0x7"
    assert shown["address"] == "#view=number&f=float4_e2m1fn&m=nearest_even&x=1e9&lang=en"


@needs_chromium
def test_a_reader_works_an_operation_and_watches_a_sum(tmp_path: Path) -> None:
    shown = seen(
        """
at('tab-number').focus(); key('ArrowRight'); shown.tab = document.activeElement.id;
shown.told = text('operation-told'); shown.steps = text('operation-steps');
choose('which', 'fma'); write('a', '0.1'); write('b', '10'); write('c', '-1');
shown.fma = text('operation-told'); choose('mode', 'upward'); write('b', '3'); shown.chosen = text('operation-steps');
write('b', 'inf'); write('a', '0'); shown.invalid = text('operation-steps');
write('b', '?'); shown.wrong = text('operation-wrong'); shown.marked = ['a', 'b', 'c'].map((id) => at(id).ariaInvalid);
choose('mode', 'nearest_even');
at('tab-operation').focus(); key('End'); shown.sum = text('sum-told'); shown.orders = text('sum-orders');
at('walk').querySelector('[data-walk=swallow]').click(); shown.swallow = text('step-told'); shown.at = at('step').value;
write('list', '1000*0.1, x'); shown.list = text('sum-wrong');
write('list', '100, 1000*0.01'); choose('order', 'kahan'); at('walk').querySelector('[data-walk=last]').click();
shown.kahan = text('step-told'); shown.kept = text('sum-orders');
const kept = location.hash;
begin('#view=nowhere&f=float17&m=x&op=__proto__&order=constructor&step=-5'); shown.odd = text('x-told');
begin('#view=sum&list=1&step=9'); shown.one = text('step-told');
begin(kept); shown.again = text('step-told');
""",
        tmp_path,
    )
    assert shown["tab"] == "tab-operation"
    assert shown["told"] == "2048 + 1 in float16 is 2048: bits 0x6800."
    for words in ("exactly half: the guard bit 0 is even, so it stays", "up 2050 0x6801 positive: go up",
                  "Round bit 1", "Sticky bit 0", "-1 = -0.5 ulp"):  # fmt: skip
        assert words in shown["steps"], words
    assert shown["fma"] == "0.1 × 10 + (-1) in float16 is -0.000244140625: bits 0x8c00."
    assert "up (chosen)" in shown["chosen"]
    assert "zero times infinity has no value: NaN" in shown["invalid"]
    assert shown["wrong"].startswith("Write a number into each box")
    assert shown["marked"] == ["false", "true", "false"]
    assert shown["sum"] == "4096 numbers in float16. Exact sum 4096. One after another: 2048."
    assert "one after another (chosen) 2048 0x6800 -2048 2048 / 4096 at 2048, after 2048 additions" in shown["orders"]
    assert "in pairs 4096 0x6c00 0 0 / 4095" in shown["orders"]
    assert (shown["at"], "The total does not move: a step (ulp) at 2048 is 2" in shown["swallow"]) == ("2049", True)
    assert shown["list"] == "“x” is not a number. Write as in: 0.1, 2048, 4096*1."
    assert "Kahan takes" in shown["kahan"]
    assert shown["again"] == shown["kahan"]
    assert shown["odd"].startswith("0.1 in float16 is")
    assert "0 + 1 = 1 exactly" in shown["one"]


# Every view with much in it: what leaves the window, what has no name, what another server is asked for.
LOOK = """
const views = [
  'view=number&x=0.1', 'view=number&f=float64&x=1e-300', 'view=operation&op=fma&f=float32&a=1e30&b=3&c=1e-30',
  'view=operation&op=mul&a=0.0001&b=0.0001', 'view=sum&order=kahan&step=2050&list=4096*1',
  'view=sum&order=pairwise&list=60000, 10000, -60000',
];
const named = 'button, input, select, textarea, svg, [role=group], [role=tablist]';
shown.wide = []; shown.nameless = []; shown.empty = [];
for (const view of views) {
  begin(`#${view}&lang=LANG`);
  if (document.documentElement.scrollWidth > innerWidth) shown.wide.push(view);
  for (const element of document.querySelectorAll(named)) {
    const other = element.getAttribute('aria-labelledby');
    const name = element.ariaLabel || element.labels?.length || element.innerText || (other && text(other));
    if (!name) shown.nameless.push(`${view} ${element.outerHTML}`);
  }
  for (const element of document.querySelectorAll('[aria-describedby]')) {
    const hints = element.getAttribute('aria-describedby').split(' ');
    shown.empty.push(...hints.filter((hint) => !at(hint)));
  }
  if (/undefined|NaN(?!）)|null|\\{\\w+\\}/.test(document.body.innerText)) shown.empty.push(document.body.innerText);
}
shown.loaded = performance.getEntriesByType('resource').length;
shown.lang = document.documentElement.lang; shown.title = document.title;
"""


@needs_chromium
@pytest.mark.parametrize(("lang", "width", "dark"), [("en", 360, False), ("zh", 360, True), ("zh", 1280, False)])
def test_it_fits_and_everything_has_a_name(lang: str, width: int, dark: bool, tmp_path: Path) -> None:
    shown = seen(LOOK.replace("LANG", lang), tmp_path, bits.page(), width=width, dark=dark)
    assert shown["wide"] == shown["nameless"] == shown["empty"] == []
    assert shown["loaded"] == 0
    assert (shown["lang"], shown["title"]) == ({"en": "en", "zh": "zh-CN"}[lang], WORDS[lang]["title"])


@needs_chromium
def test_it_begins_as_it_was_told_to(tmp_path: Path) -> None:
    html = bits.page("zh", bits.start("fma(0.1, 10, -1)", "bf16", "upward"))
    look = "shown.lang = document.documentElement.lang; shown.told = text('operation-told'); at('language').click();"
    shown = seen(f"{look} shown.switched = text('operation-told');", tmp_path, html)
    assert shown["lang"] == "zh-CN"
    assert shown["told"] == "0.1 × 10 + (-1) 在 bfloat16 中是 0.0009765625，编码 0x3a80。"
    assert shown["switched"] == "0.1 × 10 + (-1) in bfloat16 is 0.0009765625: bits 0x3a80."


def _flat(table: dict[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in table.items():
        yield from _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]


def test_both_languages_say_everything_and_nothing_is_left_over() -> None:
    en, zh = (dict(_flat(WORDS[lang])) for lang in ("en", "zh"))
    assert en.keys() == zh.keys()
    for key, text in en.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", zh[key])), key
    source = "".join((FOLDER / f"{name}.js").read_text("utf-8") for name in bits._SCRIPTS)
    source += (FOLDER / "page.html").read_text("utf-8")
    words = re.findall(r"[\"'`]([a-z][\w.]*(?:\$\{[^`]*?\})?)[\"'`]", source)
    patterns = {re.escape(re.sub(r"\$\{.*?\}", "@", word)).replace("@", ".+") for word in words}
    for key in en:
        assert any(re.fullmatch(pattern, key) for pattern in patterns), f"{key} is never said"


def test_it_is_one_file_that_asks_nobody() -> None:
    page = bits.page()
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|@import|<link|\bsrc=|\bfetch\(|XMLHttpRequest|\burl\(", page)
    assert page.count("<script>") == page.count("</script>") == 1


def test_the_command_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bits", "--page"]) == 0
    out = capsys.readouterr().out
    assert out == f"Bit page written to bits.html\nOpen it in a browser: {(tmp_path / 'bits.html').as_uri()}\n"
    assert (tmp_path / "bits.html").read_text("utf-8") == bits.page("", bits.start())
    assert main(["bits", "0.1", "--page", "a.html", "--lang", "zh", "--format", "bf16"]) == 0
    capsys.readouterr()
    assert (tmp_path / "a.html").read_text("utf-8") == bits.page("zh", bits.start("0.1", "bfloat16"))
    assert main(["bits", "--page", "-"]) == 0
    assert capsys.readouterr().out == bits.page("", bits.start())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "bits.html"]


BAD = [
    (["--page", "--lang", "fr"], "--lang: 'fr' is not allowed"),
    (["0.1", "--lang", "zh"], "--lang: it is the language of the bit page; allowed: with --page"),
    (["1 - 2", "--page"], "VALUE: '1 - 2' is not allowed; allowed: a number, a + b, a * b, fma(a, b, c)"),
    (["0x1 + 0x2", "--bits", "--page"], "allowed: a number, a + b, a * b, fma(a, b, c), without --bits"),
    (["1", "--page", "--format", "float8_e4m3fnuz"], "--format: 'float8_e4m3fnuz' is not allowed"),
    (["1", "--page", "--json"], "--json: the bit page computes in the browser; allowed: without --page"),
    (["--page", "/nowhere/at/all.html"], "--page: '/nowhere/at/all.html': no such file"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_it_is_refused_in_one_line(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert text in refusal(["bits", *arguments], capsys)


def test_the_page_of_the_documentation_is_this_one(tmp_path: Path) -> None:
    generate(tmp_path)
    assert (tmp_path / "docs" / "bits" / "page.html").read_text("utf-8") == bits.page()
    assert 'src="page.html"' in (ROOT / "docs" / "bits.md").read_text("utf-8")
