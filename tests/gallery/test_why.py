"""What people ask of float16: every question is answered, every number is what others say too, in both languages."""

from __future__ import annotations

import json
import re
import shlex
import string
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import halfsim as hs
from halfsim.cli.commands import COMMANDS
from halfsim.cli.parser import Parser
from halfsim.gallery.languages import LANGUAGES
from halfsim.gallery.questions import compared, in_runs, on_devices
from halfsim.gallery.questions.answers import QUESTIONS, VERDICTS
from halfsim.gallery.questions.texts import texts
from halfsim.hardware import device, devices
from halfsim.text import cells
from tests.browser import needs_chromium, visit
from tests.cli.calling import called, refusal
from tests.gallery.why import DOCS, PAGES, page

CLAIMS = {claim.name: claim for claims in QUESTIONS.values() for claim in claims}

# The questions as they are asked, and under each what is said, with the claim that answers it.
ASKED = {
    "为什么要在深度学习中使用float16数据类型": {
        "性能提升": "traffic", "硬件支持": "tensor_cores", "模型训练": "larger", "嵌入式和移动设备": "embedded",
        "低精度要求": "classified",
    },
    "float16和float32比较，优势和缺点是什么": {
        "内存效率": "widths", "计算速度": "vector_rates", "精度损失": "digits", "数值不稳定性": "reach",
        "高精度": "wide_too", "数值稳定性": "wide_too", "内存占用": "widths", "计算速度较慢": "slower",
    },
    "float16的应用场景？": {
        "深度学习推理": "inference", "嵌入式和移动设备": "embedded", "游戏开发": "positions",
        "图像和音频处理": "pictures_and_sound", "大规模数据分析": "tables", "物联网（IoT）应用": "sensors",
        "在训练中使用 float32，而在推理中使用 float16": "mixed",
    },
    "float16在神经网络计算中的应用？": {
        "主要用于深度学习推理": "training_too", "深度学习推理": "inference", "硬件加速": "cores",
        "嵌入式和移动设备": "embedded", "快速原型开发": "prototypes", "模型部署": "servers",
        "将模型的权重和输入数据转换为 float16": "converted",
    },
    "目前有什么cpu和gpu支持float16数据类型": {
        "NVIDIA GPU": "nvidia", "AMD GPU": "amd", "Intel CPU": "intel", "": "others",
    },
    "float16的运算和float32的运算谁更快一些，为什么": {
        "在一般情况下": "in_general", "数据大小": "bandwidth", "计算密度": "density", "硬件支持": "hardware",
        "能源效率": "energy",
    },
    "float16在深度学习训练中会出现什么问题": {
        "精度损失": "mantissa", "梯度爆炸和梯度消失": "vanishing", "数值不稳定性": "overflowed",
        "数值误差累积": "depth", "模型性能下降": "accuracy", "硬件支持需求": "without_support", "": "lost",
    },
    "如何解决以上问题": {
        "梯度截断": "clipping", "激活函数的选择": "activation", "权重初始化": "initialisation",
        "小学习率": "smaller_rate", "混合精度训练": "scaled", "数值稳定性技巧": "steady", "检查点保存": "saved",
        "硬件支持": "accumulators", "模型架构调整": "larger_network", "": "left_out",
    },
    "梯度截断是什么": {
        "限制梯度值的范围": "by_norm", "步骤 1": "shapes", "步骤 2": "norms", "步骤 3": "formula",
        "截断阈值设置得太小": "too_small", "循环神经网络（RNN）": "recurrent",
    },
}  # fmt: skip


def numbers(name: str) -> dict[str, Any]:
    return next(a.numbers for n in QUESTIONS for a in hs.gallery.why(n).answers if a.name == name)


# ---- every question --------------------------------------------------------------------------------------------------


def test_every_question_and_everything_said_under_it_is_answered() -> None:
    assert len(ASKED) == len(QUESTIONS) == 9
    assert {name for said in ASKED.values() for name in said.values()} == CLAIMS.keys()
    for n, (question, said) in enumerate(ASKED.items(), 1):
        for lang in LANGUAGES:
            found = hs.gallery.why(question, lang)
            assert found.question == n, question
            assert re.search(r"\d", found.short(n))
            own = {a.name for a in found.answers}
            assert own == {claim.name for claim in QUESTIONS[n]}
            elsewhere = {*said.values()} - own
            assert elsewhere <= {"embedded", "inference"}  # said again, and answered where it was said first
            assert all(re.search(r"\d", a.text) and a.verdict in VERDICTS for a in found.answers)


