"""Random numbers are PyTorch's: the same numbers for the same seed, recorded and of the PyTorch that is installed."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd import random
from halfsim.autograd.box_muller import fused
from tests.recorded.draws import DRAWS, SEEDS, Draw

RECORDED = np.load(Path(__file__).parents[1] / "recorded" / "draws.npz")


def ours(draw: Draw, g: hs.Generator) -> Any:
    fmt: Any = {"format": hs.numerics.formats.as_format(draw.fmt)} if draw.fmt else {}
    if draw.name == "permutation":
        return random.permutation(draw.size, g)
    dtype: Any = draw.fmt or None
    if draw.name == "bernoulli_each":
        with np.errstate(all="ignore"):
            p = np.linspace(0, 1, draw.size, dtype=dtype)
        return random.bernoulli_each(torch_linspace(p), g, **fmt)
    if draw.name == "multinomial":
        return random.multinomial(np.array(draw.size, dtype), *draw.parameters, g)
    return getattr(random, draw.name)(draw.size, *draw.parameters, generator=g, **fmt)


def torch_linspace(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The probabilities as PyTorch's linspace has them, where it is installed."""
    torch = pytest.importorskip("torch")
    return torch.linspace(0, 1, p.size, dtype=getattr(torch, str(p.dtype))).numpy()


def same(got: Any, expected: Any, fmt: str, name: str) -> None:
    """Equal; float64 through logarithm, sine and cosine to the last digits, which are the machine's."""
    assert got.shape == expected.shape
    if fmt == "float64" and name in ("normal", "exponential"):
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    else:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_draws_are_the_recorded_ones_of_pytorch(seed: int) -> None:
    g = hs.Generator().manual_seed(seed)
    for draw in DRAWS:
        if draw.name == "bernoulli_each":  # as many words as it takes
            (g.words if draw.fmt == "float32" else g.long_words)(draw.size)
            continue
        got, key = ours(draw, g), f"{seed}/{draw.label}"
        if key in RECORDED:
            same(got, RECORDED[key], draw.fmt, draw.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_draws_are_those_of_the_installed_pytorch(seed: int) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; its recorded numbers are tested")
    from tests.recorded.record_draws import results

    g = hs.Generator().manual_seed(seed)
    for draw, expected in zip(DRAWS, results(seed), strict=True):
        same(ours(draw, g), expected, draw.fmt, draw.name)


def test_many_normal_numbers_are_equal_to_the_bit() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    expected = torch.randn(200_000).numpy()
    np.testing.assert_array_equal(random.normal(200_000, generator=hs.Generator().manual_seed(1)), expected)


def test_normal_numbers_have_the_moments() -> None:
    drawn = random.normal(100_000, 2.0, 3.0, hs.Generator().manual_seed(8)).astype(np.float64)
    z = (drawn - 2) / 3
    assert np.abs([z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3]).max() < 0.05


def test_fused_rounds_once(rng: np.random.Generator) -> None:
    x, term = rng.normal(size=500), rng.normal(size=500)
    for dtype in (np.float64, np.float32):
        a, c = x.astype(dtype), term.astype(dtype)
        b = dtype(0.7)
        exact = [Fraction(float(p)) * Fraction(float(b)) + Fraction(float(q)) for p, q in zip(a, c, strict=True)]
        expected = [float(e) if dtype is np.float64 else np.float32(float(e)) for e in exact]
        np.testing.assert_array_equal(fused(a, b, c), expected)


# Generators.


def test_a_state_is_pytorchs_and_goes_on() -> None:
    g = hs.Generator().manual_seed(SEEDS[1])
    random.normal(5, generator=g)
    np.testing.assert_array_equal(g.get_state(), RECORDED["state"])
    expected = random.normal(3, generator=g), random.uniform(700, generator=g)
    other = hs.Generator().set_state(RECORDED["state"])
    assert other.initial_seed() == SEEDS[1]
    np.testing.assert_array_equal(random.normal(3, generator=other), expected[0])
    np.testing.assert_array_equal(random.uniform(700, generator=other), expected[1])


def test_states_go_to_pytorch_and_back() -> None:
    torch = pytest.importorskip("torch")
    for used in (0, 1, 623, 624, 625):
        g = hs.Generator().manual_seed(9)
        random.uniform(used, generator=g)
        theirs = torch.Generator()
        theirs.set_state(torch.from_numpy(g.get_state()))
        back = hs.Generator().set_state(theirs.get_state())
        expected = torch.rand(3, generator=theirs).numpy()
        np.testing.assert_array_equal(random.uniform(3, generator=g), expected)
        np.testing.assert_array_equal(random.uniform(3, generator=back), expected)


def test_a_fresh_generator_has_pytorchs_first_seed() -> None:
    torch = pytest.importorskip("torch")
    assert hs.Generator().initial_seed() == torch.Generator().initial_seed()
    expected = torch.rand(2, generator=torch.Generator()).numpy()
    np.testing.assert_array_equal(random.uniform(2, generator=hs.Generator()), expected)


def test_a_copy_goes_its_own_way() -> None:
    g = hs.Generator()
    other = copy.deepcopy(g)
    first = random.uniform(3, generator=g)
    np.testing.assert_array_equal(random.uniform(3, generator=other), first)


def test_the_generator_in_force() -> None:
    assert hs.manual_seed(5).initial_seed() == hs.initial_seed() == 5
    state = hs.get_rng_state()
    first = random.uniform(3)
    hs.set_rng_state(state)
    np.testing.assert_array_equal(random.uniform(3), first)
    assert hs.seed() == hs.initial_seed() != 5
    assert random.uniform(3).tolist() != first.tolist()


def test_a_run_draws_the_same_numbers_in_every_precision() -> None:
    def weights() -> Any:
        hs.manual_seed(3)
        return hs.nn.init.normal_(hs.tensor(np.zeros(20), rule)).numpy()

    rule = "fp32"
    expected = weights()
    for rule in ("fp16", "fp64"):
        with hs.precision(rule):
            np.testing.assert_array_equal(weights(), expected.astype(weights().dtype))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: hs.manual_seed(2**64), ValueError, "seed: more is not allowed; allowed: -2"),
        (lambda: hs.manual_seed(-(2**63) - 1), ValueError, "seed: less is not allowed"),
        (lambda: hs.manual_seed(1.5), TypeError, "seed"),
        (lambda: hs.set_rng_state(np.zeros(3)), TypeError, "state: dtype float64 is not allowed; allowed: uint8"),
        (lambda: hs.set_rng_state(np.zeros(3, np.uint8)), ValueError, r"state: shape \(3,\) is not allowed"),
        (lambda: hs.set_rng_state(np.zeros(5056, np.uint8)), ValueError, "no state of a generator"),
        (lambda: random.uniform(3, generator=np.random.default_rng()), TypeError, "generator: Generator of numpy"),
        (lambda: random.integers(3, 5, 5), ValueError, "high: 5 is not allowed; allowed: more than low 5"),
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# What draws of it.


