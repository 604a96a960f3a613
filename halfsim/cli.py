"""The command line: `halfsim` and `python -m halfsim`."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from halfsim.document import json_text
from halfsim.terminal import bar, writer


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
        with contextlib.suppress(AttributeError, ValueError):  # standard output may be closed
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
    _add_run(commands)
    _add_hardware(commands)
    return parser


def _add_hardware(commands: Any) -> None:
    from halfsim.costs.cost import OPTIMIZERS
    from halfsim.costs.presets import PRESETS
    from halfsim.costs.recipes import RECIPES

    told = "print the facts as JSON instead of the text"
    shown = commands.add_parser(
        "devices",
        help="processors: what each does in half precision, how it rounds, its peak rates, and how far that is known",
        description="What each device does in half precision, with peak rates, bandwidth and memory; of one by its "
        "name also how it rounds, flushes and accumulates, and the sources.",
    )
    shown.add_argument("name", nargs="?", metavar="NAME", help="only this one, as A100 or 'RTX 4090'")
    shown.add_argument("--sources", action="store_true", help="every figure with the document that states it")
    shown.add_argument("--json", action="store_true", help=told)
    shown.set_defaults(run=_devices)
    cost = commands.add_parser(
        "cost",
        help="what half precision buys: memory, time and energy of a model on a device",
        description="Bytes of parameters, gradients, optimizer state and activations, roofline time by layer, energy, "
        "and the largest batch that fits, in training and inference, by recipe.",
    )
    cost.add_argument("--model", choices=tuple(PRESETS), default="mlp", help="default: mlp")
    cost.add_argument("--device", default="A100", metavar="NAME", help="default: A100; see halfsim devices")
    cost.add_argument("--batch", type=_integer(1, 10**9), default=128, metavar="N", help="default: 128")
    cost.add_argument("--width", type=_integer(1, 16384), metavar="N", help="of the hidden layers")
    cost.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="adam", help="default: adam")
    cost.add_argument(
        "--recipe", action="append", choices=tuple(RECIPES), help="only this one; may be repeated; "
        "default: fp32, fp16, amp",
    )  # fmt: skip
    cost.add_argument("--json", action="store_true", help=told)
    cost.add_argument("--html", metavar="PATH", help="write the tables as one self-contained page too")
    cost.set_defaults(run=_cost)


def _show(found: Any, as_json: bool) -> None:
    print(json_text(found.to_dict(), 2) if as_json else f"{found}\n", end="")


def _devices(arguments: argparse.Namespace) -> int:
    from halfsim.hardware.devices import Catalogue, device, devices

    found = devices() if arguments.name is None else device(arguments.name)
    if arguments.sources and not arguments.json:
        print((found if isinstance(found, Catalogue) else Catalogue([found])).sources())
    else:
        _show(found, arguments.json)
    return 0


def _cost(arguments: argparse.Namespace) -> int:
    from halfsim.costs.cost import cost

    write = None if arguments.html is None else writer(arguments.html)
    bill = cost(
        arguments.model, arguments.batch, arguments.device, optimizer=arguments.optimizer, width=arguments.width,
        recipes=arguments.recipe or ("fp32", "fp16", "amp"),
    )  # fmt: skip
    if write is not None:
        write(bill.page())
    _show(bill, arguments.json)
    if write is not None and not arguments.json:
        print(f"\nPage written to {arguments.html}")
    return 0


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
    writers = {name: writer(path, f"--{name}") for name, path in paths.items()}
    for name, write in writers.items():
        write(makers[name]())
    _show(told, arguments.json)
    if not arguments.json:
        for name, path in paths.items():
            print(f"\n{'Picture' if name == 'svg' else 'Page'} written to {path}")
    return 0


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        allow_abbrev=False,
        usage="halfsim run [OPTION ...] SCRIPT [ARGUMENT ...]",
        help="run any script that uses halfsim and say what rounding did to it",
        description="Like cProfile, for rounding: runs a script under a trace, with its own arguments and exit code. "
        "The report goes to standard error, also where the script fails.",
    )
    run.add_argument(
        "--precision", metavar="P", help="that of operations for which the script sets none: fp16, amp, ..."
    )
    run.add_argument("--override", action="store_true", help="let --precision beat the script's own")
    run.add_argument("--reference", metavar="P", help="measure errors against this precision, as fp64")
    run.add_argument("--first", metavar="CLASS", help="print only the first trouble of this class, as overflow")
    run.add_argument("--html", metavar="PATH", help="write the report as one self-contained page too")
    run.add_argument(
        "--json", metavar="PATH.json", help="write the report as JSON too; without a PATH to standard output"
    )
    run.add_argument(
        "--mend",
        action="store_true",
        help="run the script anew for each fix of its trouble that can be applied to it, and say which mend it",
    )
    run.add_argument("-m", dest="module", action="store_true", help="SCRIPT is the name of a module")
    run.add_argument("script", metavar="SCRIPT", nargs=argparse.REMAINDER, help="and its arguments")
    run.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.autograd.policy import as_rule
    from halfsim.diagnose.finding import CLASSES
    from halfsim.diagnose.script_run import check, traced
    from halfsim.diagnose.trace import trace
    from halfsim.numerics.formats import unknown

    script, *rest = arguments.script or [""]
    if not script:
        raise ValueError("SCRIPT is missing; allowed: the path of a script, or -m and the name of a module")
    check(script, arguments.module)
    if arguments.first not in (None, "NaN", *CLASSES):
        raise unknown("--first", arguments.first, CLASSES)
    if arguments.override and arguments.precision is None:
        raise ValueError("--override: needs --precision")
    rule = None if arguments.precision is None else as_rule(arguments.precision)
    if arguments.mend:
        return _mend(arguments, script, rest, rule)
    trace(arguments.reference)  # refuses what is no precision
    write = {
        name: writer(path, f"--{name}")
        for name in ("html", "json")
        if (path := getattr(arguments, name)) is not None and (name, path) != ("json", "-")
    }
    recorded, code = traced(
        script, rest, module=arguments.module, rule=rule, override=arguments.override, reference=arguments.reference
    )
    report = recorded.report()
    if "html" in write:
        write["html"](report.page())
    if arguments.json is not None:
        write.get("json", _printed)(report.to_json())
    found = recorded.first(arguments.first) if arguments.first else None
    story = str(report) if not arguments.first else str(found or f"{arguments.first}: none")
    with contextlib.suppress(OSError, AttributeError, ValueError):  # the script may have closed it
        sys.stderr.write(f"\n{story}\n")
    return code


def _mend(arguments: argparse.Namespace, script: str, rest: list[str], rule: Any) -> int:
    from halfsim.diagnose.mend.script import mend_script

    for name in ("override", "reference", "first"):
        if getattr(arguments, name):
            raise ValueError(f"--mend: not together with --{name}; allowed: --precision, --html, --json")
    write = {
        name: writer(path, f"--{name}")
        for name in ("html", "json")
        if (path := getattr(arguments, name)) is not None and (name, path) != ("json", "-")
    }
    found = mend_script(script, rest, module=arguments.module, precision=rule)
    if "html" in write:
        write["html"](found.page())
    if arguments.json is not None:
        write.get("json", sys.stdout.write)(found.to_json() + "\n")
    with contextlib.suppress(OSError, AttributeError, ValueError):  # it may be closed
        sys.stdout.flush()  # the script's words first
    with contextlib.suppress(OSError, AttributeError, ValueError):
        sys.stderr.write(f"\n{found}\n")
    return 1 if found.failure else 0


def _printed(text: str) -> None:
    """Write to standard output; ``OSError`` where the script has closed it."""
    try:
        sys.stdout.write(text)
    except (AttributeError, ValueError):
        raise OSError("--json: the script has closed standard output; allowed: --json PATH.json") from None


def _shielded(argv: Sequence[str]) -> list[str]:
    """The arguments as argparse reads them.

    Those of ``bits`` with a space before what is a negative number, such as -1e-5 or -inf, and no option; of ``run``
    the word after ``--json`` is its value only if it can be no script.
    """
    if argv and argv[0] == "run":
        return _with_json(argv)
    if not argv or argv[0] != "bits":
        return list(argv)
    return [f" {word}" if re.match(r"-(?:[0-9.]|inf|nan)", word, re.IGNORECASE) else word for word in argv]


def _with_json(argv: Sequence[str]) -> list[str]:
    words = list(argv)
    for i, word in enumerate(words):
        if word == "--json" and not (i + 1 < len(words) and (words[i + 1] == "-" or words[i + 1].endswith(".json"))):
            words[i] = "--json=-"
        if i and not word.startswith("-") and words[i - 1] not in _VALUED:
            break  # the script: what follows is its own
    return words


_VALUED = ("--precision", "--reference", "--first", "--html", "--json")


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
    write = None if arguments.html is None else writer(arguments.html)
    runs = []
    for i, name in enumerate(names):
        with bar(f"{name} ({i + 1} of {len(names)})", steps) as progress:
            runs.append(train(RECIPES[name], settings, data, progress))
    if write is not None:
        write(page(runs, settings))
    if arguments.json:
        print(json_text(report.to_dict(runs, settings), 2), end="")
    else:
        print(report.text(runs, settings))
        if write is not None:
            print(f"\nPage written to {arguments.html}")
    return 0
