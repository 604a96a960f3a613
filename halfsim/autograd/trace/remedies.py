"""What is done about each kind of trouble: one function a kind, by phase and operation, the recommended remedy first.

A policy keeps a *set* of operations in float32: the one that broke and those that read its result back into half, up to
the one that brings its numbers into range again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, isfinite, log10
from typing import TYPE_CHECKING, TypeAlias

from halfsim.autograd.policy import OPERATIONS
from halfsim.autograd.trace.fix import Fix, named, wide
from halfsim.numerics.blocks import BlockFormat
from halfsim.numerics.formats import Format, float32

if TYPE_CHECKING:
    from halfsim.autograd.trace.event import Event

Remedies: TypeAlias = "Callable[[Event, Sequence[str]], list[Fix]]"  # of an event, and the operations downstream of it

_SUMS = {"sum", "mean", "cumsum", "matmul", "linear", "var", "std", "norm", "bmm", "dot", "average"}
_SUMS |= {"conv1d", "conv2d", "conv3d"}
_MASTER = "master_weights=True (or amp)"
_SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum", "denom")  # what an optimizer divides by the root of
_ACCUMULATED = Fix("accumulate every sum in float32: accumulate=fp32", option={"accumulate": "fp32"})
# By hand in front of these, a function of the operands that is right where the plain one breaks.
_INSTEAD = {
    "exp": "subtract the maximum first, as softmax and logsumexp do (softplus for log(1 + exp(x)))",
    "pow": "divide by the largest magnitude before squaring",
    "mul": "scale the operands down first",
    "matmul": "scale an operand down first, as q by 1/sqrt(d)",
    "sum": "divide before you add, or take the mean",
    "cumsum": "divide before you add",
    "softmax": "take log_softmax in place of log(softmax)",
    "prod": "add logarithms in place of multiplying",
}
# The same where numbers vanish.
_INSTEAD_OF_ZERO = {
    "exp": "subtract the maximum first, as log_softmax and logsumexp do, and stay with logarithms",
    "softmax": "take log_softmax in place of log(softmax)",
    "prod": "add logarithms in place of multiplying",
}


_LOOK = "look at the operands of this operation: 0/0, inf - inf, 0 * inf, a row that is masked everywhere"


def eps_for(fmt: Format) -> float:
    """The smallest power of ten that is a normal number of ``fmt``, 1e-8 at least: 1e-4 in float16."""
    return max(1e-8, float(f"1e{ceil(log10(fmt.smallest_normal))}"))


def spelled(eps: float) -> str:
    """A power of ten as it is typed: "1e-4"."""
    return f"1e{round(log10(eps))}"


def kept(event: Event, keys: Sequence[str], words: str = "", also: str = "") -> Fix:
    """Keep a set of operations in float32."""
    unique = [key for key in dict.fromkeys(keys) if key.partition("@")[2] in OPERATIONS]
    if not unique:
        return Fix(f"{words or f'keep {named(keys)} in float32'}{also}")
    text = words or f"keep {named(unique)} in float32"
    return Fix(f"{text}{also}", wide(event.rule, unique))


def _chain(event: Event, readers: Sequence[str]) -> list[str]:
    """The operation and those downstream of it."""
    return [event.key, *(key for key in readers if key != event.key)]


def _or(op: str, vanished: bool = False) -> str:
    way = "up" if vanished else "down"
    return f"; or {(_INSTEAD_OF_ZERO if vanished else _INSTEAD).get(op, f'scale the operands {way} first')}"


def _guard(event: Event) -> Fix:
    """A divisor, a root or a logarithm that meets zero by itself."""
    eps, fmt = eps_for(event.format), event.format
    if event.op in ("sqrt", "rsqrt", "norm", "std", "pow"):
        clamped = f"clamp(min={spelled(eps)}) before it, whose gradient is 0 there"
        return Fix(f"keep the argument of {event.op} away from zero: {clamped}")
    if event.op.startswith("log"):
        return Fix(f"keep the argument of {event.op} away from zero, by clamp(min={spelled(eps)}) in {fmt}")
    held = f"clamp(min={spelled(eps)}), or an eps that {fmt} holds ({spelled(eps)} or more)"
    return Fix(f"keep the divisor of {event.op} away from zero: {held}")


def overflow(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Numbers past the largest one, and poles."""
    c = event.counts
    if event.given and c.overflow <= c.clipped:
        return [kept(event, [event.key], also="; and leave its parameters and buffers there, unconverted")]
    if c.divide_by_zero and c.overflow <= c.clipped:
        return [_guard(event)]
    if event.op == "cast":
        return [_cast(event)]
    if event.phase == "optimizer":
        return _optimizer(event, readers)
    stage = next((s for s in event.stages if s.infinite), None)
    if stage is not None and stage.format.contains(float32) and event.phase == "forward":
        masks = "combine masks by where() before you add one"
        return [Fix(f"this passes float32's largest number too: {masks}; else scale the operands down first")]
    if event.op == "tensor":
        words = f"the data does not fit {event.format}: keep it in float32 (hs.tensor(..., 'fp32'))"
        return [Fix(f"{words}, or scale it down first; labels, ids and counts stay integers")]
    if event.phase == "backward" and not event.called:
        lower = "lower the loss scale if there is one (a dynamic amp.GradScaler() finds it)"
        return [kept(event, [event.key], also=f", its gradient with it{_or(event.op)}"), _begun_low(lower)]
    if event.detail is not None and "large" in event.detail:  # the number is to blame, and not what it meets
        fmt, large = event.format, event.detail["large"]
        also = f"; or take a constant that {fmt} holds, up to {fmt.max:g}, in place of {large:g}, or where() for a mask"
        return [kept(event, _chain(event, readers), also=also)]
    return [kept(event, _chain(event, readers), also=_or(event.op))]


