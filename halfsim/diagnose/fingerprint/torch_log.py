"""The text of `torch.utils._debug_mode.DebugMode.debug_string()` as a fingerprint, as far as it says what one does."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from os.path import basename
from typing import Any

from halfsim.diagnose.fingerprint.aten import DTYPES, MADE, SHOWN, logged_name, raw_name
from halfsim.diagnose.fingerprint.bits import Print
from halfsim.diagnose.fingerprint.file import Fingerprint, Row
from halfsim.text import clipped, counted

# "    aten::mm(t: f32[2, 3], t: f32[3, 4])  ->  t: f32[2, 4]  # {'hash': 1.5}"
_CALL = re.compile(r"(?P<in> *)(?P<op>[\w.:<>]+)\((?P<args>.*?)\)(?:  ->  (?P<out>.*?))?(?:  # (?P<log>\{.*\}))?")
_MARK = re.compile(r"(?P<in> *)\[(?P<head>nn\.Mod[^\]]*|record function|annotate|enter|exit)\] (?P<tag>.*)")
_CODE = re.compile(r" *# File: (?P<file>.*):(?P<line>\d+) in .*")
_TENSOR = re.compile(r"\b(?:d|f)?t(?:\$\d+)?: (?P<dtype>\w+)\[(?P<shape>[\d, ]*)\]")
OUTPUT = "output "  # of a kernel's further results
_STEP = "Optimizer.step#"
_NUMBER = re.compile(r"(?<![\w'.])(-?)(nan|inf)(?![\w'])")


def is_log(text: str) -> bool:
    """Whether a text looks like a log: one of its first lines is a call of a kernel, or says which module runs."""
    lines = [line for line in text.split("\n")[:200] if line.strip()]
    calls = [found for line in lines if (found := _CALL.fullmatch(line)) is not None]
    return any("::" in call["op"] or call["out"] for call in calls) or any(map(_MARK.fullmatch, lines))


def parse(text: str, name: str) -> Fingerprint:
    """The rows of a log; ``ValueError`` where no line of it is a call.

    A call of Python's functions is left out where the log has the kernels that it runs. Modules give the path, lines
    "# File" the line of code, and PyTorch's own mark of an optimizer's step the phase and the steps.
    """
    calls = list(_calls(text))
    kernels = [call for call in calls if "::" in call["op"]] or calls
    if not kernels:
        raise ValueError(f"{clipped(repr(name), 120)} has no call of a kernel; allowed: DebugMode.debug_string()")
    rows: list[Row] = []
    kinds: set[str] = set()
    for call in kernels:
        for i, (fmt, shape, found) in enumerate(_results(call)):
            kept, kind = _print(found)
            kinds.add(kind)
            op, tensor = logged_name(call["op"], shape), f"{OUTPUT}{i}" if i else ""
            place = call["step"], call["phase"], call["path"], op, tensor, fmt, shape, call["where"]
            rows.append(Row(len(rows) + 1, *place, "", kept, call["op"]))
    told = ", ".join(sorted(kinds - {""}))
    hint = "DebugMode.log_tensor_hashes() logs them"
    notes = [] if told else [f"{name} holds no hashes, so bits are not compared: {hint}"]
    if triton := sum(line.lstrip().startswith("[triton] ") for line in text.split("\n")):
        notes.append(f"{name} has {counted(triton, 'call')} of Triton kernels, which say of no result that it is one")
    header = {"log": "torch.utils._debug_mode", "hashes": told or None, "steps": calls[-1]["step"]}
    return Fingerprint(name, header, tuple(rows), True, tuple(notes))


def computes(row: Row) -> bool:
    """Whether a row of a log is of a kernel that computes floats, as operations of halfsim do."""
    raw = raw_name(row.inner)
    aside = SHOWN | MADE
    return row.format.startswith(("float", "bfloat")) and raw not in aside and raw.rstrip("_") not in aside


def _calls(text: str) -> Iterator[dict[str, Any]]:
    """The calls of a log, each with the step, the phase, the path of the module and the line of code it is in."""
    step, where = 1, ""
    inside: list[tuple[int, str, str]] = []  # depth, phase, path
    for line in text.split("\n"):
        code = _CODE.fullmatch(line)
        if code is not None:
            where = f"{basename(code['file'])}:{code['line']}"
            continue
        mark = _MARK.fullmatch(line)
        call = None if mark is not None else _CALL.fullmatch(line)
        found = mark or call
        if found is None:
            continue
        depth = len(found["in"]) // 2
        while inside and inside[-1][0] >= depth:
            step += inside.pop()[1] == "optimizer"
        if mark is not None:
            if mark["head"].startswith("nn.Mod"):
                inside.append((depth, "", mark["tag"].partition(".")[2]))
            elif mark["tag"].startswith(_STEP):
                inside.append((depth, "optimizer", ""))
            continue
        assert call is not None
        _, phase, path = inside[-1] if inside else (0, "", "")
        yield {**call.groupdict(), "step": step, "phase": phase, "path": path, "where": where}


def _results(call: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Format, shape and hash of each tensor that a call gave."""
    hashes = _hashes(call["log"])
    for i, found in enumerate(_TENSOR.finditer(call["out"] or "")):
        shape = tuple(int(n) for n in found["shape"].split(",") if n.strip())
        yield DTYPES.get(found["dtype"], found["dtype"]), shape, hashes[i] if i < len(hashes) else None


