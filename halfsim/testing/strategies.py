"""Strategies in the manner of ``hypothesis.extra.numpy`` that know where half precision breaks.

``from halfsim.testing import strategies as st``. What they draw is read by ``np.asarray``, and shrinks to few small
numbers of few digits.
"""

from halfsim.names import public as _public
from halfsim.testing.choices import formats, policies, precisions, roundings
from halfsim.testing.drawn import arrays, bit_patterns, floats, tensors
from halfsim.testing.hard import (
    attention_logits,
    block_outliers,
    cancelling_pairs,
    near_overflow,
    near_underflow,
    swamping,
    ties,
)
from halfsim.testing.sums import IllConditionedDot, IllConditionedSum, ill_conditioned_dots, ill_conditioned_sums

__all__ = [
    "IllConditionedDot",
    "IllConditionedSum",
    "arrays",
    "attention_logits",
    "bit_patterns",
    "block_outliers",
    "cancelling_pairs",
    "floats",
    "formats",
    "ill_conditioned_dots",
    "ill_conditioned_sums",
    "near_overflow",
    "near_underflow",
    "policies",
    "precisions",
    "roundings",
    "swamping",
    "tensors",
    "ties",
]

_public(__name__)