CALLS: list[tuple[str, Any]] = [
    ("rand", lambda p: p.rand(3, 7)),
    ("rand half", lambda p: p.rand(20, dtype=p.float16)),
    ("rand double", lambda p: p.rand(20, dtype=p.float64)),
    ("randn", lambda p: p.randn(3, 7)),
    ("randn bfloat16", lambda p: p.randn(20, dtype=p.bfloat16)),
    ("randint", lambda p: p.randint(-5, 300, (4, 5))),
    ("randint wide", lambda p: p.randint(2**40, (5,))),
    ("randperm", lambda p: p.randperm(30)),
    ("bernoulli", lambda p: p.bernoulli(p.tensor([0.1, 0.5, 0.9] * 9))),
    ("bernoulli p", lambda p: p.bernoulli(p.tensor([0.1, 0.5, 0.9] * 9), 0.3)),
    ("normal", lambda p: p.normal(1.5, 2.0, (4, 5))),
    ("normal of tensors", lambda p: p.normal(p.tensor([1.0, -1.0] * 9), p.tensor([0.5, 2.0] * 9))),
    ("normal of means", lambda p: p.normal(p.tensor([1.0, -1.0] * 9), 0.5)),
    ("multinomial", lambda p: p.multinomial(p.tensor([0.1, 3.0, 1.0, 0.5]), 20, True)),
    ("multinomial once each", lambda p: p.multinomial(p.tensor([[0.1, 3.0, 1.0, 0.5]] * 3), 3)),
    ("poisson", lambda p: p.poisson(p.tensor([0.0, 0.5, 3.0, 9.0, 10.0, 30.0, 1000.0] * 9))),
    ("uniform_", lambda p: p.tensor([0.0] * 20).uniform_(-1, 2)),
    ("normal_", lambda p: p.tensor([0.0] * 20).normal_(1, 2)),
    ("bernoulli_", lambda p: p.tensor([0.0] * 20).bernoulli_(0.3)),
    ("exponential_", lambda p: p.tensor([0.0] * 20).exponential_(2.0)),
    ("random_", lambda p: p.tensor([0] * 20).random_()),
    ("random_ of floats", lambda p: p.tensor([0.0] * 20).random_()),
    ("random_ to", lambda p: p.tensor([0] * 20).random_(3, 9)),
    ("rand_like", lambda p: p.rand_like(p.tensor([0.0] * 20, dtype=p.float64))),
]


