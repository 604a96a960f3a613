from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.costs.cost import OPTIMIZERS
from halfsim.costs.measure import alike, between, measured
from halfsim.costs.memory import held_bytes
from halfsim.costs.presets import PRESETS, preset
from halfsim.costs.recipes import RECIPES
from halfsim.nn.parameter import Parameter


def mlp() -> hs.nn.Sequential:
    return hs.nn.Sequential(hs.nn.Linear(8, 16), hs.nn.ReLU(), hs.nn.Linear(16, 4))


X, Y = np.ones((6, 8), np.float32), np.zeros(6, np.int64)


def test_bytes_by_hand() -> None:
    """Weights 8x16 + 16 + 16x4 + 4; Adam has two tensors for each; float16 halves them all, autocast none."""
    bills = hs.cost(mlp(), (X, Y), "A100").training
    weights = 8 * 16 + 16 + 16 * 4 + 4
    for recipe, width in (("fp32", 4), ("fp16", 2), ("amp", 4)):
        b = bills[recipe]
        assert (b.parameters, b.gradients, b.optimizer) == (weights * width, weights * width, 2 * weights * width)
        assert b.bytes == 4 * weights * width + b.activations


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_activations_are_what_the_engine_holds(name: str, recipe: str) -> None:
    """Counted in the batch itself, though presets are priced from two small ones."""
    net, example, _ = preset(name, 16)
    x, y = example(3)
    expected = hs.cost(name, 3, "A100", recipes=recipe, width=16).training[recipe].activations
    fmt = RECIPES[recipe].weights
    net = net.to(fmt)
    with hs.precision(RECIPES[recipe].rule):
        loss = hs.nn.functional.cross_entropy(net(hs.tensor(x, fmt)), y)
    assert held_bytes(loss, net.parameters()) == expected


@pytest.mark.parametrize("name", PRESETS)
def test_another_batch_size_is_priced_without_running_it(name: str) -> None:
    net, example, _ = preset(name, 8)
    for training in (True, False):
        low, high, there = (measured(net, example(n), "amp", training) for n in (4, 8, 13))
        assert alike(low, there)
        guess = between(low, high, (13 - 4) / 4)
        assert guess.held == there.held
        assert guess.live == there.live
        for a, b in zip(guess.works, there.works, strict=True):
            assert (a.flops, a.bytes) == (b.flops, b.bytes)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer_state_is_what_optimizers_keep(optimizer: str) -> None:
    kinds: dict[str, Any] = {
        "sgd": lambda p: hs.optim.SGD(p, lr=0.1),
        "momentum": lambda p: hs.optim.SGD(p, lr=0.1, momentum=0.9),
        "adagrad": hs.optim.Adagrad,
        "rmsprop": hs.optim.RMSprop,
        "adam": hs.optim.Adam,
        "adamw": hs.optim.AdamW,
    }
    net = mlp()
    optim = kinds[optimizer](net.parameters())
    hs.nn.functional.cross_entropy(net(hs.tensor(X)), Y).backward()
    optim.step()
    kept = [v for s in optim.state_dict()["state"].values() for v in s.values() if np.size(getattr(v, "data", v)) > 1]
    floats = sum(int(np.size(getattr(v, "data", v))) for v in kept)
    assert hs.cost(net, X, "A100", optimizer=optimizer).training["fp32"].optimizer == 4 * floats


def flops(net: hs.nn.Module, x: Any, phase: str) -> float:
    works = measured(net, (x, None), "fp32", True).works
    return sum(w.flops for w in works if w.product and w.phase == phase)


def test_products_are_counted_from_their_shapes() -> None:
    ones = np.ones
    conv = hs.nn.Conv2d(4, 6, 3, padding=1, groups=2)
    assert flops(conv, ones((2, 4, 5, 5)), "forward") == 2 * (2 * 6 * 5 * 5) * (2 * 3 * 3)
    assert flops(conv, ones((2, 4, 5, 5)), "backward") == flops(conv, ones((2, 4, 5, 5)), "forward"), "of the weight"
    assert flops(hs.nn.ConvTranspose2d(4, 6, 3), ones((2, 4, 5, 5)), "forward") == 2 * (2 * 4 * 25) * 6 * 9
    assert flops(hs.nn.Linear(8, 3), ones((5, 8)), "forward") == 2 * 5 * 8 * 3
    lstm = hs.nn.LSTM(8, 16)
    steps = 2 * 5 * 3
    assert flops(lstm, ones((5, 3, 8)), "forward") == steps * 64 * (8 + 16)
    assert flops(lstm, ones((5, 3, 8)), "backward") == steps * 64 * (8 + 2 * 16)


