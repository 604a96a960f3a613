"""Pictures of what an application does to its data, as PNG by Pillow, which comes with matplotlib."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec

import numpy as np

from halfsim.gallery.said import Said
from halfsim.gallery.uses.measures import Array

_BROKEN = (230, 60, 160)  # what is infinite or NaN, seen beside any grey


@dataclass(frozen=True)
class Picture:
    """Panels side by side, each an array (h, w) or (h, w, 3) of bytes with a word below it, and a caption."""

    name: str
    caption: Said
    panels: tuple[tuple[Said, Array], ...]

    def png(self, panel: int) -> bytes:
        """One of the panels as the bytes of a PNG file; ``ModuleNotFoundError`` without Pillow."""
        try:
            from PIL import Image
        except ImportError:
            raise ModuleNotFoundError(
                "pictures: Pillow is missing; it comes with: pip install 'halfsim[gallery]'"
            ) from None
        file = io.BytesIO()
        Image.fromarray(self.panels[panel][1]).save(file, "PNG", optimize=True)
        return file.getvalue()

    def html(self, lang: str) -> str:
        """The panels inside the page, with their captions; nothing without Pillow."""
        if find_spec("PIL") is None:
            return ""
        parts = []
        for i, (words, pixels) in enumerate(self.panels):
            told, data = escape(words.to(lang)), base64.b64encode(self.png(i)).decode("ascii")
            size = f'width="{pixels.shape[1]}" height="{pixels.shape[0]}"'
            parts.append(
                f'<figure><img src="data:image/png;base64,{data}" {size} alt="{told}">'
                f"<figcaption>{told}</figcaption></figure>"
            )
        return f'<div class="panels">{"".join(parts)}</div><p class="soft">{escape(self.caption.to(lang))}</p>'


def grey(values: Array, low: float, high: float) -> Array:
    """Numbers as shades from black at ``low`` to white at ``high``; infinities and NaN in a loud colour."""
    fine = np.isfinite(values)
    with np.errstate(all="ignore"):
        shade = np.clip((np.where(fine, values, low) - low) / (high - low), 0, 1)
    pixels = np.repeat(np.round(255 * shade).astype(np.uint8)[..., None], 3, axis=-1)
    pixels[~fine] = _BROKEN
    return pixels
