from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
import pytest

import halfsim as hs


def test_the_split_is_fixed_and_whole() -> None:
    split = hs.data.digits()
    assert split.x_train.shape == (1438, 64)
    assert split.x_test.shape == (359, 64)
    assert split.x_train.dtype == np.float32
    assert split.y_train.dtype == np.int64
    assert set(split.y_train) == set(split.y_test) == set(range(10))
    assert split.x_train.min() == 0
    assert split.x_train.max() == 1
    digest = hashlib.sha256(b"".join(array.tobytes() for array in split)).hexdigest()
    assert digest.startswith("7ce682cfd5f9f075")


def test_pixels_are_exact_in_half_precision() -> None:
    x = hs.data.digits().x_train
    np.testing.assert_array_equal(hs.round_to(x), x)


def test_callers_cannot_spoil_each_others_data() -> None:
    hs.data.digits().x_train[:] = 7
    assert hs.data.digits().x_train.max() == 1


def test_the_file_is_small() -> None:
    assert len(resources.files("halfsim.data").joinpath("digits.npz").read_bytes()) < 100_000


def test_the_numbers_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    split = hs.data.digits()
    test = np.arange(len(labels)) % 5 == 4
    np.testing.assert_array_equal(split.x_train * 16, images[~test])
    np.testing.assert_array_equal(split.x_test * 16, images[test])
    np.testing.assert_array_equal(split.y_train, labels[~test])
