"""The pytest plugin, in runs of pytest of its own: options, marker, fixtures, and what it costs where nobody asks."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.testing.golden import Bits

pytest_plugins = ["pytester"]

ROOT = Path(hs.__file__).parents[1]
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs pytest, as a function or in a process of its own, where the plugin is installed by its entry point."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    if not any(point.name == "halfsim" for point in importlib.metadata.entry_points(group="pytest11")):
        info = pytester.mkdir("installed") / "halfsim-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halfsim\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[pytest11]\nhalfsim = {POINTS['pytest11']['halfsim']}\n")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(info.parent)]))
        monkeypatch.syspath_prepend(info.parent)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")

    def ran(*args: str, apart: bool = False) -> Any:
        how = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return how("-p", "no:cacheprovider", *args)

    return ran


FORMATS = """
    import pytest, halfsim as hs

    @pytest.fixture
    def made():
        return (hs.tensor([2048.0]) + 1).format.name

    def test_bare(made):
        assert made == "{bare}" and (hs.tensor([2048.0]) + 1).format.name == "{bare}"

    @pytest.mark.halfsim(precision="bf16")
    def test_marked(made):
        assert made == "bfloat16" and (hs.tensor([2048.0]) + 1).format.name == "bfloat16"

    def test_own():
        with hs.precision("fp64"):
            assert (hs.tensor([2048.0]) + 1).format.name == "float64"
"""


@pytest.mark.parametrize(("options", "bare"), [((), "float32"), (("--halfsim-precision=fp16",), "float16")])
def test_the_innermost_precision_wins(run: Any, pytester: pytest.Pytester, options: tuple[str, ...], bare: str) -> None:
    pytester.makepyfile(FORMATS.replace("{bare}", bare))
    run(*options).assert_outcomes(passed=3)


def test_a_word_that_is_no_precision_ends_the_run_in_one_line(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    done = run("--halfsim-precision=fp61")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --halfsim-precision: 'fp61' is not allowed (did you mean 'fp64'?)*"])


def test_no_fails_where_the_trace_has_that_trouble(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest, halfsim as hs

        pytestmark = pytest.mark.halfsim(precision="fp16")

        @pytest.mark.halfsim(no=["overflow", "NaN"])
        @pytest.mark.parametrize("x", [100.0, 300.0])
        def test_square(x):
            hs.tensor([x]) * x

        @pytest.mark.halfsim(no="overflow", allow="@mul")
        def test_meant():
            hs.tensor([300.0]) * 300.0

        @pytest.mark.xfail(strict=True)
        @pytest.mark.halfsim(no="overflow")
        def test_expected():
            hs.tensor([300.0]) * 300.0
        """)
    done = run()
    done.assert_outcomes(passed=2, failed=1, xfailed=1)
    done.stdout.fnmatch_lines(["overflow (step 1, forward, mul, test_no_*.py:*)*"])
    assert "halfsim verdict" not in done.stdout.str()  # which has been told


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("no='overflw'", "no: 'overflw' is not allowed (did you mean 'overflow'?)"),
        ("precison='fp16'", "marker: 'precison' is not allowed (did you mean 'precision'?)"),
        ("'fp16'", "marker: 'fp16' without a name is not allowed; allowed: precision, reference, no, allow"),
        ("reference='fp61'", "reference: 'fp61' is not allowed (did you mean 'fp64'?)"),
        ("no=3", "no: 3 is not allowed"),
    ],
)
def test_a_wrong_marker_is_an_error_of_one_line(run: Any, pytester: pytest.Pytester, marker: str, told: str) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.halfsim({marker})\ndef test_nothing(): pass\n")
    done = run()
    done.assert_outcomes(errors=1)
    assert f"\nhalfsim: {told}" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


VERDICT = """
    import pytest, halfsim as hs

    def test_root():
        x = hs.tensor([70.0, 70.0], "fp16")
        total = (x * x * x).sum()
        assert total.item() < 1e6
"""


