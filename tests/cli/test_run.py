"""`halfsim run`: the script sees what python shows it; its exit code is kept; the report comes whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import halfsim as hs
from halfsim.cli import main
from tests.cli.calling import refusal

SCRIPT = """
import sys, os, json, pickle
import halfsim as hs

class Held:
    pass

def fail():
    raise RuntimeError("boom")

print(json.dumps([sys.argv, __name__, __file__, sys.path[0], __doc__, __spec__ is None]))
assert sys.modules["__main__"].Held is Held and pickle.loads(pickle.dumps(Held())).__class__ is Held
hs.tensor([300.0]) * hs.tensor([300.0])
with hs.precision("fp32"):
    hs.tensor([300.0]) + hs.tensor([7e4])
if "fail" in sys.argv: fail()
if "word" in sys.argv: sys.exit("word")
if "code" in sys.argv: sys.exit(300)
if "interrupt" in sys.argv: raise KeyboardInterrupt
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "sub" / "script.py"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return str(path)


def python(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("last", ["fail", "code"])
def test_a_script_sees_what_python_shows_it(last: str, script: str, tmp_path: Path) -> None:
    arguments = [os.path.join("sub", "script.py"), "--html", "x y", "--json", "-m", last]
    plain = python(*arguments, cwd=tmp_path)
    ours = python("-m", "halfsim", "run", *arguments, cwd=tmp_path)
    assert ours.stdout == plain.stdout
    assert ours.returncode == plain.returncode
    assert ours.stderr.startswith(plain.stderr), "the traceback is python's own"
    assert "halfsim report: " in ours.stderr[len(plain.stderr) :]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["script.py", "sub"]


def test_a_module_sees_what_python_shows_it(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("__main__", "inner"):
        (package / f"{name}.py").write_text("import sys; print(sys.argv, __name__, __file__, sys.path[0], __package__)")
    for module in ("pack", "pack.inner"):
        plain = python("-m", module, "--json", "b", cwd=tmp_path)
        ours = python("-m", "halfsim", "run", "-m", module, "--json", "b", cwd=tmp_path)
        assert plain.stdout
        assert (ours.stdout, ours.returncode) == (plain.stdout, 0)
    assert python("-m", "halfsim", "run", str(package), cwd=tmp_path).returncode == 0


def test_scopes_of_the_script_win_unless_overridden(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options, formats in (([], ["float32", "float32"]), (["fp16"], ["float16", "float32"])):
        given = ["--precision", *options] if options else []
        assert main(["run", *given, "--json", script]) == 0
        places = hs.Report.from_json(capsys.readouterr().out).places
        assert [p.format.name for p in places] == formats
    assert main(["run", "--precision", "fp16", "--override", "--json", "-", script]) == 0
    report = hs.Report.from_json(capsys.readouterr().out)
    assert {p.format.name for p in report.places} == {"float16"}
    assert report.verdict is not None
    assert report.verdict.klass == "overflow"


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [("word", 1, "word\n"), ("code", 300 % 256, ""), ("interrupt", 130, "KeyboardInterrupt\n")],
)
def test_other_ends(word: str, code: int, said: str, script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", script, word]) == code
    assert capsys.readouterr().err.split("\nhalfsim report")[0].endswith(said)


def test_everything_is_as_before_afterwards(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (sys.argv, list(sys.path), sys.modules["__main__"])
    assert main(["run", script, "fail"]) == 1
    assert (sys.argv, sys.path, sys.modules["__main__"]) == before


def test_files_are_written_though_the_script_fails(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, text = tmp_path / "a.html", tmp_path / "a.json"
    options = ["--precision", "fp16", "--reference", "fp64", "--html", str(html), "--json", str(text)]
    assert main(["run", *options, script, "fail"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1, "standard output is the script's"
    assert "RuntimeError: boom" in err
    assert err.index("boom") < err.index("halfsim report: 1 step")
    report = hs.Report.from_json(text)
    assert report.reference == "fp64"
    assert html.read_text() == report.page()


def test_the_first_trouble_of_a_class(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--precision", "fp16", "--first", "overflow", script]) == 0
    err = capsys.readouterr().err
    assert err.startswith("\noverflow (step 1, forward, mul, script.py:13): 1 of 1 values became infinite, past 65504.")
    assert main(["run", "--precision", "fp16", "--first", "NaN", script]) == 0
    assert capsys.readouterr().err == "\nNaN: none\n"


def test_scripts_that_do_not_parse_fail_as_in_python(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = (1\n")
    plain = python("bad.py", cwd=tmp_path)
    ours = python("-m", "halfsim", "run", "bad.py", cwd=tmp_path)
    assert ours.returncode == plain.returncode == 1
    assert ours.stderr.startswith(plain.stderr)
    assert "nothing was computed" in ours.stderr


def test_an_interrupted_script_is_reported(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(
        "import halfsim as hs, signal\nhs.tensor([1.0]) * 2\nsignal.raise_signal(signal.SIGINT)\nhs.tensor([1.0]) * 2"
    )
    command = [sys.executable, "-m", "halfsim", "run", "long.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert "KeyboardInterrupt" in done.stderr
    assert "halfsim report: 1 step, 1 place" in done.stderr


BAD = [
    ([], "SCRIPT is missing"),
    (["-m"], "SCRIPT is missing"),
    (["nowhere.py"], "'nowhere.py': no such script"),
    (["--json", "nowhere.py"], "'nowhere.py': no such script"),
    (["."], "is a directory without __main__.py"),
    (["-m", "no.such.module"], "-m: no module named 'no.such.module'"),
    (["-m", "json"], "-m: no module named 'json' that can be run"),
    (["-m", "a b"], "-m: 'a b' is not the name of a module"),
    (["--precision", "fp17", "SCRIPT"], "did you mean 'fp16'"),
    (["--reference", "fp46", "SCRIPT"], "'fp46' is not allowed"),
    (["--reference", "amp", "SCRIPT"], "reference: amp is not allowed"),
    (["--override", "SCRIPT"], "--override: needs --precision"),
    (["--first", "overflw", "SCRIPT"], "--first: 'overflw' is not allowed (did you mean 'overflow'?)"),
    (["--html", "/nowhere/a.html", "SCRIPT"], "--html: '/nowhere/a.html': no such file or directory"),
    (["--html", "-", "SCRIPT"], "--html: '-': is not the path of a file"),
    (["--json", "/nowhere/a.json", "SCRIPT"], "--json: '/nowhere/a.json': no such file or directory"),
    (["--html"], "--html: PATH is missing"),
    (["--prec", "fp16", "SCRIPT"], "option: '--prec' is not allowed (did you mean '--precision'?)"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_careless_arguments_get_one_line_before_anything_runs(
    arguments: list[str], text: str, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in refusal(["run", *(script if word == "SCRIPT" else word for word in arguments)], capsys)
    assert Path(script).read_text() == SCRIPT


def test_a_script_is_never_taken_for_the_path_of_the_json(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = os.path.join(os.path.dirname(script), "other.py")
    Path(other).write_text("")
    assert main(["run", "--json", other, script]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1
    assert Path(script).read_text() == SCRIPT
    assert Path(other).read_text() == ""


STREAMS = """
import sys
import halfsim as hs

hs.tensor([1.0]) * 3
how = sys.argv[1:]
if "close" in how: sys.stdout.close(); sys.stderr.close()
if "remove" in how: del sys.stdout, sys.stderr
if "none" in how: sys.stdout = sys.stderr = None
if "fail" in how: raise ValueError("x")
if "word" in how: sys.exit("word")
"""


@pytest.mark.parametrize("words", ["close", "remove", "none", "close fail", "remove fail", "none word"])
def test_scripts_without_streams_end_as_in_python(words: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(STREAMS)
    plain = python("a.py", *words.split(), cwd=tmp_path)
    ours = python("-m", "halfsim", "run", "a.py", *words.split(), cwd=tmp_path)
    assert ours.returncode == plain.returncode == ("fail" in words or "word" in words)
    assert "Traceback" not in ours.stderr.replace(plain.stderr, "")
    if "close" not in words:
        assert "halfsim report: 1 step" in ours.stderr, "our own words go where ours went before"


LOUD = """
import os, sys
import halfsim as hs

print("from Python")
os.system("echo from a child")
hs.tensor([1.0]) * 3
if "close" in sys.argv: sys.stdout.close()
if "remove" in sys.argv: sys.stdout = None
"""


@pytest.mark.parametrize("word", ["", "close", "remove"])
def test_json_alone_has_standard_output_for_itself(word: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(LOUD)
    ours = python("-m", "halfsim", "run", "--json", "a.py", word, cwd=tmp_path)
    assert ours.returncode == 0
    assert json.loads(ours.stdout)["schema"] == 1
    assert "from Python" in ours.stderr
    assert "from a child" in ours.stderr


def test_json_in_a_file_leaves_standard_output_to_the_script(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(LOUD)
    ours = python("-m", "halfsim", "run", "--json", "a.json", "a.py", cwd=tmp_path)
    assert sorted(ours.stdout.splitlines()) == ["from Python", "from a child"]
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == 1


def test_a_script_that_raised_is_told_first(script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, text = tmp_path / "a.html", tmp_path / "a.json"
    assert main(["run", "--html", str(html), "--json", str(text), script, "fail"]) == 1
    story = capsys.readouterr().err.split("halfsim report")[1]
    first = "The script raised RuntimeError at script.py:9: boom."
    assert story.index(first) < story.index("What follows was computed until then.") < story.index("Verdict")
    assert json.loads(text.read_text())["raised"] == {"kind": "RuntimeError", "message": "boom", "where": "script.py:9"}
    page = html.read_text()
    assert page.index(first) < page.index("Nothing was rounded")
    report = hs.Report.from_json(text)
    assert (report.raised is not None, str(report.raised), report.page()) == (True, first[:-1], page)


RAISED = [
    ("import helper\nhelper.go()", "ZeroDivisionError at helper.py:2: division by zero"),
    ("import json\njson.loads('{')", "JSONDecodeError at a.py:2: Expecting property name enclosed in double quotes"),
    ("import halfsim as hs\nhs.tensor([1.0]) @ hs.tensor([[1.0, 2.0], [1.0, 2.0]])", "ValueError at a.py:2: matmul"),
    ("x = (1\n", "SyntaxError at a.py:1: '(' was never closed"),
    ("raise KeyError", "KeyError at a.py:1"),
    ("raise ValueError('one\\ntwo')", "ValueError at a.py:1: one."),
    ("raise KeyboardInterrupt", "KeyboardInterrupt at a.py:1"),
]


@pytest.mark.parametrize(("source", "told"), RAISED)
def test_the_line_is_that_of_the_users_code(
    source: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.py").write_text(source)
    (tmp_path / "helper.py").write_text("def go():\n    return 1 / 0\n")
    assert main(["run", str(tmp_path / "a.py")]) in (1, 130)
    assert f"The script raised {told}" in " ".join(capsys.readouterr().err.split("halfsim report")[1].split())
    sys.modules.pop("helper", None)


def test_a_script_that_ends_well_raised_nothing(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["code"], ["word"]):
        main(["run", script, *words])
        assert "The script raised" not in capsys.readouterr().err