def _begun_low(text: str) -> Fix:
    """A scaler that begins where nothing is scaled, and may go down from there."""
    return Fix(text, option={"init_scale": 1.0, "min_scale": None, "dynamic": True})


def _cast(event: Event) -> Fix:
    """A conversion that somebody wrote, which no policy rules."""
    fmt = event.format
    if fmt.has_infinity:
        return Fix(f"scale the numbers down before the conversion to {fmt}, as by their norm; or leave them in float32")
    return Fix(f"convert with overflow='saturate', as round_to(x, '{fmt}', overflow='saturate') does, or scale by the "
               f"largest magnitude first: {fmt} has no infinity")  # fmt: skip


def _optimizer(event: Event, readers: Sequence[str]) -> list[Fix]:
    """An optimizer's own arithmetic, that of clipping, and a step of the user's own."""
    if event.tensor in ("grad", "norms") or event.op in ("vector_norm", "reciprocal"):
        return [Fix("clip_grad_norm_(..., safe=True) takes the norm in float64", option={"safe": True})]
    if event.tensor or event.op in ("update", "decay", "step"):
        return [
            Fix(f"keep weights and optimizer state in float32: {_MASTER}", option={"master_weights": True}),
            *([_larger_eps(event.format)] if event.tensor in _SQUARES else []),
        ]
    return [kept(event, _chain(event, readers), also=_or(event.op, event.klass == "underflow"))]


def _larger_eps(fmt: Format) -> Fix:
    eps = eps_for(fmt)
    return Fix(f"take eps={spelled(eps)} or more in {fmt}", option={"eps": eps})


def lost_eps(event: Event, readers: Sequence[str]) -> list[Fix]:
    """An eps that became zero and no longer keeps a divisor from it."""
    fmt = event.lost.format if event.lost is not None else event.format
    eps, larger = eps_for(fmt), _larger_eps(fmt)
    if event.phase == "optimizer" and not event.called:  # a step of the user's own takes no option of ours
        words = f"keep optimizer state in float32: {_MASTER}; or take eps={spelled(eps)} or more in {fmt}"
        smaller = f"{words}, which makes the steps of small gradients smaller"
        master = Fix(smaller, option={"master_weights": True})
        return [master, larger]
    return [larger, kept(event, _chain(event, readers))]


