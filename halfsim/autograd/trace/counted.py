"""An observer whose unit counts: what watches where nobody traces and somebody asks for flags."""

from __future__ import annotations

from typing import Any

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.observer import Observer
from halfsim.autograd.trace.counting import Counting
from halfsim.numerics.flags import report
from halfsim.numerics.precision import Precision


class Counted(Observer):
    """An observer whose unit counts, and who tells `halfsim.flags` and `halfsim.errstate` of it."""

    def unit(self, precision: Precision, label: str) -> Arithmetic | None:
        return Counting(precision, label)

    def result(self, spec: Any, fp: Any, out: Any, *rest: Any) -> Any:
        report(fp.finished(out.array), spec.name)

    def gradients(self, node: Any, g: Any, found: Any) -> None:
        for _, _, grad, fp in found:
            report(fp.finished(grad.array), node.op)

    def total(self, path: str, x: Any, fp: Any, total: Any, a: Any, b: Any) -> None:
        report(fp.finished(total.array), "accumulate")