def _hashes(log: str | None) -> list[Any]:
    """The hashes of a call's results in order, those of several kinds as a tuple; what cannot be read as text."""
    if not log:
        return []
    try:
        found = ast.literal_eval(_NUMBER.sub(r"'\1\2'", log)).get("hash")
    except (ValueError, SyntaxError, AttributeError, MemoryError, RecursionError):
        return [log]
    return [one for one in _leaves(found) if one is not None]


def _leaves(found: Any) -> Iterator[Any]:
    """The hashes in lists of results; a tuple of a float and an integer is of one result, hashed in two ways."""
    if isinstance(found, list) or (isinstance(found, tuple) and not _two_kinds(found)):
        for one in found:
            yield from _leaves(one)
    else:
        yield found


def _two_kinds(found: tuple[Any, ...]) -> bool:
    kinds = [type(_number(one)) for one in found]
    return sorted(map(str, kinds)) == sorted(map(str, (float, int)))


def _number(x: Any) -> Any:
    return float(x) if x in ("nan", "inf", "-nan", "-inf") else x


def _print(found: Any) -> tuple[Print, str]:
    """What is known of a result, and by which of PyTorch's hashes: a norm is a float, a hash of the bits an integer."""
    norm = xor = None
    for one in map(_number, found if isinstance(found, tuple) else (found,)):
        if isinstance(one, float):
            norm = one
        elif isinstance(one, int):
            xor = one
    kinds = [kind for kind, value in (("norm", norm), ("hash_tensor", xor)) if value is not None]
    if found is not None and not kinds:
        return Print(f"other {found}"), "of another kind"
    return Print("", norm=norm, xor=xor), " and ".join(kinds)


def agree(a: Print, b: Print, both_logs: bool) -> bool | None:
    """Whether what is known of two results is the same; None where the two have no hash of one kind.

    Norms are sums in float64 in an order that nobody knows: of a log and a trace they agree to 13 digits.
    """
    if a.hash and b.hash:
        return a.hash == b.hash
    if a.xor is not None and b.xor is not None:
        return a.xor == b.xor
    if a.norm is None or b.norm is None:
        return None
    if both_logs:
        return a.norm == b.norm or (math.isnan(a.norm) and math.isnan(b.norm))
    return math.isclose(a.norm, b.norm, rel_tol=1e-13) or (math.isnan(a.norm) and math.isnan(b.norm))
