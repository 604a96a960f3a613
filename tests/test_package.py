"""The package as its users meet it: what importing costs, what is public, what the README promises."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import halfsim as hs

ROOT = Path(__file__).parents[1]


def test_importing_pulls_in_numpy_only_and_starts_no_thread() -> None:
    code = (
        "import sys, threading; import halfsim; "
        "heavy = {'pytest', 'hypothesis', 'matplotlib', 'torch', 'dask', 'argparse', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists_and_is_documented() -> None:
    for name in hs.__all__:
        value = getattr(hs, name)
        if inspect.isfunction(value) or inspect.isclass(value) or isinstance(value, types.ModuleType):
            assert inspect.getdoc(value), name
    for name in hs.ops.__all__:
        assert getattr(hs.ops, name).__doc__, name


def test_no_room_hides_a_public_function() -> None:
    rooms = {path.stem for path in Path(hs.__file__).parent.iterdir() if path.is_dir() or path.suffix == ".py"}
    public = {name for name in hs.__all__ if not isinstance(getattr(hs, name), types.ModuleType)}
    assert not rooms & public, "importing halfsim.<room> would put the module in the function's place"


def test_readmes_python_blocks_run() -> None:
    for language in ("README.md", "README.zh-CN.md", "docs/demo.md"):
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / language).read_text(encoding="utf-8"), re.S)
        assert blocks
        for block in blocks:
            exec(compile(block, language, "exec"), {})
