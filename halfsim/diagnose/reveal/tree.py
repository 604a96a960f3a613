"""The order of a sum as a tree, from which terms a large number swallows (FPRev, arXiv 2411.00442), and its words.

One term is a large number M, another -M, and all others are so small that any sum with M in it swallows them. Those
that are added after M and -M have met come out. How many were lost says how large the subtree is where the two meet.
A node may have more than two children: where terms are brought to one exponent and added at once, all are lost
together. Where a node adds without error, nothing is lost in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsim.card import Card
from halfsim.diagnose.reveal.box import Box
from halfsim.numerics.exact_sums import add_odd
from halfsim.numerics.quantize import Array


@dataclass(frozen=True, eq=False, repr=False)
class Node(Card):
    """A sum of ``children``, or the term of number ``leaf``. ``exact``: added without error, then rounded once."""

    _listed = ("size", "depth")

    children: tuple[Node, ...] = ()
    leaf: int = -1
    exact: bool = False
    size: int = field(default=1)

    @classmethod
    def of(cls, children: list[Node], exact: bool = False) -> Node:
        return cls(tuple(children), -1, exact, sum(child.size for child in children))

    def leaves(self) -> list[int]:
        """The numbers of its terms, from left to right."""
        out, stack = [], [self]
        while stack:
            node = stack.pop()
            if node.children:
                stack += reversed(node.children)
            else:
                out.append(node.leaf)
        return out

    def bottom_up(self) -> Iterator[Node]:
        """Every inner node, children before parents."""
        stack, order = [self], []
        while stack:
            node = stack.pop()
            if node.children:
                order.append(node)
                stack += node.children
        return reversed(order)

    @property
    def depth(self) -> int:
        """The most additions between a term and the sum."""
        found: dict[int, int] = {}
        for node in self.bottom_up():
            found[id(node)] = 1 + max(found.get(id(child), 0) for child in node.children)
        return found.get(id(self), 0)

    def steps(self) -> list[list[int]]:
        """Every sum by its parts, those it needs before it: k is term k, and ``size`` + i the i-th of these sums.

        >>> Node.of([Node.of([Node(leaf=0), Node(leaf=1)]), Node(leaf=2)]).steps()
        [[0, 1], [3, 2]]
        """
        number: dict[int, int] = {}
        out = []
        for node in self.bottom_up():
            out.append([number[id(child)] if child.children else child.leaf for child in node.children])
            number[id(node)] = self.size + len(out) - 1
        return out

    def __repr__(self) -> str:
        return f"<Node: {words(self)}>" if self.children else f"<Node: term {self.leaf}>"

    def __reduce__(self) -> Any:
        """A chain is too deep for pickle and copies to follow."""
        exact = [node.exact for node in self.bottom_up()]
        return (_from_steps, (self.size, self.steps(), exact)) if self.children else (Node, ((), self.leaf))


def _from_steps(size: int, steps: list[list[int]], exact: list[bool]) -> Node:
    nodes = [Node(leaf=k) for k in range(size)]
    for parts, exactly in zip(steps, exact, strict=True):
        nodes.append(Node.of([nodes[k] for k in parts], exactly))
    return nodes[-1]


class Lost:
    """How many small terms are lost where M at one place meets -M at another, of ``n`` terms."""

    def __init__(self, box: Box, n: int, large: float, small: float) -> None:
        self.box, self.n, self.large, self.small = box, n, large, small
        self._known: dict[tuple[int, int], int] = {}

    def of(self, i: int, others: list[int]) -> dict[int, int]:
        """By the place of -M; ``ValueError`` where the outputs are no counts."""
        new = [j for j in others if (i, j) not in self._known]
        if new:
            rows = np.full((len(new), self.n), self.small)
            rows[:, i] = self.large
            rows[np.arange(len(new)), new] = -self.large
            counts = self.box.terms(rows) / self.small
            if not np.isfinite(counts).all() or (counts != np.rint(counts)).any():
                raise ValueError("f: its outputs are no counts of terms; allowed: a sum of the products or terms")
            lost = self.n - 2 - counts.astype(int)
            if ((lost < 0) | (lost > self.n - 2)).any():
                raise ValueError("f: its outputs are no counts of terms; allowed: a sum of the products or terms")
            self._known.update({(i, j): int(count) for j, count in zip(new, lost, strict=True)})
        return {j: self._known[i, j] for j in others}


def order_of(box: Box, n: int, large: float, small: float) -> Node:
    """The tree by which ``box`` adds ``n`` terms."""
    return _built(list(range(n)), Lost(box, n, large, small))


def _built(places: list[int], lost: Lost) -> Node:
    """The subtree of ``places``, from its first on: who meets it with how many lost, in ascending order."""
    pivot, others = places[0], places[1:]
    met = lost.of(pivot, others)
    if len(others) > 1 and len({*met.values()}) == 1:  # it comes last, or at once with all: is the last one before it?
        end = lost.of(places[-1], places[:-1])
        if len({*end.values()}) > 1:
            pivot, others, met = places[-1], places[-2::-1], end
    groups: dict[int, list[int]] = defaultdict(list)
    for j in others:
        groups[met[j]].append(j)
    node = Node(leaf=pivot)
    for count in sorted(groups):
        children, rest = [node], groups[count]
        while rest:
            near = lost.of(rest[0], rest[1:])
            own = [j for j in rest[1:] if near[j] < count]  # they meet each other before they meet the node
            children.append(_built([rest[0], *own], lost) if own else Node(leaf=rest[0]))
            rest = [j for j in rest[1:] if near[j] >= count]
        joined = sum(child.size for child in children)
        exact = joined > 2 and count == node.size - 1 and joined - node.size > 1
        if exact and len(children) == 2 and children[1].children:  # the running sum joins a block without error
            children = [node, *children[1].children]
        node = Node.of(children, exact)
    return node


# The words.


def comb(node: Node) -> list[list[int]] | None:
    """The terms of a running sum, step by step, or None where subtrees meet: each step adds single terms."""
    steps: list[list[int]] = []
    while node.children:
        leaves = [child for child in node.children if not child.children]
        inner = [child for child in node.children if child.children]
        if len(inner) > 1:
            return None
        steps.append([leaf.leaf for leaf in leaves])
        if not inner:
            return steps[::-1]
        node = inner[0]
    return [[node.leaf]]


def pairwise(places: list[int]) -> Node:
    """The tree that splits at the largest power of two below the number of terms.

    >>> pairwise([0, 1, 2]).steps()
    [[0, 1], [3, 2]]
    """
    level = [Node(leaf=k) for k in places]
    while len(level) > 1:
        pairs = [Node.of(level[k : k + 2]) if len(level[k : k + 2]) > 1 else level[k] for k in range(0, len(level), 2)]
        level = pairs
    return level[0]


def shape(node: Node) -> frozenset[frozenset[int]]:
    """The sets of terms that are added up somewhere: the tree without left and right."""
    sets: dict[int, frozenset[int]] = {}
    for inner in node.bottom_up():
        sets[id(inner)] = frozenset().union(*(sets.get(id(c), frozenset([c.leaf])) for c in inner.children))
    return frozenset(sets.values())


def words(node: Node) -> str:
    """The order in words.

    >>> words(pairwise(list(range(6)))), words(Node.of([Node.of([Node(leaf=0), Node(leaf=1)]), Node(leaf=2)]))
    ('pairwise', 'sequential')
    """
    if node.size < 3:
        return "sequential"
    running = _running(node)
    if running is not None:
        return running
    if shape(node) == shape(pairwise(sorted(node.leaves()))):
        return "pairwise"
    told = _blocks(node) or _halves(node)
    if told:
        return told
    tops, upper = _combs(node)
    kinds: dict[str, int] = defaultdict(int)
    for top in tops:
        kinds[_piece(top)] += 1
    told = ", ".join(f"{count} {'chains' if count > 1 else 'chain'} of {kind}" for kind, count in kinds.items())
    if len(tops) == 1:
        steps = comb(node) or []
        return f"sequential in blocks of {max(map(len, steps))}, the terms in an order of its own"
    return f"{told}; {_joined(upper, tops)}"


def _running(node: Node) -> str | None:
    """A running sum that takes all terms in their order, or backward."""
    steps = comb(node)
    if steps is None:
        return None
    listed = [k for step in steps for k in sorted(step)]
    down = [k for step in steps for k in sorted(step, reverse=True)]
    if listed != sorted(listed) and down != sorted(down, reverse=True):
        if all(len(step) == 1 for step in steps[1:]) and listed[2::2] == sorted(listed)[3::2]:
            return "sequential, of every two terms the second first"
        return "sequential, the terms in an order of its own" if all(len(step) == 1 for step in steps[1:]) else None
    backward = "" if listed == sorted(listed) else ", the last term first"
    length = max(len(step) for step in steps[1:] or steps)
    exactly = node.exact or any(n.exact for n in node.bottom_up())
    if length == 1:
        return f"sequential{backward}"
    if len(steps) == 1:
        return f"all {len(steps[0])} terms at once{' without error' if exactly else ''}"
    return f"sequential in blocks of {length}{' without error' if exactly else ''}{backward}"


def _consecutive(node: Node) -> bool:
    places = node.leaves()
    return max(places) - min(places) == node.size - 1


def _first(node: Node) -> int:
    return min(node.leaves())


def _blocks(root: Node) -> str:
    """A running sum of sums of as many consecutive terms each, the last of them perhaps shorter."""
    node, parts = root, list[Node]()
    while len(node.children) == 2:
        rest, part = sorted(node.children, key=_first)
        if not part.children or not _consecutive(part) or not _consecutive(rest):
            break
        if len(parts) > 1 and part.size != parts[-1].size:
            break
        parts.append(part)
        node = rest
        if node.size <= part.size:
            break
    size = parts[1].size if len(parts) > 1 else node.size
    if not parts or size < 2 or node.size != size or parts[0].size > size:
        return ""
    if len(parts) == 1 and parts[0].size == size:
        inner = _halves(root)  # two halves may be the first of many
        if inner:
            return inner
    if len({words(part) for part in parts[1:]} | {words(node)}) > 1:
        return ""
    return f"sequential over blocks of {size} consecutive terms, each {words(node)}"


def _halves(root: Node) -> str:
    """Halves of halves of consecutive terms, down to blocks that are summed in another way."""
    blocks, stack = [], [(root, 0)]
    deep: set[int] = set()
    while stack:
        node, level = stack.pop()
        left, right = sorted(node.children, key=_first) if len(node.children) == 2 else (node, node)
        if left is not right and min(left.size, right.size) >= 2 and max(left.size, right.size) <= 2 * min(
            left.size, right.size
        ) and _consecutive(left) and _consecutive(right):  # fmt: skip
            stack += [(left, level + 1), (right, level + 1)]
        else:
            blocks.append(node)
            deep.add(level)
    if len(blocks) < 4 or max(deep) - min(deep) > 1:
        return ""
    largest = max(blocks, key=lambda node: node.size)
    return f"halved down to blocks of at most {largest.size} consecutive terms, each {words(largest)}"


def _combs(root: Node) -> tuple[list[Node], Node]:
    """The largest subtrees that are running sums, and the tree above them, whose leaves are their numbers."""
    tops: list[Node] = []
    above: dict[int, Node] = {}
    running: dict[int, bool] = {}
    for node in root.bottom_up():
        inner = [child for child in node.children if child.children]
        running[id(node)] = not inner or (len(inner) == 1 and running[id(inner[0])])
        if not running[id(node)]:
            parts: list[Node] = []
            for child in node.children:
                if id(child) in above:
                    parts.append(above[id(child)])
                else:
                    parts.append(Node(leaf=len(tops)))
                    tops.append(child)
            above[id(node)] = Node.of(parts)
    return (tops, above[id(root)]) if id(root) in above else ([root], Node(leaf=0))


def _piece(top: Node) -> str:
    """One running sum: how many terms, and how they follow each other."""
    places = sorted(top.leaves())
    if len(places) == 1:
        return "1 term"
    gaps = set(np.diff(places).tolist())
    apart = "consecutive terms" if gaps == {1} else f"terms {gaps.pop()} apart" if len(gaps) == 1 else "terms"
    steps = comb(top) or []
    block = max((len(step) for step in steps[1:]), default=len(steps[0]) if steps else 1)
    once = f" in blocks of {block}" if block > 1 and len(places) > 2 else ""
    return f"{len(places)} {apart}{once}{' without error' if top.exact else ''}"


def _joined(upper: Node, tops: list[Node]) -> str:
    """How the running sums are added in the end, in the order of their first terms."""
    rank = {k: place for place, k in enumerate(sorted(range(len(tops)), key=lambda k: min(tops[k].leaves())))}
    found: dict[int, Node] = {}
    for node in upper.bottom_up():
        found[id(node)] = Node.of([found.get(id(c)) or Node(leaf=rank[c.leaf]) for c in node.children])
    top = found[id(upper)]
    if top.size < 3:
        return "joined at the end"
    if comb(top) is not None and _running(top) is not None:
        return "joined one after another"
    if shape(top) == shape(pairwise(list(range(top.size)))):
        return "joined pairwise"
    return (
        f"these joined as {words(top)}"
        if top.size < 0.9 * sum(part.size for part in tops)
        else "joined in an order of its own"
    )


def drawn(node: Node, lines: int = 24) -> str:
    """The tree as indented text: a running sum on one line, ``lines`` at most.

    >>> print(drawn(pairwise([0, 1, 2, 3])))
    +
    |- 0 + 1
    `- 2 + 3
    """
    out: list[str] = []

    def put(part: Node, indent: str, mark: str) -> None:
        steps = comb(part)
        if steps is not None:
            out.append(indent + mark + _chain(steps, part.exact))
            return
        out.append(f"{indent}{mark}+")
        below = indent + {"": "", "|- ": "|  ", "`- ": "   "}[mark]
        if len(out) > lines:  # enough for what is shown
            return
        for k, child in enumerate(part.children):
            put(child, below, "`- " if k == len(part.children) - 1 else "|- ")

    put(node, "", "")
    if len(out) > lines:
        out = [*out[: lines - 1], "..."]
    return "\n".join(out)