def test_the_report_of_a_failure_has_the_verdict(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(VERDICT)
    assert "halfsim verdict" not in run().stdout.str()
    for option in ("--halfsim-trace", "--halfsim-precision=fp16"):
        done = run(option)
        done.assert_outcomes(failed=1)
        done.stdout.fnmatch_lines(["E * inf*", "*- halfsim verdict -*", "overflow (step 1, forward, mul, *.py:5): *"])


def test_the_fixture_gives_the_trace_in_force(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest, halfsim as hs

        @pytest.mark.halfsim(reference="fp64")
        def test_trace(halfsim_trace):
            assert halfsim_trace.verdict() is None
            hs.tensor([0.1], "fp16") + 0.2
            assert halfsim_trace.verdict().klass == "benign rounding"
            assert halfsim_trace.errors()[0].local.relative > 0

        def test_a_new_one(halfsim_trace):
            assert halfsim_trace.first() is None and not halfsim_trace.errors()

        def test_none_is_left():
            hs.tensor([300.0], "fp16") * 300.0
        """)
    run().assert_outcomes(passed=3)


def test_an_example_of_hypothesis_has_a_trace_of_its_own_and_shrinks(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest, halfsim as hs
        from hypothesis import given, settings, strategies as st

        class TestSquares:
            @pytest.mark.halfsim(precision="fp16", no="overflow")
            @settings(derandomize=True, database=None, deadline=None)
            @given(n=st.integers(0, 10_000))
            def test_square(self, n):
                hs.tensor([float(n)]) * float(n)

        @pytest.mark.halfsim(precision="fp16")
        @settings(derandomize=True, database=None, deadline=None)
        @given(st.integers(0, 10_000))
        @pytest.mark.parametrize("limit", [1e9])
        def test_finite(limit, n):
            assert (hs.tensor([float(n)]) * float(n)).item() <= limit
        """)
    done = run()
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(
        ["E   AssertionError: overflow (*", "*n=256*", "*n=256*", "*halfsim verdict*", "overflow (*"]
    )


BITS = """
    import numpy as np, pytest, halfsim as hs

    def test_layer(halfsim_bits):
        x = hs.tensor([[1.0, {x}], [float("nan"), -0.0]], "fp16")
        halfsim_bits.check({"x": x, "n": hs.tensor([3, -1]), "y": np.float32({x}), "none": np.zeros((0, 3))})

    @pytest.mark.parametrize("word", ["a/b", "a_b"])
    def test_word(halfsim_bits, word):
        halfsim_bits.check(np.arange(3, dtype=np.float16))
        halfsim_bits.check(hs.tensor([{x}], "e2m1"), basename=f"second {word}")
"""


def test_golden_bits_are_written_and_compared(run: Any, pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(test_bits=BITS.replace("{x}", "2.0"))
    done = run()
    done.assert_outcomes(failed=3)
    done.stdout.fnmatch_lines(["no golden bits yet: *test_layer.bits; pytest --halfsim-bits-update writes them"])
    assert not (pytester.path / "test_bits").exists()
    done = run("--halfsim-bits-update", "-n", "2", apart=True)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*golden bits written*", "test_bits/second a%2Fb.bits", "test_bits/test_layer.bits"])
    names = {file.name for file in (pytester.path / "test_bits").iterdir()}
    assert names == {
        "test_layer.bits", "test_word[a%2Fb].bits", "test_word[a_b].bits", "second a%2Fb.bits", "second a_b.bits",
    }  # fmt: skip
    told = (pytester.path / "test_bits" / "test_layer.bits").read_text()
    assert "float16 [2, 2] x\n3c00 4000\n7e00 8000\nint64 [2] n\n" in told
    assert "float32 [] y\n40000000\nfloat64 [0, 3] none\n" in told
    run().assert_outcomes(passed=3)
    done = run("--halfsim-bits-update")
    assert "golden bits written" not in done.stdout.str()
    path.write_text(path.read_text().replace("2.0", "2.005"))
    done = run()
    done.assert_outcomes(failed=1, passed=2)
    done.stdout.fnmatch_lines(
        [
            "x: 1 of 4 elements differ",
            "  [[]0, 1[]]: 4003 (2.005859375), was 4000 (2.0): 3 ulp",
            "y: 1 of 1 element differs",
        ]
    )


@pytest.mark.parametrize("now", [[1.0, 0.5], [1.0, 2.0], [1.0, -1.5], [np.nan, 1.5]])
def test_golden_bits_see_every_other_number(now: list[float]) -> None:
    was = Bits.of("x", np.float16([1.0, 1.5]))
    told = Bits.of("x", np.float16(now)).different(was)
    assert told[0] == "1 of 2 elements differ"
    assert was.different(was) == []


def test_without_the_plugin_other_suites_run(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    run("-p", "no:halfsim").assert_outcomes(passed=1)
    done = run("-p", "no:halfsim", "--halfsim-trace")
    assert done.ret == pytest.ExitCode.USAGE_ERROR


def test_it_imports_nothing_until_it_is_asked(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing():
            assert not {"numpy", "halfsim", "hypothesis"} & {*sys.modules} and "_halfsim_pytest" in sys.modules
        """)
    run("-p", "no:hypothesispytest", apart=True).assert_outcomes(passed=1)
    done = run("--markers")
    done.stdout.fnmatch_lines(["@pytest.mark.halfsim(precision=, reference=, no=, allow=): run the test*"])
    done = run("--fixtures")
    done.stdout.fnmatch_lines(["halfsim_trace*", "halfsim_bits*"])


def test_the_package_never_imports_pytest() -> None:
    code = "import sys, halfsim, halfsim.testing; assert not {'pytest', 'hypothesis'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT)})
