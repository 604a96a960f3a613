"""`halfsim lessons`."""

from __future__ import annotations

import argparse
import os
import shlex

from halfsim.cli.command import Command
from halfsim.cli.output import Outputs
from halfsim.cli.parser import Parser

_HEADS = {"en": ("", "lesson", "minutes", "needs"), "zh": ("", "课", "分钟", "需要")}


def _options(parser: Parser) -> None:
    from halfsim.gallery.languages import LANGUAGES

    parser.add_argument("folder", nargs="?", metavar="DIR", default="lessons", help="where to; default: %(default)s")
    parser.add_argument("--list", action="store_true", help="only list the lessons, and write nothing")
    parser.add_argument("--force", action="store_true", help="write files anew that are there already")
    parser.add_choice("--lang", "LANG", tuple(LANGUAGES))
    parser.add_outputs()


def _run(arguments: argparse.Namespace) -> int:
    from halfsim.document import json_text
    from halfsim.teach.catalogue import lessons
    from halfsim.teach.writing import write

    outputs, found = Outputs(arguments), lessons(arguments.lang)
    if arguments.list:
        outputs.give(lambda: _listed(arguments.lang), json=lambda: json_text([one.to_dict() for one in found], 2))
        return 0
    done = write(arguments.folder, arguments.lang, arguments.force)
    told = {"folder": str(done.folder), "written": done.written, "kept": done.kept}
    where, first = shlex.quote(str(done.folder)), shlex.quote(str(done.folder / f"{found[0].name}.ipynb"))
    lines = [f"{len(found)} lessons in {where}, with solutions and the teacher's page in {where}{os.sep}solutions"]
    if done.kept:
        lines.append(
            f"{len(done.kept)} of the files were there already and stay as they were; --force writes them anew"
        )
    lines += ["", "Open the first:", f"  jupyter lab {first}"]
    lines += ["", "Where JupyterLab is not installed yet:", "  pip install 'halfsim[lessons]'"]
    outputs.give(lambda: "\n".join(lines), json=lambda: json_text(told, 2))
    return 0


def _listed(lang: str) -> str:
    from halfsim.teach.catalogue import lessons
    from halfsim.text import columns, filled

    found = lessons(lang)
    rows = [(str(one.number), one.title, str(one.minutes), ", ".join(one.needs)) for one in found]
    head, *lines = columns([_HEADS[lang], *rows], left=4).split("\n")
    told = [part for line, one in zip(lines, found, strict=True) for part in (line, filled(one.question, "    "))]
    return "\n".join([head, *told])


LESSONS = Command(
    "lessons",
    "lessons as notebooks for a class, with solutions and a page for the teacher",
    "Write the lessons as notebooks for Jupyter: predictions before each run, exercises that the notebook checks "
    "itself, solutions in a folder of their own. Files that are there already are left as they are.",
    ("halfsim lessons", "halfsim lessons --list", "halfsim lessons --lang zh 课程", "halfsim lessons --force course"),
    _options,
    _run,
    {"lang": "--lang", "folder": "DIR", "force=True": "--force"},
)
