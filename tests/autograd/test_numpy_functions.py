"""NumPy's functions and the methods of tensors do what NumPy and PyTorch do under these names."""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import halfsim as hs
from halfsim.autograd.numpy_protocol import READERS, numpy_functions

X = np.random.default_rng(0).standard_normal((3, 4))
Y = np.random.default_rng(1).uniform(0.5, 2, (3, 4))
V, W = X[0], Y[0]
S = X[:, :3] @ X[:, :3].T + 3 * np.eye(3)
N = X.copy()
N[0, 1] = N[2, :] = np.nan


def evaluated(expression: str, make: Any) -> Any:
    given = {"x": X, "y": Y, "v": V, "w": W, "s": S, "n": N}
    return eval(expression, {"np": np, "hs": hs, **{name: make(array) for name, array in given.items()}})


def values(result: Any) -> Any:
    return [np.asarray(part) for part in (result if isinstance(result, (tuple, list)) else [result])]


REDUCTIONS = """
np.var(x); np.var(x, axis=0); np.var(x, ddof=1); np.var(x, correction=1); np.std(x, 1); np.std(x, ddof=1)
np.mean(x, axis=0, keepdims=True); np.mean(x, where=x > 0); np.sum(x, 0); np.sum(x, initial=1)
np.sum(x, where=x > 0); np.sum(x, axis=(0, 1)); np.sum(x > 0); np.prod(x, axis=1); np.max(x, axis=1)
np.amin(x); np.max(x, initial=5); np.min(x, 0, where=x > 0, initial=9.); np.var(x, where=x > -1)
np.std(x, 1, where=x > -1, ddof=1); np.argmax(x, axis=1); np.argmin(x); np.cumsum(x); np.cumsum(x, axis=0)
np.cumprod(x); np.cumprod(x, axis=1); np.cumulative_sum(v)
np.cumulative_sum(x, axis=1, include_initial=True); np.cumulative_prod(v, include_initial=True); np.ptp(x)
np.ptp(x, axis=1, keepdims=True); np.average(x); np.average(x, axis=1); np.average(x, axis=1, weights=w)
np.average(x, weights=y); np.average(x, axis=0, weights=[1, 2, 3], returned=True); np.median(x)
np.median(x, axis=1); np.median(x, axis=0, keepdims=True); np.median(x, axis=(0, 1)); np.median(n, axis=1)
np.quantile(x, 0.3); np.quantile(x, [0.1, 0.5], axis=1)
np.quantile(x, [[0.1], [0.9]], axis=0, keepdims=True); np.percentile(x, 30)
np.percentile(x, [10, 90], axis=0); np.quantile(x, 0.3, method="hazen"); np.quantile(x, 0.3, method="lower")
np.quantile(x, [0.3, 0.5], method="higher"); np.quantile(x, 0.3, method="midpoint")
np.quantile(v, 0.5, method="nearest"); np.quantile(x, [0, 0.02, 1], method="weibull")
np.quantile(x, 0.7, method="median_unbiased"); np.quantile(n, 0.5, 0)
np.quantile(x, 0.7, method="normal_unbiased"); np.quantile(x, 0.7, method="interpolated_inverted_cdf")
np.nanquantile(n, [0.2, 0.8], axis=0); np.nanpercentile(n, 20); np.nanmedian(n, axis=0); np.nanmedian(n)
np.nanmean(n, axis=0); np.nansum(n, axis=1); np.nanprod(n); np.nanmax(n, axis=0); np.nanmin(n)
np.nanmax(n, axis=1); np.nanvar(n, axis=0); np.nanstd(n); np.nanvar(n, 0, ddof=1); np.nancumsum(n)
np.nancumprod(n, axis=1); np.nanargmax(x, axis=1); np.histogram(x); np.histogram(x, bins=5, range=(0, 1))
np.histogram(v, bins=[0, 0.5, 1]); np.histogram(v, weights=w); np.histogram(x, density=True)
np.histogram_bin_edges(v, 4); np.digitize(v, [0, 0.5]); np.bincount(np.array([0, 1, 1, 2]), weights=v)
np.cov(x); np.cov(v, w); np.cov(x, rowvar=False, bias=True); np.cov(v); np.cov(x, ddof=0); np.corrcoef(x)
np.corrcoef(v, w); np.any(x > 5); np.all(x); np.any(x, axis=0); np.count_nonzero(x > 0); np.sort(x)
np.sort(x, axis=0); np.sort(x, axis=None); np.argsort(v); np.argsort(x, axis=0); np.partition(v, 2)[2]
np.lexsort((v, w)); np.searchsorted(np.sort(v), w, side="right"); np.searchsorted(np.sort(v), 0.1)
np.trace(x); np.trace(x, 1); x.argmax(axis=1); x.argmin(axis=0, keepdims=True)
"""
SHAPES = """
np.stack([x, y], axis=-1); np.hstack([x, y]); np.hstack([v, v]); np.vstack([x, v]); np.dstack([x, y])
np.column_stack([v, w]); np.concatenate([x, y], axis=None); np.concatenate((x, y), 1); np.concat([x, y])
np.append(x, y); np.append(x, y, axis=0); np.block([[x, y], [y, x]]); np.block([v, w])
np.split(x, 2, axis=1)[1]; np.split(x, [1, 3], axis=1)[1]; np.array_split(v, 3)[1]; np.hsplit(x, 2)[1]
np.vsplit(x, 3)[0]; np.unstack(x)[0]; np.insert(v, 1, 5.0); np.insert(v, [1, 3], [5.0, 6.0])
np.insert(x, 1, w, axis=0); np.insert(x, [0, 2], 7.0, axis=1); np.delete(v, 1); np.delete(x, [0, 2], axis=1)
np.delete(x, slice(1, 3), 1); np.resize(x, (2, 7)); np.rollaxis(x[None], 2); np.roll(x, 1, axis=0)
np.roll(x, 5); np.flip(x, axis=0); np.flip(x); np.fliplr(x); np.flipud(x); np.rot90(x)
np.rot90(x, axes=(1, 0)); np.repeat(x, 2); np.repeat(x, 2, axis=0); np.repeat(v, [0, 1, 2, 1])
np.tile(x, (2, 1)); np.tile(v, 2); np.pad(x, 1); np.pad(x, ((1, 2), (0, 1)), constant_values=3)
np.pad(x, 1, mode="edge"); np.pad(x, ((0, 1), (2, 2)), "reflect"); np.pad(v, 6, "wrap")
np.pad(v, (2, 3), "symmetric"); np.pad(x, 1, constant_values=((1, 2), (3, 4))); np.transpose(x)
np.transpose(x[None], (1, 0, 2)); np.swapaxes(x, 0, 1); np.moveaxis(x[None], 0, -1)
np.permute_dims(x, (1, 0)); np.matrix_transpose(x); np.reshape(x, (4, 3)); np.reshape(x, -1)
np.reshape(x, (4, 3), order="F"); np.ravel(x, "F"); x.ravel(); np.squeeze(x[None], axis=0)
np.expand_dims(x, 0); np.expand_dims(x, (0, 2)); np.broadcast_to(v, (3, 4)); np.broadcast_arrays(x, v)[1]
np.atleast_2d(v); np.meshgrid(v, v[:3])[0]; np.meshgrid(v, v[:3], indexing="ij")[1]
np.meshgrid(v, w, sparse=True)[1]; np.tril(x); np.triu(x, 1); np.diag(x); np.diag(v, 1); np.diagflat(x)
np.diagonal(x, 1); np.trim_zeros(np.pad(v, 2)); np.take(x, [[0, 2]], axis=1); np.take(x, [0, 5])
np.take(x, [0, 2], axis=-1); np.take(x, 1, 0); np.take(v, [5, -1], mode="wrap")
np.take(v, [5, -1], mode="clip"); np.take_along_axis(x, np.argsort(x, 1), 1)
np.compress([True, False, True], x, axis=0); np.extract(x > 0, x); np.where(x > 0, x, y)
np.where(x > 0, x, 0); np.where(x > 0); np.select([x > 0, x < -1], [x, y], 7.0)
np.choose(np.array([0, 1, 0, 1]), [v, w]); np.piecewise(x, [x < 0, x >= 0.5], [lambda z: z * 2, 1.0, -3.0])
np.unique(np.tile(v, 2)); np.unique(x, return_index=True)
np.unique(np.tile(v, 2), return_counts=True, return_inverse=True); np.union1d(v, w)
np.intersect1d(v, v[1:]); np.setdiff1d(v, v[1:]); np.isin(x, v); np.copy(x); np.astype(x, np.float64)
np.real(x); np.imag(x); np.conj(x); np.zeros_like(x); np.ones_like(x, shape=(2,)); np.full_like(x, 2)
np.argwhere(x > 0); np.flatnonzero(x > 0); np.nonzero(x > 0); np.fft.fftshift(x); np.fft.ifftshift(v[:3])
np.lib.stride_tricks.sliding_window_view(v, 2); np.apply_along_axis(np.sum, 0, x)
np.apply_along_axis(np.sort, 1, x); np.apply_along_axis(lambda r: r[:2], 0, x)
"""
CALCULUS = """
np.diff(x); np.diff(x, 2, axis=0); np.diff(v, prepend=v[:1]); np.ediff1d(x)
np.ediff1d(v, to_end=9.0, to_begin=[1.0, 2.0]); np.gradient(v); np.gradient(x); np.gradient(x, axis=0)
np.gradient(x, 2.0, 0.5); np.gradient(v, 2.0, edge_order=2); np.gradient(v, np.cumsum(w))
np.gradient(x, np.cumsum(w), axis=1, edge_order=2); np.gradient(v, [0, 1, 2, 3]); np.trapezoid(x, axis=0)
np.trapezoid(x, v); np.trapezoid(v, dx=0.5); np.interp([0.1, 0.5], np.sort(v), w)
np.interp(v, [-1, 0, 1], [1, 2, 3]); np.interp(v, [-0.1, 0.1], [1, 2], left=-1, right=-2)
np.interp(0.3, np.sort(v), w); np.interp(v, [0.1, 0.3], [1, 2], period=0.5)
np.interp(np.sort(v), np.sort(v), w, -1, -2); np.linspace(v, w, 5); np.linspace(v[0], 2, 5, endpoint=False)
np.linspace(v[0], 1, 1); np.linspace(v, w, 4, axis=1, retstep=True); np.logspace(v, w, 3)
np.logspace(v[0], 1, 4, base=2.0); np.geomspace(w, w + 1, 3); np.geomspace(-w, -1, 4, endpoint=False)
np.convolve(v, w); np.convolve(v[:2], w, "same"); np.convolve(v, w[:2], "valid"); np.correlate(v, w[:3])
np.correlate(v, w, "full"); np.correlate(v, w[:2], "same"); np.correlate(v[:3], w, "same")
np.correlate(v[:2], w, "full"); np.polyval(v, w); np.polyval([1, 2, 3], x); np.polyadd(v, w[:2])
np.polysub(v[:1], w); np.polymul(v, w); np.polyder(v, 2); np.polyint(v); np.polyint(v, 2, [1, 2])
np.cross(x[:, :3], y[:, 1:]); np.cross(x[:, :3].T, y[:, 1:].T, axis=0); np.dot(x, y.T); np.dot(x, v)
np.dot(v, v); np.dot(x, x[0, 0]); np.dot(x[None], y.T[None]); np.inner(x, y); np.inner(x, 2.0)
np.vdot(x, y); np.outer(x, y); np.kron(x, v); np.tensordot(x, y.T, axes=1)
np.einsum("ij,kj->ik", x, y, optimize=True); np.matvec(x, v); np.vecmat(v, x.T); np.vecdot(x, y)
np.vander(v); np.linalg.norm(x); np.linalg.norm(x, axis=1); np.linalg.norm(v, 1); np.linalg.norm(v, ord=3)
np.linalg.norm(x, 2, 1); np.linalg.norm(x, "fro"); np.linalg.norm(x, np.inf, 0, True); np.linalg.norm(x, 1)
np.linalg.norm(x, -np.inf); np.linalg.norm(v, 0); np.linalg.norm(x, 2);
np.linalg.norm(x, 'nuc'); np.linalg.svdvals(x); np.linalg.matrix_rank(s, 3.5); np.linalg.cond(s); np.linalg.cond(s, 1)
np.linalg.tensorinv(np.reshape(s, (3, 3, 1)), 1); np.linalg.norm(v, -np.inf); np.linalg.inv(s)
np.linalg.det(s); np.linalg.slogdet(s); np.linalg.solve(s, y); np.linalg.solve(s, y[:, 0])
np.linalg.cholesky(s); np.linalg.cholesky(s, upper=True); np.linalg.matrix_power(s, 2)
np.linalg.multi_dot([x, y.T, x]); np.linalg.outer(v, w); np.linalg.cross(v[:3], w[:3])
np.linalg.trace(s, offset=1); np.linalg.diagonal(s[None]); np.linalg.matrix_transpose(x)
np.linalg.vecdot(x, y); np.linalg.matmul(x, y.T); np.linalg.vector_norm(x, axis=1, ord=1)
np.linalg.matrix_norm(x, ord=1); np.linalg.tensordot(x, y.T, axes=1); np.around(x, 1)
np.round(x, decimals=-1); np.nan_to_num(n, False, 2.0); np.clip(x, -1, 1); np.clip(x, a_min=0, a_max=None)
np.clip(x, 0, None); np.clip(x, min=0); np.clip(x, y, 1.5); np.fmod(x, y); np.remainder(x, y)
np.floor_divide(x, y); np.divmod(x, y); np.modf(x); np.hypot(x, y); np.copysign(x, -y); np.logaddexp(x, y)
np.logaddexp2(x, y); np.arctan2(x, y); np.cbrt(x); np.sinc(x); np.i0(x); np.heaviside(n, 0.5); np.sign(n)
np.spacing(x); np.fix(x); np.float_power(y, x); np.deg2rad(x); np.degrees(x); np.invert(x > 0)
np.isclose(x, y); np.allclose(x, x); np.array_equal(x, x); np.can_cast(x, np.float64)
"""


