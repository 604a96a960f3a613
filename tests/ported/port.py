"""A script of PyTorch's with only its imports changed, the way docs/porting.md says."""

from __future__ import annotations

import importlib
import re
import sys
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DIGITS = HERE.parents[1] / "halfsim" / "data" / "digits.npz"

# What stands at the beginning of a line of imports, and what takes its place.
IMPORTS = {
    r"^( *)import torch$": r"\1import halfsim as torch",
    r"^( *)import torch(\.[\w.]+) as ": r"\1import halfsim\2 as ",
    r"^( *)from torch(\.[\w.]+)? import ": r"\1from halfsim\2 import ",
}


def ported(source: str) -> str:
    """``source`` with its imports changed and nothing else.

    >>> ported("import torch\\nimport torch.nn as nn\\nfrom torch.utils.data import DataLoader\\ntorch.nn")
    'import halfsim as torch\\nimport halfsim.nn as nn\\nfrom halfsim.utils.data import DataLoader\\ntorch.nn'
    """
    for theirs, ours in IMPORTS.items():
        source = re.sub(theirs, ours, source, flags=re.M)
    return source


def script(name: str, library: str = "halfsim") -> Any:
    """The module of a script of this directory, in ``library``."""
    path = HERE / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    module = types.ModuleType(f"{name}_in_{library}")
    sys.modules[module.__name__] = module  # where dataclasses look their module up
    module.__dict__["torch"] = importlib.import_module(library)
    code = compile(source if library == "torch" else ported(source), str(path), "exec")
    exec(code, module.__dict__)
    return module
