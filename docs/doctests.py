"""Show the doctests of docstrings as code; Markdown would take their prompts for quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Doctests(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^>>> (?:.+\n?)+", _fence, obj.docstring.value)


def _fence(match: re.Match[str]) -> str:
    return f"```pycon\n{match.group().rstrip()}\n```\n"
