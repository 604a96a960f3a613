"""Loaders give PyTorch's batches in PyTorch's order for the same seed, recorded and as installed."""

from __future__ import annotations

import random
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20)


def pairs() -> TensorDataset:
    return TensorDataset(hs.tensor(X), Y)


def labels(loader: Any) -> list[list[int]]:
    return [np.asarray(y).tolist() for _, y in loader]


class Stream(IterableDataset[int]):
    """Numbers from ``start`` to ``end``."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end))

    def __len__(self) -> int:
        return self.end - self.start


# The order, as PyTorch 2.13 has it.


def test_shuffled_epochs_are_the_recorded_ones() -> None:
    hs.manual_seed(42)
    loader = DataLoader(pairs(), batch_size=8, shuffle=True)
    first = [[8, 14, 17, 19, 1, 15, 18, 9], [3, 11, 4, 0, 10, 7, 13, 16], [12, 6, 2, 5]]
    second = [[14, 12, 13, 8, 15, 4, 7, 18], [9, 3, 0, 17, 2, 11, 19, 6], [10, 16, 1, 5]]
    assert [labels(loader), labels(loader)] == [first, second]
    assert len(loader) == 3


OPTIONS: list[dict[str, Any]] = [
    {"batch_size": 7},
    {"batch_size": 7, "shuffle": True},
    {"batch_size": 7, "shuffle": True, "drop_last": True},
    {"batch_size": 7, "shuffle": True, "num_workers": 2},
    {"batch_size": None, "shuffle": True},
    {"batch_size": 7, "shuffle": True, "generator": 5},
    {"batch_sampler": [[1, 2], [0]]},
    {"sampler": [5, 3, 9], "batch_size": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_batches_are_those_of_the_installed_pytorch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; recorded epochs are tested")
    from torch.utils import data as theirs

    found = []
    for package, tensor, kit in ((torch, torch.tensor, theirs), (hs, hs.tensor, hs.utils.data)):
        package.manual_seed(3)
        given = dict(options)
        if "generator" in given:
            given["generator"] = package.Generator().manual_seed(given["generator"])
        loader = kit.DataLoader(kit.TensorDataset(tensor(X), torch.tensor(Y) if package is torch else Y), **given)
        epochs = [[(x.tolist(), np.asarray(y).tolist()) for x, y in loader] for _ in range(2)]
        found.append((epochs, len(loader), [list(kit.RandomSampler(range(9))) for _ in range(2)]))
    assert found[0] == found[1]


SAMPLERS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("RandomSampler", (range(9),), {}),
    ("RandomSampler", (range(9),), {"num_samples": 5}),
    ("RandomSampler", (range(9),), {"num_samples": 25}),
    ("RandomSampler", (range(9),), {"replacement": True, "num_samples": 70}),
    ("SubsetRandomSampler", ([5, 1, 7],), {}),
    ("WeightedRandomSampler", ([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 30), {}),
    ("WeightedRandomSampler", ([0.9, 0.4, 0.05, 0.2, 0.3, 0.1], 5), {"replacement": False}),
    ("SequentialSampler", (range(4),), {}),
    ("BatchSampler", ([4, 5, 6], 2, False), {}),
    ("BatchSampler", ([4, 5, 6], 2, True), {}),
    ("DistributedSampler", (range(10),), {"num_replicas": 4, "rank": 1}),
    ("DistributedSampler", (range(10),), {"num_replicas": 4, "rank": 3, "drop_last": True, "seed": 3}),
    ("DistributedSampler", (range(2),), {"num_replicas": 5, "rank": 4, "shuffle": False}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), SAMPLERS, ids=str)
def test_samplers_are_those_of_the_installed_pytorch(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    found = []
    for package in (torch, hs):
        package.manual_seed(3)
        kit = __import__("torch.utils.data").utils.data if package is torch else hs.utils.data
        sampler = getattr(kit, name)(*arguments, **options)
        found.append(([list(sampler), list(sampler)], len(sampler)))
    assert found[0] == found[1]


@pytest.mark.parametrize("lengths", [[7, 13], [0.3, 0.3, 0.4], [0.5, 0.5], [20]])
def test_splits_are_those_of_the_installed_pytorch(lengths: list[float]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.utils.data import random_split as theirs

    expected = theirs(range(20), lengths, torch.Generator().manual_seed(42))  # type: ignore[arg-type]
    found = random_split(range(20), lengths, hs.Generator().manual_seed(42))
    assert [part.indices for part in found] == [part.indices for part in expected]


def test_a_split_is_the_recorded_one() -> None:
    parts = random_split(range(10), [3, 7], hs.Generator().manual_seed(42))
    assert [list(part) for part in parts] == [[2, 6, 1], [8, 4, 5, 0, 9, 3, 7]]


# Data sets.


def test_data_sets() -> None:
    data = pairs()
    x, y = data[3]
    assert (x.tolist(), y, len(data)) == ([9.0, 10.0, 11.0], 3, 20)
    both = ConcatDataset([data, Subset(data, [7, 8])])
    assert [both[i][1] for i in (0, 19, 20, 21, -1)] == [0, 19, 7, 8, 8]
    assert len(data + data) == 40
    assert both.cumulative_sizes == [20, 22]
    chain = Stream(0, 2) + Stream(5, 7)
    assert isinstance(chain, ChainDataset)
    assert (list(chain), len(chain)) == ([0, 1, 5, 6], 4)
    named = StackDataset(image=data, label=Y)
    assert named[2]["label"] == 2
    assert [s["label"] for s in named.__getitems__([4, 2])] == [4, 2]
    assert StackDataset(Y, "abcdefghijklmnopqrst").__getitems__([1]) == [(1, "b")]
    assert labels(DataLoader(Subset(data, [5, 4, 3]), batch_size=2)) == [[5, 4], [3]]
    assert Subset(list("abc"), [2, 1])[0] == "c"


def test_rows_of_a_tensor_that_takes_a_gradient_stay_on_the_tape() -> None:
    x = hs.tensor(X, requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=2)))
    batch.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist()[0] == [1, 1, 1]
    assert x.grad.tolist()[2] == [0, 0, 0]


def test_loading_rounds_nothing_and_is_no_operation() -> None:
    loader = DataLoader(pairs(), batch_size=4)
    with hs.precision("fp16"), hs.trace() as t:
        (x, _), *_ = loader
    assert x.format == hs.float32
    assert not t.ran
    assert not t.totals


# Batches.


Point = namedtuple("Point", ["x", "y"])


def test_batches_by_kind() -> None:
    made = default_collate([{"a": 1.5, "b": Point(np.float32(1), "u")}, {"a": 2.5, "b": Point(np.float32(2), "v")}])
    assert made["a"].format == hs.float64
    assert (made["a"].tolist(), made["b"].x.tolist(), made["b"].y) == ([1.5, 2.5], [1, 2], ("u", "v"))
    assert made["b"].x.format == hs.float32
    ints = default_collate([3, 4])
    assert np.asarray(ints).dtype == np.int64
    assert [np.asarray(x).tolist() for x in default_collate([(0, 1), (2, 3)])] == [[0, 2], [1, 3]]
    assert default_collate([np.zeros((2, 2), np.float16)] * 3).shape == (3, 2, 2)
    assert isinstance(default_collate([OrderedDict(a=1)]), OrderedDict)
    assert isinstance(default_collate([[1, 2], [3, 4]]), list)
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]
    half = default_collate([hs.tensor([1.0], "fp16"), hs.tensor([2.0], "fp16")])
    assert (half.format, half.tolist()) == (hs.float16, [[1], [2]])
    converted = default_convert((np.ones(2, np.float32), "a", [np.float64(1)], 3))
    assert converted[0].format == hs.float32
    assert converted[1:] == ["a", [converted[2][0]], 3]


def test_an_iterable_data_set() -> None:
    loader = DataLoader(Stream(0, 5), batch_size=2)
    assert [np.asarray(b).tolist() for b in loader] == [[0, 1], [2, 3], [4]]
    assert [np.asarray(b).tolist() for b in DataLoader(Stream(0, 5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(0, 3), batch_size=None)) == [0, 1, 2]
    assert (len(loader), len(DataLoader(Stream(0, 5), batch_size=2, drop_last=True))) == (3, 2)


class Noise(Dataset[Any]):
    """Random numbers of every source, and which worker drew them."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: Any) -> Any:
        info = get_worker_info()
        assert info is not None
        return info.id, info.num_workers, random.random(), np.random.rand()


