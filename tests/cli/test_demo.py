from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from halfsim.cli import main
from tests.cli.calling import refusal

FAST = ["demo", "--epochs", "1", "--hidden", "4", "--recipe", "fp32"]


def test_demo_prints_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FAST, "--recipe", "amp"]) == 0
    out, err = capsys.readouterr()
    assert "First trouble" in out
    assert "\nfp32 " in out
    assert "\namp " in out
    assert "\nfp16 " not in out
    assert err == "", "no progress bar where there is no terminal"


def test_json_and_html_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")
    assert main([*FAST, "--json", "--html", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["runs"][0]["recipe"] == "fp32"
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["out.html"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


BAD = [
    (["demo", "--lr", "abc"], "--lr: 'abc' is not allowed; allowed: positive finite numbers"),
    (["demo", "--lr", "nan"], "--lr: 'nan'"),
    (["demo", "--lr=-1"], "--lr: '-1'"),
    (["demo", "--epochs", "0"], "--epochs: '0' is not allowed; allowed: integers from 1 to 1000000"),
    (["demo", "--hidden", "1.5"], "--hidden: '1.5'"),
    (["demo", "--seed=-1"], "--seed: '-1' is not allowed; allowed: integers from 0"),
    (["demo", "--optimizer", "sdg"], "--optimizer: 'sdg' is not allowed (did you mean 'sgd'?); allowed: sgd, adam"),
    (["demo", "--recipe", "fp17"], "pure_fp16"),
    (["demo", "--epoch"], "--epochs: N is missing"),
    (["demo", "--optimiser", "sgd"], "option: '--optimiser' is not allowed (did you mean '--optimizer'?)"),
    (["demo", "--bogus"], "--bogus"),
    (["dmeo"], "halfsim: COMMAND: 'dmeo' is not allowed (did you mean 'demo'?); allowed: demo, bits, run"),
    ([*FAST, "--html", ""], "--html: '': is not the path of a file"),
    ([*FAST, "--html", "-"], "--html: '-': is not the path of a file"),
    ([*FAST, "--html", "/nowhere/at/all.html"], "no such file or directory"),
    ([*FAST, "--html", "."], "is a directory"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_careless_arguments_get_one_line_and_exit_code_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in refusal(arguments, capsys)


def test_an_interrupted_run_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("halfsim.demo.training.train", interrupted)
    path = tmp_path / "out.html"
    path.write_text("old")
    assert main([*FAST, "--html", str(path)]) == 130
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.html"]
    assert capsys.readouterr().err == "halfsim demo: interrupted\n"


def test_the_bar_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    main(FAST)
    assert "fp32 (1 of 1)" in capsys.readouterr().err


def test_python_m_halfsim() -> None:
    done = subprocess.run([sys.executable, "-m", "halfsim", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("halfsim ")


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "halfsim", *arguments]
    return subprocess.run(command, text=True, timeout=120, check=False, **options)  # type: ignore[call-overload]


def test_what_is_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = run(*FAST, "--html", str(pipe), capture_output=True)
    assert done.returncode == 2
    assert "is not a regular file" in done.stderr
    assert pipe.is_fifo()


def test_links_and_modes_are_kept(tmp_path: Path) -> None:
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    page.chmod(0o600)
    link.symlink_to(page)
    assert main([*FAST, "--html", str(link)]) == 0
    assert link.is_symlink()
    assert page.read_text().startswith("<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o600


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "halfsim", *FAST], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        errors = child.stderr.read()
        assert child.wait(timeout=120) == 0
    assert errors == b""


def test_closed_standard_error_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m halfsim {' '.join(FAST)} 2>&-", shell=True, capture_output=True, text=True, check=True
    )
    assert "Advice" in done.stdout


def test_too_much_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--hidden", "100000000000"])
    assert capsys.readouterr().err.count("\n") == 1