@pytest.mark.filterwarnings("ignore:.*(NaN|empty|Degrees|invalid).*:RuntimeWarning")
@pytest.mark.parametrize("expression", (REDUCTIONS + SHAPES + CALCULUS).replace("\n", ";").split(";"))
def test_numpys_functions_keep_numpys_arguments_and_defaults(expression: str) -> None:
    if not expression.strip():
        return
    got = values(evaluated(expression.strip(), lambda a: hs.tensor(a, "fp64")))
    expected = values(evaluated(expression.strip(), lambda a: a))
    assert [part.shape for part in got] == [part.shape for part in expected]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "expression",
    """np.median(x, 1); np.quantile(x, [0.3, 0.6], 0); np.average(x, 1, w); np.ptp(x, 0); np.var(x, where=m)
    np.sort(x); np.nanmean(x, 0); np.nanvar(x, 0); np.nanmax(x, 1); np.gradient(x)[1]
    np.gradient(v, c, edge_order=2); np.interp(v, [-1, 1], w[:2]); np.interp([0.1, 0.4], c, v)
    np.linspace(v, w, 4); np.geomspace(w, w + 1, 3); np.convolve(v, w, "same"); np.polyval(v, w)
    np.correlate(v, w[:3]); np.cov(x, y); np.polymul(v, w); np.trace(x, 1); np.kron(x, v); np.linalg.norm(x, 1)
    np.cbrt(w); np.linalg.inv(s); np.linalg.cholesky(s @ s.T); np.linalg.solve(s, y); np.insert(x, 1, w, 0)
    np.delete(x, 1, 1); np.pad(x, 2, "wrap"); np.pad(x, 1, "symmetric"); np.take(x, [0, 0, 2], 1)
    np.select([m, ~m], [x, y]); np.unique(v); np.piecewise(x, [m], [np.exp, np.sin])
    np.apply_along_axis(np.cumsum, 0, x); np.where(m, x, y); np.modf(x)[0]; np.histogram(v, weights=w)[0]
    np.cumulative_sum(v, include_initial=True); np.matvec(x, v); np.sinc(x); np.block([[x, y]])
    np.trapezoid(v, c); np.ediff1d(x, to_end=v); np.vdot(x, y); np.diagflat(v)""".replace("\n", ";").split(";"),
)
def test_their_gradients_are_those_of_differences(expression: str) -> None:
    letters = [letter for letter in "xyvws" if re.search(rf"\b{letter}\b", expression)]
    arrays = {"x": X, "y": Y, "v": V, "w": W, "s": S}

    def function(*given: Any) -> Any:
        names = {"np": np, "m": Y > 1, "c": np.cumsum(W), **dict(zip(letters, given, strict=True))}
        return eval(expression.strip(), names)

    assert hs.gradcheck(function, tuple(hs.tensor(arrays[letter], "fp64") for letter in letters))


