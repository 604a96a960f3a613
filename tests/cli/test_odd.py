"""What is thrown at the command line: streams, encodings, terminals, words; one line for each error, no traceback."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from halfsim.cli.commands import COMMANDS
from tests.cli.calling import called

HALFSIM = f"{shlex.quote(sys.executable)} -m halfsim"


def shell(line: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("halfsim", HALFSIM, 1)], capture_output=True, text=True, timeout=120, check=False,
        cwd=cwd, env={**os.environ, **environment}, errors="replace",
    )  # fmt: skip


# ---- help ------------------------------------------------------------------------------------------------------------


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called([], capsys)
    assert (code, err) == (0, "")
    assert called(["--help"], capsys) == (0, out, "")
    for name, command in COMMANDS.items():
        assert f"\n    {name} " in out
        assert command.examples[0] in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_and_takes_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called([name, "--help"], capsys)
    assert (code, err) == (0, "")
    assert all(f"\n  {line}\n" in out for line in COMMANDS[name].examples)
    assert "--json [PATH.json]" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_narrow_terminal(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    _, out, _ = called([name, "--help"], capsys)
    assert max(map(len, out.partition("\n\n")[2].partition("examples:")[0].splitlines())) <= 40


# ---- words -----------------------------------------------------------------------------------------------------------

FAST = ["demo", "--epochs", "1", "--hidden", "2", "--recipe", "fp32"]


@pytest.mark.parametrize(
    "arguments", [FAST, ["bits", "0.1"], ["devices"], ["devices", "RTX", "4090"], ["cost", "--batch", "2"]]
)
def test_json_goes_to_standard_output_or_to_a_file(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, story, _ = called(arguments, capsys)
    assert code == 0
    code, out, err = called([*arguments, "--json"], capsys)
    facts = json.loads(out)
    assert (code, err) == (0, "")
    path = tmp_path / "facts.json"
    code, out, err = called([*arguments, "--json", str(path)], capsys)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == story.splitlines()[:2]
    assert out.endswith(f"\nJSON written to {path}\n")
    if arguments != FAST:  # which holds seconds
        assert json.loads(path.read_text()) == facts


def test_what_follows_json_is_its_path_only_if_it_looks_like_one(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = called(["devices", "--json", "A100"], capsys)
    assert json.loads(out)["name"] == "A100"
    _, out, _ = called(["bits", "--json", "0.1"], capsys)
    assert json.loads(out)["expression"] == "0.1"


def test_long_words_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    long = "A" * 100_000
    for arguments in (
        [long], ["devices", long], [f"--{long}"], ["bits", f"--{long}"], ["bits", long], ["bits", "1", "--html", long],
        ["bits", "1", "--format", long], ["demo", "--epochs", "9" * 5000], ["demo", "--lr", long], ["demo", long],
        ["cost", "--model", long], ["cost", "--device", long], ["run", long], ["run", "-m", long],
        ["run", "--first", long, __file__], ["run", "--precision", long, __file__],
    ):  # fmt: skip
        code, out, err = called(arguments, capsys)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert len(err) < 340, arguments
        assert "A" * 200 not in err


def test_windows_newlines_and_spaces_are_no_part_of_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert called(["devices\r\n", "A100"], capsys) == called(["devices", "A100"], capsys)
    assert called(["devices", "A100\r\n"], capsys) == called(["devices", " A100 "], capsys)
    assert called(["bits", "0.1", "--rounding", "upward\r"], capsys) == called(
        ["bits", "0.1", "--rounding", "upward"], capsys
    )


def test_negative_numbers_are_values(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["demo", "--lr", "-inf"], ["demo", "--lr", "-1"], ["cost", "--batch", "-5"]):
        code, _, err = called(arguments, capsys)
        assert code == 2
        assert f"'{arguments[-1]}' is not allowed" in err


# ---- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["halfsim devices --json | head -1", "halfsim cost --batch 2 | head -1"])
def test_a_reader_that_has_enough_is_no_error(line: str) -> None:
    done = shell(f"set -o pipefail; {line}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", ["halfsim devices", "halfsim devices --json", "halfsim bits 0.1", "halfsim"])
def test_a_full_disk_is_told_in_one_line(line: str) -> None:
    done = shell(f"{line} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.endswith("no space left on device\n")
    assert done.stderr.count("\n") == 1


def test_closed_streams() -> None:
    assert shell("halfsim devices >&-").returncode == 0
    assert shell("halfsim bits abc 2>&-").returncode == 2
    done = shell("halfsim bits abc >&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"NO_COLOR": "1", "TERM": "dumb"},
        {"COLUMNS": "abc"},
        {"COLUMNS": "0"},
    ],
)
def test_locales_and_terminals(environment: dict[str, str], tmp_path: Path) -> None:
    done = shell("halfsim bits '0.1 * 3' --html é.html", tmp_path, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "Page written to" in done.stdout
    done = shell("halfsim bits é", tmp_path, **environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in done.stderr


def test_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.py")).write_text('import halfsim as hs\nhs.tensor([300.0], "fp16") * 300\n1 / 0\n')
    done = shell("halfsim run --html a.html --json a.json $'a\\xff.py'", tmp_path)
    assert done.returncode == 1
    assert "halfsim report" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text())["raised"]["kind"] == "ZeroDivisionError"


def test_tables_fit_the_terminal_and_a_bar_shows_on_it_only(tmp_path: Path) -> None:
    main_end, other = pty.openpty()
    command = [sys.executable, "-m", "halfsim", *FAST]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=other, env={**os.environ, "COLUMNS": "40"}) as child:
        os.close(other)
        assert child.stdout is not None
        out = child.stdout.read().decode()
        drawn = b""
        try:
            while part := os.read(main_end, 4096):
                drawn += part
        except OSError:  # the other end is closed
            pass
    os.close(main_end)
    assert child.returncode == 0
    assert max(map(len, out.splitlines())) <= 40
    lines = drawn.decode().replace("\x1b[K", "\r").split("\r")
    assert any("fp32 (1 of 1)" in line for line in lines)
    assert lines[-1] == ""


def test_an_interrupted_command_ends_with_130() -> None:
    interrupted = "halfsim.data.digits = lambda: signal.raise_signal(signal.SIGINT)"
    started = f"import signal, halfsim.data; from halfsim.cli import main; {interrupted}; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", started, "demo"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "halfsim demo: interrupted\n")


# ---- widths ----------------------------------------------------------------------------------------------------------

SHOWN = [
    ["bits", "0.1"],
    ["bits", "2048 + 1"],
    ["bits", "fma(0.1, 3, -0.3)"],
    ["bits", "1 / 3"],
    ["bits", "exp(0.1)"],
    ["bits", "nan"],
    ["bits", "-inf"],
    ["bits", "0.1", "--format", "float64"],
    ["bits", "1e-7", "--format", "float8_e5m2"],
    ["devices"],
    ["devices", "A100"],
    ["cost", "--model", "transformer", "--batch", "2"],
    FAST,
]


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("arguments", SHOWN, ids=" ".join)
def test_everything_fits(
    arguments: list[str], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = called(arguments, capsys)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if "https://" not in line]  # an address stays whole
    assert max(map(len, lines)) <= columns
