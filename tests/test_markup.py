"""The looks of all pages: colours that everyone can tell apart, and a notebook's styles kept out."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.card import Card, Text
from halfsim.markup import COLOURS, fragment
from halfsim.nn.state import State
from tests.browser import needs_chromium, visit
from tests.diagnose.runs import trained

EVIL = "<script>console.log('run')</script><img src=x onerror=console.log(1)>"

# Machado, Oliveira and Fernandes (2009), table 1 at severity 1: how linear RGB looks without one kind of cone.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> Any:
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: Any) -> Any:
    """CIE 1976 L*a*b* under D65, in which an even distance is about evenly seen."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x = np.array(to_xyz) @ np.clip(rgb, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("dark", [False, True])
def test_lines_are_told_apart_whatever_the_eye(dark: bool) -> None:
    lines = [linear(COLOURS[f"c{i}"][dark]) for i in range(4)]
    for kind, matrix in {"none": np.eye(3), **BLIND}.items():
        for a, b in itertools.combinations(lines, 2):
            assert np.linalg.norm(lab(np.array(matrix) @ a) - lab(np.array(matrix) @ b)) > 15, kind


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_is_that_of_wcag(dark: bool) -> None:
    def light(name: str) -> float:
        return float(linear(COLOURS[name][dark]) @ [0.2126, 0.7152, 0.0722]) + 0.05

    for name in ("ink", "soft", "bad", "warn", "good", "c0", "c1", "c2", "c3"):
        for paper in ("paper", "band"):
            low, high = sorted((light(name), light(paper)))
            assert high / low >= (4.5 if name[0] != "c" else 3.0), (name, paper)  # of text, and of graphics