HALF = [np.random.default_rng(5).standard_normal(33).astype(np.float16)]
HALF += [np.random.default_rng(6).uniform(0.5, 2, 33).astype(np.float16)]
SPECIAL = np.float16([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 65504, 6e-8, 0.5, -2.5, 3])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "expression",
    """np.median(v); np.median(x, 0); np.nanmedian(a); np.gradient(v); np.gradient(v, 2.0)
    np.gradient(v, edge_order=2); np.gradient(v, 0.3, edge_order=2); np.gradient(v, c)
    np.gradient(v, c, edge_order=2); np.gradient(x)[0]; np.diff(v, 2); np.polyval(v[:4], w); np.polysub(v, w)
    np.ptp(x, 1); np.quantile(v, 0.25); np.quantile(v[:32], 0.75); np.percentile(v, [25, 75])
    np.linspace(v, w, 9); np.linspace(v, w, 8, endpoint=False); np.logspace(v, w, 3); np.divmod(v, w)[1]
    np.cbrt(w); np.clip(v, -0.3, 0.7); np.interp(w, np.sort(w), v); np.kron(x, x); np.sinc(v); np.sign(a)
    np.heaviside(a, b); np.floor_divide(a, b); np.fmod(a, b); np.modf(a)[0]; np.copysign(a, b); np.hypot(a, b)
    np.logaddexp2(a, b); np.power(a, b); np.cbrt(a); np.nan_to_num(a); np.max(a); np.nanmax(a); np.median(a)
    np.quantile(a, 0.5); np.nanquantile(a, 0.25); np.float_power(w, 2.0).astype(np.float16)
    np.where(a > 0, a, b); np.clip(a, b, 2)""".replace("\n", ";").split(";"),
)
def test_in_half_they_take_numpys_steps(expression: str) -> None:
    a, b = (part.ravel() for part in np.meshgrid(SPECIAL, SPECIAL))
    given = {"v": HALF[0], "w": HALF[1], "x": HALF[0].reshape(3, 11), "a": a, "b": b}
    given["c"] = np.cumsum(HALF[1], dtype=np.float32).astype(np.float16)
    got = eval(expression.strip(), {"np": np, **{k: hs.tensor(v, "fp16") for k, v in given.items()}})
    expected = eval(expression.strip(), {"np": np, **given})
    np.testing.assert_array_equal(got.numpy(), np.asarray(expected).astype(np.float16))


