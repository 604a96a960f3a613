"""The command line: `halfsim` and `python -m halfsim`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from halfsim.text import bar


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 2 for a wrong argument or an unwritable file, 130 when interrupted."""
    name = "halfsim"
    try:
        arguments = _parser().parse_args(_shielded(sys.argv[1:] if argv is None else argv))
        name = f"halfsim {arguments.command}"
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read us has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        return _fail(f"{name}: {error}")
    except MemoryError as error:
        return _fail(f"{name}: not enough memory: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        return _fail(f"{name}: interrupted", 130)


def _fail(line: str, code: int = 2) -> int:
    with contextlib.suppress(OSError, AttributeError):  # standard error may be closed
        sys.stderr.write(f"{line}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    from halfsim import __version__
    from halfsim.demo.training import OPTIMIZERS, RECIPES, Settings

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
    for name, low, high in (("epochs", 1, 10**6), ("hidden", 1, 10**6), ("seed", 0, 2**63)):
        default = getattr(Settings, name)
        kind = _integer(low, high)
        demo.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"default: {default}")
    demo.add_argument(
        "--recipe", action="append", choices=tuple(RECIPES), help="only this one; may be repeated; default: all four"
    )
    demo.add_argument("--json", action="store_true", help="print the facts as JSON instead of the table")
    demo.add_argument("--html", metavar="PATH", help="write the story as one self-contained page too")
    demo.set_defaults(run=_demo)
    _add_bits(commands)
    return parser


def _add_bits(commands: Any) -> None:
    from halfsim.numerics.explain import MODES

    bits = commands.add_parser(
        "bits",
        help="a number or an operation worked by hand: its bits, neighbours, rounding and error",
        description="Work a number or one operation by hand: fields, alignment, guard, round and sticky bits, the "
        "neighbours, the decision, the error, the flags. As in: halfsim bits 0.1; halfsim bits '1 + 0.0004'; "
        "halfsim bits 'fma(0.1, 3, -0.3)' --format bfloat16; halfsim bits --bits 0x2e66.",
    )
    bits.add_argument("value", metavar="VALUE", help="a number, or one operation")
    bits.add_argument("--bits", action="store_true", help="read 0x2e66 as a bit pattern, not as a number")
    bits.add_argument("--format", default="float16", metavar="F", help="default: float16")
    modes = [mode.value for mode in MODES]
    bits.add_argument("--rounding", choices=modes, default=modes[0], help=f"default: {modes[0]}")
    bits.add_argument("--json", action="store_true", help="print the facts as JSON instead of the text")
    bits.add_argument("--svg", metavar="PATH", help="write the bits and the number line as a picture too")
    bits.add_argument("--html", metavar="PATH", help="write the explanation as one self-contained page too")
    bits.set_defaults(run=_bits)


def _bits(arguments: argparse.Namespace) -> int:
    from halfsim.numerics.explain import explain

    told = explain(arguments.value, arguments.format, rounding=arguments.rounding, bits=arguments.bits)
    makers = {"svg": told.svg, "html": told.page}
    paths = {name: getattr(arguments, name) for name in makers if getattr(arguments, name) is not None}
    writers = {name: _writer(path, f"--{name}") for name, path in paths.items()}
    for name, write in writers.items():
        write(makers[name]())
    print(json.dumps(told.as_dict(), indent=2, allow_nan=False) if arguments.json else told)
    if not arguments.json:
        for name, path in paths.items():
            print(f"\n{'Picture' if name == 'svg' else 'Page'} written to {path}")
    return 0


def _shielded(argv: Sequence[str]) -> list[str]:
    """Arguments of ``bits`` with a space before what is a negative number, such as -1e-5 or -inf, and no option."""
    if not argv or argv[0] != "bits":
        return list(argv)
    return [f" {word}" if re.match(r"-(?:[0-9.]|inf|nan)", word, re.IGNORECASE) else word for word in argv]


def _positive(word: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(word)
        if math.isfinite(value) and value > 0:
            return value
    raise argparse.ArgumentTypeError(f"{word!r} is not allowed; allowed: positive finite numbers")


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(word: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= int(word) <= high:
                return int(word)
        raise argparse.ArgumentTypeError(f"{word!r} is not allowed; allowed: integers from {low} to {high}")

    return parse


def _demo(arguments: argparse.Namespace) -> int:
    from halfsim.data import digits
    from halfsim.demo import report
    from halfsim.demo.page import page
    from halfsim.demo.training import RECIPES, Settings, train

    settings = Settings(arguments.optimizer, arguments.lr, arguments.epochs, arguments.hidden, arguments.seed)
    data = digits()
    names = list(dict.fromkeys(arguments.recipe or RECIPES))
    steps = settings.epochs * -(-len(data.x_train) // settings.batch)
    write = None if arguments.html is None else _writer(arguments.html)
    runs = []
    for i, name in enumerate(names):
        with bar(f"{name} ({i + 1} of {len(names)})", steps) as progress:
            runs.append(train(RECIPES[name], settings, data, progress))
    if write is not None:
        write(page(runs, settings))
    if arguments.json:
        print(json.dumps(report.to_json(runs, settings), indent=2, allow_nan=False))
    else:
        print(report.text(runs, settings))
        if write is not None:
            print(f"\nPage written to {arguments.html}")
    return 0


def _writer(path: str, option: str = "--html") -> Callable[[str], None]:
    """A function that writes the file all at once; ``ValueError`` right away where it cannot be written."""
    target = Path(os.path.realpath(path))

    def replacement() -> str:
        descriptor, name = tempfile.mkstemp(prefix=".halfsim-", dir=target.parent)
        os.close(descriptor)
        return name

    def write(content: str) -> None:
        name = replacement()
        try:
            Path(name).write_text(content, encoding="utf-8")
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~mask)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise

    try:
        wrong = "is not the path of a file" if path in ("", "-") or path.endswith(os.sep) else ""
        if target.exists() and not wrong:
            wrong = "" if target.is_file() else "is a directory" if target.is_dir() else "is not a regular file"
            wrong = wrong or ("" if os.access(target, os.W_OK) else "permission denied")
        if not wrong:
            os.unlink(replacement())  # the directory takes new files
    except OSError as error:
        wrong = (error.strerror or str(error)).lower()
    if wrong:
        raise ValueError(f"{option}: {path!r}: {wrong}; allowed: the path of a file that can be written")
    return write