@pytest.mark.parametrize("name", ["scaled_dot_product_attention", "flash_attention"])
def test_attention_is_two_products_forward_and_four_backward(name: str) -> None:
    class Attention(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = Parameter(hs.tensor(np.ones((2, 3, 5, 4))))

        def forward(self, x: Any) -> Any:
            return getattr(hs.nn.functional, name)(self.q, self.q * 2, self.q * 3)

    once = 2 * 2 * 3 * 5 * 5 * 4
    assert flops(Attention(), X, "forward") == 2 * once
    assert flops(Attention(), X, "backward") == 4 * once


def test_frozen_layers_take_no_gradient_and_no_state() -> None:
    net = mlp()
    for p in net[0].parameters():
        p.requires_grad_(False)
    b = hs.cost(net, (X, Y), "A100").training["fp32"]
    assert b.gradients == 4 * (16 * 4 + 4)
    assert flops(net, X, "backward") == 2 * 6 * 16 * 4
    assert flops(net, X, "forward") == 2 * 6 * (8 * 16 + 16 * 4)


def test_roofline_by_hand() -> None:
    """A product of 1024 x 1024 by 64 rows in inference: bound by bandwidth in float16, by arithmetic in float32."""
    net, x = hs.nn.Linear(1024, 1024, bias=False), np.ones((64, 1024), np.float32)
    bills = hs.cost(net, x, "A100", recipes=("fp32", "fp16")).inference
    work, moved = 2 * 64 * 1024 * 1024, 1024 * 1024 + 2 * 64 * 1024
    for recipe, width, rate in (("fp32", 4, 19.5e12), ("fp16", 2, 312e12)):
        step = bills[recipe].total
        assert step.flops == work
        assert step.bytes == moved * width
        assert step.seconds == pytest.approx(max(work / rate, moved * width / 2039e9), rel=1e-12)
        assert step.at == rate
    assert (bills["fp32"].total.bound, bills["fp16"].total.bound) == ("compute", "bandwidth")
    joules = (work / 2 * (1.1 + 0.9) + moved * 2 * 1300 / 8) * 1e-12  # of a product, a sum, and 64 bits of DRAM
    assert bills["fp16"].total.joules == pytest.approx(joules, rel=1e-12)


def test_where_halves_are_converted_they_save_bytes_alone() -> None:
    bills = hs.cost("mlp", 4096, "Ice Lake").inference
    assert bills["fp16"].total.peak == bills["fp32"].total.peak == "fp32 vector"
    assert bills["fp16"].total.seconds / bills["fp32"].total.seconds > 0.85
    assert hs.cost("mlp", 4096, "V100").inference["fp16"].total.seconds < bills["fp32"].total.seconds / 10


def test_tf32_runs_on_matrix_units_where_there_are_any() -> None:
    assert hs.cost("mlp", 8, "A100", recipes=["tf32"]).training["tf32"].total.peak == "tf32 matrix"
    assert hs.cost("mlp", 8, "V100", recipes=["tf32"]).training["tf32"].total.peak == "fp32 vector"


@pytest.mark.parametrize("name", ["mlp", "cnn"])
@pytest.mark.parametrize("recipe", ["fp32", "fp16", "amp"])
@pytest.mark.parametrize("training", [True, False])
def test_the_largest_batch_fits_and_the_next_does_not(name: str, recipe: str, training: bool) -> None:
    def bill(batch: int) -> Any:
        c = hs.cost(name, batch, "Cortex-A76", recipes=[recipe], width=8)
        return (c.training if training else c.inference)[recipe]

    most, memory = bill(4).largest_batch, 6 * 2**30
    assert bill(most).peak <= memory < bill(most + 1).peak
    assert bill(17).largest_batch == most, "whatever the batch it is asked with"


def test_what_does_not_fit_is_said() -> None:
    c = hs.cost("cnn", 128, "Cortex-M4F")
    assert c.training["fp32"].largest_batch == 0
    assert "none fits" in str(c)
    assert c.training["fp32"].largest_model == 192 * 1024 // 16


def test_the_model_scopes_and_random_stream_stay_as_they_were() -> None:
    net = hs.nn.Sequential(hs.nn.Linear(8, 4), hs.nn.BatchNorm1d(4), hs.nn.Dropout(0.5))
    net.eval()
    before = {name: np.array(getattr(v, "data", v)) for name, v in net.state_dict().items()}
    hs.manual_seed(3)
    expected = hs.nn.Linear(2, 2).weight.array
    hs.manual_seed(3)
    with hs.trace() as t, hs.precision("fp64", override=True):
        c = hs.cost(net, X, "A100")
    assert not t.places
    assert c.training["fp16"].parameters == 2 * (8 * 4 + 4 + 8 + 9)
    np.testing.assert_array_equal(hs.nn.Linear(2, 2).weight.array, expected)
    assert not net.training
    for name, v in net.state_dict().items():
        np.testing.assert_array_equal(np.array(getattr(v, "data", v)), before[name])


def test_an_example_of_your_own_in_every_form() -> None:
    net = mlp()
    for batch in (X, hs.tensor(X), (X, Y), (hs.tensor(X), hs.tensor(np.ones((6, 4)))), X[:1], (X[:2], Y[:2])):
        c = hs.cost(net, batch, "H100")
        assert c.batch == len(batch[0] if isinstance(batch, tuple) else batch)
        assert c.training["fp32"].largest_batch
    lstm = hs.cost(hs.nn.LSTM(8, 4), np.ones((5, 3, 8), np.float32), "A100", batch_axis=1)
    assert lstm.batch == 3
    doubled = hs.cost(hs.nn.LSTM(8, 4), np.ones((5, 6, 8), np.float32), "A100", batch_axis=1)
    assert doubled.training["fp32"].activations == 2 * lstm.training["fp32"].activations


def test_indices_stay_whole() -> None:
    net = hs.nn.Sequential(hs.nn.Embedding(5000, 8), hs.nn.Linear(8, 4))
    for indices in (np.full((4, 3), 4999), hs.tensor(np.full((4, 3), 4999))):
        b = hs.cost(net, indices, "A100").training
        assert b["fp16"].parameters == 2 * (5000 * 8 + 36)
        lookup = b["fp32"].layers[0]
        assert lookup.bytes < 4 * 5000 * 8 * 2, "a few rows are read; the gradient is written whole"


def test_a_loss_of_your_own() -> None:
    c = hs.cost(mlp(), (X, X[:, :4]), "A100", loss=lambda out, y: ((out - y) ** 2).mean())
    assert "(loss)" in [layer.path for layer in c.training["fp32"].layers]


BAD: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (("mpl", 8), {}, ValueError, "model: 'mpl' is not allowed (did you mean 'mlp'?)"),
    (("mlp", 0), {}, ValueError, "batch: 0 is not allowed"),
    (("mlp", X), {}, TypeError, "batch: ndarray for the preset 'mlp'; allowed: a batch size"),
    (("mlp", 8, "A1000"), {}, ValueError, "device: 'A1000' is not allowed (did you mean 'A100'?)"),
    (("mlp", 8), {"optimizer": "adma"}, ValueError, "optimizer: 'adma' is not allowed (did you mean 'adam'?)"),
    (("mlp", 8), {"recipes": ["fp61"]}, ValueError, "recipes: 'fp61' is not allowed (did you mean 'fp16'?)"),
    (("mlp", 8), {"recipes": []}, ValueError, "recipes: none given"),
    (("mlp", 8), {"width": 0}, ValueError, "width: 0 is not allowed"),
    (("transformer", 8), {"width": 12}, ValueError, "width: 12 is not allowed; allowed: multiples of 8"),
    ((None, 8), {}, TypeError, "model: None is not allowed; allowed: a Module, a string"),
    ((mlp(), 8), {}, TypeError, "batch: a model of your own needs an example"),
    ((mlp(), np.float32(1.0)), {}, ValueError, "batch: shape () has no batch along axis 0"),
    ((mlp(), X[:0]), {}, ValueError, "batch: shape (0, 8) has no batch along axis 0"),
    ((mlp(), X), {"batch_size": 0}, ValueError, "batch_size: 0 is not allowed; allowed: integers from 1"),
    (("mlp", 8), {"batch_size": 8}, TypeError, "batch_size: not for the preset 'mlp'"),
    ((mlp(), X), {"batch_axis": 2}, ValueError, "batch: shape (6, 8) has no batch along axis 2"),
]


