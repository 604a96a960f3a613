"""What is said in two languages."""

from __future__ import annotations

from typing import NamedTuple


class Said(NamedTuple):
    """The same words in English and in Chinese.

    >>> Said("mean", "均值").to("zh")
    '均值'
    """

    en: str
    zh: str

    def to(self, lang: str) -> str:
        """In one of the languages."""
        return self.zh if lang == "zh" else self.en


NOTHING = Said("", "")
