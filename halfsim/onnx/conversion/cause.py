"""The verdict of an audit: what must stay in float32, where the trouble begins, and in which words that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from halfsim.autograd.trace.fix import Fix
from halfsim.diagnose.finding import Finding, finding
from halfsim.nn.conversion import Conversion, ConversionRow
from halfsim.onnx.conversion.converted import Converted
from halfsim.onnx.conversion.evidence import Element, Evidence, keep_of
from halfsim.text import counted, number, percent

_NAMED = 12  # names in the text

_ACCEPT = "look at the outputs: not even with every node in float32 are they as they were"
_NOTHING = "nothing: convert the model"


def verdict(
    model: Converted, evidence: Evidence, weights: Conversion, kept: Sequence[Element] | None, outcome: str
) -> Finding:
    """The Finding for what was ``kept``; ``outcome`` says what the outputs do with it and without."""
    if kept is None:
        return _told("divergence", "", "", "", {}, f"no set of names is enough; {outcome}", Fix(_ACCEPT))
    if not kept:
        return _healthy(evidence, weights, outcome)
    words = f"keep {named([name for _, name in kept])} in float32"
    policy = model.policy(keep_of(kept))
    fix = Fix(words, policy if len(policy.rules) <= _NAMED else None)
    kind, name = kept[0]
    if kind == "tensor":
        row = next(r for r in weights.rows if r.name == name)
        path = next(iter(model.readers.get(name, [])), "")
        op = model.nodes[path].op_type if path else ""
        klass, message = _of_tensor(row, weights)
        found = _told(klass, path, op, name, {}, message, fix)
    else:
        found = _of_node(model, evidence, name, fix)
    numbers = {"keep": ", ".join(name for _, name in kept)}
    return replace(found, message=f"{found.message}; {outcome}", values={**found.values, **numbers})


def named(names: Sequence[str]) -> str:
    """Names in words, those past the twelfth counted.

    >>> named(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _told(klass: str, path: str, op: str, tensor: str, values: dict[str, Any], message: str, fix: Fix) -> Finding:
    return Finding(klass, "forward", 1, path, op or "model", tensor, values, message, fix.text, None, "", (fix,))


def _healthy(evidence: Evidence, weights: Conversion, outcome: str) -> Finding:
    """Nothing must stay: what was lost is said to be harmless."""
    lost = []
    if weights.to_infinity:
        lost.append(f"{counted(weights.to_infinity, 'weight')} {weights.past}")
    if weights.to_zero:
        lost.append(f"{counted(weights.to_zero, 'weight')} zero ({percent(weights.to_zero, weights.size)})")
    harmless = f", though storing makes {' and '.join(lost)}" if lost else ""
    row = max(evidence.rows(), key=lambda r: r.made, default=None)
    path, op = ("", "") if row is None else (row.path, row.op_type)
    values = {"to infinity": weights.to_infinity, "to zero": weights.to_zero, "to subnormal": weights.to_subnormal}
    return _told("benign rounding", path, op, "", values, f"{outcome}{harmless}", Fix(_NOTHING))


def _of_tensor(row: ConversionRow, weights: Conversion) -> tuple[str, str]:
    """What happens to a tensor, as a class of trouble and in words."""
    fmt = weights.format
    if row.to_infinity:
        klass = "overflow" if fmt.has_infinity else "clipped"
        return (
            klass,
            f"{row.to_infinity:,} of {row.size:,} values of {row.name} become {weights.past}, past {fmt.max:g}",
        )
    if row.to_zero:
        return "underflow", f"{row.to_zero:,} of {row.nonzero:,} nonzero values of {row.name} become zero in {fmt}"
    if row.to_subnormal:
        return "underflow", f"{row.to_subnormal:,} of {row.size:,} values of {row.name} become subnormal in {fmt}"
    error = row.largest_relative_error
    return "divergence", f"rounding {row.name} to {fmt} changes its values by up to {error:.2g} of them"


def _of_node(model: Converted, evidence: Evidence, path: str, fix: Fix) -> Finding:
    """What happens in a node: the trouble that the trace saw there, values past the range, or its error."""
    op, fmt, trace = model.nodes[path].op_type, model.target.storage, evidence.trace
    event = next((e for e in trace.events() if e.path == path), None)
    if event is not None:
        found = finding(event, trace)
        return replace(found, op=op, event=None, where="", fix=fix.text, fixes=(fix,))
    largest = evidence.largest.get(path, 0.0)
    values: dict[str, Any] = {"largest": largest}
    if path in evidence.near_hot():
        message = f"it makes or reads values past {fmt.max:g}, the largest number of {fmt}"
        return _told("overflow", path, op, "", values, message, fix)
    row = next((r for r in evidence.rows() if r.path == path), None)
    if row is not None and row.cancelled:
        message = f"{row.cancelled:,} of its differences have few leading bits left"
        return _told("cancellation", path, op, "", {**values, "made": row.made}, message, fix)
    error = 0.0 if row is None else row.made
    message = f"the relative error that it makes is {number(error)}"
    return _told("divergence", path, op, "", {**values, "made": error}, message, fix)
