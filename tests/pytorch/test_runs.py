"""Comparing, searching, mending and running PyTorch programs, and forecasting what they would meet."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import halfsim as hs  # noqa: E402
from halfsim.diagnose.forecast import findings  # noqa: E402
from halfsim.pytorch import observe, simulate  # noqa: E402
from halfsim.pytorch.held import Held  # noqa: E402
from tests.pytorch.forecasts import scores  # noqa: E402

nn = torch.nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 1)

    def forward(self, x: Any) -> Any:
        return self.b(torch.exp(3 * self.a(x)))


@pytest.fixture
def experiment() -> Any:
    torch.manual_seed(0)
    net, x = Net(), 1.5 * torch.randn(32, 8)
    y, optimizer = x.sum(1, keepdim=True), torch.optim.SGD(net.parameters(), lr=1e-7, momentum=0.9)

    @simulate()
    def run() -> Any:
        for _ in range(2):
            loss = ((net(x) - y) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss

    return run, net, optimizer


def test_two_precisions_are_compared_from_one_state(experiment: Any) -> None:
    run, net, optimizer = experiment
    before = net.a.weight.detach().clone()
    found = hs.compare(run, "fp16")
    assert found.verdict().klass == "overflow"
    assert found.verdict().op == "pow"
    assert {row.path for row in found.layers} >= {"a", "b"}
    assert torch.equal(net.a.weight, before)
    assert not optimizer.state
    near = hs.compare(run, "storage=fp32, compute=fp32", reference="fp64")
    assert near.results[0].relative_error < 1e-4


def test_the_smallest_policy_is_found(experiment: Any) -> None:
    run, net, optimizer = experiment
    before = net.a.weight.detach().clone()
    found = hs.search_policy(run, "fp16", "fp32", model=net, optimizer=optimizer, progress=False)
    assert found.found
    assert "@pow" in str(found.kept)
    assert torch.equal(net.a.weight, before)


def test_a_run_is_mended(experiment: Any) -> None:
    run, net, _ = experiment
    before = net.a.weight.detach().clone()
    found = hs.mend(run, "fp16")
    assert found.finding.klass == "overflow"
    assert found.best is not None
    assert found.best.policy is not None
    assert torch.equal(net.a.weight, before)


SCRIPT = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 1))
x = 40 * torch.randn(32, 8)
loss = ((model(x) - x.sum(1, keepdim=True)) ** 2).mean().sqrt()
loss.backward()
print(f"{loss.item():.4f}")
"""


def halfsim(*arguments: str) -> Any:
    root = str(Path(hs.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {root!r}); "
         "from halfsim.cli import main; sys.exit(main())", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_halfsim_runs_a_script_that_imports_pytorch(tmp_path: Path) -> None:
    script, page, data = tmp_path / "train.py", tmp_path / "page.html", tmp_path / "report.json"
    script.write_text(SCRIPT)
    done = halfsim("run", "--precision", "fp16", "--html", str(page), "--json", str(data), str(script))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "inf\n"
    assert "Verdict: overflow" in done.stderr
    assert "pow" in done.stderr
    assert "train.py:6" in done.stderr
    assert "overflow" in page.read_text()
    assert '"overflow"' in data.read_text()
    plain = halfsim("run", str(script))
    assert plain.stdout == f"{_plain():.4f}\n"


def _plain() -> float:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 1))
    x = 40 * torch.randn(32, 8)
    return float(((model(x) - x.sum(1, keepdim=True)) ** 2).mean().sqrt().item())


def test_halfsim_mends_a_script_that_imports_pytorch(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    done = halfsim("run", "--mend", "--precision", "fp16", str(script))
    assert done.returncode == 0, done.stderr
    assert "Best: keep pow and mean in float32." in done.stderr


def test_halfsim_does_not_import_pytorch_by_itself() -> None:
    code = "import sys, halfsim, halfsim.cli; dir(halfsim); sys.exit('torch' in sys.modules)"
    root = str(Path(hs.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"]).returncode == 0


def test_a_forecast_says_what_the_simulated_run_meets() -> None:
    def run() -> Any:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
        y = model(100 * torch.randn(16, 4))
        (y.pow(2).sum() * 3000).backward()
        return y

    plain = run()
    with observe(), hs.trace(forecast="fp16") as t:
        seen = run()
    with simulate("fp16"), hs.trace() as u:
        run()
    assert torch.equal(plain, seen)
    assert t.verdict() is None
    assert [f.sentence for f in t.forecast()] == [f.sentence for f in findings(u)] != []


def test_halfsims_own_tensors_are_forecast_too() -> None:
    def run() -> Any:
        hs.manual_seed(0)
        model = hs.nn.Sequential(hs.nn.Linear(4, 8), hs.nn.GELU(), hs.nn.Linear(8, 2))
        optimizer = hs.optim.SGD(model.parameters(), lr=1e-3)
        x = hs.tensor(100 * np.random.default_rng(0).standard_normal((16, 4)))
        for _ in range(2):
            loss = (model(x) ** 2).sum() * 3
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    plain = run()
    with hs.trace(forecast="fp16") as t:
        assert run() == plain
    with hs.precision("fp16"), hs.trace() as u:
        run()
    assert [(f.klass, f.phase, f.op) for f in t.forecast()] == [(f.klass, f.phase, f.op) for f in findings(u)] != []


def test_a_trace_without_a_forecast_has_none() -> None:
    with hs.trace() as t:
        pass
    with pytest.raises(ValueError, match="forecast: this trace was begun without"):
        t.forecast()


def test_forecasts_are_right_over_random_models() -> None:
    both, forecast, met = scores(16)
    assert both >= 0.9 * forecast
    assert both >= 0.9 * met


@pytest.mark.slow
def test_forecasts_are_right_over_a_hundred_random_models() -> None:
    both, forecast, met = scores()
    assert both >= 0.95 * forecast
    assert both >= 0.95 * met


@pytest.mark.parametrize("forecast", [False, True])
def test_what_is_known_of_memory_goes_with_it(forecast: bool) -> None:
    """A trace of many steps holds no more than one of few."""

    def alive(steps: int) -> int:
        torch.manual_seed(0)
        net, x = Net(), torch.randn(32, 8)
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
        with observe() if forecast else simulate("fp16"), hs.trace(forecast="fp16" if forecast else None):
            for _ in range(steps):
                optimizer.zero_grad()
                net(x).mean().backward()
                optimizer.step()
            gc.collect()
            return sum(type(one) is Held for one in gc.get_objects())

    few = alive(2)
    assert alive(8) <= few + 2
