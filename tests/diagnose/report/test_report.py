"""The report: what it says is what the trace counted, and it survives JSON, pickle and careless hands."""

from __future__ import annotations

import functools
import html
import json
import pickle
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Event
from halfsim.autograd.trace.kinds import KINDS
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.report.charts import histogram
from halfsim.diagnose.report.facts import Place, gravity
from halfsim.diagnose.report.heatmap import levels
from halfsim.diagnose.report.report import Report
from halfsim.diagnose.report.text import bars, region
from tests.diagnose.runs import trained

FORMATS = (hs.float16, hs.float8_e4m3fn, hs.float8_e5m2)


@pytest.fixture(scope="module")
def sick() -> Any:
    return trained("sgd")


@pytest.fixture(scope="module")
def scaled() -> Any:
    return trained("amp", reference="fp64")


STORY = """\
halfsim report: 1 step, 1 place, 4 values

Verdict: overflow
  Step 1, forward, mul, LINE: 1 of 4 values became infinite, past 65504.

Places, gravest first
  phase    place  NaN  inf  flushed  lost  swamped  values
  forward  mul      0    1   33.3 %     -        -       4

Evidence
  overflow: 1
  divide by zero: 0
  size: 4
  rounding: store
  rounded to: float16
  format: float16
  in its first frame, magnitudes of the finite numbers but zero:
    array   shape  smallest  largest  not finite
    a       4      5.96e-08      300           0
    b       4          0.25      300           0
    result  4           1.5      1.5           1
  exponents of mul (forward) against the range of float16, bars logarithmic:
    zero            1 flushed  50.0 %  ##################################
    2^-24 to 2^-21  subnormal     0 %
    2^-20 to 2^-17  subnormal     0 %
    2^-16 to 2^-15  subnormal     0 %
    2^-14 to 2^-11  normal        0 %
    2^-10 to 2^-7   normal        0 %
    2^-6 to 2^-3    normal        0 %
    2^-2 to 2^1     normal     25.0 %  ############################
    2^2 to 2^5      normal        0 %
    2^6 to 2^9      normal        0 %
    2^10 to 2^13    normal        0 %
    2^14 to 2^15    normal        0 %
    inf, NaN                   25.0 %  ############################

Advice
ADVICE"""


def overflowing() -> Any:
    with hs.trace() as t:
        hs.tensor([300.0, 1.0, 2.0**-24, 0.0], "fp16") * hs.tensor([300.0, 1.5, 0.25, 1.0], "fp16")
    return t


def test_the_whole_text_of_a_small_report() -> None:
    t = overflowing()
    line = f"test_report.py:{overflowing.__code__.co_firstlineno + 2}"
    fix = textwrap.fill(f"  - overflow: {t.verdict().fixes[0]}.", 100, subsequent_indent="    ")
    assert str(t.report()) == STORY.replace("LINE", line).replace("ADVICE", fix)
    assert "@mul" in fix


def test_the_text_goes_top_down_within_a_hundred_columns(sick: Any, scaled: Any) -> None:
    for t in (sick, scaled, overflowing()):
        text = str(t.report())
        places = [text.index(word) for word in ("Verdict", "Places, gravest first", "Evidence", "Advice")]
        assert places == sorted(places)
        assert max(map(len, text.splitlines())) <= 100
        assert "nan" not in text.replace("NaN", "")
        verdict = t.verdict()
        assert verdict.klass in text.split("Places")[0]
        assert " ".join(verdict.fix.split()) in " ".join(text.split())


