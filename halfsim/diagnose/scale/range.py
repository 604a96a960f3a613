"""`hs.loss_scale_range`: the loss scales by which gradients neither overflow nor vanish, and the layers that decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from halfsim.amp import GradScaler
from halfsim.autograd.policy import Policy, Rule, as_rule, rule_name
from halfsim.autograd.tape import SPECS
from halfsim.diagnose.reach import reached
from halfsim.diagnose.scale.check import checked
from halfsim.diagnose.scale.gradients import Scaled, Unbounded
from halfsim.diagnose.scale.result import LossScaleRange
from halfsim.diagnose.snapshot import Snapshot, listed, run_under
from halfsim.nn.module import Module
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.formats import Format, bfloat16, float16, float32, float64
from halfsim.numerics.precision import FP32, PRESETS, Precision, replace_roles
from halfsim.optim import Optimizer

_WIDE = "wide "  # before a format's name: the same precision, with exponents from -510 to 511


def loss_scale_range(
    step: Callable[[], Any],
    precision: object = "fp16",
    *,
    lost: float = 0.001,
    model: Any = None,
    optimizer: Any = None,
    scaler: Any = None,
    seed: int | None = None,
) -> LossScaleRange:
    """The powers of two by which the loss may be multiplied before ``backward()`` under ``precision``.

    ``step`` takes nothing, computes a loss and calls ``backward()`` on it; it may update weights too, and take several
    steps. It is called once under ``precision`` with exponents without bounds, so that every gradient, activations'
    too, is seen as it would be at any scale, rounded to as many digits. ``high`` is the largest scale by which none
    overflows; ``low`` the smallest by which, in every layer, at most the share ``lost`` of the nonzero gradients become
    zero (or, where the precision flushes subnormals, subnormal); ``normal`` that by which at most so many become zero
    or subnormal. Then it is called under ``precision`` itself, its loss multiplied by the scales so found, one after
    another: where a gradient overflows, or more of a layer's are zero, because one that they are made of became zero
    before, the end moves inward, and is tried again.

    State is kept and restored as in `halfsim.compare`. If ``step`` scales the loss by a GradScaler and updates that,
    its scale is counted in. Of "amp" and other policies gradients count where an operation stores in half.
    ``ValueError`` where no backward pass is run, and for ``lost`` outside 0 to 1.

    >>> import halfsim as hs
    >>> x = hs.tensor([1.0, 1.0], requires_grad=True)
    >>> found = loss_scale_range(lambda: (x * [2.0**-20, 2.0**-30]).sum().backward())
    >>> found.low == 2.0**6, found.high == 2.0**15
    (True, True)
    """
    rule = as_rule(precision)
    if not callable(step):
        raise TypeError(f"step: {type(step).__name__} is not allowed; allowed: a function without arguments")
    if not 0 <= lost < 1:
        raise ValueError(f"lost: {lost} is not allowed; allowed: shares from 0 to below 1")
    kinds = ((model, Module, "model"), (optimizer, Optimizer, "optimizer"), (scaler, GradScaler, "scaler"))
    parts = [item for given in kinds for item in listed(*given)]
    formats = storages(rule)
    widest = max(map(wide, formats), key=lambda fmt: fmt.precision)
    snapshot = Snapshot(*parts, *reached(step).objects)
    gradients = Unbounded({wide(f).name: f for f in formats if wide(f) != f})
    given = 1.0

    def at(scale: float) -> Scaled:
        tried = Scaled({fmt.name: fmt for fmt in formats}, scale / given)
        snapshot.restore()
        try:
            run_under(step, rule, tried, snapshot, seed)
        finally:
            tried.release()
        return tried

    try:
        snapshot.restore(widest)
        run_under(step, unbounded(rule), gradients, snapshot, seed, widest)
        if not gradients.layers:
            raise ValueError("step: no gradient was stored in half; allowed: a function that calls backward()")
        given = 1.0 if gradients.scale is None else gradients.scale
        flushes = isinstance(rule, Precision) and rule.subnormals != "keep"
        rows = {key: found.row(lost, given, flushes) for key, found in gradients.layers.items()}
        layers, notes = checked(rows, gradients, at, lost)
    finally:
        snapshot.restore()
    return LossScaleRange(rule_name(rule), lost, layers, (*gradients.notes, *notes))


def storages(rule: Rule) -> list[Format]:
    """The formats narrower than float32 that a rule stores in, or its only one."""
    if isinstance(rule, Precision):
        return [rule.storage]
    bases = [rule.default, *(base for _, base in rule.rules)]
    found = [b.storage if isinstance(b, Precision) else bfloat16 if b == "amp_bf16" else float16 for b in bases]
    return [fmt for fmt in dict.fromkeys(found) if not fmt.contains(float32)] or found[:1]


def wide(fmt: Format) -> Format:
    """``fmt`` with exponents without bounds; float64, and what is wide, are as they are."""
    if fmt == float64 or fmt.name.startswith(_WIDE):
        return fmt
    return Format(_WIDE + fmt.name, exponent_bits=10, precision=fmt.precision)


def unbounded(rule: Rule) -> Rule:
    """A rule that rounds to the same digits and never overflows in storage."""
    if isinstance(rule, Precision):
        return _unbounded(rule)
    rules: dict[str, object] = {"default": rule.default}
    if isinstance(rule.default, Precision):
        rules["default"] = _unbounded(rule.default)
    elif rule.default != "promote":  # lists have names only; what they say can be said by operation
        half = _unbounded(PRESETS["bf16" if rule.default == "amp_bf16" else "fp16"])
        listed = {f"@{name}": half if op.category == "fp16" else FP32 for name, op in SPECS.items() if op.category}
        rules = {"default": "promote", **listed}
    given = {key: _unbounded(base) if isinstance(base, Precision) else base for key, base in rule.rules}
    return Policy({**rules, **given})


def _unbounded(p: Precision) -> Precision:
    """Float32 inside an operation stays: what a kernel computes in is no matter of the loss scale."""
    operands = p.operands if isinstance(p.operands, BlockFormat) else wide(p.operands)  # scales of blocks follow
    roles: dict[str, Any] = {"storage": wide(p.storage), "operands": operands, "overflow": "infinity"}
    if p.compute not in (float32, float64):
        roles["compute"] = wide(p.compute)
    if p.accumulate.order != "exact" and p.accumulate.format not in (float32, float64):
        roles["accumulate"] = replace(p.accumulate, format=wide(p.accumulate.format))
    return replace_roles(p, **roles, subnormals="keep")