class Ours:
    """The names of PyTorch, wherever they stand here."""

    def __getattr__(self, name: str) -> Any:
        return getattr(hs, name) if hasattr(hs, name) else getattr(hs.ops, name)


def test_samples_are_drawn_from_one_row_of_weights_or_from_each() -> None:
    weights = hs.tensor([0.0, 3.0, 0.0, 1.0])
    assert sorted(hs.multinomial(weights, 2).tolist()) == [1, 3]
    assert hs.multinomial(weights, 1).shape == (1,)
    assert hs.multinomial(hs.stack([weights] * 3), 2).shape == (3, 2)
    assert hs.multinomial(weights, 9, replacement=True).shape == (9,)
    for number in (0, 3):
        with pytest.raises(ValueError, match=f"^num_samples: {number} of 4 is not allowed"):
            hs.multinomial(weights, number)
    with pytest.raises(ValueError, match=r"^input: shape \(1, 1, 4\) is not allowed; allowed: \(N,\), \(M, N\)$"):
        hs.multinomial(weights.reshape(1, 1, 4), 1)


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
def test_functions_draw_what_pytorchs_draw(call: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(5)
    theirs = call(torch)
    hs.manual_seed(5)
    ours = call(Ours())
    assert str(theirs.dtype) == f"torch.{ours.dtype.name}"
    np.testing.assert_array_equal(ours.array, (theirs.double() if theirs.is_floating_point() else theirs).numpy())
    np.testing.assert_array_equal(random.uniform(3), torch.rand(3).numpy(), "the stream goes on alike")


def test_activations_draw_what_pytorchs_draw() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.linspace(-2, 2, 30, dtype=np.float32)
    calls: list[tuple[str, dict[str, Any]]] = [("rrelu", {"training": True}), ("gumbel_softmax", {})]
    for name, options in calls:
        torch.manual_seed(5)
        theirs = getattr(torch.nn.functional, name)(torch.tensor(x), **options)
        hs.manual_seed(5)
        np.testing.assert_allclose(getattr(hs.ops, name)(hs.tensor(x), **options).numpy(), theirs.numpy(), rtol=1e-5)
        np.testing.assert_array_equal(random.uniform(3), torch.rand(3).numpy(), "the stream goes on alike")


@pytest.mark.parametrize(
    ("name", "parameters", "four"),
    [  # of seed 7, by PyTorch 2.13 in float32
        ("cauchy_", (0.5, 2.0), [-1.16111159324646, -1.2224061489105225, 4.823784351348877, 1.5725666284561157]),
        ("log_normal_", (0.5, 1.5), [1.322874903678894, 5.361329078674316, 6.822544097900391, 0.3098967671394348]),
        ("geometric_", (0.3,), [4.0, 4.0, 1.0, 2.0]),
    ],
)
def test_rarer_distributions_draw_pytorchs_numbers(name: str, parameters: Any, four: list[float]) -> None:
    hs.manual_seed(7)
    found = getattr(hs.zeros(4, dtype="float32"), name)(*parameters)
    np.testing.assert_allclose(found.numpy(), four, rtol=2e-7)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for count in (5, 33):
        for dtype in ("float32", "float16"):
            torch.manual_seed(5)
            theirs = getattr(torch.zeros(count, dtype=getattr(torch, dtype)), name)(*parameters)
            hs.manual_seed(5)
            ours = getattr(hs.zeros(count, dtype=dtype), name)(*parameters)
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-7)
            np.testing.assert_array_equal(random.uniform(3), torch.rand(3).numpy(), "the stream goes on alike")
