"""What docs/porting.md says of the differences that are left: each holds here, and in PyTorch where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from tests.ported.runs import RUNS

PAGE = (Path(__file__).parents[2] / "docs" / "porting.md").read_text(encoding="utf-8")


def _cholesky(lib: Any) -> Any:
    x = lib.eye(2, requires_grad=True)
    return lib.autograd.grad(lib.linalg.cholesky(x).sum(), x, create_graph=True)[0].shape


def _from_numpy(lib: Any) -> list[float]:
    a = np.zeros(1, np.float32)
    x = lib.from_numpy(a)
    a[0] = 5
    return x.tolist()


def _changed(lib: Any) -> float:
    x = lib.tensor([2.0], requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    z.backward()
    return x.grad.item()


def _of_cumprod(lib: Any) -> Any:
    x = lib.ones(2, requires_grad=True)
    return lib.autograd.grad(lib.cumprod(x, 0).sum(), x, create_graph=True)[0].shape


def _autocast(lib: Any) -> str:
    with lib.autocast("cpu", dtype=lib.float16):
        return str(lib.softmax(lib.zeros(2, 2).half(), 1).dtype).removeprefix("torch.")


def _in_half(lib: Any) -> str:
    m = lib.nn.Linear(1, 1)
    return str(m.half()(lib.zeros(1, 1)).dtype)


# What is done, what halfsim gives, what PyTorch gives: a value, or the kind of error.
ROWS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "from_numpy copies": (_from_numpy, [0.0], [5.0]),
    "numpy copies": (lambda lib: np.shares_memory((x := lib.zeros(2)).numpy(), x.numpy()), False, True),
    "a gradient after a change in place": (_changed, 4.0, RuntimeError),
    "view of a transposed tensor": (lambda lib: lib.zeros(2, 3).t().view(6).numel(), 6, RuntimeError),
    "dtypes in a layer": (_in_half, "float32", RuntimeError),
    "a number past the format": (
        lambda lib: lib.zeros(1).half().masked_fill(lib.tensor([True]), -1e9).tolist(),
        [-np.inf],
        RuntimeError,
    ),
    "float labels": (
        lambda lib: lib.nn.functional.cross_entropy(lib.zeros(2, 3), lib.zeros(2)),
        TypeError,
        RuntimeError,
    ),
    "float indices": (lambda lib: lib.zeros(3)[lib.tensor([1.0])], TypeError, IndexError),
    "autocast of the CPU": (_autocast, "float32", "float16"),
    "complex numbers": (lambda lib: str(lib.complex64), AttributeError, "torch.complex64"),
    "svd": (lambda lib: lib.linalg.svd(lib.ones(1, 1))[1].tolist(), AttributeError, [1.0]),
    "shapes that do not fit": (lambda lib: lib.zeros(2) + lib.zeros(3), ValueError, RuntimeError),
    "item of several": (lambda lib: lib.zeros(2).item(), ValueError, RuntimeError),
    "wrong keys": (lambda lib: lib.nn.Linear(1, 1).load_state_dict({}), ValueError, RuntimeError),
    "print": (lambda lib: str(lib.tensor([1.0])), "tensor([1.], float32)", "tensor([1.])"),
    "the name of a dtype": (lambda lib: str(lib.float16), "float16", "torch.float16"),
    "the trace of a matrix": (lambda lib: lib.trace(lib.eye(2)).item(), 2.0, 2.0),
    "gradients of gradients of cumprod": (_of_cumprod, RuntimeError, (2,)),
}


def _check(library: Any, call: Callable[[Any], Any], told: Any) -> None:
    if isinstance(told, type):
        with pytest.raises(told):
            call(library)
    else:
        assert call(library) == told


@pytest.mark.parametrize("name", ROWS)
def test_it_holds_here(name: str) -> None:
    call, ours, _ = ROWS[name]
    _check(hs, call, ours)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.filterwarnings("ignore")
def test_it_holds_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    call, _, theirs = ROWS[name]
    _check(torch, call, theirs)


def test_integers_in_a_precision() -> None:
    with hs.precision("fp16"):
        labels = hs.tensor([0, 1, 2, 3])
        assert (labels.dtype, hs.tensor([1], dtype=hs.long).dtype, hs.arange(4).dtype) == (
            hs.float16,
            hs.int64,
            hs.int64,
        )
        hs.nn.functional.cross_entropy(hs.zeros(2, 3), hs.tensor([0, 1]))
        with pytest.raises(TypeError, match="target"):
            hs.nn.functional.cross_entropy(hs.zeros(4, 3), labels % 3)


def test_the_page_has_a_row_for_every_run() -> None:
    rows = [line.split("|")[1].strip() for line in PAGE.split("\n") if ".py |" in line]
    assert rows == list(RUNS)


def test_the_names_that_the_page_says_are_left_out_are() -> None:
    for name in ("jit", "fx", "export", "func", "vmap", "distributed", "multiprocessing"):
        assert f"`{name}`" in PAGE or f"torch.{name}" in PAGE
        with pytest.raises(AttributeError, match="is left out"):
            getattr(hs, name)