def test_each_claim_stands_once_under_its_question() -> None:
    assert len(CLAIMS) == sum(map(len, QUESTIONS.values()))
    for lang in LANGUAGES:
        for n, claims in QUESTIONS.items():
            words = texts(lang)[str(n)]
            assert [*words] == ["question", "short", *(claim.name for claim in claims)]


@pytest.mark.parametrize(
    ("words", "n"),
    [("6", 6), (" 9 ", 9), ("who is faster", 6), ("谁更快", 6), ("gradient clipping", 9), ("梯度截断是什么", 9),
     ("Cooper Lake", 5), ("learning rate", 8), ("loss scaling", 8), ("RNN", 9), ("energy", 6),
     ("significant digits", 2), ("physics", 3), ("deploy server", 4), ("overflow", 7), ("能源", 6), ("学习率", 8)],
)  # fmt: skip
def test_a_question_is_found_by_its_words(words: str, n: int) -> None:
    assert hs.gallery.why(words).question == n


def test_careless_questions_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="question: 'xyzzy' is not allowed; allowed: 1, 2"):
        hs.gallery.why("xyzzy")
    for wrong in (0, 10, -1, "12", "", "?"):
        with pytest.raises(ValueError, match="question: "):
            hs.gallery.why(wrong)
    with pytest.raises(ValueError, match="lang: 'fr' is not allowed; allowed: en, zh"):
        hs.gallery.why(lang="fr")
    with pytest.raises(TypeError, match=r"question: \[6\] is not allowed"):
        hs.gallery.why([6])
    assert "QUESTION: 'xyzzy' is not allowed" in refusal(["why", "xyzzy"], capsys)
    assert "--lang: 'fr' is not allowed; allowed: en, zh" in refusal(["why", "--lang", "fr"], capsys)


def commands() -> dict[str, list[str]]:
    """Every command that a claim or a page of the gallery's rooms shows, and where."""
    found: dict[str, list[str]] = {}
    for claim in CLAIMS.values():
        if claim.command:
            found.setdefault(claim.command, []).append(claim.name)
    for path in sorted(DOCS.glob("*.md")):
        if path.name.split(".")[0] in ("why", "remedies", "gallery", "applications", "uses"):
            text = path.read_text(encoding="utf-8")
            shown = [*re.findall(r"`(halfsim [^`]*)`", text), *re.findall(r"(?m)^\$? ?(halfsim [a-z].*)$", text)]
            for command in shown:
                before, *others = command.split("|")  # "halfsim applications image|audio": two of them
                for each in (before, *(f"{before.rpartition(' ')[0]} {name}" for name in others)):
                    found.setdefault(each, []).append(path.name)
    return found


@pytest.mark.parametrize("command", commands())
def test_a_command_that_is_shown_is_one(command: str) -> None:
    halfsim, name, *words = shlex.split(command, comments=True)
    assert halfsim == "halfsim"
    parser = Parser(name)
    COMMANDS[name].options(parser)
    parser.parse_args(words)


def test_commands_are_looked_for_where_they_stand() -> None:
    found = commands()
    assert len(found) > 20
    assert {"why.md", "why.zh-CN.md", "remedies.md", "remedies.zh-CN.md"} <= {p for ps in found.values() for p in ps}


# ---- both languages --------------------------------------------------------------------------------------------------


def fields(template: str) -> list[tuple[str, str]]:
    return sorted((name, spec or "") for _, name, spec, _ in string.Formatter().parse(template) if name)


def templates(lang: str) -> dict[str, str]:
    found = {}
    for section, words in texts(lang).items():
        for key, value in words.items():
            entries = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{section}.{key}.{part}": text for part, text in entries if isinstance(text, str)}
    return found


def test_both_languages_say_the_same_numbers() -> None:
    english, chinese = templates("en"), templates("zh")
    assert english.keys() == chinese.keys()
    for key, template in english.items():
        assert fields(template) == fields(chinese[key]), key
    for key, head in texts("en").items():
        if "head" in head:
            assert len(head["head"]) == len(texts("zh")[key]["head"]) or isinstance(head["head"], str)


