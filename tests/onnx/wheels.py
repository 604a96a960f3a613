"""Real models, which ship inside wheels: how near onnxruntime they come here, and how long a run takes.

HALFSIM_ONNX_WHEELS=FOLDER PYTHONPATH=$PWD python -m tests.onnx.wheels                    prints the tables
HALFSIM_ONNX_WHEELS=FOLDER PYTHONPATH=$PWD python -m tests.onnx.wheels --write            puts them into docs/onnx.md
HALFSIM_ONNX_WHEELS=FOLDER PYTHONPATH=$PWD python -m tests.onnx.wheels --inputs MODELS    writes models and inputs

``pip download --no-deps magika silero-vad rapidocr rapidocr_onnxruntime==1.4.4`` fetches the wheels.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import halfsim as hs
import halfsim.cli
from tests import marks
from tests.onnx.making import by_onnxruntime, onnx

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
FOLDER = os.environ.get("HALFSIM_ONNX_WHEELS", "")
FILES = [
    (wheel, name)
    for wheel in sorted(Path(FOLDER).glob("*.whl") if FOLDER else [])
    for name in sorted(zipfile.ZipFile(wheel).namelist())
    if name.endswith(".onnx")
]


def read(part: str) -> bytes:
    return next(zipfile.ZipFile(wheel).read(name) for wheel, name in FILES if part in name)


def page() -> Any:
    """A white page with rows of handwritten digits, as a text detector takes it: (1, 3, 320, 480), from -1 to 1."""
    images = hs.data.digits().x_train[:96].reshape(96, 8, 8)
    paper = np.ones((320, 480), np.float32)
    for i, image in enumerate(images / images.max()):
        top, left = 24 + 48 * (i // 16), 48 + 24 * (i % 16)
        paper[top : top + 24, left : left + 24] = 1 - np.kron(image, np.ones((3, 3), np.float32))
    return np.repeat((paper * 2 - 1)[None, None], 3, 1)


def feeds(name: str, data: bytes) -> dict[str, Any]:
    """Inputs of the lengths that a model wants: a page for detectors, noise for the rest."""
    rng, graph = np.random.default_rng(0), onnx.load_model_from_string(data).graph
    sizes = {"rec": [1, 3, 48, 320], "cls": [1, 3, 48, 192]}
    made: dict[str, Any] = {}
    for x in graph.input:
        dims = [d.dim_value or 1 for d in x.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type)
        if x.name == "bytes":
            made[x.name] = rng.integers(0, 257, (1, dims[1])).astype(dtype)
        elif x.name == "sr":
            made[x.name] = np.array(16000, dtype)
        elif x.name == "x":
            kind = next((k for k in sizes if k in name), "det")
            made[x.name] = page() if kind == "det" else rng.uniform(-1, 1, sizes[kind]).astype(dtype)
        else:
            made[x.name] = (rng.normal(size=[1, 576] if x.name == "input" else dims) * 0.1).astype(dtype)
    return made


def error(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference, by the largest output."""
    pairs = [(x.astype(np.float64), y.astype(np.float64)) for x, y in zip(ours, theirs, strict=True)]
    return max(float(np.abs(x - y).max() / np.abs(y).max()) for x, y in pairs)


def table() -> str:
    lines = ["| wheel | model | opset | nodes | parameters | error | seconds |", "| --- " * 7 + "|"]
    for wheel, name in FILES:
        data = zipfile.ZipFile(wheel).read(name)
        given, model = feeds(Path(name).name, data), hs.onnx.load(data)
        spent = []
        for _ in range(3):
            start = time.process_time()
            ours = model.run(None, given)
            spent.append(time.process_time() - start)
        far = error(ours, by_onnxruntime(data, given))
        opset = next(o.version for o in onnx.load_model_from_string(data).opset_import if not o.domain)
        size = sum(p.size for p in model.parameters())
        told = "-".join(wheel.name.split("-")[:2])
        cells = [
            told,
            Path(name).name,
            opset,
            f"{len([*model.children()]):,}",
            f"{size:,}",
            f"{far:.0e}",
            f"{min(spent):.2f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def laid_out(folder: Path) -> list[str]:
    """Write every model, and inputs for it beside it, and give the names without endings."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for wheel, name in FILES:
        data, path = zipfile.ZipFile(wheel).read(name), folder / Path(name).name
        path.write_bytes(data)
        np.savez(path.with_suffix(".npz"), **feeds(path.name, data))
        names.append(path.stem)
    return names


def audited(folder: Path, name: str) -> tuple[dict[str, Any], float]:
    """What ``halfsim audit`` says of a model, and the seconds of processor time that it took, saving included."""
    files = [str(folder / f"{name}{ending}") for ending in (".onnx", ".npz", ".mixed.onnx", ".json")]
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        code = halfsim.cli.main(["audit", files[0], "--inputs", files[1], "--save", files[2], "--json", files[3]])
    spent = time.process_time() - start
    if code:
        raise RuntimeError(f"{name}: halfsim audit gave {code}")
    return json.loads(Path(files[3]).read_text(encoding="utf-8")), spent


def audits() -> str:
    """A table: the command for each model, what it names, what it must keep, bytes and seconds."""
    lines = ["| command | it says | keep in float32 | file, before and after | seconds |", "| --- " * 5 + "|"]
    total = 0.0
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for name in laid_out(folder):
            found, spent = audited(folder, name)
            total += spent
            verdict = found["verdict"]
            said = verdict["klass"] if not verdict["tensor"] else f"{verdict['klass']} of `{verdict['tensor']}`"
            said = f"{said} in `{verdict['path']}`" if verdict["path"] and found["keep"] else said
            sizes = [(folder / f"{name}{end}").stat().st_size for end in (".onnx", ".mixed.onnx")]
            kept = ", ".join(f"`{one}`" for one in found["keep"]) or "nothing"
            command = f"`halfsim audit {name}.onnx --inputs {name}.npz --save {name}.mixed.onnx`"
            told = f"{sizes[0]:,}, {sizes[1]:,}"
            lines.append(f"| {command} | {said} | {kept} | {told} | {spent:.1f} |")
    return "\n".join([*lines, "", f"Together {total:.0f} seconds of processor time, saving and checking included."])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.onnx.wheels", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/onnx.md")
    parser.add_argument("--inputs", metavar="MODELS", help="write the models and inputs for them into a folder")
    asked = parser.parse_args()
    if asked.inputs:
        print("\n".join(laid_out(Path(asked.inputs))))
        return
    for mark, make in (("models", table), ("audits", audits)):
        text = make()
        print(text)
        if asked.write:
            marks.put(PAGE, mark, f"\n{text}\n\n")


if __name__ == "__main__":
    main()
