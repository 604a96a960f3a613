"""Matplotlib's axes that a notebook shows as their figure, in the colours of the notebook's theme."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halfsim.markup import COLOURS, fragment

_NAMES = {light: f"var(--{name})" for name, (light, _) in COLOURS.items()} | {"#000000": "var(--ink)"}


class ShownAxes(Axes):
    """Axes as any others; where a notebook would print their name it shows the figure."""

    @property
    def described(self) -> str:
        """The picture in words, for those who do not see it."""
        words = (self.get_title(), self.get_title("left"), self.get_ylabel(), self.get_xlabel())
        return "; ".join(" ".join(word.split()) for word in words if word)

    @property
    def _whole(self) -> Figure:
        return cast(Figure, self.get_figure(root=True))

    def _repr_html_(self) -> str:
        """The figure as SVG: no style of its own, colours by name so that they are those of light or dark paper."""
        out, settings = io.StringIO(), {"svg.fonttype": "none", "svg.hashsalt": self.described}
        with mpl.rc_context(cast(Any, settings)):
            self._whole.savefig(out, format="svg", facecolor="none", edgecolor="none", metadata={"Date": None})
        text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", out.getvalue(), flags=re.S)
        text = re.sub(r"#[0-9a-f]{6}\b", lambda found: _NAMES.get(found[0], found[0]), text[text.index("<svg") :])
        text = re.sub(r"(\.\d\d)\d+", r"\1", text)  # finer than any screen
        start = (
            f'<svg role="img" aria-label="{escape(self.described)}" fill="var(--ink)" stroke-linejoin="round" '
            f'style="width:{96 * self._whole.get_figwidth():.0f}px;max-width:100%;min-width:26rem;height:auto" '
        )
        text = re.sub(r'(?<= )(?:width|height)="[\d.]+pt" ', "", text, count=2).replace("<svg ", start, 1)
        return fragment([f'<div class="scroll" tabindex="0">{text}</div>'])

    def _repr_png_(self) -> bytes:
        """The picture as PNG on white, for programs that show no SVG."""
        out = io.BytesIO()
        self._whole.savefig(out, format="png", dpi=144)
        return out.getvalue()


def axes(size: tuple[float, float]) -> Axes:
    """The only axes of a new figure of that size in inches; pyplot knows nothing of it."""
    return Figure(figsize=size, layout="constrained").add_subplot(axes_class=ShownAxes)
