"""The order of a sum as a picture: the sum to the left, its terms to the right, a dot for every addition."""

from __future__ import annotations

from html import escape

from halfsim.diagnose.reveal.tree import Node, comb, told

_DEEP, _ROW, _STEP = 5, 18, 26  # levels that are drawn, pixels of a line of terms, and of an addition


def picture(tree: Node) -> str:
    """An inline SVG; running sums are cut short, and what is more than a few levels down is counted.

    >>> picture(Node.of([Node.of([Node(leaf=0), Node(leaf=1)]), Node(leaf=2)])).count("<circle")
    1
    """
    marks: list[str] = []
    rows: list[str] = []
    chain = comb(tree)
    levels = len(told(chain)) if chain else _DEEP + 1
    right = 20 + _STEP * levels

    def leaf(words: str) -> float:
        y = _ROW * (len(rows) + 0.7)
        rows.append(words)
        marks.append(f'<text x="{right + 6}" y="{y + 4:.0f}">{escape(words)}</text>')
        return y

    def joined(x: float, ends: list[tuple[float, float]]) -> float:
        """A dot at ``x`` with lines to its parts, each an x and a y."""
        y = sum(end for _, end in ends) / len(ends)
        marks.extend(f'<path d="M{x:.0f} {y:.1f}V{end:.1f}H{at:.0f}"/>' for at, end in ends)
        marks.append(f'<circle cx="{x:.0f}" cy="{y:.1f}" r="4"/>')
        return y

    def put(node: Node, level: int) -> tuple[float, float]:
        x = 12 + _STEP * level
        steps = comb(node)
        if steps is not None:
            return right, leaf(" + ".join(told(steps)))
        if level >= _DEEP:
            return right, leaf(f"{node.size} terms")
        return x, joined(x, [put(child, level + 1) for child in node.children])

    if chain:
        first, *others = told(chain)
        at, y = float(right), leaf(first)
        for k, words in enumerate(others):
            x = right - _STEP * (k + 1)
            y = joined(x, [(at, y), (right, leaf(words))])
            at = x
    else:
        at, y = put(tree, 0)
    wide, high = right + 12 + 8 * max(map(len, rows)), _ROW * len(rows) + 8
    style = "fill:none;stroke:currentColor"
    return (
        f'<svg viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img" aria-label="the order as a tree" '
        f'style="max-width:100%"><g style="{style}" font-size="12" font-family="monospace">'
        + "".join(marks).replace("<text", '<text fill="currentColor" stroke="none"')
        + "</g></svg>"
    )
