"""What the run makes in half itself is carried in the reference's storage, or the comparison says what was not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import halfsim as hs

X = np.random.default_rng(0).standard_normal((16, 4))
Y = np.random.default_rng(1).integers(0, 3, 16)


def half_layer() -> hs.nn.Linear:
    return hs.nn.Linear(4, 3).half()


def squared(x: hs.Tensor) -> hs.Tensor:
    """300**2 - 300**2: NaN in half, 0 elsewhere."""
    y = x * x
    return y - y


def trained(model: hs.nn.Module, **options: Any) -> float:
    optimizer = hs.optim.SGD(model.parameters(), **{"lr": 1e-6, **options})
    for _ in range(3):
        optimizer.zero_grad()
        loss = hs.nn.cross_entropy(model(hs.tensor(X)), Y)
        loss.backward()
        optimizer.step()
    return loss.item()


def adam() -> hs.Tensor:
    w = hs.tensor([1.0, 1.0], "fp16", requires_grad=True)
    optimizer = hs.optim.Adam([w])
    (w * hs.tensor([1e-4, 1e-4])).sum().backward()
    optimizer.step()
    return w


def assigned() -> hs.Tensor:
    layer = hs.nn.Linear(1, 1, bias=False)
    layer.weight = hs.nn.Parameter(hs.tensor([[300.0]], "fp16"))
    return squared(layer(hs.tensor([[1.0]])))


def buffered() -> hs.Tensor:
    layer = hs.nn.BatchNorm1d(1)
    layer.running_mean.array[:] = 300.0
    return squared(layer.to("fp16").running_mean)


def functional() -> hs.Tensor:
    return squared(hs.nn.functional.softmax(hs.tensor([1.0, 2.0]), dim=0, dtype="fp16") * 600.0)


def averaged() -> hs.Tensor:
    average = hs.optim.EMA([hs.tensor([300.0], requires_grad=True)], format="fp16")
    return squared(average.averages[0])


def accumulated() -> hs.Tensor:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    for _ in range(2):
        (w * 6e4).sum().backward()
    assert w.grad is not None
    return w.grad - w.grad


def hand_written() -> hs.Tensor:
    w = hs.tensor([1.0], "fp16", requires_grad=True)
    for _ in range(300):
        with hs.no_grad():
            w -= 1e-4
    return w


RUNS: dict[str, tuple[Callable[[], Any], str]] = {
    "tensor": (lambda: squared(hs.tensor([300.0], "fp16")), "overflow"),
    "dtype": (lambda: squared(hs.tensor([300.0], dtype="float16")), "overflow"),
    "half": (lambda: squared(hs.tensor([300.0]).half()), "overflow"),
    "to": (lambda: squared(hs.tensor([300.0]).to("fp16")), "overflow"),
    "float": (lambda: squared(hs.tensor([300.0]).half().float().half()), "overflow"),
    "numpy": (lambda: squared(hs.tensor(np.array([300.0], np.float16))), "overflow"),
    "numpy, half": (lambda: squared(hs.tensor(np.array([300.0], np.float16), "fp16")), "overflow"),
    "parameter": (assigned, "overflow"),
    "buffer": (buffered, "overflow"),
    "functional": (functional, "overflow"),
    "average": (averaged, "overflow"),
    "gradients": (accumulated, "overflow"),
    "model": (lambda: trained(half_layer()), "swamping"),
    "model.to": (lambda: trained(hs.nn.Linear(4, 3).to("fp16")), "swamping"),
    "a loop of one's own": (hand_written, "swamping"),
    "optimizer": (adam, "eps lost"),
}


@pytest.mark.parametrize("name", RUNS)
def test_what_the_run_makes_in_half_is_carried(name: str) -> None:
    run, klass = RUNS[name]
    found = hs.compare(run, "fp16")
    verdict = found.verdict()
    assert verdict.klass == klass
    assert "test_carried.py:" in str(verdict)
    text = str(found)
    assert not any(note.startswith("In the reference run") for note in found.notes)
    if klass != "swamping":
        assert not np.isfinite(found.results[0].relative_error)
        assert "agrees" not in text
    plain = found.results[0]
    assert plain.reference is None or np.isfinite(plain.reference)


def test_what_is_carried_is_what_a_run_in_float64_computes() -> None:
    """The same figures as of a run that makes nothing in half."""

    def run(half: bool) -> Callable[[], Any]:
        def training() -> list[Any]:
            hs.manual_seed(2)
            model = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.BatchNorm1d(8), hs.nn.ReLU(), hs.nn.Linear(8, 3))
            if half:
                model = model.half()
            optimizer = hs.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-4)
            x = hs.tensor(X, "fp16") if half else hs.tensor(X)
            for _ in range(3):
                optimizer.zero_grad()
                loss = hs.nn.cross_entropy(model(x.half() if half else x), Y)
                loss.backward()
                optimizer.step()
            kept.append([loss.item(), *(p.array.copy() for p in model.parameters())])
            return [loss]

        return training

    kept: list[list[Any]] = []
    hs.compare(run(True), "fp16")
    hs.compare(run(False), "fp16")
    for a, b in zip(kept[0], kept[2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_numpy_rounded_is_told() -> None:
    found = hs.compare(lambda: hs.tensor(np.array([0.1, 2.0], np.float16)) * 3, "fp16")
    note = "1 tensor was made of float16 arrays of NumPy: what NumPy has rounded is rounded in both runs."
    assert note in found.notes
    assert note in " ".join(str(found).split())
    assert note in found.page()
    quiet = hs.compare(lambda: hs.tensor(np.array([0.1, 2.0])) * 3, "fp16")
    assert quiet.notes == ()


def test_what_the_run_reaches_through_what_it_calls_is_carried() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.layer = half_layer()
            self.optimizer = hs.optim.SGD(self.layer.parameters(), lr=1e-6)

        def __call__(self) -> None:
            hs.nn.cross_entropy(self.layer(hs.tensor(X)), Y).backward()
            self.optimizer.step()

    trainer = Trainer()
    found = hs.compare(lambda: trainer(), "fp16")
    assert found.notes == (), "what the functions that it calls reach is found by name, too"
    assert found.verdict().klass == "swamping"


def test_a_reference_of_several_formats_is_told() -> None:
    found = hs.compare(lambda: hs.tensor([1.0], "fp16") * 3, "fp16", "amp")
    assert (
        "The reference, amp, has no one storage: what the run makes in half itself is so in both runs." in found.notes
    )


# Two low precisions.


def test_two_low_precisions_are_held_against_each_other() -> None:
    """The trouble is the run's, or the reference's, and never the other's."""
    over = lambda: squared(hs.tensor([300.0])) + 1.0  # noqa: E731
    mine, theirs = hs.compare(over, "fp16", reference="bf16"), hs.compare(over, "bf16", reference="fp16")
    assert (mine.verdict().klass, theirs.verdict().klass) == ("overflow", "overflow")
    assert "reference" not in mine.verdict().message.partition(";")[0]
    said = theirs.verdict().message
    assert said.startswith("it is the reference that has trouble, and not the run: 1 of 1 values became infinite")
    assert theirs.verdict().values["in"] == "reference"
    assert "take a reference of wider range" in theirs.verdict().fix
    assert "agrees" not in str(theirs) + str(mine)

    eps = lambda: hs.tensor([1.0]) / (hs.tensor([0.0]) + 1e-12)  # noqa: E731
    mine, theirs = hs.compare(eps, "fp16", reference="bf16"), hs.compare(eps, "bf16", reference="fp16")
    assert mine.verdict().klass == theirs.verdict().klass == "eps lost"
    assert "in" not in mine.verdict().values
    assert theirs.verdict().values["in"] == "reference"


def test_low_precisions_that_agree() -> None:
    def run() -> hs.Tensor:
        return hs.ops.tanh(hs.tensor(X) @ hs.tensor(X.T)).sum()

    for low, high in (("bf16", "fp16"), ("fp16", "bf16"), ("fp16", "fp16")):
        found = hs.compare(run, low, reference=high)
        assert found.verdict().klass == "benign rounding"
        assert found.notes == ()
    assert found.largest == 0


def test_a_format_that_the_reference_does_not_contain_is_told() -> None:
    found = hs.compare(lambda: hs.tensor([1.001], "bf16").to("bf16") * 1.0, "bf16", reference="fp16")
    assert all("float16 does not contain it" in note for note in found.notes)


def test_what_is_found_outside_is_left_as_it_was() -> None:
    w = hs.nn.Parameter(hs.tensor([1.0], "bf16"))
    optimizer = hs.optim.SGD([w], lr=1.0)

    def run() -> hs.Tensor:
        (w * 2).sum().backward()
        optimizer.step()
        return w

    for low, high in (("bf16", "fp16"), ("bf16", "fp64"), ("fp16", "bf16")):
        hs.compare(run, low, reference=high)
        assert (w.item(), w.format, w.grad) == (1.0, hs.bfloat16, None)
