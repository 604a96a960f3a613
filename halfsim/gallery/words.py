"""What the gallery's pages say around the cases, in English and Chinese."""

from __future__ import annotations

_ZH = {
    # Headings and labels.
    "what happened": "实际结果", "reference": "正确结果", "fixed": "修复后", "place": "位置", "code": "代码", "why": "原因",
    "what the tool found": "工具的诊断（英文原文）", "the usual fix": "常用的修复（英文原文）", "printed": "输出",
    "symptom": "现象", "layer": "层", "message": "报错信息或搜索词", "class": "类别", "phase": "阶段", "operation": "运算",
    "case": "案例", "cases": "案例", "the numbers": "数值", "the fixed code": "修复后的代码",
    "{label}: {text}": "{label}：{text}",
    "{how}; {left} of the result's norm is left.": "{how}；剩下的误差是结果范数的 {left}。",
    "{how}; no error is left.": "{how}；没有剩下误差。",
    "the policy, applied as printed": "照上面的策略运行", "the option, applied as printed": "照上面的选项运行",
    "typed in by hand": "手工修改代码",
    "The thread does not state the mechanism; it is inferred.": "讨论中没有说明机理，这里的解释是推断。",
    # The list and the page of all.
    "Real precision bugs": "真实的精度缺陷",
    "{n} bugs that were reported in public threads, each rebuilt and run: as it happened, as it should have been, and "
    "mended. All numbers were computed for this page.":
        "公开讨论中报告过的 {n} 个缺陷，逐一重现并运行：实际结果、正确结果和修复后的结果。所有数值都是为本页计算的。",
    "What do you see?": "您看到了什么现象？", "loss is NaN, Adam, overflow encountered": "损失是 NaN、Adam、准确率下降",
    "layer or operation": "层或运算", "all": "全部", "clear": "清除",
    "{n} of {all} cases": "{all} 个案例中的 {n} 个", "{n} cases.": "{n} 个案例。", "1 case.": "1 个案例。",
    "No case has all of these words; these have most of them.": "没有案例包含全部这些词；以下案例包含得最多。",
    "No case. Fewer words, or another filter?": "没有案例。减少几个词，或换一个筛选条件？",
    "An OCR model that went blind has a page of its own: {names}.": "失明的 OCR 模型另有专页：{names}。",
    "halfsim gallery NAME runs one, --search WORDS finds it by its symptom, --html PATH writes a page of all.":
        "halfsim gallery NAME --lang zh 运行一个案例，--search 按现象查找，--html PATH 把全部写成一页。",
    "Red: off by more than a hundredth of the largest number; the line is where it should end.":
        "红色：误差超过最大数值的百分之一；横线是它应到的高度。",
    "The cases": "全部案例", "by symptom": "按现象", "by class": "按类别", "by phase": "按阶段",
    # Classes.
    "overflow": "上溢", "clipped": "截断", "underflow": "下溢", "swamping": "大数吃小数", "cancellation": "相消",
    "eps lost": "eps 丢失", "constant changed": "常数变了", "integer rounding": "整数被舍入", "NaN propagation": "NaN 传播",
    "scaler": "损失缩放", "accumulation order": "累加次序", "benign rounding": "无害的舍入",
    # Phases.
    "forward": "前向", "backward": "反向", "optimizer": "优化器",
    # What is seen.
    "infinity": "无穷大", "zeros": "全零", "no change": "不动", "wrong numbers": "数值不对", "an error": "报错",
}  # fmt: skip


def said(text: str, lang: str = "en", /, **fields: object) -> str:
    """A label in a language, its fields in braces filled; what has no translation stays as it is.

    >>> said("overflow", "zh"), said("overflow"), said("{n} cases.", n=3)
    ('上溢', 'overflow', '3 cases.')
    """
    found = _ZH.get(text, text) if lang == "zh" else text
    return found.format(**fields) if fields else found


def labelled(label: str, text: str, lang: str = "en") -> str:
    """A label and what it labels.

    >>> labelled("symptom", "NaN"), labelled("symptom", "NaN", "zh")
    ('symptom: NaN', '现象：NaN')
    """
    return said("{label}: {text}", lang, label=said(label, lang), text=text)