def test_workers_take_turns_with_numbers_of_their_own() -> None:
    random.seed(1)
    np.random.seed(1)
    outside = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    hs.manual_seed(4)
    told: list[int] = []
    loader = DataLoader(Noise(), batch_size=None, num_workers=2, worker_init_fn=told.append, collate_fn=lambda x: x)
    drawn = list(loader)
    assert [d[0] for d in drawn] == [0, 1, 0, 1, 0, 1]
    assert told == [0, 1]
    assert len({d[2] for d in drawn}) == len({d[3] for d in drawn}) == 6
    assert (random.getstate(), np.random.get_state()[1].tolist()) == outside  # type: ignore[union-attr]
    assert get_worker_info() is None
    hs.manual_seed(4)
    assert list(loader) == drawn


def _share(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    size = -(-len(info.dataset) // info.num_workers)
    start = info.dataset.start + worker * size
    info.dataset.start, info.dataset.end = start, min(start + size, info.dataset.end)


def test_workers_share_an_iterable_data_set() -> None:
    loader = DataLoader(Stream(3, 8), batch_size=None, num_workers=2, worker_init_fn=_share)
    assert list(loader) == [3, 6, 4, 7, 5]
    assert list(loader) == [3, 6, 4, 7, 5]
    both = DataLoader(Stream(0, 2), batch_size=2, num_workers=2)
    short = DataLoader(Stream(0, 1), batch_size=None, num_workers=2)
    assert len(short) == 1
    with pytest.warns(UserWarning, match="gave 2 samples, though its length is 1"):
        assert list(short) == [0, 0]
    assert [np.asarray(b).tolist() for b in both] == [[0, 1], [0, 1]]


def test_a_worker_draws_what_pytorchs_draws() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.utils import data as theirs

    class Theirs(theirs.Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: Any) -> Any:
            return random.random(), np.random.rand(), torch.rand(1).item()

    class Ours(Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: Any) -> Any:
            return random.random(), np.random.rand(), float(hs.autograd.random.uniform(1)[0])

    torch.manual_seed(3)
    expected = list(theirs.DataLoader(Theirs(), batch_size=None, num_workers=2, collate_fn=lambda x: x))
    hs.manual_seed(3)
    assert list(DataLoader(Ours(), batch_size=None, num_workers=2, collate_fn=lambda x: x)) == expected


# What is refused, as PyTorch refuses it.


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: DataLoader(Y, num_workers=-1), ValueError, "num_workers: -1 is not allowed"),
    (lambda: DataLoader(Y, timeout=-1), ValueError, "timeout: -1 is not allowed"),
    (lambda: DataLoader(Y, prefetch_factor=2), ValueError, "prefetch_factor: not allowed without workers"),
    (lambda: DataLoader(Y, persistent_workers=True), ValueError, "persistent_workers: not allowed without workers"),
    (lambda: DataLoader(Y, batch_size=0), ValueError, "batch_size: 0 is not allowed; allowed: integers from 1"),
    (lambda: DataLoader(Y, batch_size=True), ValueError, "batch_size: True is not allowed"),
    (lambda: DataLoader(Y, drop_last=1), TypeError, "drop_last: 1 is not allowed; allowed: True, False"),
    (lambda: DataLoader(Y, sampler=[1], shuffle=True), ValueError, "shuffle: True is not allowed"),
    (lambda: DataLoader(Y, batch_sampler=[[1]], batch_size=2), ValueError, "batch_sampler: not allowed beside"),
    (lambda: DataLoader(Y, batch_size=None, drop_last=True), ValueError, "drop_last: True is not allowed"),
    (lambda: DataLoader(Stream(0, 1), shuffle=True), ValueError, "shuffle: True is not allowed; allowed: None for"),
    (lambda: DataLoader(Stream(0, 1), sampler=[1]), ValueError, "sampler: list is not allowed; allowed: None for"),
    (lambda: DataLoader([], shuffle=True), ValueError, "num_samples: 0 is not allowed"),
    (lambda: setattr(DataLoader(Y), "batch_size", 3), ValueError, "batch_size: not to be set later"),
    (lambda: RandomSampler(Y, replacement=1), TypeError, "replacement: 1 is not allowed"),  # type: ignore[arg-type]
    (lambda: RandomSampler(Y, num_samples=0), ValueError, "num_samples: 0 is not allowed"),
    (lambda: RandomSampler(Y, num_samples=1.5), TypeError, "num_samples: 1.5 is not"),  # type: ignore[arg-type]
    (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, r"weights: shape \(1, 1\) is not allowed"),
    (lambda: WeightedRandomSampler([1.0], 0), ValueError, "num_samples: 0 is not allowed"),
    (lambda: list(WeightedRandomSampler([0.0, 0.0], 1)), ValueError, "weights: negative, infinite"),
    (
        lambda: list(WeightedRandomSampler([1.0, 1.0], 3, False)),
        ValueError,
        "count: 3 is not allowed; allowed: up to 2",
    ),
    (lambda: BatchSampler(Y, -1, False), ValueError, "batch_size: -1 is not allowed"),
    (lambda: DistributedSampler(Y, 2, 2), ValueError, "rank: 2 is not allowed; allowed: 0 to 1"),
    (lambda: TensorDataset(hs.tensor(X), Y[:3]), ValueError, r"tensors: first sizes \[20, 3\] are not allowed"),
    (lambda: TensorDataset(hs.tensor(1.0)), ValueError, r"tensors: first sizes \[None\]"),
    (lambda: TensorDataset([1, 2]), TypeError, "tensors: list is not allowed; allowed: Tensor, ndarray"),
    (lambda: StackDataset(), ValueError, "StackDataset: no data set is not allowed"),
    (lambda: StackDataset(Y, a=Y), ValueError, "StackDataset: data sets by place and by name"),
    (lambda: StackDataset(Y, X[:3]), ValueError, r"datasets: lengths \[20, 3\] are not allowed"),
    (lambda: ConcatDataset([]), ValueError, "datasets: an empty iterable is not allowed"),
    (lambda: ConcatDataset([Stream(0, 1)]), ValueError, "datasets: IterableDataset is not allowed"),
    (lambda: ConcatDataset([Y])[-21], ValueError, "index: -21 is not allowed; allowed: from -20"),
    (lambda: list(ChainDataset([Y])), ValueError, "datasets: ndarray is not allowed; allowed: IterableDataset"),
    (lambda: random_split(Y, [3, 4]), ValueError, "lengths: a sum of 7 is not allowed; allowed: 1, or 20"),
    (lambda: random_split(Y, [1.5, -0.5]), ValueError, "lengths: 1.5 is not allowed; allowed: fractions from 0 to 1"),
    (lambda: default_collate([object()]), TypeError, "default_collate: object is not allowed"),
    (lambda: default_collate([np.array(["a"])]), TypeError, "default_collate: dtype <U1 is not allowed"),
    (lambda: default_collate([np.zeros(2), np.zeros(3)]), RuntimeError, r"shapes \[\(2,\), \(3,\)\] are not allowed"),
    (lambda: default_collate([[1], [1, 2]]), RuntimeError, r"lengths \[1, 2\] are not allowed"),
    (lambda: Dataset()[0], NotImplementedError, "Dataset: __getitem__ is not defined"),
    (lambda: iter(IterableDataset()), NotImplementedError, "IterableDataset: __iter__ is not defined"),
    (lambda: iter(Sampler()), NotImplementedError, "Sampler: __iter__ is not defined"),
    (lambda: len(SequentialSampler(iter([]))), TypeError, "len"),  # type: ignore[arg-type]
    (
        lambda: type("Half", (Subset,), {"__getitem__": lambda s, i: 1})(Y, [1]),
        NotImplementedError,
        "Half: __getitem__",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_empty_part_is_told() -> None:
    with pytest.warns(UserWarning, match="random_split: part 1 is empty"):
        random_split(range(1), [0.5, 0.5])


def test_import_stays_light() -> None:
    import subprocess
    import sys

    code = "import sys, halfsim; print('halfsim.utils' in sys.modules); from halfsim.utils.data import DataLoader"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "False\n"


def test_checkpoint_gives_the_values_and_gradients(rng: np.random.Generator) -> None:
    from halfsim.utils.checkpoint import checkpoint, checkpoint_sequential

    model = hs.nn.Sequential(hs.nn.Linear(3, 4), hs.nn.Tanh(), hs.nn.Linear(4, 2))
    x = hs.tensor(X, requires_grad=True)
    for out in (checkpoint(model, x, use_reentrant=False), checkpoint_sequential(model, 2, x, use_reentrant=False)):
        np.testing.assert_array_equal(out.numpy(), model(x).numpy())
        x.grad = None
        out.sum().backward()
        assert x.grad is not None
    with pytest.raises(ValueError, match="segments: 0 is not allowed; allowed: integers from 1"):
        checkpoint_sequential(model, 0, x)
    assert SubsetRandomSampler([3, 4]).indices == [3, 4]