@pytest.mark.parametrize(("arguments", "options", "kind", "text"), BAD)
def test_careless_calls_get_one_line(
    arguments: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as error:
        hs.cost(*arguments, **options)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_text_page_and_json(tmp_path: Path) -> None:
    c = hs.cost("transformer", 64, "RTX 3090", width=8)
    assert max(map(len, str(c).split("\n"))) <= 100
    for word in ("largest batch", "Horowitz", "quoted", "others", "bandwidth"):
        assert word in str(c)
    path = tmp_path / "cost.html"
    c.to_html(path)
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    for layer in c.training["fp32"].layers:
        assert layer.path in page
    assert "<script" not in page
    assert "What half precision buys" in c._repr_html_()
    facts = json.loads(c.to_json(tmp_path / "cost.json"), parse_constant=pytest.fail)
    assert facts == json.loads((tmp_path / "cost.json").read_text()) == c.to_dict() == c.as_dict()
    assert [b["recipe"] for b in facts["training"]] == ["fp32", "fp16", "amp"]
    whole, layers = facts["training"][0]["step"], facts["training"][0]["layers"]
    for key in ("flops", "bytes", "seconds", "joules"):
        assert whole[key] == pytest.approx(sum(layer[key] for layer in layers))


def test_what_is_left_out_is_said_where_the_numbers_are(tmp_path: Path) -> None:
    c = hs.cost("lstm", 64, "A100", recipes=("fp32", "amp"), width=8)
    text, page, facts = " ".join(str(c).split()), c._repr_html_(), c.to_dict()
    for words in ("CUDA context", "cuDNN", "fragmentation", "launches", "fusion", "persistent kernels", "Horowitz"):
        assert words in text
        assert words in page
        assert words in json.dumps(facts)
    assert "an estimate (roofline), not a bound" in text
    assert facts["time"] == "an estimate (roofline), not a bound"
    assert facts["least_is_a_bound"]
    passable = next(d for d in hs.hardware.devices() if not d.ceiling)
    assert "nor is 'at least'" in " ".join(str(hs.cost("mlp", 8, passable)).split())


def test_a_batch_of_another_size_is_priced_from_an_example() -> None:
    for size in (2, 6, 40):
        whole = hs.cost(mlp(), (np.ones((size, 8), np.float32), np.zeros(size, int)), "A100").training
        from_example = hs.cost(mlp(), (X, Y), "A100", batch_size=size)
        assert from_example.batch == size
        for recipe, bill in from_example.training.items():
            assert bill.to_dict() == whole[recipe].to_dict()


def test_counting_by_shapes_finds_the_same() -> None:
    for name in PRESETS:
        net, example, _ = preset(name, 16)
        for recipe in ("fp32", "amp", "bf16"):
            plain, shapes = (measured(net, example(3), recipe, True, None, computes) for computes in (True, False))
            assert plain == shapes


def test_views_move_nothing_and_gradients_that_meet_are_added() -> None:
    class Residual(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = hs.nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            h = self.linear(x).reshape(2, 3, 8)
            return h + h.tanh()

    works = measured(Residual(), (X, None), "fp32", True).works
    assert not [w for w in works if w.op == "reshape"]
    (meeting,) = [w for w in works if w.op == "accumulate"]
    assert (meeting.phase, meeting.flops, meeting.bytes) == ("backward", 48, 3 * 48 * 4)
