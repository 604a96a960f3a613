"""Whole programs: what importing takes, and the demo."""

from __future__ import annotations

from benchmarks.harness import Make, Table, Work, peer, program, programs


def _imports(name: str) -> Make:
    def make() -> Work:
        if name != "numpy":
            peer(name)
        return program("-c", f"import {name}")

    return make


IMPORT = "import, in a process of its own"
TABLES = [
    Table(IMPORT, "s", 1.0, {f"import {name}": _imports(name) for name in (
        "halfsim", "numpy", "ml_dtypes", "gfloat", "apytypes", "pychop", "autograd", "torch")}, 9, programs),
    Table("the demo: four recipes, 460 steps each, all traced", "s", 1.0, {
        "halfsim demo": lambda: program("-m", "halfsim", "demo")}, 3, programs),
]  # fmt: skip
