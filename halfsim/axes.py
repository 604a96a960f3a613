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


class ShownFigure(Figure):
    """A figure as any other; where a notebook would print its name it shows the picture."""

    @property
    def described(self) -> str:
        """The picture in words, for those who do not see it."""
        drawn = [*self.axes[:1]]
        words = [
            word for ax in drawn for word in (ax.get_title(), ax.get_title("left"), ax.get_ylabel(), ax.get_xlabel())
        ]
        return "; ".join(" ".join(word.split()) for word in words if word)

    def _repr_html_(self) -> str:
        """The figure as SVG: no style of its own, colours by name so that they are those of light or dark paper."""
        out, settings = io.StringIO(), {"svg.fonttype": "none", "svg.hashsalt": self.described}
        with mpl.rc_context(cast(Any, settings)):
            self.savefig(out, format="svg", facecolor="none", edgecolor="none", metadata={"Date": None})
        text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", out.getvalue(), flags=re.S)
        text = re.sub(r"#[0-9a-f]{6}\b", lambda found: _NAMES.get(found[0], found[0]), text[text.index("<svg") :])
        # Finer than any screen; what is written on the axes stands between tags, and stays.
        text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)
        start = (
            f'<svg role="img" aria-label="{escape(self.described)}" fill="var(--ink)" stroke-linejoin="round" '
            f'style="width:{96 * self.get_figwidth():.0f}px;max-width:100%;min-width:26rem;height:auto" '
        )
        text = re.sub(r'(?<= )(?:width|height)="[\d.]+pt" ', "", text, count=2).replace("<svg ", start, 1)
        return fragment([f'<div class="scroll" tabindex="0">{text}</div>'])

    def _repr_png_(self) -> bytes:
        """The picture as PNG on white, for programs that show no SVG."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=144)
        return out.getvalue()


class ShownAxes(Axes):
    """Axes as any others; where a notebook would print their name it shows their figure."""

    @property
    def _whole(self) -> ShownFigure:
        return cast(ShownFigure, self.get_figure(root=True))

    @property
    def described(self) -> str:
        """The picture in words, for those who do not see it."""
        return self._whole.described

    def _repr_html_(self) -> str:
        return self._whole._repr_html_()

    def _repr_png_(self) -> bytes:
        return self._whole._repr_png_()


def axes(size: tuple[float, float]) -> Axes:
    """The only axes of a new figure of that size in inches; pyplot knows nothing of it."""
    return ShownFigure(figsize=size, layout="constrained").add_subplot(axes_class=ShownAxes)
