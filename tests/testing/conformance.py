"""What the conformance kit finds in other people's formats: ``python -m tests.testing.conformance`` prints the page.

``--write`` puts it into docs/testing/conformance.md, between its two marks.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path

from halfsim.testing import Conformance
from tests import marks
from tests.testing.peers import Peer, peers

DOCS = Path(__file__).parents[2] / "docs" / "testing" / "conformance.md"


def title(library: str) -> str:
    return f"### {library} {importlib.metadata.version(library.lower())}"


def row(peer: Peer, found: dict[str, Conformance]) -> str:
    cells = [_cell(found[name]) if name in found else "-" for name in ("float16", "float32", "float64")]
    wrong = next((w for f in found.values() for kind in f.kinds for w in kind.first), None)
    rule = "".join(f", {word}" for word in peer.rules.values())
    return f"| {peer.name}{rule} | {' | '.join(cells)} | {wrong or '-'} |"


def _cell(found: Conformance) -> str:
    return f"{found.wrong:,} of {found.cases:,}" if found.wrong else f"0 of {found.cases:,}"


def sections() -> dict[str, str]:
    """The tables by title: a row a format, of each container how many cases were wrong, and the first of them."""
    text: dict[str, str] = {}
    for peer in peers():
        key = title(peer.library)
        if key not in text:
            text[key] = (
                "| format | from float16 | from float32 | from float64 | the first wrong case |\n"
                "| --- | --- | --- | --- | --- |\n"
            )
        text[key] += row(peer, {name: peer.found(name) for name in peer.containers}) + "\n"
    return text


def found() -> str:
    return "\n".join(f"{name}\n\n{table}" for name, table in sections().items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.testing.conformance", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/testing/conformance.md")
    if not parser.parse_args().write:
        print(found())
        return
    marks.put(DOCS, "found", f"\n{found()}\n")


if __name__ == "__main__":
    main()