# What is no number but a name, or the numeral of a question, a paper's year, or what a claim itself says.
NAMES = (
    r"b?float(16|32|64)|[bf]p?f?(16|32)|AVX512-FP16|AVX-512|F16C|Armv8\.2|MI200|MI300X|RX 7900 XTX|[VPAH]100|T[45]|A2"
    r"|Cortex-[AM]\d+F?|45 nm|L2|1 MB|16 位|questions? \d( and \d)?|问题 \d(、\d)?|步骤 \d|Step \d|2013|2018"
    r"|\+ 1\b|\b1 \+|1 unit|weight of 1|Below 1\b|after 1\b|from 1 to|1/\{"
    r"|1 等于|1 与|值为 1|小于 1|累加 1|个 1|1 个单位"
)
SAID = {"2.digits": "37", "7.mantissa": "1023", "2.widths": "24", "words.hint": "666"}  # digits that claims have


def test_no_number_is_typed_in() -> None:
    typed = []
    for lang in LANGUAGES:
        for key, template in templates(lang).items():
            left = re.sub(NAMES, "", re.sub(r"\{[^}]*\}", "", template.replace("1/{", "{")))
            said = SAID.get(key.rpartition(".")[0], "") + SAID.get(key.rstrip("."), "")
            typed += [(lang, key, left)] if {*re.findall(r"\d", left)} - {*said} else []
    assert typed == []


def test_every_number_that_is_computed_is_told() -> None:
    unused: dict[str, set[str]] = {}
    for n, claims in QUESTIONS.items():
        shorts = "".join(texts("en")[str(k)]["short"] for k in QUESTIONS)
        for claim in claims:
            used = {name for name, _ in fields(texts("en")[str(n)][claim.name]["answer"])}
            used |= {*re.findall(rf"{{{claim.name}\[(\w+)\]", shorts)}
            unused |= {claim.name: numbers(claim.name).keys() ^ used} if numbers(claim.name).keys() ^ used else {}
    assert unused == {}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_is_what_the_command_prints(lang: str) -> None:
    assert PAGES[lang].read_text(encoding="utf-8") == page(lang), "python -m tests.gallery.why --write makes it anew"


