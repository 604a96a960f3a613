"""Real data that ships inside packages: where it lies, who made it, under which licence. Nothing is downloaded."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from halfsim.gallery.uses.measures import Array
from halfsim.gallery.uses.said import Said

_GALLERY, _SPEECH = "pip install 'halfsim[gallery]'", "pip install 'halfsim[speech]'"


@dataclass(frozen=True)
class Source:
    """A file of a package: what it is, its licence, and what installs it."""

    key: str
    words: Said
    licence: str
    package: str
    file: str
    comes: str

    def path(self) -> Path:
        """Where the file is; ``ModuleNotFoundError`` in one line that says what brings it."""
        spec = find_spec(self.package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(place, self.file)
            if path.exists():
                return path
        raise ModuleNotFoundError(f"{self.key}: {self.package} is missing; it comes with: {self.comes}")


PHOTO = Source(
    "photograph",
    Said("photograph of Grace Hopper, 1984, 512 x 512 pixels of it", "Grace Hopper 的照片（1984），取 512 x 512 像素"),
    "public domain (United States Navy)", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", _GALLERY,
)  # fmt: skip
TERRAIN = Source(
    "terrain",
    Said("elevations of the Jacksboro fault, Tennessee, every 90 m", "田纳西州 Jacksboro 断层的高程，间隔 90 m"),
    "matplotlib's licence (of the type of Python's)", "matplotlib", "mpl-data/sample_data/jacksboro_fault_dem.npz", _GALLERY,
)  # fmt: skip
CELLS = Source(
    "cells",
    Said("breast cancer Wisconsin (diagnostic): 569 cell samples, doi:10.24432/C5DW2B",
         "威斯康星乳腺癌（诊断）数据：569 个细胞样本，doi:10.24432/C5DW2B"),
    "CC BY 4.0", "sklearn", "datasets/data/breast_cancer.csv", _GALLERY,
)  # fmt: skip
SPEECH = Source(
    "speech",
    Said("a spoken sentence of CMU ARCTIC (a0007), 16 kHz", "CMU ARCTIC 的一句话（a0007），16 kHz"),
    "CMU's own: free for any use with its notice", "pysptk", "example_audio_data/arctic_a0007.wav", _SPEECH,
)  # fmt: skip


def photograph(size: int = 512) -> Array:
    """The photograph's upper ``size`` x ``size`` pixels from the middle column out, 8-bit red, green and blue."""
    path = PHOTO.path()
    try:
        from PIL import Image
    except ImportError:
        raise ModuleNotFoundError(f"photograph: Pillow is missing; it comes with: {_GALLERY}") from None
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    left = (pixels.shape[1] - size) // 2
    return pixels[:size, left : left + size]


def elevations() -> Array:
    """The terrain's heights in metres, (344, 403)."""
    with np.load(TERRAIN.path()) as archive:
        return np.asarray(archive["elevation"], np.float64)


def cells() -> tuple[Array, Array]:
    """Mean area and mean perimeter of the nuclei of 569 samples, in the picture's units."""
    table = np.loadtxt(CELLS.path(), delimiter=",", skiprows=1, usecols=(3, 2))
    return table[:, 0], table[:, 1]


def speech(length: int | None = None) -> Array:
    """The sentence as integers of 16 bits; ``length`` samples from where it is loud."""
    with wave.open(str(SPEECH.path()), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    if length is None:
        return samples
    middle = int(np.argmax(np.abs(samples.astype(np.int32))))
    start = max(0, min(middle - length // 2, len(samples) - length))
    return samples[start : start + length]
