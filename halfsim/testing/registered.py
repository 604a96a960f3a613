"""What hypothesis is told when it starts, so that annotations draw halfsim's own types.

It is halfsim's entry point ``hypothesis``: ``from_type(Tensor)``, ``@given(x=...)`` and ``builds`` draw tensors,
formats and precisions wherever halfsim is installed.
"""

from __future__ import annotations

from halfsim.autograd.tensor import Tensor
from halfsim.numerics.formats import Format
from halfsim.numerics.precision import Precision
from halfsim.testing._hypothesis import npst, st
from halfsim.testing.choices import formats, precisions
from halfsim.testing.drawn import Strategy, tensors


def register() -> None:
    """Let hypothesis draw a Tensor, a Format and a Precision where an annotation asks for one.

    Tensors are of up to 3 axes of up to 6 elements, of formats of up to 16 bits: any numbers, NaN and infinities too.
    """
    st.register_type_strategy(Tensor, _tensors)
    st.register_type_strategy(Format, lambda _: formats())
    st.register_type_strategy(Precision, lambda _: precisions())


def _tensors(_: type) -> Strategy[Tensor]:
    return tensors(formats(max_bits=16), npst.array_shapes(min_dims=0, max_dims=3, max_side=6))
