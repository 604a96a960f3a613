"""Packed sequences and the layers that take them, against PyTorch and against each sequence run alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

LENGTHS = (3, 5, 1, 5, 2)


def sequences(rng: np.random.Generator, width: int = 3) -> list[Any]:
    return [rng.normal(size=(n, width)) for n in LENGTHS]


def test_packing_by_hand() -> None:
    a, b, c = (hs.tensor(x) for x in ([1.0, 2.0, 3.0], [4.0], [5.0, 6.0]))
    packed = pack_sequence([a, b, c], enforce_sorted=False)
    assert packed.data.tolist() == [1, 5, 4, 2, 6, 3]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices is not None
    assert packed.unsorted_indices is not None
    assert (packed.sorted_indices.tolist(), packed.unsorted_indices.tolist()) == ([0, 2, 1], [0, 2, 1])
    padded, lengths = pad_packed_sequence(packed, padding_value=-1.0)
    assert padded.tolist() == [[1, 4, 5], [2, -1, 6], [3, -1, -1]]
    assert np.asarray(lengths).tolist() == [3, 1, 2]
    assert [x.tolist() for x in unpack_sequence(packed)] == [[1, 2, 3], [4], [5, 6]]
    assert [x.tolist() for x in unpad_sequence(padded, lengths)] == [[1, 2, 3], [4], [5, 6]]
    assert pack_sequence([a, c, b]).sorted_indices is None
    half = packed.half()
    assert (half.data.format, packed.to("bf16").data.format, half.cpu()) == (hs.float16, hs.bfloat16, half)
    assert invert_permutation([2, 0, 1]).tolist() == [1, 2, 0]
    assert invert_permutation(None) is None
    assert PackedSequence(a, np.array([1, 1, 1]), np.array([0])).unsorted_indices is not None


@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_is_taken_off_again(batch_first: bool, rng: np.random.Generator) -> None:
    given, lengths, longest = [hs.tensor(x) for x in sequences(rng)[:3]], LENGTHS[:3], max(LENGTHS[:3])
    padded = pad_sequence(given, batch_first)
    assert padded.shape == ((len(given), longest, 3) if batch_first else (longest, len(given), 3))
    assert [x.tolist() for x in unpad_sequence(padded, lengths, batch_first)] == [x.tolist() for x in given]
    with pytest.raises(ValueError, match=rf"allowed: {len(given)} integers from 1 to {longest}$"):
        unpad_sequence(padded, [longest + 1] * len(given), batch_first)


def test_padding() -> None:
    a, b = hs.tensor([[1.0], [2.0]], "fp16"), hs.tensor([[3.0]], "fp16")
    assert pad_sequence([a, b]).format == hs.float16
    assert pad_sequence([a, b]).tolist() == [[[1], [3]], [[2], [0]]]
    assert pad_sequence([a, b], True, 9.0, "left").tolist() == [[[1], [2]], [[9], [3]]]
    labels = pad_sequence([np.array([1, 2]), np.array([3])], padding_value=-1)
    assert np.asarray(labels).dtype == np.int64
    assert np.asarray(labels).tolist() == [[1, 3], [2, -1]]


def test_gradients_go_to_the_sequences_alone(rng: np.random.Generator) -> None:
    given = [hs.tensor(x, "fp64", requires_grad=True) for x in sequences(rng)]

    def out(*parts: Any) -> Any:
        padded, _ = pad_packed_sequence(pack_sequence(list(parts), enforce_sorted=False), total_length=6)
        return padded * np.arange(1.0, 91.0).reshape(6, 5, 3)

    assert hs.gradcheck(out, given)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_packed_batch_is_each_sequence_alone(kind: str, ways: int, given: bool, rng: np.random.Generator) -> None:
    layer = getattr(hs.nn, kind)(3, 4, 2, bidirectional=ways == 2).to("fp64")
    parts = [hs.tensor(x, "fp64") for x in sequences(rng)]
    first = rng.normal(size=(2 * ways, 5, 4))
    start = ((first, first) if kind == "LSTM" else first) if given else None
    packed, ends = layer(pack_sequence(parts, enforce_sorted=False), start)
    assert isinstance(packed, PackedSequence)
    for i, (x, y) in enumerate(zip(parts, unpack_sequence(packed), strict=True)):
        alone = first[:, i]
        out, end = layer(x, ((alone, alone) if kind == "LSTM" else alone) if given else None)
        np.testing.assert_allclose(y.numpy(), out.numpy(), atol=1e-12)
        for all_ends, one in zip(ends if kind == "LSTM" else [ends], end if kind == "LSTM" else [end], strict=True):
            np.testing.assert_allclose(all_ends[:, i].numpy(), one.numpy(), atol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_installed_pytorch_gives_the_same(
    kind: str, ways: int, batch_first: bool, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; each sequence alone is tested")
    from torch.nn.utils import rnn as theirs

    options = {"bidirectional": ways == 2, "batch_first": batch_first, "dropout": 0.3}
    torch.manual_seed(0)
    their_layer = getattr(torch.nn, kind)(3, 4, 2, **options).double()
    hs.manual_seed(0)
    layer = getattr(hs.nn, kind)(3, 4, 2, **options).to("fp64")
    values = sequences(rng)
    their_parts = [torch.tensor(x, requires_grad=True) for x in values]
    parts = [hs.tensor(x, "fp64", requires_grad=True) for x in values]
    torch.manual_seed(1)
    their_packed, their_ends = their_layer(theirs.pack_sequence(their_parts, enforce_sorted=False))
    hs.manual_seed(1)
    packed, ends = layer(pack_sequence(parts, enforce_sorted=False))
    np.testing.assert_array_equal(np.asarray(packed.batch_sizes), their_packed.batch_sizes.numpy())
    np.testing.assert_array_equal(np.asarray(packed.sorted_indices), their_packed.sorted_indices.numpy())
    settings: dict[str, Any] = {"batch_first": batch_first, "padding_value": -1.0, "total_length": 7}
    their_out, their_lengths = theirs.pad_packed_sequence(their_packed, **settings)
    out, lengths = pad_packed_sequence(packed, **settings)
    assert np.asarray(lengths).tolist() == their_lengths.tolist()
    np.testing.assert_allclose(out.numpy(), their_out.detach().numpy(), atol=1e-12)
    for a, b in zip(ends if kind == "LSTM" else [ends], their_ends if kind == "LSTM" else [their_ends], strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-12)
    weights = rng.normal(size=out.shape)
    (out * weights).sum().backward()
    (their_out * torch.tensor(weights)).sum().backward()
    for mine, other in zip((*parts, *layer.parameters()), (*their_parts, *their_layer.parameters()), strict=True):
        assert mine.grad is not None
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), atol=1e-12)


def test_a_packed_batch_in_half_is_each_sequence_alone_to_the_bit(rng: np.random.Generator) -> None:
    """Products of more rows are the same products."""
    layer = hs.nn.GRU(3, 4).half()
    parts = [hs.tensor(x, "fp16") for x in sequences(rng)]
    with hs.precision("storage=fp16, accumulate=fp32:sequential"):
        packed, _ = layer(pack_sequence(parts, enforce_sorted=False))
        for x, y in zip(parts, unpack_sequence(packed), strict=True):
            np.testing.assert_array_equal(y.bits(), layer(x)[0].bits())


X = np.zeros((4, 2, 3))
PACKED = pack_padded_sequence(X, [4, 2])
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: pack_padded_sequence(X, [2, 4]), ValueError, "lengths: not sorted is not allowed; allowed: the longest"),
    (lambda: pack_padded_sequence(X, [4, 0]), ValueError, r"lengths: \[4, 0\] is not allowed; allowed: 2 integers"),
    (lambda: pack_padded_sequence(X, [5, 1]), ValueError, r"lengths: \[5, 1\] is not allowed; .* from 1 to 4"),
    (lambda: pack_padded_sequence(X, [4]), ValueError, r"lengths: \[4\] is not allowed; allowed: 2 integers"),
    (lambda: pack_padded_sequence(X, [4.0, 1.0]), TypeError, "lengths: .* a list of integers"),
    (lambda: pack_padded_sequence(X[:0], [1, 1]), ValueError, "input: shape .* not empty"),
    (lambda: pad_packed_sequence(PACKED, total_length=3), ValueError, "total_length: 3 is not allowed; .* from 4"),
    (lambda: pad_packed_sequence(X), TypeError, "sequence: ndarray is not allowed"),  # type: ignore[arg-type]
    (lambda: pad_sequence([]), ValueError, "sequences: shapes .* are not allowed; allowed: at least one"),
    (lambda: pad_sequence([np.ones((2, 2)), np.ones((2, 3))]), ValueError, "sequences: shapes"),
    (lambda: pad_sequence([np.ones(2)], padding_side="top"), ValueError, "padding_side: 'top' is not allowed"),
    (lambda: PackedSequence(hs.tensor(1.0)), ValueError, "batch_sizes: None is not allowed"),
    (
        lambda: hs.nn.LSTM(2, 4)(PACKED),
        ValueError,
        r"input: shape \(6, 3\) is not allowed; .* packed",
    ),
    (lambda: hs.nn.GRU(3, 4)(PACKED, np.zeros((1, 3, 4))), ValueError, r"h0: shape \(1, 3, 4\) is not allowed"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
