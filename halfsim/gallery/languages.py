"""The languages of the gallery, and texts that stand in a file for each of them."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from halfsim.document import Document
from halfsim.numerics.formats import unknown

LANGUAGES = {"en": "en", "zh": "zh-CN"}  # and what HTML calls them


def language(lang: object) -> str:
    """``lang`` itself if there are texts in it; ``ValueError`` names those that there are.

    >>> language("zh")
    'zh'
    """
    if lang not in LANGUAGES:
        raise unknown("lang", lang, LANGUAGES)
    return str(lang)


@cache
def texts(folder: Path, lang: str) -> dict[str, Any]:
    """What the file of a language in ``folder`` has, as en.toml; ``ValueError`` for a language that there is not."""
    return tomllib.loads((folder / f"{language(lang)}.toml").read_text(encoding="utf-8"))


class Told(Document):
    """A result that is told in a language, ``lang``, and whose page says which."""

    lang: str = "en"

    @property
    def _lang(self) -> str:  # type: ignore[override]
        return LANGUAGES[self.lang]
