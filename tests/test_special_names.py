"""The names of ``torch.special`` and ``torch.signal`` are attributes, which a look into the module finds too."""

from __future__ import annotations

import pytest

import halfsim as hs


def test_special_functions_are_attributes() -> None:
    assert set(hs.special.__all__) <= vars(hs.special).keys()
    assert hs.special.expit is hs.ops.sigmoid
    assert hs.signal.windows.hann(3).tolist() == [0, 1, 0]
    with pytest.raises(AttributeError, match="did you mean"):
        _ = hs.special.erff
