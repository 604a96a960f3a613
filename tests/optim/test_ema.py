from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs


def toward_one(fmt: str, steps: int = 8000, decay: float = 0.999) -> hs.optim.EMA:
    w = hs.tensor([0.0], "fp32")
    ema = hs.optim.EMA([w], decay, format=fmt)
    w.array = np.ones(1, np.float32)
    for _ in range(steps):
        ema.update()
    return ema


def test_an_average_in_half_stalls_a_quarter_off() -> None:
    """1e-3 * (1 - a) is below half an ulp of a, 2**-12, from a = 1 - 0.244 on."""
    assert toward_one("fp32").averages[0].item() == pytest.approx(1 - 0.999**8000, abs=1e-4)
    half = toward_one("fp16").averages[0].item()
    assert 0.75 < half < 1 - 0.24
    assert toward_one("fp16", 12000).averages[0].item() == half


def test_the_trace_tells_that_an_average_stalls() -> None:
    ema = toward_one("fp16")
    with hs.trace() as t:
        ema.update()
    first = t.first("swamping")
    assert first is not None
    assert (first.phase, first.op) == ("optimizer", "average")


@pytest.mark.parametrize("fmt", ["fp16", "bf16"])
def test_an_update_is_lerp_rounded_once(fmt: str) -> None:
    rng = np.random.default_rng(0)
    w = hs.tensor(rng.standard_normal(50), fmt)
    ema, average = hs.optim.EMA([w], 0.9), w.array.astype(np.float32)
    for _ in range(5):
        w.array = hs.tensor(rng.standard_normal(50), fmt).array
        ema.update()
        average = average + (w.array.astype(np.float32) - average) * np.float32(1 - 0.9)
        average = hs.round_to(average, fmt)
        np.testing.assert_array_equal(ema.averages[0].array, average)


def test_pytorchs_averaged_model_agrees() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    linear = torch.nn.Linear(3, 2).double()
    averaged = AveragedModel(linear, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    model = hs.nn.Linear(3, 2).double()
    model.load_state_dict({key: value.numpy() for key, value in linear.state_dict().items()})
    ema, rng = hs.optim.EMA(model, 0.9), np.random.default_rng(0)
    averaged.update_parameters(linear)  # the first only copies
    for _ in range(4):
        for p, q in zip(linear.parameters(), model.parameters(), strict=True):
            values = rng.standard_normal(q.shape)
            p.data, q.array = torch.tensor(values), values
        averaged.update_parameters(linear)
        ema.update()
    for p, q in zip(averaged.module.parameters(), ema.averages, strict=True):
        np.testing.assert_allclose(q.numpy(), p.detach().numpy(), rtol=1e-14)


def test_a_model_lends_itself_to_the_averages() -> None:
    model = hs.nn.Linear(2, 1).half()
    ema = hs.optim.EMA(model, decay=0.5, format="fp32")
    first = model.weight.numpy()
    model.weight.array = model.weight.array + 1
    ema.update()
    after = model.weight.array
    with pytest.raises(KeyError), ema.swap():  # noqa: PT012
        np.testing.assert_array_equal(model.weight.numpy(), (first.astype(np.float32) + 0.5).astype(np.float16))
        raise KeyError
    assert model.weight.array is after
    ema.copy_to()
    assert model.weight.format is hs.float16
    np.testing.assert_array_equal(model.weight.numpy(), ema.averages[0].numpy().astype(np.float16))


def test_averages_come_back() -> None:
    ema = toward_one("fp16", 100)
    other = toward_one("fp16", 0)
    other.load_state_dict(ema.state_dict())
    ema.update()
    other.update()
    assert other.averages[0].bits() == ema.averages[0].bits()
    with pytest.raises(ValueError, match="averages: 0 are not allowed; allowed: 1"):
        other.load_state_dict({"decay": 0.9, "averages": []})
    with pytest.raises(ValueError, match=r"averages: shape \(2,\) does not fit \(1,\)"):
        other.load_state_dict({"decay": 0.9, "averages": [np.ones(2)]})


def test_bad_arguments_get_one_line() -> None:
    w = hs.tensor([1.0])
    for decay in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="decay: "):
            hs.optim.EMA([w], decay)
    hs.optim.EMA([w], 1.0)
    with pytest.raises(ValueError, match="parameters: an empty list"):
        hs.optim.EMA([])
    with pytest.raises(TypeError, match="parameters: float is not allowed"):
        hs.optim.EMA([1.0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="unknown|allowed"):
        hs.optim.EMA([w], format="fp17")
