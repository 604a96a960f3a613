"""What is drawn of PyTorch's CPU generator, and by halfsim: rows that both take."""

from __future__ import annotations

from typing import Any, NamedTuple

SEEDS = (0, 1234, -3, 2**40 + 7)
COUNTS = (1, 2, 15, 16, 17, 45, 1000)
FORMATS = ("float32", "float16", "bfloat16", "float64")


class Draw(NamedTuple):
    """One call: a distribution, how many or of what, and its parameters; ``fmt`` is "" for integers and bools."""

    name: str
    size: Any
    parameters: tuple[Any, ...] = ()
    fmt: str = ""

    @property
    def label(self) -> str:
        return "-".join(str(part) for part in (self.name, self.size, *self.parameters, self.fmt) if part != "")


DRAWS = [
    *(Draw("uniform", n, p, fmt) for n in COUNTS for p in ((0.0, 1.0), (-0.3, 0.7)) for fmt in FORMATS),
    *(Draw("normal", n, p, fmt) for n in COUNTS for p in ((0.0, 1.0), (0.1, 0.3)) for fmt in FORMATS),
    *(Draw("exponential", n, (2.5,), fmt) for n in (1, 17) for fmt in ("float32", "float64")),
    *(Draw("integers", n, p) for n in (1, 100) for p in ((0, 10), (-5, 2**28 - 6), (0, 2**28), (-(2**40), 2**62))),
    *(Draw("permutation", n) for n in (0, 1, 2, 10, 1000)),
    *(Draw("bernoulli", n, (p,)) for n in (1, 1000) for p in (0.0, 0.3, 1.0)),
    *(Draw("bernoulli_each", 1000, (), fmt) for fmt in ("float32", "float64")),
    *(
        Draw("multinomial", weights, how, fmt)
        for weights in ((0.1, 2.0, 3.0, 0.0), ((1.0, 0.0, 2.0, 4.0), (0.1, 0.1, 0.2, 0.1)))
        for how in ((1, False), (3, False), (1, True), (20, True))
        for fmt in ("float32", "float64")
    ),
]
