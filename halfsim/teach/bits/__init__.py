"""The bit page: numbers, operations and sums, bit by bit, in a browser; one HTML file that loads nothing.

Its parts stand beside this file, a subject each: `arithmetic.js` (formats, exact operations, one rounding),
`numerals.js`, `sums.js`, `steps.js` (what the views draw alike), a view each in `number.js`, `operation.js` and
`sum.js`, `page.js` (state, words, tabs), `page.html`, `page.css`, and the words in `en.toml` and `zh.toml`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from halfsim.gallery.languages import LANGUAGES, language, texts
from halfsim.markup import document
from halfsim.numerics.explain.expression import parse
from halfsim.numerics.explain.numerals import expression
from halfsim.numerics.formats import SPECIALS, Format, as_format, unknown
from halfsim.numerics.rounding import as_rounding

__all__ = ["FORMATS", "page", "start"]

FORMATS = (*("float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn", "tfloat32", "float64"),)
_FOLDER = Path(__file__).parent
_SCRIPTS = ("arithmetic", "numerals", "sums", "steps", "number", "operation", "sum", "page")
_OPERATIONS = {"add": "ab", "mul": "ab", "fma": "abc"}  # and the boxes that their operands go into


def _row(fmt: Format) -> dict[str, object]:
    """A format as the page has it; everything else follows from that."""
    special = SPECIALS[fmt.specials]
    return {
        "name": fmt.name, "exponentBits": fmt.exponent_bits, "precision": fmt.precision, "bias": fmt.bias,
        "infinity": special.infinity, "nan": special.nan,
    }  # fmt: skip


def page(lang: str = "", begin: Mapping[str, str] | None = None) -> str:
    """The bit page as one HTML text, which needs nothing else and loads nothing.

    ``lang`` is "en" or "zh"; without it the page speaks the reader's language, and has a switch. ``begin`` is what it
    shows first, as `start` makes it; the page's address says the rest. ``ValueError`` for another language.

    >>> text = page()
    >>> text[:15], "http://" in text, "https://" in text
    ('<!doctype html>', False, False)
    """
    words = {name: texts(_FOLDER, name) for name in LANGUAGES}
    first = LANGUAGES[language(lang)] if lang else "en"
    rows = ",\n".join(f"  {name}: derived({json.dumps(_row(as_format(name)))})" for name in FORMATS)
    script = [
        "'use strict';",
        *(_read(f"{name}.js") for name in _SCRIPTS),
        f"const FORMATS = {{\n{rows},\n}};",
        f"const WORDS = {_data(words)};",
        f"const LANGUAGE = {_data(lang)}, BEGIN = {_data(urlencode(begin or {}))};",
        "wire();\nbegin(location.hash);",
    ]
    return document(words[lang or "en"]["title"], [_read("page.html")], _read("page.css"), "\n".join(script), first)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _data(value: object) -> str:
    """JSON that may stand in a script: nothing in it ends one."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def start(x: str = "", format: str = "float16", rounding: str = "nearest_even", bits: bool = False) -> dict[str, str]:
    """What `page` shows first: a number, or one operation that the page works, as `halfsim.explain` reads them.

    ``ValueError`` for other text, for operations but a + b, a * b and fma(a, b, c), for formats but the page's, and
    for rounding that is stochastic.

    >>> start("fma(0.1, 10, -1)", "bf16")["op"], start("0x2e66", bits=True)["code"]
    ('fma', '0x2e66')
    """
    fmt, mode = as_format(format).name, as_rounding(rounding).value
    if fmt not in FORMATS:
        raise unknown("format", fmt, FORMATS)
    begin = {"f": fmt, "m": mode}
    if not x:
        return begin
    parsed = parse(x, bits)
    operands = [o.text for o in parsed.operands]
    if not parsed.operation:
        return begin | {"code" if bits else "x": operands[0]}
    if parsed.operation not in _OPERATIONS or bits:
        told = expression(parsed.operation, operands)
        raise ValueError(
            f"x: {told!r} is not allowed; allowed: a number, a + b, a * b, fma(a, b, c), without bits=True"
        )
    boxes = zip(_OPERATIONS[parsed.operation], operands, strict=True)
    return begin | {"view": "operation", "op": parsed.operation} | dict(boxes)