# What is refused, by its right name.
REFUSED = set(
    """angle apply_over_axes array2string busday_count busday_offset datetime_as_string einsum_path is_busday
    packbits place poly polydiv polyfit put ravel_multi_index real_if_close roots sort_complex unique_all
    unique_counts unique_inverse unique_values unpackbits unravel_index unwrap linalg.eig linalg.eigh
    linalg.eigvals linalg.eigvalsh linalg.lstsq linalg.pinv linalg.qr linalg.svd linalg.tensorsolve fft.fft
    fft.fft2 fft.fftn fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.irfft fft.irfft2 fft.irfftn
    fft.rfft fft.rfft2 fft.rfftn""".split()  # noqa: SIM905
)


def test_every_function_of_numpy_is_simulated_read_or_refused_by_its_name() -> None:
    missing, known = set(), numpy_functions.keys() | READERS
    for module in (np, np.linalg, np.fft, np.lib.stride_tricks):
        for attribute in dir(module):
            function = getattr(module, attribute)
            if type(function).__name__ == "_ArrayFunctionDispatcher":
                missing |= {f"{function.__module__}.{function.__name__}".removeprefix("numpy.")} - known
    assert missing <= REFUSED
    for name in ("roots", "linalg.svd", "fft.fft"):
        function = functools.reduce(getattr, name.split("."), np)
        with pytest.raises(TypeError, match=f"^numpy.{name} is not simulated; allowed: "):
            function(hs.tensor(S))


