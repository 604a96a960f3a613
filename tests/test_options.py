"""What is said of arguments that do not fit: one short line, whatever they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.numerics._format import unknown

BAD: dict[str, Any] = {
    "None": None, "string": "abc", "bytes": b"xx", "huge": 10**30, "NaN": float("nan"), "complex": 1j, "list": [],
    "dict": {}, "object": object(), "float": 2.5, "long": "x" * 5000, "nested": [[1], [2, 3]], "set": {1},
}  # fmt: skip
X = hs.tensor(np.arange(12.0).reshape(3, 4) + 0.5)
GIVEN: dict[str, Any] = {
    "dim": 0, "index": hs.tensor([0, 1, 2]), "indices": hs.tensor([0, 1, 2]), "shape": (3, 4), "size": (3, 4), "n": 3,
    "sizes": (3, 4), "dims": (0, 1), "k": 1, "repeats": 2, "kernel_size": 2, "chunks": 2, "tensors": [X, X], "axis": 0,
    "mask": X > 2, "condition": X > 2, "value": 1.0, "start": 0, "end": 3, "length": 1, "steps": 3, "fill_value": 1.0,
    "normalized_shape": (4,), "num_groups": 1, "output_size": 2, "pad": (1, 1), "target": hs.tensor([0, 1, 2]),
}  # fmt: skip


def _calls(name: str) -> list[tuple[str, Callable[[], object]]]:
    """``name`` with each argument in turn of every wrong kind."""
    function = getattr(hs.ops, name)
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    base = {p.name: GIVEN.get(p.name, X) for p in named if p.default is p.empty}

    def call(given: dict[str, Any]) -> Callable[[], object]:
        first = [given.pop(p.name) for p in named if p.kind is p.POSITIONAL_ONLY and p.name in given]
        return lambda: function(*first, **given)

    return [(f"{name}({p.name}={kind})", call({**base, p.name: bad})) for p in named for kind, bad in BAD.items()]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of options without effect, of shapes that are broadcast
@pytest.mark.parametrize("part", range(6))
def test_every_operation_refuses_in_one_short_line(part: int) -> None:
    heavy = {"combinations", "cartesian_prod"}  # of many values, which take long
    for name in sorted(set(hs.ops.__all__) - heavy)[part::6]:
        for what, call in _calls(name):
            text = _refusal(what, call)
            assert len(text) <= 300, (what, text)
            assert "\n" not in text, (what, text)


def _refusal(what: str, call: Callable[[], object]) -> str:
    """What is said; of the kinds of errors that Python has for arguments."""
    try:
        call()
    except (TypeError, ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
        return str(error) if type(error).__module__ == "builtins" else f"{what}: {type(error)}" * 99
    return ""


LAYERS: list[tuple[Callable[[], object], str]] = [
    (lambda: hs.nn.Linear("3", 4), "in_features: '3' is not allowed; allowed: integers"),  # type: ignore[arg-type]
    (lambda: hs.nn.Linear(3), "Linear: out_features is missing; allowed: in_features, out_features, bias"),  # type: ignore[call-arg]
    (lambda: hs.nn.Linear(3, 4, nope=1), "Linear: nope= is not an option here"),  # type: ignore[call-arg]
    (lambda: hs.nn.LSTM(2, 2, bidirectional=2), "bidirectional: 2 is not allowed; allowed: True, False"),
    (lambda: hs.nn.BatchNorm2d(3, eps="x"), "eps: 'x' is not allowed; allowed: numbers"),  # type: ignore[arg-type]
    (lambda: hs.nn.Dropout("x"), "p: 'x' is not allowed; allowed: numbers"),  # type: ignore[arg-type]
    (lambda: hs.ops.sum(X, "a"), "axis: 'a' is not allowed; allowed: integers, a tuple of integers, None"),
    (lambda: hs.ops.all(X, dim="a"), "dim: 'a' is not allowed; allowed: integers"),
    (
        lambda: hs.ops.split(X, object()),
        "split: split_size_or_sections=object is not allowed; ",
    ),
]


@pytest.mark.parametrize(("call", "text"), LAYERS)
def test_wrong_types_are_named(call: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        call()


def test_an_integer_that_no_computer_holds_is_a_wrong_value() -> None:
    with pytest.raises(ValueError, match="num_layers: 9223372036854775808 is not allowed; allowed: integers of 64"):
        hs.nn.LSTM(2, 2, num_layers=2**63)


def test_the_cause_is_kept() -> None:
    with pytest.raises(TypeError) as caught:
        hs.ops.split(X, object())
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: hs.utils.data.Subset(int, [0]), "dataset: type is not allowed; allowed: what has __getitem__"),
        (lambda: hs.utils.data.Subset([1, 2], {0, 1}), "indices: set is not allowed; allowed: what has __getitem__"),
        (lambda: hs.utils.data.TensorDataset(), "tensors: none are not allowed; allowed: at least one"),
        (lambda: hs.utils.data.TensorDataset(np.array(["a"])), "tensors: an array of <U1 is not allowed"),
        (lambda: hs.utils.data.ChainDataset([[1, 2]]), "datasets: list is not allowed; allowed: IterableDataset"),
        (lambda: hs.utils.data.RandomSampler([1], generator="a"), "generator: 'a' is not allowed; allowed: a Gen"),
        (lambda: hs.hardware.device("A100").peak("abc", False), "fmt: 'abc' is not allowed"),
        (lambda: hs.hardware.device("A100").matmul([1], [1], c=1j), "c: an array of complex128 is not allowed"),
        (lambda: hs.Trace(reference="fp16"), "reference: 'fp16' is not allowed; allowed: a Precision, None"),
        (lambda: hs.Trace(allow=[1]), r"allow: \[1\] is not allowed; allowed: patterns"),
        (lambda: hs.Report.from_json(3), "source: 3 is not allowed; allowed: a string, a path"),
        (lambda: hs.Report.from_json("x" * 10**4), r"File name too long: 'x{200}'"),
        (lambda: hs.float16.contains(-1), "other: -1 is not allowed; allowed: a Format"),
        (lambda: hs.load("none", map_location="abc"), "device: 'abc' is not allowed"),
        (lambda: hs.amp.custom_fwd(cast_inputs="abc"), "cast_inputs: 'abc' is not allowed"),
        (lambda: hs.optim.swa_utils.AveragedModel(1j), "model: 1j is not allowed; allowed: a Module"),
        (lambda: hs.result_type(3, len), "x: builtin_function_or_method is not allowed"),
    ],
)
def test_what_is_no_argument_of_that_kind_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises((TypeError, ValueError, OSError), match=words) as error:
        call()
    assert len(str(error.value)) <= 300


def test_one_pattern_is_one_pattern() -> None:
    assert hs.Trace(allow="@log").allow == ("@log",)


def test_the_dtype_of_two_numbers_is_that_of_their_sum() -> None:
    assert hs.result_type(3, 2.5) == hs.float32
    assert hs.result_type(True, 2) == hs.int64


def test_casts_that_lose_a_kind_are_never_made_by_themselves() -> None:
    """Bools may become integers, and these floats; sizes do not matter."""
    kinds: list[list[Any]] = [[hs.bool], [hs.uint8, hs.int32, hs.int64], [hs.float16, hs.bfloat16, hs.float32]]
    for i, sources in enumerate(kinds):
        for k, targets in enumerate(kinds):
            assert all(hs.can_cast(a, b) is (i <= k) for a in sources for b in targets)


def test_of_a_long_list_the_eight_nearest_words_are_shown() -> None:
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    text = str(unknown("word", "wordy!", words))
    assert text.startswith("word: 'wordy!' is not allowed (did you mean 'wordy'?); allowed: words, wordt, wordu, ")
    assert text.endswith(", wordy, wordz, ... (26 in all)")
    assert text.count(",") == 8
    assert str(unknown("word", "x", words[:24])) == f"word: 'x' is not allowed; allowed: {', '.join(words[:24])}"
