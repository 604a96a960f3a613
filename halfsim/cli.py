"""The command line: `halfsim` and `python -m halfsim`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, or 2 for a wrong argument or an unwritable file."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (ValueError, OSError) as error:
        print(f"halfsim {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"halfsim {arguments.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from halfsim import __version__
    from halfsim.demo.train import OPTIMIZERS, RECIPES, Settings

    parser = _Parser(prog="halfsim", description="What would this computation have done in half precision?")
    parser.add_argument("--version", action="version", version=f"halfsim {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    demo = commands.add_parser(
        "demo",
        help="train a real classifier in fp32, fp16, pure fp16 and mixed precision, side by side",
        description="Train one small classifier on handwritten digits in four kinds of arithmetic, from the same "
        "weights, on the same batches, and say what went wrong where.",
    )
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in OPTIMIZERS.items())
    demo.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="sgd", help="default: sgd")
    demo.add_argument("--lr", type=_positive, metavar="RATE", help=f"learning rate; default: {rates}")
    for name in ("epochs", "hidden"):
        default = getattr(Settings, name)
        demo.add_argument(f"--{name}", type=_integer(1), default=default, metavar="N", help=f"default: {default}")
    demo.add_argument("--seed", type=_integer(0), default=Settings.seed, metavar="N", help="default: 0")
    demo.add_argument(
        "--recipe", action="append", choices=tuple(RECIPES), help="only this one; may be repeated; default: all four"
    )
    demo.add_argument("--json", action="store_true", help="print the facts as JSON instead of the table")
    demo.add_argument("--html", metavar="PATH", help="write the story as one self-contained page too")
    demo.set_defaults(run=_demo)
    return parser


def _positive(word: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(word)
        if math.isfinite(value) and value > 0:
            return value
    raise argparse.ArgumentTypeError(f"{word!r} is not allowed; allowed: positive finite numbers")


def _integer(low: int) -> Callable[[str], int]:
    def parse(word: str) -> int:
        with contextlib.suppress(ValueError):
            if int(word) >= low:
                return int(word)
        raise argparse.ArgumentTypeError(f"{word!r} is not allowed; allowed: integers from {low}")

    return parse


def _demo(arguments: argparse.Namespace) -> int:
    from halfsim.data import digits
    from halfsim.demo import report
    from halfsim.demo.page import page
    from halfsim.demo.train import RECIPES, Settings, train

    settings = Settings(arguments.optimizer, arguments.lr, arguments.epochs, arguments.hidden, arguments.seed)
    data = digits()
    names = list(dict.fromkeys(arguments.recipe or RECIPES))
    steps = settings.epochs * -(-len(data.x_train) // settings.batch)
    with _replacing(arguments.html) as write:
        runs = []
        for i, name in enumerate(names):
            with _bar(f"{name} ({i + 1} of {len(names)})", steps) as progress:
                runs.append(train(RECIPES[name], settings, data, progress))
        if write is not None:
            write(page(runs, settings))
    if arguments.json:
        print(json.dumps(report.to_json(runs, settings), indent=2, allow_nan=False))
    else:
        print(report.text(runs, settings))
        if arguments.html:
            print(f"\nPage written to {arguments.html}")
    return 0


@contextlib.contextmanager
def _replacing(path: str | None) -> Iterator[Callable[[str], None] | None]:
    """A function that writes ``path`` all at once; ``ValueError`` right away where it cannot be written."""
    if path is None:
        yield None
        return
    target = Path(path)
    if not path or target.is_dir():
        raise ValueError(f"--html: {path!r} is a directory; allowed: the path of a file that can be written")
    try:
        descriptor, name = tempfile.mkstemp(prefix=".halfsim-", dir=target.parent)
        if target.exists() and not os.access(target, os.W_OK):
            os.close(descriptor)
            os.unlink(name)
            raise PermissionError(None, "permission denied")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"--html: {path!r}: {reason}; allowed: the path of a file that can be written") from None

    def write(content: str) -> None:
        Path(name).write_text(content, encoding="utf-8")
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)

    os.close(descriptor)
    try:
        yield write
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@contextlib.contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error if that is a terminal; it leaves nothing behind."""
    stream: Any = sys.stderr
    if not stream.isatty():
        yield lambda done: None
        return
    shown = -1

    def progress(done: int) -> None:
        nonlocal shown
        filled = 30 * done // total
        if filled != shown:
            shown = filled
            stream.write(f"\r  {label:<22} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total} steps ")
            stream.flush()

    try:
        yield progress
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
