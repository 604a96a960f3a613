"""Mutants that survive because they change nothing that anybody is promised, each with the reason."""

# (file, function, before, after, why)
EQUIVALENT: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "halfsim/autograd/ops/einsum.py", "_parsed", "True", "False",
        "zip(strict=True): as many terms as shapes, which was refused three lines above",
    ),
    (
        "halfsim/numerics/exact_rounding.py", "round_exact", "False", "True",
        "which way zero or what has no code was rounded: nobody asks where nothing is dropped",
    ),
    (
        "halfsim/numerics/layout.py", "codes", "8", "9",
        "which codes need no look, for their words are no wider than the format; where they are looked at, they pass",
    ),
    (
        "halfsim/utils/data/dataset.py", "random_split", "True", "False",
        "zip(strict=True): as many ends of parts as there are parts",
    ),
    ("halfsim/numerics/inputs.py", "as_floats", "8", "9", "no dtype of floats has nine bytes"),
    (
        "halfsim/diagnose/compare/recorder.py", "", "64", "65",
        "how few elements are kept of a step that has filled its bytes: chosen, and promised nowhere",
    ),
    (
        "halfsim/numerics/orders.py", "_blocked", "2.0", "4.0",
        "by how much a bound of totals is raised for their rounding: an addition to nearest moves one by at most twice "
        "the addend, so that totals of addends below 32768 in sum stay below 65536 as it is",
    ),
    (
        "halfsim/costs/flops.py", "Ledger.result", "False", "True",
        "zip(strict=False): there are as many arrays as operands",
    ),
)  # fmt: skip
