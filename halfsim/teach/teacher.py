"""The teacher's page: the lessons' goals, times and usual mistakes, how to show slides, how to grade."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from halfsim.gallery.languages import language
from halfsim.teach.catalogue import Lesson, lessons

_FIELD = re.compile(r"\{.*?\}")  # of a hint, where the pupil's number stands
_WORDS = {
    "en": {
        "title": "Teaching with halfsim",
        "intro": "{n} lessons of 45 minutes on numbers of sixteen bits and fewer, for students who know Python and a "
        "little NumPy. Each asks a question, has the class note a prediction before the cell that answers it, runs, "
        "shows a picture, explains, and ends with exercises that the notebook checks itself.",
        "begin": "```sh\npip install 'halfsim[lessons]'\nhalfsim lessons\njupyter lab lessons/01_sixteen_bits.ipynb\n```",
        "beginning": "The notebooks need no network. `halfsim lessons --lang zh` writes them in Chinese; files that are "
        "there already stay as they are, unless `--force` is given. The folder `solutions` has each lesson with its "
        "exercises solved, and this page: keep it from the pupils until they have tried. No graphics card is needed: a lesson "
        "computes for seconds on a laptop.",
        "lessons": "The lessons",
        "head": "| | lesson | question | minutes | needs |\n| --- | --- | --- | --- | --- |",
        "order": "In which order",
        "ordered": "Lessons 1 to 3 come first, in this order; the others build on them. Lessons 5 to 9 and 11 are about neural "
        "networks, and take for known what a weight, a loss, a gradient and a learning rate are. Lessons 4, 10 and 12 can be "
        "taken by themselves after the third.",
        "class": "How a lesson goes",
        "going": "Before the class, run the notebook in `solutions` from top to bottom: it shows what each prediction comes to, and "
        "what the pictures look like. In class, let everybody change the `...` in `predict(\"name\", ...)` **before** the next cell is run: a class in "
        "which each pupil has a number to defend learns more from the surprise. `reveal` puts the number beside what "
        "happened, and from then on the prediction cannot be altered. A notebook whose blanks are open runs from top "
        "to bottom all the same, so nobody is stuck behind an exercise. `check` never raises: it says *right*, or what "
        "the answer's error looks like.",
        "slides": "Slides from the same notebooks",
        "sliding": "Every heading and every exercise begins a slide, and every piece of code waits for a click, so that the class can predict "
        "first. Run a notebook and make slides of it:\n\n```sh\njupyter nbconvert --execute --to slides "
        "--SlidesExporter.reveal_scroll=True lessons/solutions/01_sixteen_bits.ipynb\n```\n\nThe slides load reveal.js "
        "from a network; `--reveal-prefix` takes a copy of it in a folder.",
        "grading": "How to grade",
        "grades": "The last cell of a notebook, `score()`, counts the exercises that are right. Run a copy of what "
        "was handed in anew, so that what is counted is what the code does, and read its last line. It is other people's code: run it "
        "where it can do no harm.\n\n```sh\njupyter nbconvert "
        "--execute --allow-errors --to notebook --inplace handed_in/*.ipynb\n```\n\nPredictions are not graded: a wrong one that is "
        "explained afterwards is worth more than a right one. Right answers are computed in `halfsim/teach/exercises/`, "
        "and whoever reads them has read a program, not a number; ask in class for the reason.",
        "goals": "Goals", "plan": "Time", "mistakes": "What pupils get wrong", "exercises": "Exercises, and the errors that get a hint of their own",
        "minutes": "{n} min", "nothing": "NumPy alone", "other": "[中文](teaching.zh-CN.md)",
    },
    "zh": {
        "title": "用 halfsim 上课",
        "intro": "{n} 节课，每节 45 分钟，讲十六位和更短的数，面向会 Python、懂一点 NumPy 的学生。每节课先提一个问题，让全班在运行之前写下"
        "预测，然后运行、看图、解释，最后是由笔记本自己检查的练习。",
        "begin": "```sh\npip install 'halfsim[lessons]'\nhalfsim lessons --lang zh\njupyter lab lessons/01_sixteen_bits.ipynb\n```",
        "beginning": "笔记本不需要联网。不写 `--lang zh` 就得到英文版；已经存在的文件不会被覆盖，除非加上 `--force`。`solutions` 文件夹里是"
        "做好练习的每一课和本页：请在学生尝试之前先收起来。"
        "不需要显卡：每节课在笔记本电脑上只算几秒钟。",
        "lessons": "课程一览",
        "head": "| | 课 | 问题 | 分钟 | 需要 |\n| --- | --- | --- | --- | --- |",
        "order": "先上哪一课",
        "ordered": "先按顺序上第 1 到 3 课，其余各课都以它们为基础。第 5 到 9 课和第 11 课讲神经网络，学生应当已经知道什么是权重、损失、梯度和"
        "学习率。第 4、10、12 课在第 3 课之后可以单独上。",
        "class": "怎样上一节课",
        "going": "上课之前，请把 `solutions` 里的笔记本从头到尾运行一遍：每个预测的结果和各张图都在里面。课上，运行下一格**之前**，让每个人都改掉 `predict(\"name\", ...)` 里的 `...`：手里有一个要辩护的数，意外才有收获。`reveal` 把预测放在"
        "实际结果旁边，此后预测不能再改。空着没填的笔记本也能从头运行到尾，谁也不会卡在一道练习上。`check` 从不报错：它只说“正确”，或者指出"
        "这个答案错得像什么。",
        "slides": "用同一份笔记本放幻灯片",
        "sliding": "每个标题、每道练习开始一张幻灯片，每段代码等一次点击才出现，好让全班先预测。运行并生成：\n\n```sh\njupyter nbconvert --execute --to slides "
        "--SlidesExporter.reveal_scroll=True lessons/solutions/01_sixteen_bits.ipynb\n```\n\n幻灯片要从网上加载 reveal.js；"
        "`--reveal-prefix` 可以指定本地的一份。",
        "grading": "怎样评分",
        "grades": "笔记本的最后一格 `score()` 数出做对的练习。请把交上来的文件复制一份，重新运行，这样数的就是代码真正做到的，然后看最后一行。"
        "那是别人写的代码，请在不怕出事的环境里运行。\n\n```sh\njupyter "
        "nbconvert --execute --allow-errors --to notebook --inplace handed_in/*.ipynb\n```\n\n预测不计分：事后能讲清楚的错误预测，比猜对更有价值。正确答案"
        "在 `halfsim/teach/exercises/` 里由程序算出，读了它们的人读到的是程序，不是数字；请在课上追问理由。",
        "goals": "目标", "plan": "时间", "mistakes": "学生常犯的错", "exercises": "练习，以及有专门提示的错误",
        "minutes": "{n} 分钟", "nothing": "只要 NumPy", "other": "[English](teaching.md)",
    },
}  # fmt: skip


def page(lang: str = "en", linked: bool = False) -> str:
    r"""The page in a language, as Markdown; ``linked`` names the page in the other language, as in the documentation.

    >>> page().partition("\n")[0]
    '# Teaching with halfsim'
    """
    w = _WORDS[language(lang)]
    rows = [
        f"| {one.number} | {one.title} | {one.question} | {one.minutes} | {', '.join(one.needs) or w['nothing']} |"
        for one in lessons(lang)
    ]
    intro = w["intro"].format(n=len(rows))
    parts = [f"# {w['title']}", f"{intro} {w['other']}" if linked else intro, w["begin"], w["beginning"]]
    parts += [f"## {w['lessons']}", "\n".join([w["head"], *rows])]
    for name, told in (("order", "ordered"), ("class", "going"), ("slides", "sliding"), ("grading", "grades")):
        parts += [f"## {w[name]}", w[told]]
    return "\n\n".join([*parts, *(part for lesson in lessons(lang) for part in _one(lesson, w))]) + "\n"


def _one(lesson: Lesson, w: dict[str, str]) -> Iterator[str]:
    """What stands there of a lesson."""
    from halfsim.teach.exercises import of

    yield f"## {lesson.number}. {lesson.title}"
    yield f"*{lesson.question}*"
    yield _listed(w["goals"], lesson.goals)
    yield _listed(w["plan"], [f"{w['minutes'].format(n=minutes)}: {what}" for minutes, what in lesson.plan])
    yield _listed(w["mistakes"], lesson.mistakes)
    told = [
        "\n".join([f"`{one.key}`", *(f"    - {_FIELD.sub('…', getattr(hint, lesson.lang))}" for hint in one.hints)])
        for one in of(lesson.subject)
    ]
    yield _listed(w["exercises"], told)


def _listed(head: str, items: Iterable[str]) -> str:
    return "\n".join([f"**{head}**", "", *(f"- {item}" for item in items)])
