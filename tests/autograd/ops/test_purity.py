"""Formulas are pure: run again on the same operands they give the same bits, and they write into nothing they hold.

A trace with a reference runs every formula again, so what one run leaves behind would spoil the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.tape import SPECS
from tests.recorded import functions, modules, sequences, window_cases

PRECISIONS = ("fp64", "fp32", "fp16", "pure_fp16")
RUNS = 3


def held(x: Any, seen: set[int] | None = None) -> Iterator[np.ndarray]:
    """The arrays that a function closes over, at any depth."""
    seen = set() if seen is None else seen
    if id(x) in seen:
        return
    seen.add(id(x))
    if isinstance(x, np.ndarray):
        yield x
    elif isinstance(x, (list, tuple)):
        for item in x:
            yield from held(item, seen)
    elif isinstance(x, dict):
        yield from held(list(x.values()), seen)
    elif callable(x) and getattr(x, "__closure__", None):
        for cell in x.__closure__:
            try:
                yield from held(cell.cell_contents, seen)
            except ValueError:  # not bound yet
                continue


def bits(x: Any) -> tuple[Any, ...]:
    x = np.asarray(x)
    return x.shape, x.dtype.str, x.tobytes()


def agreed(name: str, call: Callable[[], Any], inputs: list[Any], first: Callable[[Any], Any] = lambda y: y) -> Any:
    """What ``call`` gives, three times over; ``inputs`` are to stay as they are."""
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    before = [bits(x) for x in arrays]
    results = [call() for _ in range(RUNS)]
    assert len({bits(first(y)) for y in results}) == 1, f"{name}: another result"
    assert [bits(x) for x in arrays] == before, f"{name}: it wrote into what it was given or holds"
    return results[0]


def checked(name: str, formula: Callable[..., Any], met: set[tuple[str, bool]]) -> Callable[..., Any]:
    """The formula, which is run three times over whenever it is run, and so are its gradients."""

    def call(fp: Any, *arrays: Any, **options: Any) -> Any:
        given = [*arrays, *options.values()]
        y, pullbacks = agreed(name, lambda: formula(fp, *arrays, **options), given, lambda found: found[0])
        met.add((name, False))
        pullbacks = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)

        def repeated(pullback: Any) -> Any:
            def pull(fp: Any, g: Any) -> Any:
                met.add((name, True))
                return agreed(f"gradient of {name}", lambda: pullback(fp, g), [g, *held(pullback)])

            return pull

        return y, tuple(repeated(pullback) for pullback in pullbacks)

    return call


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, bool]]:
    """The formulas, and their gradients, that a test has run."""
    found: set[tuple[str, bool]] = set()
    for name, spec in SPECS.items():
        monkeypatch.setattr(spec, "formula", checked(name, spec.formula, found))
    return found


def leaf(x: np.ndarray) -> hs.Tensor:
    return hs.tensor(x, requires_grad=True)


def finish(y: Any) -> None:
    for part in sequences.flat(y):
        if part.requires_grad:
            part.backward(functions.numbers(part.shape, 3), retain_graph=True)


def of_functions() -> None:
    for case in functions.CASES:
        module: Any = hs.nn.functional if case.place == "F" else hs.ops
        inputs: Any = [leaf(x) for x in case.inputs]
        finish(getattr(module, case.ours)(*([inputs] if case.many else inputs), *case.rest, **case.options))
    for equation, shapes in functions.EQUATIONS.items():
        finish(hs.ops.einsum(equation, *(leaf(functions.numbers(shape, i)) for i, shape in enumerate(shapes))))


def of_windows() -> None:
    for name, (op, _, options) in window_cases.CASES.items():
        finish(getattr(hs.ops, op)(*(leaf(x) for x in window_cases.operands(name)), **options))


def of_layers() -> None:
    for kind, args, options, shape in modules.LAYERS.values():
        layer = getattr(hs.nn, kind)(*args, **options)
        finish(layer(leaf(functions.numbers(shape))))
        finish(layer.eval()(leaf(functions.numbers(shape))))
    for case in sequences.CASES.values():
        layer, (inputs, _) = case.build(hs.nn), case.inputs(leaf)
        finish(layer(*inputs, **case.keywords))


def watched() -> hs.nn.Module:
    """A module whose gradients pass gates."""
    module = hs.nn.Tanh()
    module.register_full_backward_hook(lambda *gradients: None)
    return module


def of_the_rest() -> None:
    x, y, z = (leaf(functions.numbers((3, 4), i)) for i in range(3))
    w = leaf(functions.numbers((4, 3), 4))
    O = hs.ops  # noqa: E741
    weights = leaf(np.array([0.25, -0.5, 1.0, 0.0]))
    square = O.add(O.matmul(x, w), np.eye(3))
    found = [*O.unbind(x), *O.meshgrid(weights, weights), *O.var_mean(x, 1), *O.std_mean(x, 1), *O.tensor_split(x, 2)]
    for result in [
        *found, O.cummax(x, 1).values, O.cummin(x, 0).values, O.polygamma(2, x * x), O.zeta(2.5, x * x),
        O.cholesky(O.matmul(square, square.T) + np.eye(3)), O.heaviside(x, y), O.unfold_dim(x, 1, 2, 1), O.ldexp(x, y),
        O.floor_divide(x, y), O.nextafter(x, y), O.as_strided(x, (2, 2), (1, 3)), O.frexp(x).mantissa,
        O.cholesky_solve(x, O.tril(square)), O.cholesky_inverse(O.tril(square)), O.svdvals(x),
        O.floor_divide(x, y), O.nextafter(x, y), np.cbrt(x),
        x + y, O.add(x, y, alpha=0.3), x - y, O.sub(x, y, alpha=0.3), x * y, x / y, 1.5 / x, x**2.5, 2.0**x, x**y,
        O.addcmul(x, y, z, 0.3), O.addcdiv(x, y, z, 0.3), O.lerp(x, y, 0.3), O.lerp(x, y, 0.7), O.prelu(x, weights),
        O.sign(x), O.floor(x), O.ceil(x), O.round(x), O.trunc(x), x[1:, ::2], x @ w, O.hardsigmoid(x),
        O.where(functions.MASK, x, y), O.clamp(x, y, z), O.baddbmm(x[None], y[None], O.matmul(w, x)[None]), x.norm(),
        x.norm(3.0, 1), O.embedding(np.array([0, 2]), x, max_norm=0.5), O.scaled_dot_product_attention(x, y, z),
        O.scaled_dot_product_attention(x, y, z, dropout_p=0.5), O.flash_attention(x, y, z, block=2, raise_ties=2.0),
        O.multi_margin_loss(x, [1, 0, 3]), O.multilabel_margin_loss(x, [[1, 0, -1, 0]] * 3), O.pdist(x),
        O.pdist(x, 3.0),
        O.soft_margin_loss(x, functions.SIGNS), O.rrelu(x, training=True), O.gumbel_softmax(x, hard=True),
        O.ctc_loss(O.log_softmax(x.reshape(3, 1, 4)), [[1, 2]], [3], [2]), O.embedding_bag([[0, 1]], x, mode="max"),
        O.embedding_bag([[0, 1], [1, 1]], x, mode="sum", per_sample_weights=leaf(np.ones((2, 2)))),
        O.setitem(x, y[0], (slice(None), [1, 0, 1, 2])[0:1]), O.scatter_add(x, 0, np.array([[0, 2, 0, 1]]), y),
        watched()(x), x.mean(), O.expand(x, (2, 3, 4)), x.to("fp16"), O.dropout(x, 0.5), O.cosine_similarity(x, y),
        O.dropout1d(x, 0.5), O.alpha_dropout(x, 0.5, training=True), x.T.contiguous(),
    ]:  # fmt: skip
        finish(result)


def test_every_formula_is_pure(met: set[tuple[str, bool]]) -> None:
    for precision in PRECISIONS:
        with hs.precision(precision):
            for part in (of_functions, of_windows, of_layers, of_the_rest):
                part()
    without_gradient = {"running_average", "shorten_rows", "heaviside"}  # off the tape
    missing = {(name, back) for name in SPECS for back in (False, name not in without_gradient)} - met
    assert not missing, f"no case for {sorted(missing)}"


def test_a_reference_does_not_change_running_statistics() -> None:
    def statistics(reference: str | None) -> list[np.ndarray]:
        layers = [hs.nn.BatchNorm1d(4), hs.nn.InstanceNorm1d(4, track_running_stats=True)]
        with hs.precision("fp16"), hs.trace(reference=reference):
            for layer in layers:
                finish(layer(leaf(functions.numbers((2, 4, 5)))))
        return [value.numpy() for layer in layers for value in (layer.running_mean, layer.running_var)]

    for with_reference, without in zip(statistics("fp64"), statistics(None), strict=True):
        np.testing.assert_array_equal(with_reference, without)


def test_a_reference_draws_no_dropout_of_its_own() -> None:
    def trained(reference: str | None) -> list[bytes]:
        hs.manual_seed(2)
        q, k, v = (leaf(functions.numbers((2, 6, 4), i)) for i in range(3))
        with hs.precision("fp16"), hs.trace(reference=reference) as t:
            y = hs.ops.scaled_dot_product_attention(q, k, v, np.ones((6, 6), bool), dropout_p=0.4)
            hs.ops.dropout(y, 0.5).sum().backward()  # the next draw comes from where the stream is today
        assert all(made.total.relative < 1e-2 for made in t.errors())
        return [x.numpy().tobytes() for x in (y, q.grad, k.grad, v.grad)]

    assert trained("fp64") == trained(None)


@pytest.mark.parametrize("weights", [1, 2, 4])
def test_a_reference_of_prelu_is_its_value(weights: int) -> None:
    """`choose` takes numbers of two widths, as a reference in float64 has them beside what was read as float32."""
    x, w = leaf(functions.numbers((3, weights))), leaf(functions.numbers((weights,), 2))
    with hs.precision("fp16"), hs.trace(reference="fp64") as t:
        hs.ops.prelu(x.to("fp16"), w.to("fp16")).sum().backward()
    errors = [made.total.relative for made in t.errors() if made.op == "prelu"]
    assert len(errors) == 2
    assert max(errors) < 1e-3
