"""A slice of each measurement of docs/reliability.md: `python -m tests.reliability` takes the whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import halfsim as hs
from tests.reliability import files, processes

GOOD = {"refused", "read"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_killed_save_leaves_a_whole_file(tmp_path: Path) -> None:
    assert processes.killed(tmp_path, 5) == {"whole": 5}


@pytest.mark.parametrize("name", files.kinds())
@pytest.mark.parametrize("damaged", [files.truncations, files.flips], ids=lambda damaged: damaged.__name__)
def test_a_damaged_file_is_refused_in_one_line(name: str, damaged, tmp_path: Path) -> None:
    kind = files.kinds()[name]
    found = files.counted(kind, tmp_path, damaged, every=97 if damaged is files.truncations else 487)
    assert found.keys() <= (GOOD if not kind.summed else {"refused"})
    assert found["refused"] > 3


def test_a_document_that_no_save_wrote_changes_nothing_or_makes_a_run_that_goes_on(tmp_path: Path) -> None:
    assert files.documents(tmp_path, 60).keys() <= GOOD


def test_a_file_that_declares_less_than_it_unpacks_to_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "bomb.npz"
    files.bomb(path)
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"declares shape \(2,\) of float32, and has 209715"):
        hs.checkpoint.load_weights(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    make = processes.optimizers()["SGD, stochastic"]
    for rule in ("amp", "storage=fp16, compute=fp16, rounding=stochastic(seed=3)"):
        assert processes._resumed(tmp_path / "run.npz", make, rule, 2)


def test_memory_stays_flat() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is read from /proc")
    seen = processes.soaked(4.0)
    assert seen[-1][1] - seen[1][1] < 8


@pytest.mark.slow
def test_the_same_bits_under_another_kernel_and_without_simd() -> None:
    here = processes.fingerprint()
    assert processes.fingerprint_in(OPENBLAS_CORETYPE="Prescott") == here
    assert processes.fingerprint_in(OMP_NUM_THREADS="2") == here