def shown() -> dict[str, Any]:
    """One of each of what a user evaluates in a cell."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'halfsim[plot]')")
    t = trained("amp", 3, "fp64")
    sick = trained("sgd", 3)
    model = hs.nn.Sequential(hs.nn.Linear(4, 3), hs.nn.ReLU())
    state = model.state_dict()
    model.half()

    def backward() -> None:
        model(hs.tensor(np.ones((2, 4)))).sum().backward()

    found = sick.verdict()
    values = [
        t, found, found.fixes[0], found.event, t.table(), t.errors(), t.report(), hs.compare(backward, "fp16"),
        model, state, model.conversion, model[0].weight, hs.tensor([1, 2]), hs.tensor(1.0),
        hs.search_policy(backward, target="fp16", fallback="fp32", accept=lambda *a: True),
        hs.mend(backward, target="fp16"), hs.loss_scale_range(backward),
        hs.minimize(lambda x: x * 300.0, hs.tensor([300.0, 1.0], "fp16")),
        hs.hardware.device("A100"), hs.hardware.device("A100").memory, hs.hardware.devices(),
        hs.FP16, hs.precision("fp16"), hs.Policy({"default": "fp32", "@softmax": "fp16"}), hs.float16,
        hs.tensor([1]).format, hs.Rounding("upward"), hs.Stochastic(1), hs.explain("0.1"),
        hs.cost("mlp", 1, "A100"), hs.compare_models(model, model, np.ones((2, 4))),
        hs.plot.number_line("fp8_e4m3", -1, 1),
    ]  # fmt: skip
    return {type(value).__name__: value for value in values}


@pytest.fixture(scope="module")
def reprs() -> dict[str, str]:
    return {name: value._repr_html_() for name, value in shown().items()}


def test_every_result_has_a_card_that_is_guarded(reprs: dict[str, str]) -> None:
    assert len(reprs) > 28
    for name, text in reprs.items():
        style = text[text.index("<style>") + 7 : text.index("</style>")]
        assert text.count("<style") == 1, name
        assert '<div class="halfsim">' in text, name
        outer = re.sub(r"@(container|media)[^{]*", "", style)
        for selector in re.findall(r"(?:^|\})\s*([^{}@]+)\{", outer):
            parts = re.split(r",(?![^(]*\))", selector)
            assert all(".halfsim:not(#_)" in part for part in parts if part.strip()), (name, selector)
        assert not re.search(r"""\b(src|href)=["']?http|url\(['"]?http|@import""", text.replace("xlink:href", "")), name


def test_small_values_have_small_cards(reprs: dict[str, str]) -> None:
    for name in ("Format", "Rounding", "Precision", "Policy", "Fix", "Finding", "Tensor", "Text", "Figure", "State"):
        assert len(reprs[name]) < 5000, name


def test_at_a_prompt_they_print_and_inside_a_list_they_are_named() -> None:
    class Printer:
        def __init__(self, depth: int) -> None:
            self.stack, self.said = [0] * depth, ""

        def text(self, text: str) -> None:
            self.said += text

    for value in (hs.float16, hs.hardware.device("A100"), hs.tensor([1.0]).format):
        top, inner = Printer(1), Printer(2)
        value._repr_pretty_(top, False)
        value._repr_pretty_(inner, False)
        assert (top.said, inner.said) == (str(value), repr(value))
    assert repr(Text("a\nb")) == "a\nb"
    assert "_repr_pretty_" in vars(hs.Report), "where IPython looks before it takes a dataclass's repr"


def test_what_is_shown_is_no_markup(tmp_path: Path) -> None:
    class Named(Card):
        _listed = ("name",)
        name = EVIL

        def __str__(self) -> str:
            return EVIL

    class Tabled(Card):
        def _card(self) -> Any:
            return [(EVIL, EVIL), (EVIL, [(EVIL, EVIL), (EVIL, EVIL)]), ("", {EVIL: EVIL})]

    class Layer(hs.nn.Module):
        def extra_repr(self) -> str:
            return EVIL

    evil = json.dumps(EVIL)[1:-1]
    report = hs.Report.from_json(trained("sgd", 2).to_json().replace('"path":"', f'"path":"{evil}'))
    policy = hs.Policy({"default": "fp32", EVIL: "fp16"})
    cards = [Named(), Tabled(), Layer(), State({EVIL: 1}), report, report.verdict, policy, hs.Format(EVIL, 5, 11)]
    cards += [hs.Fix(EVIL), Text(EVIL)]
    body = "".join(card._repr_html_() for card in cards if card is not None)
    assert "<script>console" not in body
    assert "<img" not in body


# The rules of JupyterLab 4 (@jupyterlab/rendermime, BSD-3-Clause) and of notebook 6 that reach into outputs, in colours
# that show.
NOTEBOOKS = """
.jp-RenderedHTMLCommon { color: #f0f; font-size: 14px; line-height: 1.6; }
.jp-RenderedHTMLCommon table { border-collapse: separate; border-spacing: 9px; border: none; color: #f0f;
  font-size: 9px; table-layout: fixed; margin-left: auto; margin-bottom: 1em; margin-right: auto; }
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon tr { vertical-align: middle;
  padding: 0.5em; line-height: normal; white-space: normal; max-width: none; border: none; }
:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon td, :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon th {
  text-align: right; }
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #fff; }
.jp-RenderedHTMLCommon tbody tr:nth-child(even) { background: #f5f5f5; }
.jp-RenderedHTMLCommon tbody tr:hover { background: #66bb6a; }
.jp-RenderedHTMLCommon pre, .jp-RenderedHTMLCommon code { background-color: #fff; color: #f0f; padding: 0;
  white-space: pre-wrap; }
.jp-RenderedHTMLCommon p { text-align: left; margin: 0 0 1em; } .jp-RenderedHTMLCommon dd { margin-left: 2em; }
.rendered_html tr, .rendered_html th, .rendered_html td { text-align: right; padding: 0.5em; max-width: none; }
.rendered_html tbody tr:nth-child(odd) { background: #f5f5f5; } .rendered_html * + table { margin-top: 1em; }
.output table tr:nth-child(even) td { background-color: #f5f5f5 !important; }
"""
PROBE = """
const card = document.querySelector('.halfsim'), row = card.querySelectorAll('tbody tr')[1];
const of = (part, name) => getComputedStyle(part)[name];
return {
  row: of(row, 'backgroundColor'), layout: of(row.closest('table'), 'tableLayout'),
  collapse: of(row.closest('table'), 'borderCollapse'), first: of(row.cells[0], 'textAlign'),
  last: of(row.lastElementChild, 'textAlign'), space: of(row.lastElementChild, 'whiteSpace'),
  ink: of(row.lastElementChild, 'color'), paper: of(card, 'backgroundColor'),
  total: document.documentElement.scrollWidth,
  own: of(document.querySelector('#own'), 'color'),
};
"""


@needs_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_notebook_does_not_reach_in(theme: str, system: str, tmp_path: Path) -> None:
    page = (
        f"<!doctype html><style>{NOTEBOOKS}</style><body data-jp-theme-light={str(theme == 'light').lower()}>"
        '<div class="jp-RenderedHTMLCommon rendered_html jp-RenderedHTML"><p id=own>mine</p>'
        f"{trained('sgd', 2).report()._repr_html_()}</div></body>"
    )
    found, said = visit(page, PROBE, tmp_path, 900, system == "dark")
    assert said == []
    assert found.pop("row") == "rgba(0, 0, 0, 0)"
    colours = ["#" + "".join(f"{int(n):02x}" for n in re.findall(r"\d+", found.pop(name))) for name in ("ink", "paper")]
    assert colours == [COLOURS["ink"][theme == "dark"], COLOURS["paper"][theme == "dark"]]
    assert found == {
        "layout": "auto", "collapse": "collapse", "first": "left", "last": "right", "space": "nowrap",
        "total": 900, "own": "rgb(255, 0, 255)",
    }  # fmt: skip


def test_a_fragment_leaves_the_page_around_alone() -> None:
    text = fragment(["<p>words</p>"])
    assert "body" not in text.replace("tbody", "")