def test_numpys_functions_that_write_do_so_into_a_tensor() -> None:
    t, mask = hs.tensor(X, "fp16"), Y > 1
    expected = X.astype(np.float16)
    for array in (t, expected):
        np.copyto(array, Y.astype(np.float16), where=mask)
        np.fill_diagonal(array, 7)
        np.put_along_axis(array, np.array([[1], [0], [3]]), np.float16(0.1), 1)
        np.putmask(array, mask, -1)
    np.testing.assert_array_equal(t.numpy(), expected)
    np.copyto(expected, hs.tensor(Y, "fp16"))
    np.testing.assert_array_equal(expected, Y.astype(np.float16))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x.norm(1)", np.abs(X).sum()),
        ("x.norm(2, 1)", np.linalg.norm(X, axis=1)),
        ("x.norm(p=3, dim=0)", np.linalg.norm(X, 3, 0)),
        ("x.norm('fro')", np.linalg.norm(X)),
        ("x.var()", X.var(ddof=1)),
        ("x.var(dim=1, unbiased=False)", X.var(1)),
        ("x.std(unbiased=False)", X.std()),
        ("x.sub(y, alpha=2)", X - 2 * Y),
        ("x.amax(1)", X.max(1)),
        ("x.amin(0)", X.min(0)),
        ("x.t()", X.T),
        ("v.t()", V),
        ("x.mm(y.t())", X @ Y.T),
        ("x.mv(v)", X @ V),
        ("x[None].bmm(y.T[None])", (X @ Y.T)[None]),
        ("v.outer(v)", np.outer(V, V)),
        ("x.view_as(y.T)", X.reshape(4, 3)),
        ("v.expand_as(x)", np.broadcast_to(V, (3, 4))),
        ("x.where(y > 1, y)", np.where(Y > 1, X, Y)),
        ("x.contiguous()", X),
        ("x.lerp(y, 0.25)", X + 0.25 * (Y - X)),
        ("x.movedim(0, 1)", X.T),
        ("x.repeat_interleave(2, dim=0)", X.repeat(2, 0)),
        ("x.diagonal()", np.diagonal(X)),
        ("x.exp2()", np.exp2(X)),
        ("x[hs.tensor([2, 0])]", X[[2, 0]]),
        ("x[hs.tensor([2, 0]), 1:]", X[[2, 0], 1:]),
        ("x.isnan()", np.isnan(X)),
        ("x.isinf()", np.isinf(X)),
        ("x.isfinite()", np.isfinite(X)),
        ("x.dim()", 2),
        ("x.numel()", 12),
    ],
)
def test_methods_are_pytorchs(expression: str, expected: Any) -> None:
    got = evaluated(expression, lambda a: hs.tensor(a, "fp64"))
    assert np.shape(np.asarray(got)) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "function", [lambda t: t.norm(1, 0), lambda t: t.sub(t * t, alpha=2), lambda t: t.lerp(t, 0.2)]
)
def test_their_gradients_agree_with_differences(function: Any) -> None:
    assert hs.gradcheck(function, hs.tensor(X, "fp64"))


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        ("np.linalg.norm(x, 3)", TypeError, "numpy.linalg.norm of 2 axes with ord=3 is not simulated"),
        ("np.pad(x, 1, 'mean')", TypeError, "numpy.pad with mode='mean' is not simulated"),
        ("np.quantile(x, 2)", ValueError, "q: shares outside 0 to 1 are not allowed"),
        ("np.quantile(x, 0.5, method='inverted_cdf')", TypeError, "method='inverted_cdf' is not simulated"),
        ("np.interp(v, w, w[:2])", ValueError, "xp, fp: shapes (4,) and (2,) are not allowed"),
        ("np.gradient(x[:1], axis=0)", ValueError, "f: 1 values along axis 0 are too few"),
        ("np.average(x, 0, w)", ValueError, "weights: shape (4,) does not fit (3, 4) and axis 0"),
        ("np.convolve(x, v)", ValueError, "a, v: shapes (3, 4) and (4,) are not allowed"),
        ("x.norm('two')", ValueError, "p: 'two' is not allowed"),
        ("x.mm(v)", ValueError, "mm: shapes (3, 4) and (4,) do not fit; allowed: 2 dimensions and 2 dimensions"),
        ("x.mv(y)", ValueError, "mv: shapes"),
        ("x[None].bmm(hs.ops.stack([y.T, y.T]))", ValueError, "bmm: shapes (1, 3, 4) and (2, 4, 3) do not fit"),
        ("x[None].t()", ValueError, "t: shape (1, 3, 4) is not allowed"),
        ("x[hs.tensor([0.5])]", TypeError, "index: dtype float32 is not allowed"),
    ],
)
def test_bad_input_gets_one_line(expression: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        evaluated(expression, lambda a: hs.tensor(a, "fp64"))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def flipped(mask: Any) -> None:
    mask[...] = ~mask


def shifted(index: Any) -> None:
    index[...] = (index + 1) % 3


@pytest.mark.parametrize(
    ("function", "given", "change"),
    [
        (lambda x, m: hs.ops.where(m, x, 0.0), Y > 1, flipped),
        (lambda x, m: x.masked_fill(m, 0.0), Y > 1, flipped),
        (lambda x, m: x[m], Y > 1, flipped),
        (lambda x, i: x[i], np.array([0, 1, 1]), shifted),
        (lambda x, i: x[i, i], np.array([0, 1, 1]), shifted),
    ],
)
def test_masks_and_indices_may_change_before_the_backward_pass(function: Any, given: Any, change: Any) -> None:
    grads = []
    for later in (lambda _: None, change):
        x, own = hs.tensor(X, "fp64", requires_grad=True), given.copy()
        y = function(x, own)
        later(own)
        (y * y).sum().backward()
        assert x.grad is not None
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("mode", ["nearest_even", "downward", "upward", "toward_zero"])
def test_a_cube_root_is_rounded_once(mode: str) -> None:
    """The nearest half below, above, or to the exact value, whose cube is compared in fractions."""
    halves = hs.decode(np.arange(0x3C00, 0x4900, 7, dtype=np.uint16))
    with hs.precision(f"storage=fp16, compute=fp16, rounding={mode}"):
        roots = np.cbrt(hs.tensor(halves, "fp16")).numpy().astype(np.float64)
    for x, y in zip(halves.tolist(), roots.tolist(), strict=True):
        low, high = (float(hs.next_down(y)), y) if Fraction(y) ** 3 > x else (y, float(hs.next_up(y)))
        assert Fraction(low) ** 3 <= x < Fraction(high) ** 3
        exact = Fraction(y) ** 3 == x
        middle = (Fraction(low) + Fraction(high)) / 2
        nearest = low if middle**3 > x else high
        assert y == {"downward": low, "toward_zero": low, "upward": y if exact else high}.get(mode, nearest)


def test_only_one_axis_makes_a_vector_of_the_right_hand_side() -> None:
    a, b = np.stack([S, S + 1])[:2, :2, :2], np.arange(4.0).reshape(2, 2)
    got = np.linalg.solve(hs.tensor(a, "fp64"), hs.tensor(b, "fp64"))
    np.testing.assert_allclose(got.numpy(), np.linalg.solve(a, b), rtol=1e-12)


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        ("np.partition(v, 1.5)", TypeError, "numpy.partition: (Tensor (4,), 1.5) is not allowed"),
        ("np.sum(x, initial=w)", ValueError, "numpy.sum: (Tensor (3, 4), Tensor (4,)) is not allowed"),
        ("np.squeeze(x, 0)", ValueError, "numpy.squeeze: (Tensor (3, 4), 0) is not allowed"),
        ("np.split(x, bytearray(b'1'))", TypeError, "indices_or_sections: bytearray is not allowed"),
        ("np.fill_diagonal(v, 1)", ValueError, "numpy.fill_diagonal: (Tensor (4,), 1) is not allowed"),
    ],
)
def test_what_numpy_refuses_is_refused(expression: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        evaluated(expression, lambda a: hs.tensor(a, "fp64"))
    assert text in str(caught.value)


def test_sets_are_in_the_widest_format() -> None:
    found = np.union1d(hs.tensor([1, 2]), hs.tensor([0.5], "fp16"))
    assert found.dtype == hs.float16
    assert found.tolist() == [0.5, 1.0, 2.0]
