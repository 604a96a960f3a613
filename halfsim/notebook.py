"""IPython's extension, ``%load_ext halfsim``: the cell magic ``%%trace``, and rows of results shown as tables."""

from __future__ import annotations

import ast
import shlex
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from keyword import iskeyword
from types import CodeType
from typing import Any, NoReturn

from halfsim.autograd.scope import precision
from halfsim.card import Record, Rows, Text
from halfsim.diagnose.script_run import raised
from halfsim.diagnose.trace import Trace, trace
from halfsim.names import public

__all__ = ["load_ipython_extension"]

_USAGE = "%%trace [PRECISION] [--reference[=PRECISION]] [--as NAME]"


class _Words(ArgumentParser):
    """The words after ``%%trace``; what is wrong with them is a ValueError in one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; allowed: {_USAGE}")


_WORDS = _Words(add_help=False, allow_abbrev=False)
_WORDS.add_argument("precision", nargs="*")
_WORDS.add_argument("--reference")
_WORDS.add_argument("--as", dest="name")


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext halfsim`` does in a notebook: ``%%trace``, and lists, tuples and dicts of rows shown as tables.

    ``%%trace fp16`` at the head of a cell runs the cell under `halfsim.trace`, in that precision if one is given, and
    shows the verdict below what the cell shows. ``--reference`` measures against float64, ``--reference=fp32`` against
    another precision; ``--as t`` keeps the trace as ``t``. What the cell raises is shown as ever, the verdict up to
    there above it. A word that is not known is told in one line, and the cell does not run.
    """
    shell.register_magic_function(_magic(shell), "cell", "trace")
    for kind in (list, tuple, dict):
        shell.display_formatter.formatters["text/html"].for_type(kind, _tabled)


def _tabled(value: Any) -> str | None:
    """A list of records, or a dict of them, as a table; None, for which IPython takes its own way, of any other."""
    if (own := getattr(value, "_repr_html_", None)) is not None:  # a class of its own
        return own()
    rows = value.values() if isinstance(value, dict) else value
    return Rows(rows)._repr_html_() if rows and all(isinstance(row, Record) for row in rows) else None


def _magic(shell: Any) -> Callable[[str, str], None]:
    from IPython.core.error import UsageError
    from IPython.core.magic import no_var_expand
    from IPython.display import display

    @no_var_expand
    def run(line: str, cell: str) -> None:
        try:
            contexts, name = _understood(line)
        except (TypeError, ValueError) as error:
            raise UsageError(f"%%trace: {error}") from None
        try:
            parts = _compiled(shell, cell)
        except SyntaxError as error:  # IPython would list all the frames down to its compiler
            told = shell.SyntaxTB.structured_traceback(type(error), error, [])
            raise type("SyntaxError", (Exception,), {"_render_traceback_": lambda _: told})(str(error)) from None
        with ExitStack() as stack:
            *_, recorded = map(stack.enter_context, contexts)
            if name is not None:
                shell.user_ns[name] = recorded
            stack.callback(lambda: _show(recorded, display))
            try:
                for part in parts:
                    exec(part, shell.user_global_ns, shell.user_ns)
            except BaseException as error:
                own = error.__traceback__ and error.__traceback__.tb_next  # from the cell's own line on
                recorded.raised = raised(error, own)
                told = shell.InteractiveTB.structured_traceback(type(error), error, own, tb_offset=0)
                error._render_traceback_ = lambda: told  # type: ignore[attr-defined]  # where IPython looks
                raise

    run.__doc__ = load_ipython_extension.__doc__
    return run


def _understood(line: str) -> tuple[list[Any], str | None]:
    """The contexts that the words after ``%%trace`` ask for, the trace last, and the name to keep that under."""
    words = shlex.split(line, comments=True)
    given = _WORDS.parse_args(["--reference=fp64" if word == "--reference" else word for word in words])
    if given.name is not None and (not given.name.isidentifier() or iskeyword(given.name)):
        raise ValueError(f"--as: {given.name!r} is not allowed; allowed: a name, as t")
    rule = [precision(" ".join(given.precision))] if given.precision else []
    return [*rule, trace(given.reference)], given.name


def _compiled(shell: Any, cell: str) -> list[CodeType]:
    """The cell's statements, and its last expression, which is shown; lines are counted as the notebook does."""
    head = len(cell) - len(cell.lstrip("\n")) + 1  # the line of the magic, and empty ones, which IPython takes away
    source = "\n" * head + shell.transform_cell(cell)
    name = shell.compile.cache(source, shell.displayhook.prompt_count, cell)
    nodes = shell.transform_ast(shell.compile.ast_parse(source, name)).body
    shown = nodes and isinstance(nodes[-1], ast.Expr) and not cell.rstrip().endswith(";")
    last = [nodes.pop()] if shown else []
    body = shell.compile(ast.Module(nodes, []), name, "exec")
    return [body, *(shell.compile(ast.Interactive([node]), name, "single") for node in last)]


def _show(recorded: Trace, display: Callable[[object], Any]) -> None:
    if recorded.places:
        display(recorded.verdict() or Text("No simulated rounding changed a number."))
    elif recorded.raised is None:
        display(Text("halfsim computed nothing in this cell."))


public(__name__)
