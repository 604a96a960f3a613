"""What hostile calls are made of that takes more than an expression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import halfsim as hs


def readonly() -> Any:
    array = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    array.flags.writeable = False
    return array


class _Subclass(np.ndarray):
    pass


def subclass() -> Any:
    return np.arange(3.0).view(_Subclass)


def looped() -> Any:
    """A list that holds itself."""
    found: list[Any] = [1.0]
    found.append(found)
    return found


def nested() -> Any:
    """A list of one in a list of one, a thousand deep."""
    found: Any = 1.0
    for _ in range(1000):
        found = [found]
    return found


class _Liar:
    """A sequence whose length is not what it holds."""

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: Any) -> Any:
        raise IndexError("liar")


def liar() -> Any:
    return _Liar()


class _Broken:
    """An object whose every question fails."""

    def __float__(self) -> float:
        raise ZeroDivisionError("broken")

    def __index__(self) -> int:
        raise ZeroDivisionError("broken")

    def __repr__(self) -> str:
        raise ZeroDivisionError("broken")

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("broken")

    __hash__ = None  # type: ignore[assignment]


def broken() -> Any:
    return _Broken()


def parameter() -> Any:
    p = hs.nn.Parameter(hs.tensor([0.5, 0.25, 0.75]))
    p.grad = hs.tensor([0.1, 0.2, 0.3])
    return p


def model() -> Any:
    return hs.nn.Sequential(hs.nn.Linear(3, 2), hs.nn.ReLU())


def optimizer() -> Any:
    return hs.optim.SGD([parameter()], lr=0.1, momentum=0.9)


def step(*ignored: Any) -> Any:
    """A step of training on two numbers."""
    net, x = hs.nn.Linear(3, 1), hs.tensor(np.ones((2, 3)))
    loss = net(x).square().mean()
    loss.backward()
    return loss


def run(*ignored: Any) -> Any:
    return (hs.tensor([0.1, 0.2, 0.3]) * 3.0).sum()


class _Stream(hs.utils.data.IterableDataset[float]):
    def __iter__(self) -> Iterator[float]:
        return iter([0.5, 1.5])

    def __len__(self) -> int:
        return 2


def stream() -> Any:
    """A data set without keys."""
    return _Stream()


def trace() -> Any:
    with hs.trace() as t:
        step()
    return t


def finding() -> Any:
    """Of an overflow, whatever random numbers there were before."""
    with hs.trace() as t:
        hs.tensor([300.0], "fp16") * hs.tensor([300.0], "fp16")
    return t.verdict()


def referenced() -> Any:
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        step()
    return t


def comparison() -> Any:
    return hs.compare(run, "fp16")


def saved() -> str:
    """A file of a model's weights."""
    hs.save(model().state_dict(), "saved.npz")
    return "saved.npz"


def packed() -> Any:
    return hs.nn.utils.rnn.pack_padded_sequence(hs.tensor(np.ones((4, 2, 3))), [4, 2])
