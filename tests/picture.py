"""The picture of the front pages: one sum in four arithmetics. ``python -m tests.picture --write`` draws it."""

from __future__ import annotations

import argparse
from pathlib import Path

import halfsim as hs

FILE = Path(__file__).parents[1] / "docs" / "sum.svg"
TERMS, STEP = 4096, 64
LEFT, RIGHT, TOP, BOTTOM = 56, 396, 44, 268
ROWS = (  # a precision, its name in the picture, its colour, and how far its name stands from the line's end
    ("fp32", ("float32",), "#5b6ee1", 5),
    (f"{hs.PURE_FP16}, rounding=stochastic(seed=0)", ("float16,", "stochastic"), "#2a9d6a", 24),
    ("pure_fp16", ("float16",), "#d9480f", 5),
    ("storage=bf16, compute=bf16, accumulate=bf16:sequential", ("bfloat16",), "#c44ca8", 5),
)
STYLE = (
    "text{font:15px system-ui,sans-serif;fill:#333}.card{fill:#fff;stroke:#ccc}.axis{stroke:#999;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.card{fill:#20232b;stroke:#444}}"
)


def running(precision: str) -> list[float]:
    """The sum of 0, 64, 128, ... ones, as the precision forms it."""
    with hs.precision(precision):
        sums = hs.ops.cumsum(hs.tensor([1.0] * TERMS), 0).numpy()
    return [0.0, *(float(s) for s in sums[STEP - 1 :: STEP])]


def drawn() -> str:
    """The picture as SVG; it has a ground of its own, so that it is read on light and on dark pages."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 316" role="img">',
        "<title>The sum of 4,096 ones: float32 reaches 4096, float16 stops at 2048, bfloat16 at 256</title>",
        f'<style>{STYLE}</style><rect class="card" x="1" y="1" width="498" height="314" rx="10"/>',
        f'<text x="{LEFT}" y="28" font-weight="600">1 + 1 + 1 + ... in four arithmetics</text>',
        f'<path class="axis" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>',
        f'<text x="{LEFT}" y="298">0</text><text x="{RIGHT}" y="298" text-anchor="end">4096 ones added</text>',
    ]
    parts += [
        f'<text x="{LEFT - 8}" y="{_y(value) + 5:.0f}" text-anchor="end">{value}</text>' for value in (256, 2048, 4096)
    ]
    for precision, words, colour, down in ROWS:
        sums = running(precision)
        line = " ".join(f"{LEFT + (RIGHT - LEFT) * i * STEP / TERMS:.1f},{_y(s):.1f}" for i, s in enumerate(sums))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="3"/>')
        for i, word in enumerate(words):
            y = _y(sums[-1]) + down + 17 * i
            parts.append(f'<text x="{RIGHT + 8}" y="{y:.0f}" style="fill:{colour}">{word}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _y(value: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / TERMS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.picture", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name}")
    if parser.parse_args().write:
        FILE.write_text(drawn(), encoding="utf-8")
    else:
        print("as drawn" if FILE.read_text(encoding="utf-8") == drawn() else "has changed; see --write")