# ---- numbers, against what others say --------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", compared.FORMATS, ids=str)
def test_formats_are_as_numpy_and_ml_dtypes_have_them(fmt: hs.Format) -> None:
    found = compared.traits(fmt)
    info = ml_dtypes.finfo(ml_dtypes.bfloat16) if fmt == hs.bfloat16 else np.finfo(fmt.name)
    assert (found.bits, found.exponent, found.stored) == (info.bits, info.nexp, info.nmant)
    assert (found.eps, found.max) == (float(info.eps), float(info.max))
    assert found.smallest_normal == float(info.smallest_normal)
    assert found.smallest_subnormal == float(info.smallest_subnormal)
    assert (found.kept, found.precision, found.bytes) == (info.precision, info.nmant + 1, info.bits // 8)
    kind = ml_dtypes.bfloat16 if fmt == hs.bfloat16 else np.dtype(fmt.name).type
    with np.errstate(over="ignore"):
        assert np.isinf(kind(found.overflow))
        assert not np.isinf(kind(np.nextafter(np.float32(found.overflow), np.float32(0))))
    assert float(kind(found.whole)) == found.whole
    assert float(kind(found.whole - 1)) == found.whole - 1
    assert float(kind(found.whole + 1)) != found.whole + 1


@pytest.mark.parametrize(("kind", "fmt"), [(np.float16, hs.float16), (ml_dtypes.bfloat16, hs.bfloat16)])
def test_decimal_digits_by_trying_all(kind: Any, fmt: hs.Format) -> None:
    found = compared.traits(fmt)
    with np.errstate(invalid="ignore"):  # signalling NaN are among them
        values = np.arange(1 << 15, dtype=np.uint16).view(kind).astype(np.float64)
    values = values[np.isfinite(values) & (values >= fmt.smallest_normal)]
    for digits in (found.needed, found.needed - 1):  # one fewer is too few
        back = np.array([f"{x:.{digits - 1}e}" for x in values]).astype(np.float64)
        with np.errstate(over="ignore"):
            assert (back.astype(kind).astype(np.float64) == values).all() == (digits == found.needed)
    for digits in (found.kept, found.kept + 1):
        decimals = [f"{m}e{e}" for e in range(-5, 3) for m in range(10 ** (digits - 1), 10**digits)]
        decimals = [d for d in decimals if fmt.smallest_normal <= float(d) <= fmt.max]
        read = np.array(decimals, np.float64).astype(kind).astype(np.float64)
        same = [f"{a:.{digits - 1}e}" == f"{float(d):.{digits - 1}e}" for a, d in zip(read, decimals, strict=True)]
        assert all(same) == (digits == found.kept)


def test_devices_are_those_of_the_catalogue() -> None:
    makers = {device(name).vendor for name in compared.DEVICES}
    assert {"NVIDIA", "AMD", "Intel", "Arm", "Apple"} <= makers
    for name in compared.DEVICES:
        row, d = compared.speed(name), device(name)
        peaks = {key: figure.value for key, figure in d.peaks.items()}
        best = max((peaks[k] for k in ("fp16 matrix", "fp16") if k in peaks), default=None)
        wide = max(peaks[k] for k in ("fp32 matrix", "fp32") if k in peaks)
        assert row.gain == pytest.approx(1.0 if best is None else best / wide)
        assert (row.float16 == "convert") == (best is None)
        for recipe, times in row.times.items():
            bills = hs.cost("cnn", 128, name, recipes=("fp32", recipe)).training
            assert times == bills["fp32"].total.seconds / bills[recipe].total.seconds
    for source in compared.documents():
        assert ", " in source


def test_lists_of_devices_are_those_of_the_catalogue() -> None:
    converts = [d.name for d in devices() if d.support.get("fp16") == "convert"]
    assert numbers("slower")["none"] == numbers("in_general")["not"] == numbers("hardware")["converts"] == converts
    assert {"Xeon Ice Lake", "Xeon Cooper Lake"} <= {*converts}
    assert numbers("intel")["converts"] == ["Xeon Ice Lake", "Xeon Cooper Lake"]
    assert numbers("intel")["first"] == "Xeon Sapphire Rapids"
    assert "avx512_fp16" in device("Sapphire Rapids").units
    assert "AVX512-FP16 came with Sapphire Rapids" in device("Ice Lake").note
    assert numbers("others")["none"] == [d.name for d in devices() if "fp16" not in d.support]
    found = numbers("vector_rates")["same"]
    assert "RTX 4090" in found
    assert not {"A100", "P100", "V100", "RTX 2080 Ti"} & {*found}
    assert numbers("cores")["count"] == sum({"fp16 matrix", "fp32"} <= d.peaks.keys() for d in devices())
    assert numbers("nvidia")["count"] == sum(d.vendor == "NVIDIA" for d in devices())
    assert numbers("servers")["cards_wide"] == 4
    assert 3 * device("A100").memory.value < 280 <= 4 * device("A100").memory.value


def test_small_runs_by_numpy_alone() -> None:
    half = np.float16
    now, frame, frames = half(0), half(1 / 60), 0
    while now + frame != now:
        now, frames = now + frame, frames + 1
    assert numbers("positions") | {"stuck": float(now), "frames": frames} == numbers("positions")
    with np.errstate(over="ignore", under="ignore"):
        for name, factor, stop in (("recurrent", 1.2, np.inf), ("activation", 0.25, 0.0)):
            kinds = {"half": half, "wide": np.float32, "brain": ml_dtypes.bfloat16}
            for key, kind in ((key, kind) for key, kind in kinds.items() if key in numbers(name)):
                value, n = kind(1), 0
                while float(value) != stop:
                    value, n = kind(float(value) * factor), n + 1
                assert numbers(name)[key] == n
        w = half(1)
        for _ in range(1000):
            w = w + half(1e-4)
        assert numbers("left_out")["plain"] == float(w) == 1.0
        master = np.float32(1)
        for _ in range(1000):
            master = master + np.float32(1e-4)
        assert numbers("left_out")["master"] == float(half(master))
        assert np.isinf(half(60000) * half(60000))
        assert numbers("reach")["becomes"] == float(half(1e-8)) == 0.0
        assert float(half(numbers("reach")["zero"])) == 0.0
        assert float(half(np.nextafter(numbers("reach")["zero"], 1))) > 0
    tone = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)
    noise = tone.astype(half).astype(np.float64) - tone
    assert numbers("pictures_and_sound")["tone_half"] == pytest.approx(
        10 * np.log10((tone**2).sum() / (noise**2).sum())
    )


