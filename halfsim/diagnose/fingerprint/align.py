"""Two runs beside each other, operation by operation, as `diff` puts two texts."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher

Pair = tuple[int | None, int | None]  # positions in either run, None where it has no such

_WINDOW = 512  # operations that are looked at, at once, where the two part


def aligned(a: Sequence[Hashable], b: Sequence[Hashable], near: int = _WINDOW) -> Iterator[Pair]:
    """Positions in ``a`` and ``b`` of the same keys, in the order of both, and positions of those that have no other.

    Where the two part, the next ``near`` of each are aligned by their longest common stretches; what was left out
    further on than that is told as other operations.

    >>> list(aligned("mul add sum".split(), "mul exp add sum".split()))
    [(0, 0), (None, 1), (1, 2), (2, 3)]
    """
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            yield i, j
            i, j = i + 1, j + 1
            continue
        last = i + near >= len(a) and j + near >= len(b)
        found = SequenceMatcher(None, a[i : i + near], b[j : j + near], autojunk=False).get_opcodes()
        # What stands near the end of the window may belong to what comes behind it.
        sure = [code for code in found if last or max(code[2], code[4]) <= near * 3 // 4] or found[:1]
        at, bt = i, j
        for tag, a0, a1, b0, b1 in sure:
            if tag == "equal":
                yield from zip(range(at + a0, at + a1), range(bt + b0, bt + b1), strict=True)
            else:
                yield from ((at + k, None) for k in range(a0, a1))
                yield from ((None, bt + k) for k in range(b0, b1))
            i, j = at + a1, bt + b1
    yield from ((k, None) for k in range(i, len(a)))
    yield from ((None, k) for k in range(j, len(b)))
