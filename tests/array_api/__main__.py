"""The array API standard against NumPy: counts, what is left out and why.

PYTHONPATH=$PWD python -m tests.array_api            each function that differs, and the counts
PYTHONPATH=$PWD python -m tests.array_api --write    the same, into docs/array_api.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.array_api.judging import NAMES, property_of
from tests.array_api.page import page

EXAMPLES = 40  # calls of each function


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.array_api", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/array_api.md")
    parser.add_argument("--only", default="", help="names, with commas: sum,linalg.det")
    asked = parser.parse_args()
    only = set(filter(None, asked.only.split(",")))
    wrong = {}
    for name, call in NAMES.items():
        if not only or name in only:
            try:
                property_of(name, call, EXAMPLES)()
            except Exception as error:  # whatever goes wrong is what is asked for
                wrong[name] = f"{type(error).__name__}: {error}"
                print(f"{name}: {wrong[name]}")
    text = page(wrong)
    print(text)
    if asked.write:
        Path("docs/array_api.md").write_text(text)


if __name__ == "__main__":
    main()
