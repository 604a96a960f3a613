"""ONNX's own cases for backends, by ONNX's own runner: how many pass, which do not and why.

PYTHONPATH=$PWD python -m tests.onnx.conformance            runs them all (a minute) and prints the tables
PYTHONPATH=$PWD python -m tests.onnx.conformance --write    the same, into docs/onnx.md
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import re
import unittest
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from onnx.backend.test.runner import Runner

import halfsim as hs
from tests import marks

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
SUITES = {
    "NodeModel": "node: one operator each",
    "SimpleModel": "simple",
    "PyTorchOperatorModel": "pytorch-operator",
    "PyTorchConvertedModel": "pytorch-converted",
    "RealModel": "light: networks whose weights are one number",
}

# Why a case does not pass, by a pattern of its name.
WHY = {
    "bernoulli": "random numbers: each program draws its own, and the expected ones are one draw of NumPy's",
    "dft_inverse": "the expected imaginary part is the noise of another transform about 0, 1.9e-7; ours is 3e-15",
    "attention_4d_causal_fp16": (
        "two of 192 values lie one float16 step from the expected ones, which NumPy's softmax in float16 gives; "
        "ours sums in float32, as kernels do, and is nearer to the same case in float64"
    ),
    "loop16_seq_none": "the runner cannot compare a sequence that has a number without axes in it; ours is equal",
}


class Outcome(NamedTuple):
    """What came of a case: "passed", "wrong" (other values) or "refused" (an error), and the words of it."""

    suite: str
    name: str
    kind: str
    words: str


def outcome(suite: str, name: str, run: Any) -> Outcome:
    hs.manual_seed(0)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(None)
    except AssertionError as error:
        return Outcome(suite, name, "wrong", " ".join(str(error).split()))
    except unittest.SkipTest as error:
        return Outcome(suite, name, "refused", str(error))
    except Exception as error:  # whatever goes wrong is what is asked for
        return Outcome(suite, name, "refused", f"{type(error).__name__}: {' '.join(str(error).split())}")
    return Outcome(suite, name, "passed", "")


def cases(suites: Iterable[str] = tuple(SUITES)) -> dict[tuple[str, str], Any]:
    """The functions of ONNX's runner for our backend on the CPU, by suite and name."""
    with warnings.catch_warnings():  # of what makes the cases
        warnings.simplefilter("ignore")
        items = Runner(hs.onnx.backend, __name__)._test_items
    return {
        (suite, name.removesuffix("_cpu")): item.func
        for suite in suites
        for name, item in sorted(items[suite].items())
        if name.endswith("_cpu")
    }


def why(name: str) -> str:
    return next((reason for pattern, reason in WHY.items() if re.search(pattern, name)), "")


def operators() -> str:
    """How the operators of the newest versions run."""
    from halfsim.onnx.operators import REFERENCE, ROWS

    kinds: collections.Counter[str] = collections.Counter()
    for schema in onnx.defs.get_all_schemas():
        key = (schema.domain, schema.name)
        body = schema.has_function or schema.has_context_dependent_function
        kind = "ours" if key in ROWS else "reference" if key in REFERENCE else "body" if body else "missing"
        kinds[kind] += 1
    return (
        f"Of the {sum(kinds.values())} operators that ONNX defines {kinds['ours']} are functions of ours, "
        f"{kinds['body']} run as the bodies that ONNX defines them by, {kinds['reference']} on its reference; "
        f"{kinds['missing']} are missing."
    )


def tables(found: list[Outcome]) -> str:
    lines = [operators(), "", "| suite | cases | passed | other values | refused |", "| --- | --- | --- | --- | --- |"]
    for suite, title in SUITES.items():
        kinds = collections.Counter(one.kind for one in found if one.suite == suite)
        counts = [sum(kinds.values()), kinds["passed"], kinds["wrong"], kinds["refused"]]
        lines.append(f"| {title} | {' | '.join(f'{n:,}' for n in counts)} |")
    lines += ["", "| case | came of it | why |", "| --- | --- | --- |"]
    for one in found:
        if one.kind != "passed":
            told = "other values" if one.kind == "wrong" else "not compared" if why(one.name) else "refused"
            lines.append(f"| `{one.name}` | {told} | {why(one.name) or one.words} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.onnx.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/onnx.md")
    asked = parser.parse_args()
    text = tables([outcome(*key, run) for key, run in cases().items()])
    print(text)
    if asked.write:
        marks.put(PAGE, "conformance", f"\nWith onnx {onnx.__version__}:\n\n{text}\n\n")


if __name__ == "__main__":
    main()
