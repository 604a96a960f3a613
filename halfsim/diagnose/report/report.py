"""A Report: what a trace has to tell, to print, to read as a page, and to keep as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from halfsim.autograd.trace.trace import Trace
from halfsim.checkpoint.files import opened, path_of
from halfsim.diagnose.report import page, store, text
from halfsim.diagnose.report.build import built
from halfsim.diagnose.report.facts import Facts
from halfsim.document import Document


class Report(Facts, Document):
    """What a `Trace` has to tell, from the verdict down to the counts: printed, as a page, or as JSON.

    Its attributes are those of `halfsim.diagnose.report.facts.Facts`. It is plain data, and outlives its trace.

    >>> import halfsim as hs
    >>> with hs.trace() as t:
    ...     product = hs.tensor([300.0], "fp16") * hs.tensor([300.0], "fp16")
    >>> report = t.report()
    >>> report.verdict.klass, report.places[0].op, Report.from_json(report.to_json()) == report
    ('overflow', 'mul', True)
    """

    title = "halfsim report"
    _style = page.STYLE
    _script = page.SCRIPT
    _indent = None
    _headed = False

    @classmethod
    def of(cls, trace: Trace) -> Report:
        """The report of a trace."""
        return built(trace, cls)

    @staticmethod
    def from_json(source: str | os.PathLike[str]) -> Report:
        """The report that `to_json` wrote: ``source`` is a path, or the text itself.

        ``ValueError`` in one line for a text that is no such report, or of another schema.
        """
        if isinstance(source, str) and source.lstrip()[:1] in ("{", "["):
            return store.loaded(source, Report)
        with opened(path_of(source)) as file:
            return store.loaded(file.read().decode("utf-8"), Report)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, with a schema number."""
        return store.plain_report(self)

    def __str__(self) -> str:
        return text.story(self)

    def _body(self) -> Iterator[str]:
        return page.body(self)
