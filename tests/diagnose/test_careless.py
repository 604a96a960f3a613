"""Careless input to what sees: right values, or one line that says what is allowed."""

from __future__ import annotations

import copy
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import halfsim as hs
from halfsim import cli
from halfsim.autograd.observer import active
from halfsim.diagnose.report.report import Report


def overflowing() -> hs.Tensor:
    return (hs.tensor([300.0, 1.0]) ** 2).mean().sqrt()


def big() -> hs.Tensor:
    return hs.tensor([300.0], "fp16") * 300.0


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (lambda: hs.mend(3), TypeError, "run: 3 is not allowed; allowed: a function"),  # type: ignore[arg-type]
        (lambda: hs.mend(overflowing, "fp17"), ValueError, "target: 'fp17' is not allowed (did you mean 'fp16'?)"),
        (lambda: hs.mend(overflowing, 3), TypeError, "target: int is not allowed; allowed: a Precision"),
        (lambda: hs.compare(overflowing, reference="fp65"), ValueError, "reference: 'fp65' is not allowed"),
        (lambda: hs.trace("fp65"), ValueError, "reference: 'fp65' is not allowed"),
        (lambda: hs.trace(allow=3), TypeError, "allow: 3 is not allowed; allowed: a string, an iterable"),  # type: ignore[arg-type]
        (lambda: hs.trace(allow=[3]), TypeError, "allow: [3] is not allowed"),  # type: ignore[list-item]
        (lambda: hs.trace(frames=-1), ValueError, "frames: -1 is not allowed; allowed: integers from 0"),
        (lambda: hs.Fix(3), TypeError, "text: int is not allowed; allowed: a string"),  # type: ignore[arg-type]
        (lambda: hs.Fix("x", "fp16"), TypeError, "policy: str is not allowed"),  # type: ignore[arg-type]
        (lambda: hs.Fix("x", option=["eps"]), TypeError, "option: list is not allowed"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_one_line_says_what_is_allowed(call: Callable[[], Any], error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=re.escape(line)) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_run_that_returns_nothing_is_judged_by_its_trouble() -> None:
    def nothing() -> None:
        overflowing()

    found = hs.mend(nothing)
    assert found.best is not None
    assert found.best.policy is not None
    assert math.isnan(found.error)
    assert "nan" not in str(found).lower()
    with hs.precision(found.best.policy), hs.trace() as t:
        nothing()
    assert t.verdict().klass == "benign rounding"
    assert str(hs.mend(lambda: None)) == "Nothing to mend: the run in fp16 meets no trouble."
    assert hs.mend(lambda: "words").healthy


def test_a_fix_of_words_alone() -> None:
    fix = hs.Fix("x")
    assert (str(fix), fix.how, fix.typed) == ("x", "", [])
    assert fix.to_dict() == {"text": "x", "policy": None, "option": None}
    assert hash(hs.Fix("x", option={"eps": 1e-4})) == hash(hs.Fix("x", option={"eps": 1e-4}))


@pytest.mark.parametrize("reference", [None, "fp64"])
@pytest.mark.parametrize(
    ("run", "klass"),
    [
        (lambda: None, None),
        (lambda: hs.tensor([], "fp16") * 2.0, None),
        (lambda: hs.tensor([], "fp16").sum(), None),
        (lambda: hs.tensor([], "fp16").mean(), "NaN propagation"),
        (lambda: hs.tensor(300.0, "fp16") * hs.tensor(300.0, "fp16"), "overflow"),
        (lambda: hs.tensor([math.nan, 1.0], "fp16") + 1.0, "NaN propagation"),
        (lambda: hs.tensor([math.inf], "fp16") - hs.tensor([math.inf], "fp16"), "NaN propagation"),
    ],
)
def test_traces_of_odd_tensors(run: Callable[[], Any], klass: str | None, reference: str | None) -> None:
    with hs.trace(reference) as t:
        run()
    verdict, report = t.verdict(), t.report()
    assert (None if verdict is None else verdict.klass) == klass
    assert Report.from_json(report.to_json()) == report
    assert "<h1>" in report._repr_html_()
    assert str(report)


def test_nothing_traced_is_told_as_that() -> None:
    with hs.trace() as t:
        pass
    assert t.verdict() is t.first() is t.first("overflow") is None
    assert str(t.report()) == "halfsim report: nothing was computed while the trace was open."
    assert (t.errors(), t.report().left_out) == ([], ())


def test_a_trace_inside_a_trace() -> None:
    with hs.trace() as outer:
        with hs.trace() as inner:
            big()
        hs.tensor([1.0], "fp16") + 1e-5
    assert inner.verdict().klass == outer.verdict().klass == "overflow"
    assert len(outer.places) > len(inner.places)


def test_two_traces_left_in_the_wrong_order() -> None:
    first, second = hs.trace(), hs.trace()
    a, b = first.__enter__(), second.__enter__()
    big()
    first.__exit__(None, None, None)
    big()
    second.__exit__(None, None, None)
    big()
    assert (a.count().overflow, b.count().overflow) == (1, 2)
    assert active() is None


def test_findings_and_reports_are_values() -> None:
    with hs.trace() as t:
        big()
    found, report = t.verdict(), t.report()
    assert pickle.loads(pickle.dumps(found)) == found == copy.deepcopy(found)
    assert pickle.loads(pickle.dumps(report)) == report
    assert "Event(" not in repr(found)


def test_roundings_are_counted_as_roundings() -> None:
    wide = hs.tensor([0.1], "fp32").sum()
    with hs.precision("fp16"), hs.trace() as t:
        wide.sqrt()  # which is rounded as it is read, and again as it is stored
    assert t.verdict().message == "2 roundings changed a number, none of them to harm"


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        (None, ["missing.py"], 2, "halfsim run: 'missing.py': no such script"),
        (None, ["-m", "no_such_module"], 2, "halfsim run: -m: no module named 'no_such_module' that can be run"),
        ("", ["script.py"], 0, "Nothing to mend: the run meets no trouble."),
        ("raise OSError('gone')", ["script.py"], 2, "'script.py' fails in float64, too: OSError: gone"),
        ("x = (", ["script.py"], 2, "'script.py' fails in float64, too: SyntaxError"),
    ],
)  # fmt: skip
def test_mending_scripts_that_are_none(
    text: str | None, arguments: list[str], code: int, said: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "script.py").write_text(text)
    assert cli.main(["run", "--mend", *arguments]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[0]
    assert len(lines) == 1


def test_a_page_says_nothing_of_updates_where_there_were_none() -> None:
    with hs.trace() as t:
        big()
    assert "Every update moved" not in t.report()._repr_html_()
    w = hs.tensor([1.0], requires_grad=True)
    with hs.trace() as t:
        (w * 0.1).sum().backward()
        hs.optim.SGD([w], lr=0.1).step()
    assert "Every update moved" in t.report()._repr_html_()
