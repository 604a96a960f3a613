"""What the gallery's pages say around the cases, in English and Chinese."""

from __future__ import annotations

_ZH = {
    # Headings and labels.
    "what happened": "实际结果", "reference": "正确结果", "fixed": "修复后", "place": "位置", "code": "代码", "why": "原因",
    "what the tool found": "工具的诊断", "fix": "修复", "symptom": "现象", "layer": "层", "message": "报错信息",
    "class": "类别", "phase": "阶段", "operation": "运算", "year": "年份", "name": "名称", "case": "案例", "search": "搜索",
    "thread": "讨论", "all classes": "所有类别", "all phases": "所有阶段", "all symptoms": "所有现象",
    "the fixed code": "修复后的代码", "of the result's norm is left": "的误差（相对于结果的范数）仍在",
    "the policy, applied as printed": "照上面的策略运行", "the option, applied as printed": "照上面的选项运行",
    "typed in by hand": "手工修改代码",
    "The thread does not state the mechanism; it is inferred.": "讨论中没有说明机理，这里的解释是推断。",
    "Real precision bugs": "真实的精度缺陷",
    "Symptom, layer, message, operation": "现象、层、报错信息、运算", "cases": "个案例", "no case": "没有案例",
    # Classes.
    "overflow": "上溢", "clipped": "截断", "underflow": "下溢", "swamping": "大数吃小数", "cancellation": "相消",
    "eps lost": "eps 丢失", "constant changed": "常数变了", "integer rounding": "整数被舍入", "NaN propagation": "NaN 传播",
    "scaler": "损失缩放", "accumulation order": "累加次序", "benign rounding": "无害的舍入",
    # Phases.
    "forward": "前向", "backward": "反向", "optimizer": "优化器",
}  # fmt: skip


def said(text: str, lang: str = "en") -> str:
    """A label in a language; what has no translation stays as it is.

    >>> said("overflow", "zh"), said("overflow")
    ('上溢', 'overflow')
    """
    return _ZH.get(text, text) if lang == "zh" else text