@pytest.mark.parametrize("wide", [*range(40, 101, 4), 120, 160, 200])
def test_the_text_fits_its_terminal_and_rows_differ(wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ".".join(["encoder", "layers", *["a_rather_long_name"] * 8])
    monkeypatch.setenv("COLUMNS", str(wide))
    for prefix in ("", f"{path}."):
        for kind, reference in (("sgd", None), ("amp", "fp64")):
            text = _told(kind, reference).replace('"path":"', f'"path":"{prefix}')
            lines = str(Report.from_json(text)).splitlines()
            assert max(map(len, lines)) <= wide
            start = lines.index("") + 1
            start = next(i for i in range(start, len(lines)) if lines[i].startswith("  phase"))
            keys = [tuple(re.split(r" {2,}", line.strip())[:2]) for line in lines[start + 1 : start + 13]]
            assert len(keys) == len({*keys}) == 12
            if reference:
                assert " error" in lines[start], "in sight at any width"


@functools.cache
def _told(kind: str, reference: str | None) -> str:
    return trained(kind, 4, reference).to_json()


def test_a_few_values_are_seen_beside_many() -> None:
    drawn = histogram({-127: 3, 0: 1, 5: 2, 128: 10**7}, hs.float16, 0.0, "one NaN bar")
    heights = [float(h) for h in re.findall(r'<rect class="b-[^>]*height="([\d.]+)"', drawn)]
    assert len(heights) == 4
    assert min(heights) > 3, "none is too small to be seen"
    assert max(heights) > 100
    assert "% infinite or NaN" in drawn.split("aria-label")[1].split(">")[0]


def test_regions_are_named_where_there_is_room() -> None:
    named = {fmt.name: re.findall(">((?:sub)?normal)</text>", histogram({0: 1}, fmt, 0.0, "one")) for fmt in FORMATS}
    assert named == {"float16": ["subnormal", "normal"], "float8_e4m3fn": ["normal"], "float8_e5m2": ["normal"]}


def test_counts_are_those_of_the_trace(sick: Any) -> None:
    report = sick.report()
    assert report.count() == sick.count()
    assert report.count("backward") == sick.count("backward")
    assert [(p.phase, p.path, p.op, p.tensor) for p in report.places] == list(sick.places)
    assert all(p.counts == c for p, c in zip(report.places, sick.totals.values(), strict=True))


def test_a_report_does_not_change_with_its_trace() -> None:
    with hs.trace() as t:
        hs.tensor([1.0], "fp16") * 3
        report = t.report()
        text = str(report)
        hs.tensor([300.0], "fp16") * 300
    assert str(report) == text
    assert t.report() != report


def test_rows_and_columns_of_the_heat_maps_add_up(sick: Any) -> None:
    report = sick.report()
    assert (report.steps, report.columns, report.stride, report.start) == (24, 24, 1, 1)
    rows, values = report.heat("overflow")
    c = report.count()
    assert values.sum() == c.overflow + c.divide_by_zero + c.invalid > 0
    assert values.shape == (len(rows), 24)
    assert not values[:, :12].any(), "the first half is healthy"
    rows, values = report.heat("lost")
    assert {row.phase for row in rows} == {"optimizer"}
    weight = next(i for i, row in enumerate(rows) if row.path == "0.weight")
    place = next(p for p in report.places if (p.op, p.path) == ("update", "0.weight"))
    lost, updates = (np.array(rows[weight].counts[name]) for name in ("lost", "updates"))
    assert (lost.sum(), updates.sum()) == (place.counts.lost, place.counts.updates)
    np.testing.assert_array_equal(values[weight], np.divide(lost, updates, out=np.full(24, np.nan), where=updates > 0))


def test_a_gradient_norm_is_the_norm_of_the_gradients() -> None:
    w, b = (hs.tensor(x, requires_grad=True) for x in ([3.0, 4.0], [0.0, 0.0]))
    with hs.trace() as t:
        (w * 2 + b * 12).sum().backward()
    rows, values = t.report().heat("gradient_norm")
    assert [row.phase for row in rows] == ["backward"]
    np.testing.assert_allclose(values, [[np.sqrt(4 + 4 + 144 + 144)]])


def test_long_runs_share_columns() -> None:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    sgd = hs.optim.SGD([w], lr=1e-4)
    with hs.trace() as t:
        for _ in range(700):
            sgd.zero_grad()
            (w * 1).sum().backward()
            sgd.step()
    report = t.report()
    assert (report.steps, report.stride, report.start) == (700, 8, 1)
    assert report.columns == 700 // 8 + 1 <= 128
    rows, values = report.heat("lost")
    counts = np.array(rows[0].counts["updates"])
    assert counts.sum() == 700
    assert counts[0] == 7, "there is no step 0"
    assert (values == 1).all()
    _, norms = report.heat("gradient_norm")
    np.testing.assert_allclose(norms[0, 1:-1], 1.0)


def test_the_loss_scales_are_those_of_the_scaler(scaled: Any) -> None:
    report = scaled.report()
    steps = [step for step, _, _ in report.scales]
    assert steps == list(range(1, 25))
    assert report.scales[0][1] == 2.0**20
    assert report.scales[0][2], "so large a scale overflows"
    assert "steps skipped by the scaler" in report.page()


def test_places_are_sorted_by_gravity(sick: Any) -> None:
    report = sick.report()
    assert report.accused(report.worst[0])
    rest = [p.gravity for p in report.worst[1:]]
    assert rest == sorted(rest, reverse=True)


def test_json_and_pickle_round_trip(sick: Any, scaled: Any, tmp_path: Path) -> None:
    with hs.trace() as empty:
        pass
    for t in (sick, scaled, overflowing(), empty):
        report = t.report()
        assert Report.from_json(report.to_json()) == report
        assert pickle.loads(pickle.dumps(report)) == report
        assert str(Report.from_json(report.to_json())) == str(report)
        json.loads(report.to_json(), parse_constant=pytest.fail)
    t.to_json(tmp_path / "a.json")
    assert Report.from_json(tmp_path / "a.json") == Report.from_json(str(tmp_path / "a.json")) == t.report()
    sick.to_html(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == sick.report().page()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.json"]


def test_infinite_errors_survive_json() -> None:
    with hs.trace(reference="fp64") as t:
        hs.tensor([300.0], "fp16") * hs.tensor([300.0], "fp16")
    report = t.report()
    assert report.places[0].counts.overflow == 1
    assert report.places[0].total is not None
    assert report.places[0].total.relative == np.inf
    assert Report.from_json(report.to_json()) == report
    assert "Infinity" not in report.to_json()
    assert report.page()


BAD = [
    ("{}", "not a report"),
    ("[]", "not a report"),
    ('{"schema": 2}', "schema 2 is not allowed; allowed: 1"),
    ('{"schema": true}', "schema True is not allowed"),
    ('{"schema": "1"}', "schema '1' is not allowed"),
    ('{"schema": 1}', "'verdict' is missing"),
    ('{"schema": NaN}', "NaN is no JSON"),
    ("{", "Expecting property name"),
    ("[" * 100_000, "recursion"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_other_texts_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Report.from_json(text)
    assert str(caught.value).startswith("from_json: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_damaged_reports_are_refused_in_one_line(sick: Any) -> None:
    text = sick.to_json()
    facts = json.loads(text)
    wrong: list[tuple[str, Any]] = [
        *((name, value) for name in ("steps", "columns", "stride") for value in ("x", -1, 1.5, None, True, 10**30)),
        *((name, value) for name in ("places", "layers", "scales", "findings", "before") for value in (None, 3, [3])),
        ("verdict", 3),
        ("verdict", {}),
        ("reference", 3),
        ("places", [{**facts["places"][0], "exponents": {"1000000": 3}}]),
        ("places", [{**facts["places"][0], "format": ["x", 99, 1, "ieee"]}]),
        ("places", [{**facts["places"][0], "counts": {"size": -3}}]),
        ("places", [{**facts["places"][0], "local": [1, 2]}]),
        ("layers", [{**facts["layers"][0], "nonzero": [1]}]),
        *(("verdict", {**facts["verdict"], "fixes": fixes}) for fixes in (3, [3], [{"text": "a"}])),
        ("verdict", {**facts["verdict"], "fixes": [{"text": "a", "policy": 3, "option": None}]}),
        ("verdict", {**facts["verdict"], "fixes": [{"text": "a", "policy": "@nothing: fp32", "option": None}]}),
        ("verdict", {**facts["verdict"], "where": 3}),
        ("raised", {"kind": "ValueError"}),
        ("left_out", 3),
    ]
    for name, value in wrong:
        with pytest.raises(ValueError, match="from_json: damaged") as caught:
            Report.from_json(json.dumps({**facts, name: value}))
        assert "\n" not in str(caught.value)
    for end in (10, len(text) // 2, len(text) - 3):
        with pytest.raises(ValueError, match="from_json: "):
            Report.from_json(text[:end])


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Report.from_json(tmp_path / "nowhere.json")
    with pytest.raises(OSError, match="nowhere"):
        overflowing().to_html(tmp_path / "nowhere" / "a.html")


def test_unknown_heat_maps_are_refused(sick: Any) -> None:
    with pytest.raises(ValueError, match="what: 'overflw' is not allowed"):
        sick.report().heat("overflw")


def test_nothing_is_a_report_too() -> None:
    with hs.trace() as t:
        pass
    assert str(t.report()) == "halfsim report: nothing was computed while the trace was open."
    with hs.trace() as t:
        hs.tensor(np.zeros((0, 3)), "fp16") * 2
        hs.tensor(1.0) * 2
    report = t.report()
    assert "No simulated rounding changed a number" in str(report)
    assert report.page()
    assert report._repr_html_()


def test_bars_count_every_value_once_and_respect_the_limits() -> None:
    counts = Counts(size=100, nonzero=95, flushed=3)
    exponents = {-127: 8, -24: 2, -15: 5, -14: 5, 15: 20, 128: 60}
    lines = list(bars(Place("forward", "", "mul", "", hs.float16, 1, 1, counts, exponents)))
    assert lines[0].split() == ["zero", "3", "flushed", "8.0", "%", "##################"]
    assert lines[-1].count("#") > lines[0].count("#") > next(line for line in lines if " 2.0 %" in line).count("#") > 0
    assert lines[-1].split()[:4] == ["inf,", "NaN", "60.0", "%"]
    shares = [float(line.split(" %")[0].split()[-1]) for line in lines]
    assert sum(shares) == 100
    below = next(line for line in lines if "2^-15" in line)
    assert "subnormal" in below, "no bar reaches over a limit"
    assert " 5.0 %" in below
    assert {region(e, hs.float16) for e in (-25, -24, -15)} == {"underflow", "subnormal"}
    assert (region(-14, hs.float16), region(15, hs.float16), region(16, hs.float16)) == ("normal", "normal", "overflow")


def test_levels_of_a_heat_map() -> None:
    values = np.array([[0.0, np.nan, 1.0, 10.0, 100.0, np.inf]])
    assert levels(values, 1.0, 100.0, log=True).tolist() == [[0, 0, 1, 3, 5, 6]]
    assert levels(np.array([[0.0, 0.1, 1.0]]), 0.0, 1.0, log=False).tolist() == [[0, 1, 5]]
    assert levels(np.array([[7.0, 0.0]]), 7.0, 7.0, log=True).max() == 5


def test_many_modules_keep_the_gravest_rows() -> None:
    with hs.trace() as t:
        for i in range(60):
            counts = Counts(size=10, nonzero=10, overflow=i + 1)
            t.record(Event(1, "forward", f"layer{i}", "mul", "", (10,), counts, format=hs.float16))
    page = t.report().page()
    assert "20 quieter rows are left out" in page
    assert page.split("Modules by steps")[1].split("Every place")[0].count("<li>") == 40
    assert ">layer59<" in page


def test_the_page_needs_no_network(sick: Any, scaled: Any) -> None:
    for t in (sick, scaled):
        page = t.report().page()
        assert "://" not in page
        assert not re.search(r"\b(src|href)=", page)
        assert "default-src 'none'" in page
        assert "nan" not in re.sub(r"<style>.*?</style>|<script.*?</script>", "", page, flags=re.S).replace("NaN", "")


def overflowing_exp() -> Any:
    with hs.trace() as t, hs.precision("fp16"):
        hs.ops.sum(hs.ops.exp(hs.tensor([12.0, 1.0]))).log()
    return t


def test_places_in_the_code_and_fixes_survive_everything() -> None:
    t = overflowing_exp()
    verdict, report = t.verdict(), t.report()
    line = f"test_report.py:{overflowing_exp.__code__.co_firstlineno + 2}"
    assert report.verdict.where == verdict.where == line
    assert report.verdict.fixes == verdict.fixes
    assert verdict.fixes[0].policy is not None
    again = Report.from_json(report.to_json())
    assert again == report
    assert again.verdict is not None
    assert (again.verdict.where, again.verdict.fixes) == (line, verdict.fixes)
    with hs.precision(again.verdict.fixes[0].policy):
        assert np.isfinite(hs.ops.sum(hs.ops.exp(hs.tensor([12.0, 1.0]))).log().item())
    typed = str({"default": "fp16", "@exp": "fp32", "@sum": "fp32", "@log": "fp32"})
    for text in (str(report), html.unescape(report.page())):
        assert line in text
        assert typed in " ".join(text.split())


def test_reports_from_before_the_places_can_be_read() -> None:
    facts = json.loads(overflowing().to_json())
    for name in ("raised", "left_out"):
        del facts[name]
    for f in (facts["verdict"], *facts["findings"]):
        del f["where"], f["fixes"]
    report = Report.from_json(json.dumps(facts))
    assert report.verdict is not None
    assert (report.verdict.where, report.verdict.fixes, report.left_out, report.raised) == ("", (), (), None)
    assert report.page()


def test_a_policy_that_cannot_be_written_is_left_out() -> None:
    odd = hs.Format("e4m7 of ours", exponent_bits=4, precision=8)
    with hs.trace() as t, hs.precision(hs.Precision(storage=odd, compute="fp32")):
        hs.tensor([200.0]) * hs.tensor([200.0])
    report = t.report()
    assert t.verdict().fixes[0].policy is not None
    assert Report.from_json(report.to_json()) == report


def test_what_was_left_out_on_purpose_is_no_trouble() -> None:
    with hs.trace() as t:
        x = hs.tensor([300.0, 2.0], "fp16")
        hs.ops.minimum(x * 300.0, 100.0) + 1.0
    report = t.report()
    assert [f.op for f in report.left_out] == ["mul"]
    assert report.verdict is None or report.verdict.klass == "benign rounding"
    assert not report.findings
    for text in (str(report), report.page()):
        assert "Left out on purpose, by a mask, a maximum or a choice of elements: no trouble" in text
        assert text.count("1 of 2 values became infinite") == 1
    assert Report.from_json(report.to_json()) == report
    assert "Left out on purpose" not in str(overflowing().report())


def test_every_kind_sorts_and_colours_by_its_gravity() -> None:
    for name, kind in KINDS.items():
        assert gravity(name) == kind.gravity
        found = Finding(name, "forward", 1, "", "mul", "", {}, "a message", "a fix")
        page = Report(1, None, found, places=(Place("forward", "", "mul", "", hs.float16, 1, 1, Counts()),)).page()
        shade = re.search(r'class="verdict (\w+)"', page)
        assert shade is not None
        assert shade[1] == ("fine" if not kind.gravity else "grave" if kind.gravity >= 6 else "mild")
    for one in KINDS.values():
        for other in KINDS.values():
            if one.gravity > other.gravity > 0 and one.counted and other.counted:
                a, b = (placed(**{kind.counted[0]: 1 if kind is one else 10}) for kind in (one, other))
                assert a.gravity > b.gravity, (one.name, other.name)


def placed(**counts: int) -> Place:
    whole = Counts(size=10, nonzero=10, addends=10, sums=10, stalled=1, **counts)
    whole.overflow = max(whole.overflow, whole.clipped)
    return Place("forward", "", "mul", "", hs.float16, 1, 1, whole)


def test_nothing_is_told_twice(sick: Any, scaled: Any) -> None:
    """Nor one trouble under two names: what came of the verdict's is told there."""
    with hs.trace() as t, hs.precision("fp16"):
        x = hs.tensor([1e-5, 1.0], requires_grad=True)
        optimizer = hs.optim.Adam([x])
        for _ in range(3):
            optimizer.zero_grad()
            (x * 1e-4).sum().backward()
            optimizer.step()
    for trace in (sick, scaled, t, overflowing(), overflowing_exp()):
        report = trace.report()
        for text in (str(report), html.unescape(re.sub("<[^>]*>", " ", report.page()))):
            for f in report.findings:
                assert " ".join(text.split()).count(" ".join(f"{f.message}".split())) <= 1, f.message
        places = [(f.phase, f.path, f.op, f.tensor) for f in report.others]
        assert len(set(places)) == len(places)


def test_clipped_values_did_not_become_infinite() -> None:
    with hs.trace() as t, hs.precision("storage=fp16, compute=fp32, overflow=saturate"):
        hs.tensor([300.0, 1.0]) * hs.tensor([300.0, 1.0])
    report = t.report()
    assert report.verdict is not None
    assert report.verdict.klass == "clipped"
    assert "<b>1</b><span>were clipped</span>" in report.page()
    assert "<b>0</b><span>became infinite</span>" in report.page()


def test_no_error_is_told_where_there_are_no_numbers() -> None:
    with hs.trace(reference="fp64") as t, hs.precision("fp16"):
        x = hs.tensor([0.0])
        hs.ops.add(x / x, 1.0)
    report = t.report()
    rows = [line for line in str(report).splitlines() if line.startswith(("  forward  div", "  forward  add"))]
    assert [row.split()[2] for row in rows] == ["inf/NaN", "inf/NaN"], "first, where it is seen"
    assert "0.0e+00" not in report.page()
    assert max(map(len, str(report).splitlines())) <= 100
