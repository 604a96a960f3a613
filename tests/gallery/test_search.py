"""A reader with a symptom finds the case, in the words of a stranger, in English and in Chinese."""

from __future__ import annotations

import pytest

import halfsim as hs
from halfsim.gallery.languages import LANGUAGES
from halfsim.text import cells
from tests.cli.calling import called, refusal

# What a stranger types, and a case that must be among the first of what is found.
TYPED = {
    "loss is NaN": "dice-loss", "Adam": "adam-eps", "softmax": "softmax-by-hand", "accuracy stuck": "lost-updates",
    "RuntimeWarning: overflow encountered in reduce": "nanmean", "black image": "black-image",
    "weights don't change": "lost-updates", "loss doesn't decrease": "clip-before-unscale",
    "Gradient overflow. Skipping step": "scale-to-zero", "loss scale keeps decreasing": "scale-to-zero",
    "layer norm nan": "layer-norm-eps", "LayerNorm returns nan": "layer-norm-eps", "mean is inf": "mean-overflow",
    "value cannot be converted to type at::Half without overflow: -1e+08": "mask-minus-1e8",
    "batch norm nan": "bessel", "dropout": "mt5-dropout", "infinite loop": "arange-loop", "pandas": "describe",
    "No inf checks were recorded for this optimizer.": "no-gradient", "nan after first step": "adam-eps",
    "divide by zero encountered in log": "log-of-softmax", "all zeros": "rms-norm", "fp8 nan": "fp8-cast",
    "gradient vanishes": "norm3-gradient", "weight decay does nothing": "no-decay", "B36": "adam-eps",
    "损失是NaN": "dice-loss", "权重不更新": "lost-updates", "训练卡住": "lost-updates", "全零": "rms-norm",
    "输出全是零": "rms-norm",
}  # fmt: skip
FIRST = 8


@pytest.mark.parametrize(("typed", "name"), TYPED.items())
def test_a_symptom_is_found_in_a_strangers_words(typed: str, name: str) -> None:
    found = hs.gallery.list(search=typed)
    assert name in [case.name for case in found[:FIRST]]


def test_a_search_in_which_not_all_words_occur_says_so() -> None:
    assert not hs.gallery.list(search="softmax xyzzy").whole
    assert str(hs.gallery.list(search="softmax xyzzy")).startswith("No case has all of these words")
    assert hs.gallery.list(search="softmax").whole
    assert "".join(case.name for case in hs.gallery.list(search="xyzzy")) == ""
    assert len(hs.gallery.list(search=" the, is ")) == len(hs.gallery.list(search="")) == 77


def test_filters_and_words_narrow_together() -> None:
    found = hs.gallery.list(klass="eps lost", phase="optimizer", search="nan first step")
    assert [case.name for case in found] == ["adam-eps", "novograd"]
    for name, kind in (("klass", "scaler"), ("phase", "backward"), ("seen", "zeros")):
        kept = hs.gallery.list(**{name: kind})
        assert {case.name for case in kept} == {c.name for c in hs.gallery.list() if getattr(c, name) == kind} != set()
        with pytest.raises(ValueError, match=f"{name}: 'nothing' is not allowed"):
            hs.gallery.list(**{name: "nothing"})


@pytest.mark.parametrize("columns", [40, 80, 100])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_list_tells_every_symptom_whole(
    lang: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = called(["gallery", "--lang", lang], capsys)
    assert (code, err) == (0, "")
    assert max(map(cells, out.splitlines())) <= columns
    squeezed = "".join(out.split())
    for case in hs.gallery.list():
        assert "".join(case.told("symptom", lang).split()) in squeezed
        assert "".join(case.layer.split()) in squeezed
    assert "ocr-variance" in out


def test_the_command_narrows_and_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(["gallery", "--class", "accumulation order", "--phase", "forward"], capsys)
    assert code == 0
    assert "sum-order" in out
    assert "1 case." in out
    assert "--seen: 'nan' is not allowed; allowed: NaN, infinity" in refusal(["gallery", "--seen", "nan"], capsys)
    assert "--class: 'overflw' is not allowed" in refusal(["gallery", "--class", "overflw"], capsys)
    assert "by words of a symptom: --search WORDS" in refusal(["gallery", "loss is NaN"], capsys)
    assert "see docs/onnx_ocr.md" in refusal(["gallery", "ocr-variance"], capsys)
