"""Strategies for what a computation may be run in: formats, roundings, precisions, policies."""

from __future__ import annotations

from typing import Any

from halfsim.autograd.policy import OPERATIONS, Policy
from halfsim.numerics.formats import NAMES, Format, float64
from halfsim.numerics.precision import PRESETS, Precision
from halfsim.numerics.rounding import OVERFLOWS, SUBNORMALS, Rounding, Stochastic
from halfsim.testing._hypothesis import st
from halfsim.testing.drawn import Strategy, refused

__all__ = ["formats", "policies", "precisions", "roundings"]

_ACCUMULATORS = ("float32", "float32:sequential", "float16:sequential", "float16:pairwise", "float32:blocked(16)",
                 "float16:kahan", "exact")  # fmt: skip


def formats(*, min_bits: int = 4, max_bits: int = 64) -> Strategy[Format]:
    """The formats that have a name, of ``min_bits`` to ``max_bits`` bits; they shrink to float16 where it is allowed.

    ``InvalidArgument`` where there are none.

    >>> from hypothesis import find
    >>> find(formats(max_bits=8), lambda fmt: not fmt.has_infinity).name
    'float8_e4m3b11fnuz'
    """
    found = [fmt for fmt in dict.fromkeys(NAMES.values()) if min_bits <= fmt.bits <= max_bits]
    if not found:
        raise refused("min_bits", min_bits, f"what leaves a format up to max_bits={max_bits}")
    return st.sampled_from(found)


def roundings(*, stochastic: bool = True) -> Strategy[Rounding | Stochastic]:
    """The ways to round: those of `halfsim.Rounding`, and with ``stochastic`` a `halfsim.Stochastic` of any seed.

    >>> from hypothesis import find
    >>> find(roundings(), lambda rounding: isinstance(rounding, Stochastic))
    Stochastic(seed=0, bits=32)
    """
    named: Strategy[Any] = st.sampled_from([mode for mode in Rounding if mode is not Rounding.STOCHASTIC])
    if not stochastic:
        return named
    bits = st.integers(0, 31).map(lambda fewer: 32 - fewer)
    return named | st.builds(Stochastic, st.integers(0, 2**32 - 1), bits)


def precisions(*, max_bits: int = 64, stochastic: bool = True) -> Strategy[Precision]:
    """Precisions: the presets, and any storage, compute, accumulate, operands, rounding, subnormals and overflow.

    No format in them is of more than ``max_bits`` bits but for what compute and accumulate carry; combinations that
    `halfsim.Precision` refuses are not drawn. They shrink to "fp16". ``InvalidArgument`` where no format is left.

    >>> from hypothesis import find
    >>> str(find(precisions(), lambda p: p.rounding is Rounding.UPWARD))
    'storage=float16, compute=float32, accumulate=float32, operands=float16, rounding=upward'
    """
    first = ["fp16", *(name for name in PRESETS if name != "fp16")]
    presets = [PRESETS[name] for name in first if PRESETS[name].storage.bits <= max_bits]
    given = st.fixed_dictionaries(
        {"storage": formats(max_bits=max_bits)},
        optional={
            "compute": st.sampled_from(["float32", "float16", "bfloat16"]),
            "accumulate": st.sampled_from(_ACCUMULATORS),
            "operands": formats(max_bits=max_bits),
            "rounding": roundings(stochastic=stochastic),
            "subnormals": st.sampled_from(SUBNORMALS),
            "overflow": st.sampled_from(OVERFLOWS),
        },
    ).map(_allowed)
    made = given.map(lambda roles: Precision(**roles))
    return st.sampled_from(presets) | made if presets else made


def _allowed(roles: dict[str, Any]) -> dict[str, Any]:
    """``roles`` without what the host's float64 does not do: another rounding, another overflow."""
    if roles["storage"] != float64:
        return roles
    return {role: value for role, value in roles.items() if role not in ("rounding", "overflow")}


def policies(model: Any = None, *, max_rules: int = 4) -> Strategy[Policy]:
    """Policies for ``model``: a default, and rules for its modules by path, for operations, and for both.

    ``model`` is a `halfsim.nn.Module`, whose paths the rules name; without it rules are for operations alone. They
    shrink to "fp16" without rules. ``InvalidArgument`` for what has no ``named_modules``.

    >>> from hypothesis import find
    >>> import halfsim as hs
    >>> str(find(policies(hs.nn.Sequential(hs.nn.Linear(2, 2))), lambda policy: policy.by_path))
    'default: fp16; 0: fp16'
    """
    if model is not None and not hasattr(model, "named_modules"):
        raise refused("model", model, "a module, None")
    paths = [path for path, _ in model.named_modules() if path] if model is not None else []
    if max_rules < 0:
        raise refused("max_rules", max_rules, "integers from 0")
    ops = st.sampled_from(sorted(OPERATIONS)).map(lambda name: f"@{name}")
    patterns = ops
    if paths:
        modules = st.sampled_from(paths)
        patterns = modules | ops | st.builds(lambda path, op: path + op, modules, ops)
    words = st.sampled_from(["fp16", *(name for name in PRESETS if name != "fp16")])
    default = words | st.sampled_from(["promote", "amp", "amp_bf16"])
    rules = st.dictionaries(patterns, words, max_size=max_rules)
    return st.builds(lambda default, rules: Policy({"default": default, **rules}), default, rules)
