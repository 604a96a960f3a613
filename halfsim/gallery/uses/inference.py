"""Inference: trained models in half: digits, a text finder and a text reader, and a detector of speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from halfsim.autograd.making import tensor
from halfsim.data import digits
from halfsim.gallery.questions.trained import trained
from halfsim.gallery.said import NOTHING, Said
from halfsim.gallery.uses.cases import FORMATS, Case, Fix, Row, Run, measured, under
from halfsim.gallery.uses.measures import (
    ACCURACY,
    AGREEMENT,
    CHARACTERS,
    OUTPUTS,
    OVERLAP,
    SAME_CHARACTERS,
    Array,
    Measure,
    off,
)
from halfsim.gallery.uses.pictures import Picture
from halfsim.gallery.uses.result import Application, Fact
from halfsim.gallery.uses.sources import DIGITS, FINDER, FONT, READER, SPEECH, VOICE, Source, speech
from halfsim.text import counted, percent

TITLE = Said("Inference: trained models converted to half", "推理：把训练好的模型转为半精度")
LINES = ("Half precision", "16 bits, no more", "65504 + 32 = inf", "0.1 is 0.09998")  # 4 x 48 pixels, a multiple of 32
FEW = ("Half", "65504")
_TALL = 48  # pixels of a line: what the reader takes
_CHUNK, _PAST = 512, 64  # samples that the detector takes, and how many before them it is shown again
SURE, TEXT = 0.5, 0.3  # the scores from which silero-vad says speech, and RapidOCR text


class Part(NamedTuple):
    """What one model gives."""

    rows: list[Row]
    facts: list[Fact]
    sources: tuple[Source, ...]
    pictures: tuple[Picture, ...] = ()


# Models of files.


@cache
def model(source: Source) -> Any:
    """A model of an installed package, as a module; ``ModuleNotFoundError`` in one line without it, or without onnx."""
    path = source.path()
    from halfsim import onnx

    return onnx.load(path)


def audited(source: Source, feeds: dict[str, Any]) -> Any:
    """What `halfsim.onnx.audit` says of a model on an input."""
    path = source.path()
    from halfsim import onnx

    return onnx.audit(path, feeds, progress=False)


def kept(found: Any) -> Said:
    """What an audit says must stay in float32."""
    names = ", ".join(found.keep)
    return Said(f"{names} in float32, as the audit says", f"按审计结果，{names} 用 float32") if names else NOTHING


def broken(found: Any) -> Said:
    """What of the weights is lost in half, of those that must be kept; else what the audit's verdict calls it."""
    for row in found.weights.rows:
        if row.name in found.keep and row.to_infinity:
            return Said(f"{row.to_infinity} of {row.size} numbers of {row.name} are past 65,504",
                        f"{row.name} 的 {row.size} 个数中有 {row.to_infinity} 个超过 65,504")  # fmt: skip
    said = found.verdict()
    return NOTHING if found.healthy else Said(f"{said.klass} in {said.path}", f"{said.path}：{said.klass}")


def verdict(words: Said, found: Any) -> Row:
    """An audit as a row: the error of the worst output with everything in half, and with what is kept."""
    worst = max(found.outputs, key=lambda one: one.narrow)
    row = Row(Said(f"{words.en}: audit of everything in half", f"{words.zh}：全部转为半精度的审计"), "fp16", OUTPUTS,
              float(worst.narrow), float(worst.tolerance))  # fmt: skip
    return row if row.fine else replace(row, where=broken(found), fix=kept(found), fixed=float(worst.mixed))


def weights(words: Said, wide: int, half: int) -> list[Fact]:
    """The bytes of a model's weights before and after."""
    return [
        Fact(Said(f"{words.en}, weights in float32", f"{words.zh}，float32 权重"), wide / 1000, "kB"),
        Fact(Said(f"{words.en}, weights as converted", f"{words.zh}，转换后的权重"), half / 1000, "kB"),
    ]


def results(run: Run, words: Iterable[str]) -> dict[str, Array]:
    """What a program gives in each arithmetic."""
    return {word: under(word, run) for word in words}


def told(words: Said, measure: Measure, enough: float, outs: dict[str, Array], right: Array) -> list[Row]:
    """A row for each of such results."""
    return [Row(words, word, measure, measure.of(out, right), enough) for word, out in outs.items()]


# Digits.


def _digits(small: bool) -> Part:
    data, net = digits(), trained("fp32")
    images, labels = (data.x_test[:60], data.y_test[:60]) if small else (data.x_test, data.y_test)
    outs = results(
        lambda: net(tensor(images)).argmax(-1), ("fp32", *FORMATS)
    )  # weights are rounded where they are read
    right = outs.pop("fp32")
    good = float(np.mean(right == labels))
    rows = [
        *told(Said(f"{len(images)} digits, a 64-32-10 classifier; float32: {percent(good)}",
                   f"{len(images)} 个数字，64-32-10 分类器；float32：{percent(good)}"), ACCURACY, good - 0.01, outs, labels),
        *told(Said("digits: the same answers as in float32", "数字：与 float32 相同的答案"), AGREEMENT, 0.99, outs, right),
    ]  # fmt: skip
    size = sum(p.size for p in net.parameters())
    return Part(rows, weights(Said("digits", "数字"), 4 * size, 2 * size), (DIGITS,))


