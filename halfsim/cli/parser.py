"""Reading a command's words: the errors are one line and say what is near, negative numbers are no options."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from halfsim.cli.output import one_line
from halfsim.numerics.formats import shortened, unknown

_NEGATIVE = re.compile(r"-\.?(?:[0-9]|inf|nan)", re.IGNORECASE)


class _Help(argparse.HelpFormatter):
    """Leaves examples as they are typed."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        for command in self._iter_indented_subactions(action):  # argparse forgets that these are indented once more
            width = len(self._format_action_invocation(command)) + self._current_indent
            self._action_max_length = max(self._action_max_length, width)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2.

    With ``rest`` the first word that is no option, and all that follow, go into the attribute of that name as they are.
    """

    def __init__(
        self, prog: str, description: str = "", examples: Sequence[str] = (), usage: str | None = None, **options: Any
    ) -> None:
        epilog = "\n".join(["examples:", *(f"  {line}" for line in examples)]) if examples else None
        options = {"formatter_class": _Help, **options}
        super().__init__(prog=prog, description=description, epilog=epilog, usage=usage, **options)
        self.examples = tuple(examples)
        self.rest = ""

    def add_outputs(self, *names: str) -> None:
        """The options that say where results go: --json, which every command has, and those named."""
        self.add_argument(
            "--json", nargs="?", const="-", metavar="PATH.json",
            help="the facts as JSON: to standard output instead of the text, or into a file",
        )  # fmt: skip
        told = {"html": "as one self-contained page", "svg": "as a picture"}
        for name in names:
            self.add_argument(f"--{name}", metavar="PATH", help=f"write the result {told[name]} too")

    def add_choice(self, name: str, word: str, choices: Sequence[str], default: str = "") -> None:
        """An option that takes one of some words, the first of them by default; ``word`` stands for it in the help."""
        default = default or choices[0]
        told = f"one of {', '.join(choices)}; default: {default}"
        self.add_argument(name, metavar=word, choices=choices, default=default, help=told)

    def add_recipes(self, names: Sequence[str], default: str) -> None:
        """--recipe, which may be repeated."""
        told = f"only this one of {', '.join(names)}; may be repeated; default: {default}"
        self.add_argument("--recipe", action="append", metavar="NAME", choices=names, help=told)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        own, rest = self._own(list(args))
        found, extra = self.parse_known_args(own, namespace)
        if extra:
            self.error(f"{shortened(extra[0].strip())} is one word too many; see {self.prog} --help")
        if self.rest:
            setattr(found, self.rest, rest)
        return found

    def _own(self, words: list[str]) -> tuple[list[str], list[str]]:
        """The words that are read here, each option with its value as one, and the others from the first on.

        A space goes before what begins like an option and is none, as -0.1: argparse would take it for one.
        """
        own: list[str] = []
        while words:
            word = words.pop(0).rstrip("\r\n")
            if not word.startswith("-") or word == "-" or _NEGATIVE.match(word) or word == "--":
                if self.rest:
                    return own, words if word == "--" else [word, *words]
                these = [word] if word != "--" else [words.pop(0) for _ in range(len(words))]
                own += [f" {one}" if one.startswith("-") and one != "-" else one for one in these]
                continue
            name, equals, value = word.partition("=")
            action = self._action(name)
            name = name if name in action.option_strings else action.option_strings[-1]
            if not equals and action.nargs != 0 and words and _is_value(words[0], action):
                equals, value = "=", words.pop(0).rstrip("\r\n")
            elif not equals and action.nargs == "?":
                equals, value = "=", str(action.const)
            own.append(f"{name}{equals}{value}")
        return own, []

    def _action(self, name: str) -> argparse.Action:  # noqa: RET503  # error() does not return
        """The option of that name, or the only one that begins so."""
        options = self._option_string_actions
        if name in options:
            return options[name]
        begun = [option for option in options if option.startswith(name)] if self.allow_abbrev else []
        if len(begun) == 1:
            return options[begun[0]]
        self.error(str(unknown("option", name, begun or options)))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = "/".join(action.option_strings) or str(action.metavar or action.dest)
            self.error(str(unknown(name, value, map(str, action.choices))))

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ")
        missing = re.match(r"the following arguments are required: ([^,]+)", text)
        valueless = re.fullmatch(r"(-[\w-]+): expected one argument", text)
        if valueless:
            text = f"{valueless[1]}: {self._option_string_actions[valueless[1]].metavar} is missing"
        if missing:
            text = f"{missing[1]} is missing" + (f"; as in: {self.examples[0]}" if self.examples else "")
        self.exit(2, f"{self.prog}: {one_line(text)}\n")


def _is_value(word: str, action: argparse.Action) -> bool:
    """Whether the word after an option is its value: of --json, PATH.json, only what can be no script or name."""
    if action.nargs == "?":
        return word == "-" or word.endswith(f".{str(action.metavar).rpartition('.')[2]}")
    return not word.startswith("--")


def positive(word: str) -> float:
    """A positive finite number."""
    with contextlib.suppress(ValueError):
        value = float(word)
        if math.isfinite(value) and value > 0:
            return value
    raise argparse.ArgumentTypeError(f"{shortened(word)} is not allowed; allowed: positive finite numbers")


def integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of integers from ``low`` to ``high``."""

    def parse(word: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= int(word) <= high:
                return int(word)
        raise argparse.ArgumentTypeError(f"{shortened(word)} is not allowed; allowed: integers from {low} to {high}")

    return parse
