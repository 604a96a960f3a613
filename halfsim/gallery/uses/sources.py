"""Real data that ships inside packages: where it lies, who made it, under which licence. Nothing is downloaded."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from halfsim.gallery.said import Said
from halfsim.gallery.uses.measures import Array

_GALLERY, _SPEECH = "pip install 'halfsim[gallery]'", "pip install 'halfsim[speech]'"
_MODELS = "pip install 'halfsim[models]'"


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
DIGITS = Source(
    "digits",
    Said("1,797 handwritten digits of 8 x 8 pixels, doi:10.24432/C50P49", "1,797 个手写数字，8 x 8 像素，doi:10.24432/C50P49"),
    "CC BY 4.0", "halfsim", "data/digits.npz", "pip install halfsim",
)  # fmt: skip
FONT = Source(
    "font", Said("DejaVu Sans, in which the page is set", "页面所用字体 DejaVu Sans"),
    "Bitstream Vera's: free for any use with its notice", "matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf", _GALLERY,
)  # fmt: skip
VOICE = Source(
    "voice activity", Said("silero-vad: are these 32 ms of sound speech?", "silero-vad：这 32 毫秒的声音是不是话音"),
    "MIT", "silero_vad", "data/silero_vad_16k_op15.onnx", _MODELS,
)  # fmt: skip
FINDER = Source(
    "text detector", Said("PP-OCRv4's text detector: where on a page is text?", "PP-OCRv4 文字检测：文字在页面何处"),
    "Apache 2.0 (PaddleOCR)", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", _MODELS,
)  # fmt: skip
READER = Source(
    "text reader", Said("PP-OCRv4's text reader: what does a line say?", "PP-OCRv4 文字识别：一行写的是什么"),
    "Apache 2.0 (PaddleOCR)", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", _MODELS,
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
