"""Programs as people write them: GPUs that are not there, autocast, scalers, hooks, checkpoints, unusual modules."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import halfsim as hs  # noqa: E402
from halfsim.pytorch import Mapped, observe, simulate  # noqa: E402
from tests.pytorch.test_store import alike, on_grid, same  # noqa: E402

nn, F = torch.nn, torch.nn.functional


def test_a_gpu_that_is_not_there_is_mapped_and_said() -> None:
    with warnings.catch_warnings(record=True) as told, simulate("fp32") as s:
        warnings.simplefilter("always")
        model = nn.Linear(3, 3).cuda()
        x = torch.ones(2, 3, device="cuda").to(torch.device("cuda"), torch.float16)
        with torch.autocast("cuda"):
            y = model(x)
            assert y.dtype is torch.float16
            with torch.autocast("cuda", enabled=False):
                assert model(x.float()).dtype is torch.float32
    assert all(issubclass(w.category, Mapped) for w in told)
    assert any("no GPU" in str(w.message) for w in told)
    assert any("no GPU" in note for note in s.notes)
    assert any("autocast" in note for note in s.notes)
    assert not torch.is_autocast_enabled()


@pytest.mark.filterwarnings("ignore::halfsim.pytorch.Mapped")
def test_a_model_made_half_holds_halves() -> None:
    with simulate():
        model = nn.Linear(3, 3).half()
        y = model(torch.randn(2, 3).half())
        assert model.weight.dtype is y.dtype is torch.float16
    assert model.weight.dtype is torch.float32
    assert on_grid(model.weight)
    assert on_grid(y)


def test_compile_is_passed_over_and_said() -> None:
    model = nn.Linear(3, 3)
    with warnings.catch_warnings(record=True) as told, simulate("fp16") as s:
        warnings.simplefilter("always")
        compiled = torch.compile(model)
        assert compiled is model
        model.compile()
        assert on_grid(compiled(torch.randn(2, 3)))
    assert [str(w.message) for w in told] == [f"halfsim.pytorch: {note}" for note in s.notes]
    assert "torch.compile is passed over" in s.notes[0]
    assert torch.compile is not compiled


@pytest.mark.filterwarnings("ignore::halfsim.pytorch.Mapped")
def test_pytorchs_own_scaler_finds_its_scale_and_is_told() -> None:
    def run() -> Any:
        model = nn.Linear(3, 1)
        optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cuda")
        x = torch.randn(8, 3)
        for _ in range(4):
            with torch.autocast("cuda"):
                loss = (model(x) - 1).pow(2).mean()
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
        return model.weight, torch.tensor(scaler.get_scale())

    (_, scale), t = alike(run, "fp32")
    assert scale.item() == 16384.0
    assert [(s, skipped) for _, s, skipped in t.scales] == [
        (65536.0, True), (32768.0, True), (16384.0, False), (16384.0, False)]  # fmt: skip
    assert t.verdict().klass == "benign rounding"


@pytest.mark.filterwarnings("ignore::halfsim.pytorch.Mapped")
def test_a_step_on_scaled_gradients_is_told() -> None:
    with simulate("amp"), hs.trace() as t:
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
        scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
        scaler.scale(model(torch.ones(1, 2)).sum()).backward()
        optimizer.step()
    assert t.verdict().klass == "scaler"
    assert "without unscale_()" in t.verdict().message


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


def test_functions_of_the_users_own_are_rounded_both_ways() -> None:
    def run() -> Any:
        x = torch.randn(5, requires_grad=True)
        Cube.apply(x * 3).sum().backward()
        return x.grad

    g, _ = alike(run)
    assert on_grid(g)


@dataclass
class Output(dict):  # as transformers' ModelOutput
    loss: Any = None
    logits: Any = None


class Norm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, hidden: Any) -> Any:
        dtype = hidden.dtype
        hidden = hidden.to(torch.float32)
        hidden = hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * hidden.to(dtype)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.norm, self.drop = nn.Linear(4, 4), Norm(4), nn.Dropout(0.1)

    def forward(self, input_ids: Any = None, labels: Any = None) -> Output:
        h = self.drop(self.norm(self.encoder(input_ids)))
        return Output(loss=F.mse_loss(h, labels), logits=h)


def test_modules_with_keywords_dataclasses_and_float32_norms() -> None:
    def run() -> Any:
        model = Model()
        out = model(input_ids=torch.randn(3, 4) * 300, labels=torch.randn(3, 4))
        assert out.logits.dtype is torch.float16
        out.loss.backward()
        return out.logits, model.encoder.weight.grad

    (logits, g), t = alike(run)
    assert on_grid(logits)
    assert on_grid(g)
    assert t.verdict().klass == "benign rounding"  # squares of 300 in float32, as the module asks for
    assert ("forward", "norm", "pow", "") in t.places


def test_checkpoints_second_gradients_closures_and_inference() -> None:
    from torch.utils.checkpoint import checkpoint

    def run() -> Any:
        model, x = nn.Sequential(nn.Linear(4, 4), nn.GELU()), torch.randn(3, 4, requires_grad=True)
        checkpoint(model, x, use_reentrant=False).sum().backward()
        (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

        def closure() -> Any:
            optimizer.zero_grad()
            loss = model(x.detach()).pow(2).mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.inference_mode():
            return x.grad, second, model[0].weight, model(x.detach()) * 3

    results, t = alike(run)
    assert all(on_grid(x) for x in results)
    assert ("forward", "0", "linear", "") in t.places


def test_recurrent_attention_embedding_and_sparse_gradients() -> None:
    def run() -> Any:
        lstm, layer = nn.LSTM(4, 5, batch_first=True), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        y, _ = lstm(torch.randn(2, 3, 4))
        mask = torch.tensor([[False, False, True], [False, True, True]])
        z = layer(torch.randn(2, 3, 8), src_key_padding_mask=mask)
        table = nn.Embedding(10, 4, sparse=True)
        optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
        (y.sum() + z.sum() + table(torch.tensor([1, 2, 2])).sum()).backward()
        optimizer.step()
        layer.eval()
        with torch.no_grad():
            return y, z, lstm.weight_ih_l0.grad, table.weight, layer(torch.randn(2, 3, 8))

    results, _ = alike(run)
    assert all(on_grid(x) for x in results)


def test_models_are_copied_saved_and_averaged_inside(tmp_path: Any) -> None:
    def run() -> Any:
        model = nn.Linear(4, 4)
        other = copy.deepcopy(model)
        torch.save(model.state_dict(), tmp_path / "model.pt")
        other.load_state_dict(torch.load(tmp_path / "model.pt"))
        assert same(other.weight, model.weight)
        return other(torch.randn(2, 4))

    y, _ = alike(run)
    assert on_grid(y)


def test_an_exception_leaves_nothing_behind() -> None:
    class Broken(nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError("no")

    plain = (torch.compile, torch.amp.autocast_mode.autocast.__enter__, torch.amp.grad_scaler.GradScaler.update)
    with pytest.raises(RuntimeError, match="no"), simulate("fp16"), hs.trace():
        nn.Sequential(nn.Linear(2, 2), Broken())(torch.ones(1, 2))
    assert plain == (torch.compile, torch.amp.autocast_mode.autocast.__enter__, torch.amp.grad_scaler.GradScaler.update)
    x = torch.tensor([300.0])
    assert (x * x).item() == 90000.0
    with simulate("fp16"):
        assert (x * x).item() == float("inf")


def test_observing_alters_nothing() -> None:
    def run() -> Any:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
                              nn.Linear(108, 3))  # fmt: skip
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        for _ in range(2):
            loss = F.cross_entropy(model(torch.randn(2, 1, 8, 8)), torch.tensor([0, 2]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [*model.parameters(), *(b.float() for b in model.buffers())]

    plain = run()
    with observe(), hs.trace(forecast="fp16"):
        seen = run()
    with simulate("fp32"), hs.trace("fp64"):
        wide = run()
    assert all(same(a, b) for a, b in zip(plain, seen, strict=True))
    assert all(same(a, b) for a, b in zip(plain, wide, strict=True))
