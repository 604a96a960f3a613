"""The comparison of devices on a product."""

from __future__ import annotations

import numpy as np
import pytest

import halfsim as hs
from halfsim.hardware import compare


def causes(a, b, devices, **more):
    return [word.partition(" (")[0] for word, _ in compare(a, b, devices, **more).differences[0].causes]


def test_causes():
    tiny, one = 2.0**-12, 1.0
    assert causes([[one, tiny, tiny]], [[one], [tiny], [tiny]], ["V100", "A100"]) == ["bits kept in alignment"]
    a, b = [2047.0, 2047.0, 2047.0, 0], [2047.0, 4094.0, 4094.0, 0]  # an odd sum above 2**24, and back
    back = [-2046.0, -2047.0, -2047.0, 0], [2048.0, 4094.0, 4094.0, 0]  # but for 1
    found = compare(a + back[0], b + back[1], ["V100", "A100"]).differences[0]
    assert found.values == (0, 1)
    assert found.causes == (("block length (4, 8)", 1),)
    assert causes([[2.0**-15]], [[1024.0]], ["MI100", "MI250X"]) == ["flushed inputs"]


def test_counts_add_up(rng):
    a, b = rng.standard_normal((2, 16, 48))
    found = compare(a, b.T, ["V100", "A100", "H100", "MI250X", "P100"], c=np.ones(16))
    assert len(found.differences) == 10
    for d in found.differences:
        assert sum(count for _, count in d.causes) == d.count
        x, y = found.outputs[d.first], found.outputs[d.second]
        assert d.count == np.count_nonzero(x != y)
        assert (float(x[d.place]), float(y[d.place])) == d.values
    assert max(map(len, str(found).splitlines())) <= 100
    assert found.error["P100"] > 10


def test_ulp_and_error():
    found = compare([1.0, 2.0**-12], [1.0, 2.0**-12], ["volta", "cdna1"])
    (d,) = found.differences
    assert (d.count, d.place) == (0, ())
    assert "the same bits" in str(found)
    assert found.error == {"volta": 0.5, "cdna1": 0.5}


def test_careless_inputs():
    with pytest.raises(ValueError, match="devices: at least two"):
        compare([1.0], [1.0], ["V100"])
    with pytest.raises(ValueError, match="did you mean 'A100'"):
        hs.hardware.compare([1.0], [1.0], ["A1000", "V100"])
    with pytest.raises(TypeError, match="devices: expected names, got int"):
        compare([1.0], [1.0], ["V100", 3])
    with pytest.raises(ValueError, match="V100: no unit takes bf16 into fp32; allowed: fp16 into fp32, fp16 into fp16"):
        compare([1.0], [1.0], ["A100", "V100"], inputs="bf16")
    with pytest.raises(ValueError, match="TPU v4: nobody has described the bits of its sums"):
        compare([1.0], [1.0], ["V100", hs.hardware.device("TPU v4")])
    m4f = hs.hardware.device("Cortex-M4F")
    assert compare([1.0], [1.0], ["V100", m4f]).outputs["Cortex-M4F"] == 1
    assert compare(np.ones((0, 3)), np.ones((3, 2)), ["V100", "A100"]).differences[0].count == 0
    assert compare([[np.nan]], [[1.0]], ["V100", "MI100"]).differences[0].count == 0