def test_verdicts_rest_on_their_numbers() -> None:
    rate = numbers("smaller_rate")
    assert rate["lost"] < rate["lost_tenth"] < rate["lost_hundredth"]
    gradients = numbers("vanishing")
    assert gradients["half"] > 10 * gradients["scaled"] > gradients["brain"] == 0
    assert gradients["p_brain"] < gradients["p_half"]
    assert np.isnan(numbers("overflowed")["infinite"])
    assert numbers("overflowed")["beside"] == 0
    larger = numbers("larger_network")
    assert larger["error_long"] > 100 * larger["error_short"]
    assert numbers("larger")["small"] > 1
    assert numbers("traffic")["flops"] == 1
    sums = numbers("accumulators")
    assert sums["P100"] > 100 * sums["V100"] > 100 * sums["H100"] / 10
    assert numbers("prototypes")["weight"] == -np.inf
    depth = numbers("depth")
    assert 0.5 * depth["layers"] ** 0.5 < depth["times"] < 2 * depth["layers"] ** 0.5


def test_numbers_are_the_same_in_every_scope_and_leave_no_trace() -> None:
    names = [claim.name for claim in QUESTIONS[9]]
    alone = {name: numbers(name) for name in names}
    hs.gallery.questions.result._computed.cache_clear()
    hs.manual_seed(3)
    first = hs.get_rng_state()
    with hs.precision("fp64", override=True), hs.trace() as t:
        again = {name: numbers(name) for name in names}
    assert str(again) == str(alone)
    assert t.first() is None
    assert (np.asarray(hs.get_rng_state()) == np.asarray(first)).all()


# ---- text, page, JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80, 100])
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("asked", [[], ["9"], ["all"]], ids=str)
def test_it_fits_the_terminal(
    asked: list[str], lang: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = called(["why", "--lang", lang, *asked], capsys)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if "halfsim" not in line]  # a command stays whole
    assert max(map(cells, lines)) <= columns
    assert not any(re.match(r"\s*[，。、；：）]", line) for line in lines)


def test_json_has_everything(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "why.html"
    code, out, _ = called(["why", "--json", "--html", str(path)], capsys)
    facts = json.loads(out)
    assert code == 0
    assert [q["number"] for q in facts["questions"]] == [*QUESTIONS]
    assert {c["name"] for q in facts["questions"] for c in q["claims"]} == CLAIMS.keys()
    assert facts["compared"]["formats"][0]["max"] == 65504
    assert len(facts["compared"]["devices"]["rows"]) == len(compared.DEVICES)
    assert facts["questions"][2]["claims"][3]["numbers"]["total"] == "inf"
    html = path.read_text(encoding="utf-8")
    assert '<html lang="en">' in html
    assert "src=" not in html
    for answer in hs.gallery.why("all").answers:
        assert answer.name in CLAIMS
    assert facts["questions"] == json.loads(hs.gallery.why("all").to_json())["questions"]


def test_the_table_has_a_line_a_claim() -> None:
    rows = hs.gallery.why(5).table()
    assert rows[0] == ("question", "name", "claim", "verdict", "answer")
    assert [row[1] for row in rows[1:]] == [claim.name for claim in QUESTIONS[5]]
    assert "wrong" in rows[3]
    assert len(hs.gallery.why().table()) == len(CLAIMS) + 1


def test_a_notebook_shows_it_in_the_language(tmp_path: Path) -> None:
    found = hs.gallery.why(5, lang="zh")
    assert "错误" in found._repr_html_()
    found.to_html(tmp_path / "why.html")
    assert '<html lang="zh-CN">' in (tmp_path / "why.html").read_text(encoding="utf-8")
    assert hs.gallery.__dir__().count("why") == 1


@needs_chromium
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_is_read_at_any_width_and_in_the_dark(lang: str, tmp_path: Path) -> None:
    probe = """
      const paint = (name) => getComputedStyle(document.querySelector(name)).color;
      return { total: document.documentElement.scrollWidth, visible: innerWidth,
               paper: getComputedStyle(document.body).backgroundColor, wrong: paint('.verdict.wrong'),
               right: paint('.verdict.right'), tables: document.querySelectorAll('table').length };"""
    html, papers = hs.gallery.why("all", lang).page(), set()
    for width, dark in ((360, False), (1280, True)):
        found, said = visit(html, probe, tmp_path, width, dark)
        assert said == []
        assert found["total"] <= found["visible"] == width
        assert found["wrong"] != found["right"]
        assert found["tables"] == 5
        papers.add(found["paper"])
    assert len(papers) == 2


def test_modules_compute_and_hold_no_words() -> None:
    for module in (on_devices, in_runs):
        functions = {name for name, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__}
        assert {name for name in functions if name[0].islower()} <= CLAIMS.keys()
