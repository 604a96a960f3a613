"""The scripts are run by the tests, not collected for doctests: they import torch, which need not be there."""

from pathlib import Path

HERE = Path(__file__).parent
collect_ignore = [
    path.name for path in HERE.glob("*.py") if "\nimport torch\n" in "\n" + path.read_text(encoding="utf-8")
]
