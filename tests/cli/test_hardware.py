from __future__ import annotations

import json
from pathlib import Path

import pytest

import halfsim as hs
from halfsim.cli import main
from tests.cli.calling import refusal


def test_devices_is_a_table_of_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) > 24
    assert max(map(len, lines)) <= 100
    assert main(["devices", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(hs.hardware.devices()) == 70


def test_sources_are_every_figure_with_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--sources"]) == 0
    out = capsys.readouterr().out
    assert "  fp16 matrix        312 TFLOP/s [a100-ds, a100-notes]" in out
    assert "[a100-ds] NVIDIA: NVIDIA A100 Tensor Core GPU data sheet, 1758950 r4, June 2021, https://" in out
    assert main(["devices", "L4", "--sources"]) == 0
    assert "derived: half of what is stated with sparsity" in capsys.readouterr().out


def test_one_device_has_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "rtx 4090"]) == 0
    out = capsys.readouterr().out
    assert "RTX 4090: NVIDIA, ada, 2022" in out
    assert "whitepaper" in out
    assert main(["devices", "A100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "ampere"


def test_cost_prints_tables_and_writes_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "cost.html"
    assert main(["cost", "--model", "cnn", "--device", "H100", "--batch", "100000", "--html", str(path)]) == 0
    out = capsys.readouterr().out
    assert "training with adam: memory" in out
    assert f"Page written to {path}" in out
    assert max(map(len, out.replace(str(path), "").split("\n"))) <= 100
    assert path.read_text().startswith("<!doctype html>")
    assert main(["cost", "--recipe", "bf16", "--optimizer", "sgd", "--width", "8", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [b["recipe"] for b in facts["inference"]] == ["bf16"]
    assert facts["training"][0]["bytes"]["optimizer"] == 0


BAD = [
    (["devices", "A10O"], "halfsim devices: device: 'A10O' is not allowed (did you mean 'A100'?)"),
    (["cost", "--device", "H10"], "halfsim cost: --device: 'H10' is not allowed (did you mean 'H100'?)"),
    (["cost", "--model", "mpl"], "--model: 'mpl' is not allowed (did you mean 'mlp'?)"),
    (["cost", "--batch", "0"], "--batch: '0' is not allowed; allowed: integers from 1"),
    (["cost", "--recipe", "fp17"], "fp16"),
    (["cost", "--model", "transformer", "--width", "9"], "width: 9 is not allowed; allowed: multiples of 8"),
    (["cost", "--html", "/nowhere/at/all.html"], "no such file or directory"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_careless_arguments_get_one_line_and_exit_code_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in refusal(arguments, capsys)
