"""Tensors carried in one format, whatever format they are asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.scope import carried_in


def test_every_tensor_of_a_run_is_carried() -> None:
    def run() -> tuple[hs.Tensor, ...]:
        hs.manual_seed(1)
        model = hs.nn.Sequential(hs.nn.Linear(3, 3), hs.nn.BatchNorm1d(3)).half()
        model.register_buffer("count", np.array([1, 2]))
        model.register_buffer("mask", np.array([True]))
        optimizer = hs.optim.Adam(model.parameters(), lr=1e-2, master_weights=True)
        average = hs.optim.EMA(model, format="bf16")
        x = hs.tensor(np.random.default_rng(0).normal(size=(4, 3)), "fp16")
        target = hs.nn.Parameter(x.half().bfloat16().to("fp8_e4m3").float())
        for _ in range(3):
            loss = ((model(x.half()) - target) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update()
        held = [x, target, loss, *model.parameters(), *average.averages]
        held += [b for b in model.buffers() if isinstance(b, hs.Tensor) and b.is_floating_point()]
        held += [p.grad for p in model.parameters()]
        held += [v for s in optimizer.state.values() for v in s.values() if isinstance(v, hs.Tensor)]
        assert model.count.dtype == np.array([1]).dtype
        assert model.mask.dtype == np.bool_
        return tuple(held)

    with hs.precision("fp64", override=True), carried_in(hs.float64):
        held = run()
    assert {x.format for x in held} == {hs.float64}
    assert {x.array.dtype for x in held} == {np.dtype(np.float64)}
    assert hs.tensor([0.1], "fp16").format == hs.float16


MODELS: dict[str, Callable[[], hs.nn.Module]] = {
    "mlp": lambda: hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.ReLU(), hs.nn.LayerNorm(8), hs.nn.Linear(8, 1)),
    "batch": lambda: hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.BatchNorm1d(8), hs.nn.Dropout(0.5)),
    "encoder": lambda: hs.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_a_run_that_makes_halves_is_carried_as_if_it_made_none(name: str, kind: str) -> None:
    def run(half: bool) -> list[hs.Tensor]:
        hs.manual_seed(2)
        model = MODELS[name]()
        x = hs.tensor(np.random.default_rng(0).normal(size=(6, 4)), *(["fp16"] if half else []))
        model = model.half() if half else model
        optimizer = getattr(hs.optim, kind)(model.parameters(), lr=0.1)
        average = hs.optim.EMA(model, 0.5, *(["bf16"] if half else []))
        for _ in range(3):
            loss = (model(x.half() if half else x) ** 2).mean()
            optimizer.zero_grad()
            (loss.to("bf16") if half else loss).backward()
            optimizer.step()
            average.update()
        return [loss, *model.parameters(), *average.averages]

    with hs.precision("fp64", override=True):
        pure = run(False)
        with carried_in(hs.float64):
            mine = run(True)
    for x, y in zip(mine, pure, strict=True):
        assert x.format == y.format == hs.float64
        assert x.array.tobytes() == y.array.tobytes()


def test_formats_that_are_not_contained_are_left() -> None:
    with carried_in(hs.float16):
        assert hs.tensor([1e5], "fp32").format == hs.float32
        assert hs.tensor([0.1], "fp8_e5m2").format == hs.float16
