"""What hypothesis is told of halfsim's types, so that annotations draw them.

``from_type(Tensor)``, ``@given(x=...)`` and ``builds`` draw tensors, formats and precisions where halfsim is imported.
Of the two the one that comes second calls `register`: hypothesis by its entry point, ``_halfsim_hypothesis``, halfsim
at the end of ``halfsim/__init__.py``.

hypothesis may start because this room imports it, so the room's own files are imported at the first draw only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision

if TYPE_CHECKING:
    from halfsim.testing.drawn import Strategy


def register() -> None:
    """Let hypothesis draw a Tensor, a Format and a Precision where an annotation asks for one.

    Tensors are of up to 3 axes of up to 6 elements, of formats of up to 16 bits: any numbers, NaN and infinities too.
    """
    from hypothesis import strategies as st

    st.register_type_strategy(Tensor, _tensors)
    st.register_type_strategy(Format, _formats)
    st.register_type_strategy(Precision, _precisions)


def _tensors(_: type) -> Strategy[Tensor]:
    from halfsim.testing._hypothesis import npst
    from halfsim.testing.choices import formats
    from halfsim.testing.drawn import tensors

    return tensors(formats(max_bits=16), npst.array_shapes(min_dims=0, max_dims=3, max_side=6))


def _formats(_: type) -> Strategy[Any]:
    from halfsim.testing.choices import formats

    return formats()


def _precisions(_: type) -> Strategy[Any]:
    from halfsim.testing.choices import precisions

    return precisions()