def _chain(steps: list[list[int]], exact: bool) -> str:
    """A running sum on one line."""
    return " + ".join(told(steps)) + (" (without error)" if exact else "")


def told(steps: list[list[int]]) -> list[str]:
    """The steps of a running sum, the middle left out where there are many; terms added at once in braces.

    >>> told([[0, 1], [2], [3]])
    ['0 + 1', '2', '3']
    """
    out = ["{" + ", ".join(_shortened([str(k) for k in step], 4)) + "}" if len(step) > 1 else str(step[0])
           for step in steps]  # fmt: skip
    if len(steps[0]) == 2:
        out[0] = f"{steps[0][0]} + {steps[0][1]}"
    return _shortened(out, 6)


def _shortened(words_: list[str], most: int) -> list[str]:
    return words_ if len(words_) <= most else [*words_[: most - 2], "...", words_[-1]]


def replayed(node: Node, a: Array, b: Array, fused: bool) -> Array:
    """Sums of products of rows of ``a`` and ``b`` (P, n) by the tree in float32, two at a time, as IEEE 754 rounds.

    With ``fused`` a product joins a sum unrounded. Float64 holds a product of float32 numbers; its sum with another
    float32 is rounded to odd there first, so that rounding it again is as good as rounding once.
    """
    x, y = a.astype(np.float32), b.astype(np.float32)
    done: dict[int, Array] = {}
    for inner in node.bottom_up():
        parts = sorted(inner.children, key=lambda child: not child.children)  # sums first
        first = parts[0]
        total = done[id(first)] if first.children else x[:, first.leaf] * y[:, first.leaf]
        for part in parts[1:]:
            if part.children or not fused:
                total = total + (done[id(part)] if part.children else x[:, part.leaf] * y[:, part.leaf])
            else:
                product = x[:, part.leaf].astype(np.float64) * y[:, part.leaf]
                total = add_odd(product, total.astype(np.float64)).astype(np.float32)
        done[id(inner)] = total
    return done[id(node)]
