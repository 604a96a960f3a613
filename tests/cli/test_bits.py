from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from halfsim.cli import main
from halfsim.numerics.explain import explain
from tests.cli.calling import refusal

WORDS = [
    (["0.1"], "0.1"),
    (["-0.1"], "-0.1"),
    (["--", "-0.1"], "-0.1"),
    (["-1e-5"], "-1e-5"),
    (["-inf"], "-inf"),
    (["-.5*3"], "-.5 * 3"),
    (["1 + 0.0004"], "1 + 0.0004"),
    (["fma(0.1, 3, -0.3)"], "fma(0.1, 3, -0.3)"),
    (["0x2e66"], "0x2e66"),
    (["1", "+", "0.0004"], "1 + 0.0004"),
    (["1", "-0.5"], "1 - 0.5"),
    (["-NaN"], "-NaN"),
    (["  0.1\r\n"], "0.1"),
]


@pytest.mark.parametrize(("arguments", "text"), WORDS)
def test_bits_prints_the_explanation(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bits", *arguments]) == 0
    out, err = capsys.readouterr()
    assert out == f"{explain(text)}\n"
    assert err == ""


def test_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, page = ["bits", "[1, 2.5, 7, 0.1]", "--format", "mxfp4"], tmp_path / "block.html"
    told = explain("[1, 2.5, 7, 0.1]", "mxfp4")
    assert main([*words, "--html", str(page)]) == 0
    assert capsys.readouterr().out.startswith(str(told))
    assert page.read_text(encoding="utf-8") == told.page()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told.to_dict()
    assert "--svg: a block has no picture" in refusal([*words, "--svg", str(tmp_path / "x.svg")], capsys)


def test_patterns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bits", "--bits", "0x2e66"]) == 0
    assert capsys.readouterr().out == f"{explain(0x2E66, bits=True)}\n"
    for pattern in ("15360", "0x3c00", "0b11110000000000"):
        assert main(["bits", pattern, "--bits", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["result"]["value"] == "1"


def test_format_and_rounding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bits", "--format", "bf16", "-0.1", "--rounding", "upward"]) == 0
    assert capsys.readouterr().out == f"{explain('-0.1', 'bfloat16', rounding='upward')}\n"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bits", "2048 + 1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["result"]["hex"] == "0x6800"
    assert (facts["exact"], facts["guard"], facts["round"], facts["sticky"]) == ("2049", 0, 1, 0)
    assert facts["ulp_error"] == "-0.5"
    assert facts["flags"] == ["INEXACT"]


def test_svg_and_html(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture, page = tmp_path / "a.svg", tmp_path / "a.html"
    assert main(["bits", "0.1", "--svg", str(picture), "--html", str(page)]) == 0
    assert f"Picture written to {picture}" in capsys.readouterr().out
    assert ET.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.svg"]


BAD = [
    (["bits"], "halfsim bits: VALUE is missing; as in: halfsim bits 0.1"),
    (["bits", "1+2+3"], "VALUE: '1+2+3' is not allowed; allowed: a number"),
    (
        ["bits", "0.1", "--format", "float17"],
        "halfsim bits: --format: 'float17' is not allowed (did you mean 'float16'?)",
    ),
    (["bits", "--bits", "abc"], "with --bits patterns: 0x2e66, 0b0011, 15360"),
    (["bits", "--bits", "1.5"], "VALUE: '1.5' is not allowed; allowed: with --bits patterns"),
    (["bits", "--bits", "-15360"], "VALUE: '-15360' is not allowed"),
    (["bits", "--bits", "65536"], "the bit pattern 0x10000 is not allowed; allowed: 0x0 to 0xffff"),
    (["bits", "9" * 100_000], "VALUE: '999"),
    (["bits", "0.1", "--rounding", "stochastic"], "nearest_even"),
    (["bits", "0.1", "--svg", "/nowhere/at/all.svg"], "--svg: '/nowhere/at/all.svg': no such file"),
    (["bits", "0.1", "--html", "."], "--html: '.': is a directory"),
    (["bits", "-x"], "option: '-x' is not allowed; allowed: -h, --help"),
    (["bits", "1", "2"], "VALUE: '1 2' is not allowed"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_careless_arguments_get_one_line_and_exit_code_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in refusal(arguments, capsys)