def constant(event: Event, readers: Sequence[str]) -> list[Fix]:
    """A number of the program that became 0, 1 or infinite."""
    lost = event.lost
    assert lost is not None
    fmt = lost.format
    if event.op == "tensor":
        held = "keep it as a Python number or in float32 (hs.tensor(..., 'fp32')), with what is computed from it"
        other = {0.0: "take a larger constant", 1.0: "compute with its distance from 1"}.get(
            abs(lost.became), f"take a constant that the format holds, up to {fmt.max:g} in {fmt}"
        )
        return [Fix(f"{other}, or {held}")]
    if not isfinite(lost.became) and lost.name == "factor":  # whose size is meant, as that of an index or a count
        smaller = f"take a factor that {fmt} holds, up to {fmt.max:g}"
        lesser = Fix(smaller, option={"constant": math.copysign(fmt.max, lost.value)})
        return [kept(event, _chain(event, readers), also=f"; or {smaller}"), lesser]
    if not isfinite(lost.became):
        fill = ", or masked_fill(mask, -math.inf) with at least one place left open in every row"
        mask = f"for a mask where(){fill if fmt.has_infinity else ''}"
        return [
            Fix(
                f"take a constant that the format holds, up to {fmt.max:g} in {fmt}; {mask}",
                option={"constant": math.copysign(fmt.max, lost.value)},
            ),
            kept(event, _chain(event, readers)),
        ]
    if event.phase == "optimizer":
        master = {"master_weights": True}
        return [Fix(f"keep weights and optimizer state in float32: {_MASTER}", option=master)]
    if lost.became == 0:
        return [kept(event, _chain(event, readers), also="; or take a larger constant"), Fix("take a larger constant")]
    if abs(abs(lost.value) - 1) <= float32.epsneg / 2:
        held = f"take one that the format holds ({spelled(eps_for(fmt))} or more in {fmt})"
        return [Fix(f"add the constant where no 1 stands beside it, last and to the divisor, and {held}")]
    before = event.names[1:2] if event.op == "clamp" else ()  # what is clipped has digits to keep there
    return [kept(event, [*before, *_chain(event, readers)], also="; or compute with its distance from 1 instead")]


