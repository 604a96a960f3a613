"""What commands print into pages of docs/, between the comments ``<!-- mark -->`` and ``<!-- /mark -->``."""

from __future__ import annotations

from pathlib import Path


def between(page: Path, mark: str) -> str:
    """The text there."""
    return page.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")[2].partition(f"<!-- /{mark} -->")[0]


def put(page: Path, mark: str, text: str) -> None:
    """Put ``text`` there."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    head, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{head}{begin}{text}{end}{rest.partition(end)[2]}", encoding="utf-8")
