"""A report as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from types import NoneType
from typing import Any, NoReturn, TypeVar

from halfsim.autograd.policy import Policy
from halfsim.autograd.trace.counts import Counts
from halfsim.autograd.trace.event import Error
from halfsim.autograd.trace.fix import Fix
from halfsim.autograd.trace.totals import SERIES
from halfsim.diagnose.finding import Finding
from halfsim.diagnose.report.facts import COLUMNS, Facts, Layer, Place, Raised
from halfsim.numerics.formats import Format
from halfsim.text import clipped

SCHEMA = 1

F = TypeVar("F", bound=Facts)


def plain_report(report: Facts) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "schema": SCHEMA,
        "raised": None if report.raised is None else asdict(report.raised),
        "steps": report.steps,
        "reference": report.reference,
        "verdict": None if report.verdict is None else report.verdict.to_dict(),
        "findings": [f.to_dict() for f in report.findings],
        "left_out": [f.to_dict() for f in report.left_out],
        "before": report.before,
        "places": [_place(place) for place in report.places],
        "layers": [{"phase": layer.phase, "path": layer.path, **layer.counts} for layer in report.layers],
        "columns": report.columns,
        "stride": report.stride,
        "start": report.start,
        "scales": report.scales,
    }


def _place(place: Place) -> dict[str, Any]:
    fmt = place.format
    facts = {name: getattr(place, name) for name in ("phase", "path", "op", "tensor", "events", "terms")}
    return facts | {
        "format": [getattr(fmt, field.name) for field in fields(fmt)],
        "counts": {name: n for name, n in asdict(place.counts).items() if n},
        "exponents": {str(e): n for e, n in place.exponents.items()},
        **{name: None if e is None else [e.largest, e.mean, e.relative] for name, e in _errors(place).items()},
    }


def _errors(place: Place) -> dict[str, Error | None]:
    return {"local": place.local, "total": place.total}


def _read(x: Any) -> Any:
    """The infinities that JSON has as strings, as floats again."""
    if isinstance(x, dict):
        return {key: _read(value) for key, value in x.items()}
    if isinstance(x, list):
        return [_read(item) for item in x]
    return float(x) if x in ("inf", "-inf") else x


def loaded(text: str, kind: type[F]) -> F:
    """The report, made as a ``kind``, that `Report.to_json` wrote; ``ValueError`` in one line for anything else."""

    def literal(word: str) -> NoReturn:
        raise ValueError(f"{word} is no JSON")

    try:
        facts = json.loads(text, parse_constant=literal)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"from_json: {' '.join(str(error).split())}; allowed: what to_json wrote") from None
    if not isinstance(facts, dict) or "schema" not in facts:
        raise ValueError("from_json: not a report; allowed: what to_json wrote")
    if facts["schema"] != SCHEMA or isinstance(facts["schema"], (bool, float)):
        raise ValueError(f"from_json: schema {_shown(facts['schema'])} is not allowed; allowed: {SCHEMA}")
    try:
        return _report(facts, kind)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"from_json: damaged, {what}; allowed: what to_json wrote") from None


def _report(facts: Mapping[str, Any], kind: type[F]) -> F:
    verdict, reference, columns = facts["verdict"], facts["reference"], _whole(facts["columns"], COLUMNS)
    layers = tuple(_layer(layer, columns) for layer in facts["layers"])
    return kind(
        _whole(facts["steps"]),
        None if reference is None else _word(reference),
        None if verdict is None else _finding(verdict),
        tuple(map(_finding, facts["findings"])),
        tuple(map(_word, facts["before"])),
        tuple(map(_placed, facts["places"])),
        layers,
        columns,
        max(_whole(facts["stride"]), 1),
        _whole(facts["start"]),
        tuple((_whole(step), _real(scale), bool(skipped)) for step, scale, skipped in facts["scales"]),
        tuple(map(_finding, facts.get("left_out", ()))),  # reports of before had none
        None if (raised := facts.get("raised")) is None else _raised(raised),
    )


def _raised(facts: Mapping[str, Any]) -> Raised:
    return Raised(*(_word(facts[name]) for name in ("kind", "message", "where")))


def _finding(facts: Mapping[str, Any]) -> Finding:
    klass, phase, path, op, tensor, message, fix = (
        _word(facts[name]) for name in ("klass", "phase", "path", "op", "tensor", "message", "fix")
    )
    where, fixes = _word(facts.get("where", "")), tuple(map(_fix, facts.get("fixes", ())))
    values = dict(_read(facts["values"]))
    return Finding(klass, phase, _whole(facts["step"]), path, op, tensor, values, message, fix, None, where, fixes)


def _fix(facts: Mapping[str, Any]) -> Fix:
    policy, option = facts["policy"], facts["option"]
    if not isinstance(policy, (str, dict, NoneType)):
        raise TypeError(f"{_shown(policy)} is no policy")
    kept = None if policy is None else Policy(policy)
    return Fix(_word(facts["text"]), kept, None if option is None else dict(option))


def _placed(facts: Mapping[str, Any]) -> Place:
    counts = {field.name: _whole(facts["counts"].get(field.name, 0)) for field in fields(Counts)}
    local, total = (None if e is None else Error(*map(_real, e)) for e in (facts["local"], facts["total"]))
    phase, path, op, tensor = (_word(facts[part]) for part in ("phase", "path", "op", "tensor"))
    return Place(
        phase,
        path,
        op,
        tensor,
        Format(*facts["format"]),  # of its first four arguments in a report of version 0.1
        _whole(facts["events"]),
        _whole(facts["terms"]),
        Counts(**counts),
        {_whole(int(e) + 127, 255) - 127: _whole(n) for e, n in facts["exponents"].items() if n},
        local,
        total,
    )


def _layer(facts: Mapping[str, Any], columns: int) -> Layer:
    counts = {name: tuple(map(_real, facts[name])) for name in SERIES if name in facts}
    if any(len(row) != columns for row in counts.values()):
        raise ValueError(f"rows of other lengths than {columns}")
    return Layer(_word(facts["phase"]), _word(facts["path"]), counts)


def _word(x: Any) -> str:
    if not isinstance(x, str):
        raise TypeError(f"{_shown(x)} is no string")
    return x


def _whole(x: Any, most: int = 2**63) -> int:
    if isinstance(x, bool) or not isinstance(x, int) or not 0 <= x <= most:
        raise ValueError(f"{_shown(x)} is no integer from 0 to {most}")
    return x


def _shown(x: Any) -> str:
    """The first characters of a text that is no report, for an error of one line."""
    return clipped(repr(x), 40, "start")


def _real(x: Any) -> float:
    if isinstance(x, bool) or not (isinstance(x, (int, float)) or x in ("inf", "-inf")):
        raise TypeError(f"{_shown(x)} is no number")
    return float(x)