# Speech.


def probabilities(sounds: Array) -> Array:
    """For recordings (n, samples), how sure the detector is of speech in each of their pieces: (pieces, n).

    The state goes from piece to piece, in the format of the arithmetic.
    """
    net = model(VOICE)
    count = sounds.shape[1] // _CHUNK
    state = np.zeros((2, len(sounds), 128), np.float32)
    shown = np.pad(sounds, ((0, 0), (_PAST, 0))).astype(np.float32)
    out = []
    for i in range(count):
        piece = shown[:, i * _CHUNK : (i + 1) * _CHUNK + _PAST]
        sure, state = net.run(None, {"input": piece, "state": state, "sr": np.array(16000)})
        state = state.astype(np.float32)  # of which every half is a number
        out.append(sure[:, 0].astype(np.float64))
    return np.stack(out)


def noisy(sound: Array, decibels: tuple[float, ...] = (np.inf, 10.0, 0.0)) -> Array:
    """A recording from -1 to 1, once for each ratio of its power to that of white noise added."""
    noise = np.random.default_rng(0).normal(size=len(sound)) * np.sqrt(np.mean(sound**2))
    return np.stack([sound + noise * 10 ** (-db / 20) for db in decibels])


def _voice(small: bool) -> Part:
    sounds = noisy(speech(None)[: _CHUNK * (4 if small else 40)] / 32768)
    outs = results(lambda: probabilities(sounds), ("fp32", *FORMATS))
    right = outs.pop("fp32")
    sure = {word: out > SURE for word, out in outs.items()}
    rows = [
        *told(Said("speech or not (silero-vad), with noise of 0, 1/10 and 1 of its power: as in float32",
                   "是否话音（silero-vad），加入功率为 0、1/10 和 1 倍的噪声：与 float32 相同"), AGREEMENT, 0.99, sure, right > SURE),
        *told(Said("the probability of speech, 0 to 1", "话音概率，0 到 1"), off("", ""), 0.05, outs, right),
    ]  # fmt: skip
    piece = sounds[:1, : _CHUNK + _PAST].astype(np.float32)
    found = audited(VOICE, {"input": piece, "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000)})
    rows.append(verdict(Said("silero-vad", "silero-vad"), found))
    return Part(rows, weights(Said("silero-vad", "silero-vad"), found.bytes, found.bytes_mixed), (VOICE, SPEECH))


# Text.


@cache
def page(lines: tuple[str, ...] = LINES) -> Array:
    """Lines of text, black on white, each 48 pixels tall: (48 * lines, a multiple of 32) from 0 to 1."""
    font = FONT.path()
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ModuleNotFoundError("text: Pillow is missing; it comes with: pip install 'halfsim[gallery]'") from None
    type_ = ImageFont.truetype(str(font), 30)
    wide = -(-int(max(map(type_.getlength, lines)) + 20) // 32) * 32
    paper = Image.new("L", (wide, _TALL * len(lines)), 255)
    pen = ImageDraw.Draw(paper)
    for i, line in enumerate(lines):
        pen.text((10, _TALL * i + _TALL // 2), line, fill=0, font=type_, anchor="lm")
    return np.asarray(paper, np.float64) / 255


def seen(pixels: Array) -> Array:
    """Pixels as both networks take them: three planes from -1 to 1."""
    return np.repeat((pixels * 2 - 1)[..., None, :, :], 3, -3).astype(np.float32)


@cache
def alphabet() -> tuple[str, ...]:
    """The characters that the reader knows, in the order of its scores, as its file lists them; the first is none."""
    from halfsim.onnx.reading import read

    listed = next(one.value for one in read(READER.path()).metadata_props if one.key == "character")
    return ("", *listed.splitlines(), " ")


def _codes(lines: Any) -> Array:
    longest = 2 * max(map(len, LINES))
    return np.array([[ord(c) for c in line[:longest]] + [0] * (longest - len(line)) for line in lines])


def read_lines(lines: tuple[str, ...] = LINES) -> Array:
    """What the reader makes of the page's lines, as codes of characters: the best at each place, doubles once."""
    images = seen(page(lines).reshape(len(lines), _TALL, -1))
    best = model(READER).run(None, {"x": images})[0].astype(np.float64).argmax(-1)
    known = alphabet()
    told = ("".join(known[k] for j, k in enumerate(row) if k and (j == 0 or k != row[j - 1])) for row in best)
    return _codes(line.strip() for line in told)


def found_text(lines: tuple[str, ...] = LINES) -> Array:
    """Where on the page the finder is sure of text: (height, width), 1 or 0."""
    score = model(FINDER).run(None, {"x": seen(page(lines))[None]})[0][0, 0]
    return (score.astype(np.float64) > TEXT).astype(np.float64)


def _reader(small: bool) -> Part:
    lines = FEW if small else LINES
    outs = results(partial(read_lines, lines), ("fp32", "fp16", "bf16"))
    right = outs.pop("fp32")
    good = CHARACTERS.of(right, _codes(lines))
    rows = [
        *told(Said(f"reading {len(lines)} lines (PP-OCRv4); float32: {percent(good)}", f"识别 {len(lines)} 行文字（PP-OCRv4）；float32：{percent(good)}"),
              CHARACTERS, good - 0.01, outs, _codes(lines)),
        *told(Said("the same characters as in float32", "与 float32 相同的字符"), SAME_CHARACTERS, 0.98, outs, right),
    ]  # fmt: skip
    found = audited(READER, {"x": seen(page(lines)[None, :_TALL])})
    words = Said("PP-OCRv4 reader", "PP-OCRv4 识别")
    return Part([*rows, verdict(words, found)], weights(words, found.bytes, found.bytes_mixed), (READER, FONT))


def _finder(small: bool) -> Part:
    lines = FEW if small else LINES
    find = partial(found_text, lines)
    wide = under("fp32", find)
    found = audited(FINDER, {"x": seen(page(lines))[None]})
    name = Said("finding text (PP-OCRv4)", "检测文字位置（PP-OCRv4）")

    def where(out: Array, right: Array) -> Said:
        if out.any():
            return broken(found)
        one = broken(found)
        return Said(f"no text is found; {one.en}", f"找不到任何文字；{one.zh}")

    rows = measured([
        Case(name, find, OVERLAP, 0.95, (Fix(kept(found), precision=found.policy),), where, ("fp16", "bf16"),
             right=lambda: wide),
    ])  # fmt: skip
    words = Said("PP-OCRv4 finder", "PP-OCRv4 检测")
    masks = [wide, *(under(rule, find) for rule in ("fp16", found.policy))]
    names = (
        Said("float32", "float32"),
        Said("float16", "float16"),
        Said("float16, one tensor in float32", "float16，一个张量用 float32"),
    )
    picture = Picture(
        "text", Said("Where the network finds text (orange). In half it finds none, without an error or a NaN.",
                     "网络找到文字的位置（橙色）。用半精度时什么也找不到，既无报错也无 NaN。"),
        tuple(zip(names, (_marked(page(lines), mask) for mask in masks), strict=True)),
    )  # fmt: skip
    return Part(
        [*rows, verdict(words, found)], weights(words, found.bytes, found.bytes_mixed), (FINDER, FONT), (picture,)
    )


def _marked(paper: Array, mask: Array) -> Array:
    """The page, in orange where text was found."""
    ink = np.repeat(paper[..., None], 3, -1)
    colour = np.where(mask[..., None] > 0, np.array([1.0, 0.62, 0.1]), 1.0)
    return np.round(255 * ink * colour).astype(np.uint8)


PARTS: tuple[Callable[[bool], Part], ...] = (_digits, _voice, _reader, _finder)


def _parts(small: bool, missing: list[str]) -> Iterator[Part]:
    for part in PARTS:
        try:
            yield part(small)
        except ModuleNotFoundError as error:
            missing.append(str(error))


def application(small: bool, lang: str) -> Application:
    """Measured on all test digits, four lines of text and 1.3 seconds of speech, or with ``small`` on less."""
    missing: list[str] = []
    parts = [*_parts(small, missing)]
    rows = [row for part in parts for row in part.rows]
    models = 1 + sum(row.measure is OUTPUTS for row in rows)
    bad = [row for row in rows if row.precision == "fp16" and row.measure is OUTPUTS and not row.fine]
    digit = next(row for row in rows if row.measure is AGREEMENT and row.precision == "fp16")

    def name(row: Row) -> Said:
        return Said(row.operation.en.split(":")[0], row.operation.zh.split("：")[0])

    summary = Said(
        f"{models - len(bad)} of {counted(models, 'trained model')} give in half what they give in float32, with half the bytes "
        f"(digits: {digit.measure.shown(digit.value)} of the answers are the same)."
        + "".join(f" {name(row).en} goes wrong without a word: {row.where.en}. With {row.fix.en}, it works." for row in bad),
        f"{models} 个训练好的模型中，{models - len(bad)} 个在半精度下与 float32 结果一致（数字：{digit.measure.shown(digit.value)} "
        "的答案相同），字节减半。"
        + "".join(f"{name(row).zh}无声地失效：{row.where.zh}。{row.fix.zh}即可。" for row in bad),
    )  # fmt: skip
    return Application(
        "inference", TITLE, summary, rows, [fact for part in parts for fact in part.facts],
        [picture for part in parts for picture in part.pictures],
        [*dict.fromkeys(source for part in parts for source in part.sources)], [*dict.fromkeys(missing)], lang,
    )  # fmt: skip
