"""What kernels read and write, by hand, as PyTorch's and cuDNN's do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.costs.flops import Work
from halfsim.costs.kernels import CELLS, KERNELS
from halfsim.costs.measure import measured
from halfsim.costs.memory import backward_bytes, held_bytes
from halfsim.costs.presets import PRESETS
from halfsim.costs.recipes import RECIPES
from halfsim.costs.roofline import LATENCY

ALL = tuple(RECIPES)


def works(net: hs.nn.Module, x: Any, recipe: str = "amp", phase: str = "") -> list[Work]:
    return [w for w in measured(net, (x, None), recipe, True).works if phase in ("", w.phase)]


def of(found: list[Work], op: str, path: str | None = None) -> list[Work]:
    return [w for w in found if w.op == op and path in (None, w.path)]


def test_rows_are_operations() -> None:
    from halfsim.autograd.tape import SPECS

    assert set(KERNELS) - {"elu"} <= set(SPECS)
    assert set(CELLS) <= set(SPECS)


def test_batch_norm_under_autocast_reads_and_writes_halves() -> None:
    """Twice through its operand, once through the result; back twice through operand and gradient, then the result."""
    net = hs.nn.Sequential(hs.nn.Conv2d(4, 4, 1), hs.nn.BatchNorm2d(4))
    found = works(net, np.ones((2, 4, 5, 5), np.float32))
    n, channels = 2 * 4 * 5 * 5, 2 * 4 * 4  # float32 weight and bias
    (forward, backward) = of(found, "batch_norm")
    assert (forward.phase, forward.bytes) == ("forward", 3 * n * 2 + channels)
    assert (backward.phase, backward.bytes) == ("backward", 5 * n * 2 + channels)
    assert not of(found, "cast", "1"), "neither copy nor cast, forward or back"
    assert len(of(works(net, np.ones((2, 4, 5, 5), np.float32), "fp32"), "batch_norm")) == 2


def test_batch_norm_with_given_statistics_goes_once_through_its_operand() -> None:
    net = hs.nn.Sequential(hs.nn.Conv2d(4, 4, 1), hs.nn.BatchNorm2d(4))
    n, channels = 2 * 4 * 5 * 5, 4 * 4 * 4  # float32 weight, bias, mean and variance
    (only,) = of(list(measured(net, (np.ones((2, 4, 5, 5), np.float32), None), "amp", False).works), "batch_norm")
    assert only.bytes == 2 * n * 2 + channels


def test_batch_norm_holds_halves() -> None:
    net = hs.nn.Sequential(hs.nn.Conv2d(4, 4, 1, bias=False), hs.nn.BatchNorm2d(4))
    with hs.precision("amp"):
        out = net(hs.tensor(np.ones((2, 4, 5, 5)), "fp32"))
    x, y, kernel = 2 * 4 * 5 * 5, 2 * 4 * 5 * 5, 4 * 4
    moments = held_bytes(out, net.parameters()) - 2 * (x + y + kernel)
    assert 0 < moments <= 4 * 4 * 4, "beside the halves no more than a few float32 numbers a channel"


def test_the_cnn_moves_no_more_under_autocast_than_in_float32() -> None:
    for device in ("V100", "A100", "Cortex-A76"):
        for bills in (hs.cost("cnn", 128, device).training, hs.cost("cnn", 128, device).inference):
            assert bills["amp"].total.bytes < 0.6 * bills["fp32"].total.bytes


def test_a_layer_norm_needs_a_float32_copy_and_a_softmax_none() -> None:
    class Rows(hs.nn.Module):
        def __init__(self, last: hs.nn.Module) -> None:
            super().__init__()
            self.linear, self.last = hs.nn.Linear(8, 8), last

        def forward(self, x: Any) -> Any:
            return self.last(self.linear(x))

    x = np.ones((5, 8), np.float32)
    found = works(Rows(hs.nn.LayerNorm(8)), x)
    assert [(w.phase, w.bytes) for w in of(found, "cast", "last")] == [("forward", 40 * 6), ("backward", 40 * 6)]
    assert [w.bytes for w in of(found, "layer_norm")] == [2 * 40 * 4 + 2 * 32, 2 * (2 * 40 * 4) + 40 * 4 + 2 * 32]
    found = works(Rows(hs.nn.Softmax(-1)), x)
    assert not of(found, "cast", "last")
    assert [w.bytes for w in of(found, "softmax")] == [40 * (2 + 4), 40 * (4 + 4) + 40 * 2]
    assert of(works(Rows(hs.nn.Softmax(-1)), x, "amp_bf16"), "cast", "last"), "its kernel takes float16 alone"


def test_a_weight_is_copied_once_and_an_activation_for_each_use() -> None:
    class Twice(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.linear = hs.nn.LayerNorm(8), hs.nn.Linear(8, 8, bias=False)

        def forward(self, x: Any) -> Any:
            x = self.norm(x)
            return self.linear(x) + self.linear(x)

    found = of(works(Twice(), np.ones((5, 8), np.float32)), "cast")
    sizes = [(w.phase, round(w.bytes / 6)) for w in found]
    assert sorted(sizes) == [("backward", 40), ("backward", 40), ("backward", 64), ("forward", 40), ("forward", 40),
                             ("forward", 64)]  # fmt: skip


def test_sums_pass_a_gradient_on_and_products_read_the_other_factor() -> None:
    class Both(hs.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = hs.nn.Parameter(hs.tensor(np.ones((3, 4))))
            self.b = hs.nn.Parameter(hs.tensor(np.ones(4)))

        def forward(self, x: Any) -> Any:
            return (self.a + self.b) * self.a

    back = works(Both(), np.ones(1, np.float32), "fp32", "backward")
    assert [w.bytes for w in of(back, "add")] == [(12 + 4) * 4], "only where it is summed for a broadcast operand"
    assert [w.bytes for w in of(back, "mul")] == [3 * 12 * 4] * 2


@pytest.mark.parametrize(("layer", "op"), [("RNN", "rnn_tanh"), ("LSTM", "lstm"), ("GRU", "gru")])
def test_recurrent_layers_run_in_steps(layer: str, op: str) -> None:
    """Each reads the recurrent weights again, and waits for the one before."""
    steps, batch, hidden, cell = 7, 3, 16, CELLS[op]
    net = getattr(hs.nn, layer)(8, hidden)
    forward = of(works(net, np.ones((steps, batch, 8), np.float32), "fp32", "forward"), op)
    inputs, recurrent, gates = forward
    assert [w.steps for w in forward] == [1, steps, steps]
    weights = cell.gates * hidden * hidden
    assert recurrent.bytes == steps * (weights + batch * hidden * (1 + cell.gates)) * 4
    assert recurrent.flops == 2 * steps * batch * weights
    assert gates.bytes == steps * batch * hidden * (cell.moved + cell.saved) * 4
    assert gates.flops == steps * batch * hidden * cell.forward > 0
    assert inputs.flops == 2 * steps * batch * cell.gates * hidden * 8
    gpu, cpu = (hs.cost(net, np.ones((steps, batch, 8), np.float32), name) for name in ("A100", "Cortex-A76"))
    for bill in gpu.training.values():
        assert bill.total.bound == "latency"
        assert bill.total.seconds >= 4 * steps * LATENCY
    assert all(bill.total.bound != "latency" for bill in cpu.training.values())


def test_an_lstm_gains_what_is_plausible() -> None:
    """It was 11.7 times on an A100 when its steps were one product and its gates free."""
    bills = hs.cost("lstm", 128, "A100").training
    for recipe in ("fp16", "amp"):
        assert 1 < bills["fp32"].total.seconds / bills[recipe].total.seconds < 3


@pytest.mark.parametrize("name", PRESETS)
def test_bfloat16_takes_and_moves_what_float16_does(name: str) -> None:
    c = hs.cost(name, 32, "A100", recipes=("fp16", "bf16"), width=16)
    for bills in (c.training, c.inference):
        half, brain = bills["fp16"], bills["bf16"]
        assert (half.activations, half.peak, half.total.bytes) == (brain.activations, brain.peak, brain.total.bytes)
        assert half.total.seconds == pytest.approx(brain.total.seconds)


def test_the_scaler_reads_and_writes_every_gradient() -> None:
    parameters = 784 * 256 + 256 + 256 * 10 + 10
    bills = hs.cost("mlp", 128, "A100", recipes=ALL).training
    passes = {name: [step.bytes for step in bill.layers if step.path == "(scaler)"] for name, bill in bills.items()}
    assert passes.pop("amp") == [2 * 4 * parameters]
    assert passes.pop("master") == [2 * 2 * parameters]
    assert not any(passes.values())


def test_master_weights_are_counted_with_the_optimizer() -> None:
    parameters = 784 * 256 + 256 + 256 * 10 + 10
    bill = hs.cost("mlp", 128, "A100", recipes=["master"]).training["master"]
    assert (bill.parameters, bill.gradients, bill.optimizer) == (2 * parameters, 2 * parameters, 12 * parameters)
    (step,) = (step for step in bill.layers if step.path == "(optimizer)")
    assert step.bytes == parameters * (2 * 12 + 2 + 2), "reads and writes 12, reads a gradient, writes a weight"
    assert bill.largest_model == int(hs.hardware.device("A100").memory.value * 1e9 // 16)


def test_pytorch_has_convolutions_and_recurrent_layers_in_tf32_and_no_other_products() -> None:
    seconds = {
        (model, recipe, device): hs.cost(model, 64, device, recipes=[recipe]).training[recipe].least
        for model in ("cnn", "lstm", "mlp") for recipe in ("fp32", "pytorch", "tf32") for device in ("A100", "V100")
    }  # fmt: skip
    for model in ("cnn", "lstm", "mlp"):
        fp32, pytorch, tf32 = (seconds[model, recipe, "A100"] for recipe in ("fp32", "pytorch", "tf32"))
        assert tf32 == pytest.approx(fp32 / 8)
        assert pytorch == fp32 if model == "mlp" else tf32 < pytorch < fp32 / 7
        assert len({seconds[model, recipe, "V100"] for recipe in ("fp32", "pytorch", "tf32")}) == 1


def test_a_microcontroller_has_no_dram() -> None:
    """100 pJ for 64 bits of SRAM, 1300 of DRAM (Horowitz, ISSCC 2014)."""
    small, phone = (hs.cost("mlp", 1, name, recipes=["fp32"]) for name in ("Cortex-M4F", "Cortex-A76"))
    for a, b in ((small.training, phone.training), (small.inference, phone.inference)):
        less = b["fp32"].total.joules - a["fp32"].total.joules
        assert less == pytest.approx(b["fp32"].total.bytes * (1300 - 100) / 8 * 1e-12)
    assert (small.to_dict()["memory"], phone.to_dict()["memory"]) == ("SRAM", "DRAM")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("device", ["V100", "H100", "MI250X", "Zen 4"])
def test_the_bound_is_below_the_estimate_and_the_peak_above_what_is_held(name: str, device: str) -> None:
    c = hs.cost(name, 32, device, recipes=ALL, width=16)
    for bills in (c.training, c.inference):
        for bill in bills.values():
            assert 0 < bill.least <= bill.total.seconds
            assert bill.peak >= bill.bytes
            assert bill.kernels >= sum(1 for _ in bill.layers)


def test_the_peak_of_backward_by_hand() -> None:
    """h = tanh(x w), y = tanh(h v): held are x, h, y; most is in use where the gradient of h is formed."""
    a, b = (hs.nn.Linear(n, m, bias=False) for n, m in ((4, 100), (100, 6)))
    net = hs.nn.Sequential(a, hs.nn.Tanh(), b, hs.nn.Tanh())
    out = net(hs.tensor(np.ones((10, 4)), "fp32"))
    x, h, y = 4 * 10 * 4, 4 * 10 * 100, 4 * 10 * 6
    assert held_bytes(out, net.parameters()) == x + h + y
    assert backward_bytes(out, net.parameters()) == [
        x + h + y + 2 * y,  # the gradient of y, and that behind its tanh
        x + h + y + h,  # y is let go of afterwards; the gradient behind it, and that of h
        x + h + 2 * h,
        x + h,
    ]
