"""`halfsim.reveal`: every described unit and every word is named from outputs alone; so are NumPy's and PyTorch's."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import halfsim as hs
from halfsim.cli import main
from halfsim.diagnose.reveal.box import Box, takes_two
from halfsim.diagnose.reveal.candidates import all_units, inputs, numbers, owners, unit_class
from halfsim.diagnose.reveal.tree import Node, order_of, pairwise, replayed, shape, words
from halfsim.hardware.matrix_unit import matmul as unit_product
from halfsim.hardware.units import UNITS
from halfsim.numerics.accumulate import accumulator, sum_
from halfsim.numerics.accumulate import matmul as accumulated

CLASSES = {numbers(row): row for row in reversed(all_units())}
FIRST = {row.name: row for row in CLASSES.values()}


@pytest.mark.parametrize("name", list(FIRST))
def test_every_class_of_units_is_named(name):
    row = FIRST[name]
    found = unit_class(Box(partial(unit_product, row), True), 130)
    same = [other for other in all_units() if numbers(other) == numbers(row)]
    assert found is not None
    assert set(found.names) == {other.name for other in same}
    assert set(found.devices) == {device for other in same for device in owners(other)}


def test_the_inputs_tell_all_classes_apart():
    seen = {}
    for name, row in FIRST.items():
        outs = []
        for a, b in inputs(130):
            out = unit_product(row, a.astype(np.float32), b.astype(np.float32)).astype(np.float32)
            outs.append((np.where(np.isnan(out), np.float32(7e37), out) + 0).tobytes())
        seen.setdefault(tuple(outs), []).append(name)
    assert [names for names in seen.values() if len(names) > 1] == []
    assert len(seen) == 42


# What the table says of a unit, and what its outputs show.
# Every third class; the others, all named from outputs above, are measured under slow: last passed 2026-11-30.
MEASURED = [name if i % 3 == 0 else pytest.param(name, marks=pytest.mark.slow) for i, name in enumerate(FIRST)]


@pytest.mark.parametrize("name", MEASURED)
def test_every_unit_is_measured_as_its_row_says(name):
    row = FIRST[name]
    found = hs.reveal(partial(unit_product, row), 64)
    assert found.kept.stored == row.digits - 1
    assert found.taken.format == row.input_format
    assert found.taken.flushes == row.flush_inputs
    if row.kind == "aligned" and not row.detached:
        assert found.kept.inside == max(row.fraction, row.digits - 1)
        assert found.order == f"sequential in blocks of {row.block}"
        assert found.kept.rounding == ("toward zero" if row.toward_zero else "to nearest, ties to even")
    if row.kind == "floored":
        assert found.kept.inside == row.fraction
        assert found.order == f"sequential in blocks of {row.block}"
    if row.kind == "exact":
        assert found.order == f"sequential in blocks of {row.block} without error"
    if row.kind == "tree":
        assert found.order == f"sequential over blocks of {row.block} consecutive terms, each pairwise"
    if row.detached:
        assert found.order.startswith("sequential over blocks of 32 consecutive terms, each sequential in blocks of 16")
        assert found.kept.inside == row.fraction
    if row.kind == "chain":
        expected = {
            "pascal": "2 chains of 32 terms 2 apart; joined at the end",
            "amx": "sequential over blocks of 32 consecutive terms, each 2 chains of 16 terms 2 apart; "
            "joined at the end",
            "avx512_bf16": "sequential, of every two terms the second first",
        }
        words_ = [said for start, said in expected.items() if row.architecture.startswith(start)]
        assert found.order == (words_[0] if words_ else "sequential")
        assert found.fused in (True, None)
    assert found.unit is not None
    assert row.name in found.unit.names


def test_devices_are_listed_by_their_names():
    found = hs.reveal(hs.hardware.device("V100").matmul, 64)
    assert found.devices == ("V100", "V100 PCIe")
    assert "V100, V100 PCIe" in str(found)
    mma = partial(hs.hardware.device("H100").matmul, inputs="fp8_e4m3", instruction="mma")
    assert "H100 (mma)" in hs.reveal(lambda a, b: mma(a, b), 64).devices


WORDS = [
    f"{fmt}:{order}"
    for fmt in ("fp16", "bf16", "fp32")
    for order in ("sequential", "sequential+fma", "pairwise", "kahan", "neumaier", "blocked(8)", "blocked(16)")
]


# Those in bfloat16 under slow, last passed 2026-11-30: its sums take the same ways as float16's.
PRODUCTS = [pytest.param(word, marks=pytest.mark.slow) if word.startswith("bf16") else word for word in WORDS]


@pytest.mark.parametrize("word", [*PRODUCTS, "fp64:sequential", "fp64:pairwise", "exact"])
def test_every_accumulator_of_products_is_named(word):
    how = accumulator(word)
    found = hs.reveal(lambda a, b: accumulated(a, b, how, target=hs.float32), 64)
    assert str(how) in {str(accumulator(each)) for each in found.accumulators}
    others = {str(accumulator(each)) for each in found.accumulators} - {str(how)}
    assert not others or word.startswith(("fp64", "exact")), others


# Sums of 64 terms in bfloat16, and compensated ones, take many questions: under slow, last passed 2026-11-30.
LONG = [word for word in WORDS if word.startswith("bf16") or word in ("fp16:kahan", "fp16:neumaier")]
SUMS = [pytest.param(word, marks=pytest.mark.slow) if word in LONG else word for word in WORDS]


@pytest.mark.parametrize("word", [*SUMS, "fp64:sequential", "fp64:pairwise", "exact"])
def test_every_accumulator_of_sums_is_named(word):
    how = accumulator(word)
    found = hs.reveal(lambda x: sum_(x, None, False, how, target=hs.float32), 64)
    named = {str(accumulator(each)) for each in found.accumulators}
    twin = str(how).removesuffix("+fma")  # a term times 1 is the term: these two are the same sum
    assert (str(how) in named and named <= {str(how), twin, f"{twin}+fma"}) or word.startswith(("fp64", "exact"))


@pytest.mark.parametrize(("word", "order"), [
    ("sequential", "sequential"), ("sequential+fma", "sequential"), ("pairwise", "pairwise"),
    ("blocked(8)", "sequential over blocks of 8 consecutive terms, each all 8 terms at once without error"),
])  # fmt: skip
@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
def test_orders_by_their_words(fmt, word, order):
    how = accumulator(f"{fmt}:{word}")
    found = hs.reveal(lambda a, b: accumulated(a, b, how), 64)
    if word == "blocked(8)" and fmt != "fp32":  # the sum of a block joins the total in float32: nothing shows of it
        order = "sequential in blocks of 8 without error"
    assert found.order == order
    assert found.format == how.format


def test_fused_and_not_fused():
    for word, fused in (("sequential", False), ("sequential+fma", True)):
        how = accumulator(f"fp32:{word}")
        assert hs.reveal(lambda a, b, how=how: accumulated(a, b, how), 64).fused is fused


def test_numpy_sums_pairwise_in_blocks_of_128_of_8_chains():
    found = hs.reveal(np.sum, 1024)
    assert found.order == (
        "halved down to blocks of at most 128 consecutive terms, each 8 chains of 16 terms 8 apart; joined pairwise"
    )
    assert found.checked == (32, 32)
    assert found.format == hs.float32
    assert not found.product


def test_numpy_accumulate_is_sequential_either_way():
    assert hs.reveal(lambda x: np.add.accumulate(x)[-1], 600).order == "sequential"
    backward = hs.reveal(lambda x: np.add.accumulate(x[::-1])[-1], 600)
    assert backward.order == "sequential, the last term first"
    assert backward.checked == (32, 32)


def test_fsum_shows_no_order():
    found = hs.reveal(math.fsum)
    assert found.order == ""
    assert found.tree is None
    assert "exact" in found.accumulators
    assert "every order gives the same" in str(found)


def test_blas_is_explained_or_said_not_to_be():
    found = hs.reveal(np.matmul)
    assert found.format == hs.float32
    assert found.taken.format == hs.float32
    if found.checked is not None and found.checked[0] < found.checked[1]:
        assert found.notes
    else:
        assert found.checked == (32, 32)
        assert found.fused is not None


def test_torch_takes_tensors():
    torch = pytest.importorskip("torch")
    found = hs.reveal(torch.sum)
    assert found.checked == (32, 32)
    assert found.format == hs.float32
    assert hs.reveal(torch.matmul).product
    half = hs.reveal(lambda x: x.half().sum(), 256)
    assert half.taken.format == hs.float16
    assert "rounded to float16 in the end" in str(half)


def test_a_tree_of_any_shape_is_found():
    rng = np.random.default_rng(0)
    for n in (3, 7, 12, 33):
        nodes = [Node(leaf=k) for k in range(n)]
        while len(nodes) > 1:
            i, j = sorted(rng.choice(len(nodes), 2, replace=False))
            nodes[i] = Node.of([nodes[i], nodes.pop(j)])
        tree = nodes[0]
        box = Box(lambda x, tree=tree: replayed(tree, x[None], np.ones((1, len(x))), False)[0], False)
        assert shape(order_of(box, n, 2.0**100, 1.0)) == shape(tree)


def test_rounding_of_another_kind_is_seen():
    def cut(x):
        total = np.float64(0)
        for term in x.astype(np.float64):
            total = total + term
            m, e = math.frexp(total)
            total = math.ldexp(math.trunc(m * 2**12), e - 12)
        return total

    found = hs.reveal(cut, 32)
    assert found.kept.digits == 12
    assert found.kept.rounding == "toward zero"
    assert found.format is None


def test_results_are_documents():
    found = hs.reveal(np.sum, 256)
    data = json.loads(found.to_json())
    assert data["order"] == found.order
    assert data["kept"]["stored"] == 23
    assert len(data["tree"]) == 255
    assert max(map(max, data["tree"])) == 2 * 256 - 3
    assert found.order.split(";")[0] in found.page()
    assert "<svg" in found._repr_html_()
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert str(twin) == str(found)


def test_a_long_chain_is_copied_and_printed():
    chain = hs.reveal(lambda x: np.add.accumulate(x)[-1], 3000).tree
    assert words(pickle.loads(pickle.dumps(chain))) == "sequential"
    assert chain.depth == 2999
    assert repr(chain) == "<Node: sequential>"


def test_refusals():
    with pytest.raises(TypeError, match="f: 3 is not allowed"):
        hs.reveal(3)
    with pytest.raises(ValueError, match="length: 4 is not allowed"):
        hs.reveal(np.sum, 4)
    with pytest.raises(ValueError, match="one number, the sum"):
        hs.reveal(lambda x: x)
    with pytest.raises(ValueError, match="1 does not come out"):
        hs.reveal(lambda x: 0.0)
    with pytest.raises(TypeError, match="3 operands"):
        takes_two(lambda a, b, c: a)


@pytest.mark.parametrize(
    ("f", "error", "got"),
    [
        (lambda x: x.max(), ValueError, "1 for the terms 1 and 1"),
        (lambda x: np.abs(x).sum(), ValueError, "2 for the terms 1 and -1"),
        (lambda x: x @ x, ValueError, "2 for the terms 1 and -1"),
        (lambda a, b: a @ b + 0j, TypeError, "a result of dtype complex64"),
        (lambda a, b: "a", TypeError, "a result of dtype <U1"),
    ],
)
def test_what_is_no_sum_is_refused(f, error, got):
    with pytest.raises(error, match=f"^f: {got} is not allowed; allowed: "):
        hs.reveal(f, 8)


def test_more_numbers_than_memory_holds_are_refused():
    with pytest.raises(ValueError, match="^length: 1000000000 is not allowed; allowed: "):
        hs.reveal(np.sum, 10**9)
    with pytest.raises(ValueError, match=r"^shape: \(1, 100000000\) is not allowed; allowed: "):
        hs.reveal(np.matmul, 8, shape=(1, 10**8))


def test_pairwise_is_the_tree_of_the_accumulator():
    how = accumulator("fp32:pairwise")
    x = np.random.default_rng(1).standard_normal((4, 37)).astype(np.float32)
    mine = replayed(pairwise([*range(37)]), x, np.ones_like(x), False)
    assert np.array_equal(mine, sum_(x, 1, False, how))
    assert words(pairwise([*range(37)])) == "pairwise"


PAGES = {lang: (Path(__file__).parents[3] / "docs" / f"reveal{end}.md").read_text(encoding="utf-8")
         for lang, end in (("en", ""), ("zh", ".zh-CN"))}  # fmt: skip


def test_the_page_prints_what_it_says_and_its_twin_has_the_same(capsys):
    names: dict[str, object] = {}
    for code, said in re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGES["en"], re.S):
        exec(compile(code, "reveal.md", "exec"), names)
        assert capsys.readouterr().out == said
    assert "hs" in names
    fences = [re.findall(r"```(?:python|text)\n.*?```", page, re.S) for page in PAGES.values()]
    assert fences[0] == fences[1]
    assert f"The {len(all_units())} rows of the table fall into {len(FIRST)} classes" in PAGES["en"]
    assert f"表中的 {len(all_units())} 行分属 {len(FIRST)} 类" in PAGES["zh"]


def by_shape(a, b):
    """A library that has another kernel for a vector: its sum is pairwise."""
    how = accumulator("fp32:pairwise" if b.shape[1] == 1 else "fp32:sequential")
    return accumulated(a, b, how, target=hs.float32)


@pytest.mark.parametrize(("shape", "order"), [((24, 40), "sequential"), ((64, 1), "pairwise"), ((1, 70), "sequential")])
def test_a_product_is_asked_for_in_the_shape_that_is_wanted(shape, order):
    asked = []
    found = hs.reveal(lambda a, b: asked.append((len(a), b.shape[1])) or by_shape(a, b), 16, shape=shape)
    assert {*asked} == {shape}
    assert found.order == order
    assert found.accumulators == (f"float32:{order}",)
    assert str(found).startswith(f"a product of {shape[0]} x {shape[1]}, 16 terms")


def test_columns_of_a_row_that_are_formed_otherwise_show():
    how = accumulator("fp32:sequential")

    def every_other(a, b):
        out = accumulated(a, b, how, target=hs.float32)
        out[:, 1::2] = accumulated(a[:, ::-1], b[::-1], how, target=hs.float32)[:, 1::2]
        return out

    found = hs.reveal(every_other, 24, shape=(1, 6))
    assert found.checked[0] < found.checked[1]
    assert "not every element is formed so" in str(found).replace("\n                ", " ")


def test_a_unit_is_named_in_any_shape():
    row = FIRST["volta"]
    assert hs.reveal(partial(unit_product, row), 16, shape=(33, 64)).devices == ("V100", "V100 PCIe")


@pytest.mark.parametrize(
    ("shape", "error"),
    [((1,), ValueError), ((0, 3), ValueError), ((1.5, 2), TypeError), (3, TypeError), ("64x64", TypeError)],
)
def test_a_shape_that_no_product_has_is_refused(shape, error):
    with pytest.raises(error, match=r"^shape: .*is not allowed; allowed: (?!f, length)"):
        hs.reveal(np.matmul, 16, shape=shape)


def test_a_shape_may_be_a_list():
    assert str(hs.reveal(by_shape, 8, shape=[2, 3])) == str(hs.reveal(by_shape, 8, shape=(2, 3)))


def test_the_command(capsys):
    assert main(["reveal", "V100", "--length", "64"]) == 0
    assert capsys.readouterr().out.startswith("V100: a product of 64 x 64, 64 terms")
    assert main(["reveal", "math:fsum", "--length", "64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["math:fsum"]["order"] == ""
    assert main(["reveal", "V100", "--length", "16", "--shape", "32x64"]) == 0
    assert capsys.readouterr().out.startswith("V100: a product of 32 x 64")
    assert main(["reveal", "V100", "--shape", "0x1"]) == 2
    assert capsys.readouterr().err.startswith("halfsim reveal: --shape: (0, 1) is not allowed; allowed: ")
    with pytest.raises(SystemExit):
        main(["reveal", "V100", "--shape", "2x"])
    assert (
        capsys.readouterr().err == "halfsim reveal: --shape: '2x' is not allowed; allowed: two whole numbers as 64x64\n"
    )
    assert main(["reveal", "V100", "--shape", f"{10**20}x1"]) == 2
    assert capsys.readouterr().err.startswith("halfsim reveal: --shape: (1")
    assert main(["reveal", "numpi"]) == 2
    assert "(did you mean 'numpy'?); allowed: numpy, torch, " in capsys.readouterr().err
    assert main(["reveal", "nothing at all"]) == 2
    assert capsys.readouterr().err.startswith("halfsim reveal: NAME: 'nothing at all' is not allowed")


def test_all_units_are_there():
    assert {row.architecture for row in all_units()} == set(UNITS)