def clipped(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Numbers that were held at the largest one."""
    stage = next((s for s in event.stages if s.clipped), None)
    fmt = event.format if stage is None else stage.format
    if isinstance(fmt, BlockFormat):
        return [Fix(f"let scales hold the largest element: operands={replace(fmt, rule='ceil')}")]
    text = f"scale by the largest magnitude first, so that it fits {fmt.max:g} ({fmt}), and back after"
    fixes = [Fix(text)]
    if event.op != "tensor" and event.phase == "forward":
        fixes.insert(0, kept(event, _chain(event, readers), also=f"; or {text}"))
    return fixes


def underflow(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Numbers that became zero."""
    if event.phase == "optimizer":
        return _optimizer(event, readers)
    if event.phase == "backward":
        return [Fix("scale the loss: amp.GradScaler() around backward() and step(); loss_scale_range finds the scale",
                    option={"loss_scale": 1024.0}),
                kept(event, [event.key], also=", its gradient with it"),
                Fix("scale it by more, GradScaler(init_scale=2.0**14)", option={"loss_scale": 16384.0})]  # fmt: skip
    if event.op == "tensor":
        words = f"the data is too small for {event.format}: keep it in float32 (hs.tensor(..., 'fp32'))"
        return [Fix(f"{words}, or scale it up first")]
    if event.op in ("cast", "to"):
        return [Fix(f"leave these numbers in float32: they are too small for {event.format}")]
    return [kept(event, _chain(event, readers), also=_or(event.op, vanished=True))]


def swamping(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Addends too small to change what they are added to."""
    if event.op == "update" and event.detail:
        return [Fix("keep the weights in float32, as amp does, or a copy of them in float32 that step() updates and "
                    "rounds into the weights; or a larger learning rate")]  # fmt: skip
    if event.op in ("update", "decay"):
        others = "or kahan=True, rounding='stochastic', or a larger learning rate"
        return [
            Fix(f"float32 master weights: {_MASTER}; {others}", option={"master_weights": True}),
            Fix("kahan=True keeps what the weight could not hold", option={"kahan": True}),
            Fix("rounding='stochastic' is right on average", option={"rounding": "stochastic"}),
        ]  # fmt: skip
    if event.op == "average":
        return [Fix("keep the average in float32 (EMA(..., format='fp32')), or average less often with a larger step",
                    option={"format": "fp32"})]  # fmt: skip
    if event.op == "accumulate":
        return [
            Fix("keep the parameter in float32 (amp), so that its gradients add up there; or average fewer of them")
        ]
    if event.op in _SUMS:
        return [
            kept(event, [event.key, *readers[:1]], also=" (accumulate=fp32); or add pairwise, or with compensation"),
            _ACCUMULATED,
        ]
    return [
        kept(
            event, [event.key, *event.names[1:4]], also=", the running value too; or add pairwise, or with compensation"
        )
    ]


def cancellation(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Differences that lost their leading digits."""
    if event.phase == "optimizer":
        return _optimizer(event, readers)
    if event.phase == "backward":
        return [kept(event, [event.key], also=", its gradient with it")]
    keys = [*event.names, *_chain(event, readers)]
    return [kept(event, keys, also="; or subtract before rounding: center the data first")]


def integers(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Whole numbers past those that the format holds exactly."""
    words = "keep positions, counts and labels as integers, or in float32, whose integers reach 2**24"
    if event.op == "tensor" or event.phase != "forward":
        return [Fix(words)]
    return [kept(event, _chain(event, readers), also=f"; or {words}"), Fix(words)]


def nan(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Results that are no numbers."""
    if event.phase == "optimizer" and not event.given:
        return [Fix(_LOOK), *_optimizer(event, readers)]
    if event.given:
        return [Fix("the NaN was in the data or in a parameter: look where it comes from")]
    if event.format.lacking:
        return [kept(event, _chain(event, readers), also=f", for {event.format} has no {event.format.lacking}")]
    if event.op in ("sqrt", "rsqrt", "log", "log2", "log10"):
        return [
            Fix(f"keep the argument of {event.op} from being negative: clamp(min=0), or what it is a difference of")
        ]
    if event.op in ("acos", "asin"):
        return [Fix(f"keep the argument of {event.op} within its range, by clamp(-1, 1): a product of unit vectors may "
                    "round past 1")]  # fmt: skip
    if event.op in ("div", "reciprocal", "normalize"):
        clamped = f"clamp(min={spelled(eps_for(event.format))})"
        words = f"0/0 or infinity/infinity: keep the divisor away from zero, by {clamped}"
        return [Fix(f"{words}; divide before you mask with -inf")]
    return [Fix(_LOOK)]


def scaler(event: Event, readers: Sequence[str]) -> list[Fix]:
    """A loss scale that no longer moves as it should, and calls around it in the wrong order."""
    detail = event.detail or {}
    if event.op == "accumulate":
        return [Fix("call scaler.unscale_(optimizer) once, after the last backward() of a step")]
    if event.op.startswith("clip_grad"):
        return [Fix("call scaler.unscale_(optimizer) before clipping")]
    if event.op == "step":
        return [Fix("step through the scaler: scaler.step(optimizer) divides the gradients by the scale")]
    if detail.get("mendable"):
        scale = detail.get("scale", 0.0)
        if scale > 2.0**16:
            return [Fix("bound the scale, GradScaler(max_scale=2.0**16)", option={"max_scale": 2.0**16})]
        if scale > 1:
            return [Fix("let the scale fall: dynamic=True, and min_scale=None, as GradScaler() has them",
                        option={"dynamic": True, "min_scale": None}),
                    _begun_low("begin with a smaller loss scale: GradScaler(init_scale=1.0)")]  # fmt: skip
        return [Fix(f"let the scale fall below {scale:g}: GradScaler without min_scale", option={"min_scale": None}),
                _begun_low("begin with a smaller loss scale: GradScaler(init_scale=1.0)"),
                Fix("or make the loss smaller: mean in place of sum")]  # fmt: skip
    if event.op != "GradScaler":
        return [Fix(f"no scale mends it; {_guard(event).text}")]
    return [Fix("bound the scale: GradScaler(max_scale=2.0**16)", option={"max_scale": 2.0**16})]


def order(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Sums whose error is more than their length explains."""
    return [kept(event, [event.key], also=" (accumulate=fp32), or add exactly (hs.reproducible())"), _ACCUMULATED]


def nothing(event: Event, readers: Sequence[str]) -> list[Fix]:
    """Rounding alone."""
    return [Fix("nothing: this is the rounding that the format's precision and the length of the sums predict")]
