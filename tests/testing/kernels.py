"""Half kernels as people write them, correct and faulty, in plain NumPy: what the derived tolerance is to tell apart.

Each `Case` is a function of halfsim tensors, inputs, a correct kernel in float16 with float32 inside, and the same
kernel with one fault. Kernels differ in the order of their sums, in blocking, in what they store between, and in
algebra.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsim import ops

Array = np.ndarray[Any, Any]
F16, F32 = np.float16, np.float32


@dataclass(frozen=True)
class Case:
    family: str
    kernel: str  # how the correct one computes
    fault: str  # what the other does wrong
    f: Callable[..., Any]
    inputs: tuple[Array, ...]
    correct: Array
    faulty: Array


# Sums over the last axis in a type, in several orders.


def sequential(x: Array, dtype: Any = F32) -> Array:
    x = x.astype(dtype)
    total = np.zeros(x.shape[:-1], dtype)
    for k in range(x.shape[-1]):
        total = total + x[..., k]
    return total


def backwards(x: Array, dtype: Any = F32) -> Array:
    return sequential(x[..., ::-1], dtype)


def pairwise(x: Array, dtype: Any = F32) -> Array:
    x = x.astype(dtype)
    while x.shape[-1] > 1:
        odd = x[..., -1:] if x.shape[-1] % 2 else x[..., :0]
        x = np.concatenate([x[..., 0 : x.shape[-1] - 1 : 2] + x[..., 1::2], odd], -1)
    return x[..., 0] if x.shape[-1] else np.zeros(x.shape[:-1], dtype)


def blocked(size: int) -> Callable[..., Array]:
    def add(x: Array, dtype: Any = F32) -> Array:
        parts = [sequential(x[..., i : i + size], dtype) for i in range(0, x.shape[-1], size)]
        return sequential(np.stack(parts, -1), dtype)

    return add


def lanes(count: int) -> Callable[..., Array]:
    def add(x: Array, dtype: Any = F32) -> Array:
        return pairwise(np.stack([sequential(x[..., i::count], dtype) for i in range(count)], -1), dtype)

    return add


def kahan(x: Array, dtype: Any = F32) -> Array:
    x = x.astype(dtype)
    total = lost = np.zeros(x.shape[:-1], dtype)
    for k in range(x.shape[-1]):
        y = x[..., k] - lost
        new = total + y
        total, lost = new, (new - total) - y
    return total


def numpy_sum(x: Array, dtype: Any = F32) -> Array:
    return np.sum(x, axis=-1, dtype=dtype)


def double(x: Array, dtype: Any = F32) -> Array:
    return np.sum(x, axis=-1, dtype=np.float64 if dtype == F32 else dtype).astype(dtype)


SUMS: dict[str, Callable[..., Array]] = {
    "sequential": sequential, "backwards": backwards, "pairwise": pairwise, "blocks of 16": blocked(16),
    "blocks of 48": blocked(48), "8 lanes": lanes(8), "32 lanes": lanes(32), "Kahan": kahan, "NumPy's": numpy_sum,
    "float64": double,
}  # fmt: skip
# Orders in which a narrow accumulator is what people mean by one.
PLAIN = ("sequential", "backwards", "blocks of 16", "blocks of 48", "8 lanes")

Rng = np.random.Generator


def _halves(rng: Rng, *shape: int, scale: float = 1.0, mean: float = 0.0) -> Array:
    return (rng.standard_normal(shape) * scale + mean).astype(F16)


def _order(rng: Rng, among: Any = None) -> tuple[str, Callable[..., Array]]:
    name = str(rng.choice(list(among or SUMS)))
    return name, SUMS[name]


def _without(x: Array, k: int) -> Array:
    return np.delete(x, k, -1)


# Families: each gives one case from a stream of random numbers.


def sums(rng: Rng) -> Case:
    n = int(rng.choice([64, 100, 128, 256, 333]))
    x = _halves(rng, n, n, mean=float(rng.choice([0.0, 0.0, 1.0])))[: n if rng.random() < 0.5 else 24]
    name, add = _order(rng)
    square = x.shape[0] == n
    faults: dict[str, Callable[[], Array]] = {
        "lost term": lambda: add(_without(x, int(rng.integers(n))).astype(F32)),
        "fp16 accumulator": lambda: SUMS[str(rng.choice(PLAIN))](x, F16),
        "off by one at the end": lambda: add(x[:, : n - 1].astype(F32)),
        "term counted twice": lambda: add(np.concatenate([x, x[:, :1]], 1).astype(F32)),
        "lost block": lambda: add(x[:, : n - n % 48 if n % 48 else n - 48].astype(F32)),
    }
    if square:
        faults["wrong axis"] = lambda: add(x.T.astype(F32))
    fault = str(rng.choice(list(faults)))
    return Case(
        "sum", name, fault, lambda t: t.sum(-1), (x,), add(x.astype(F32)).astype(F16), faults[fault]().astype(F16)
    )


def _fma(a: Array, b: Array) -> Array:
    """A loop of fused multiply-adds in float32, through float64, which holds the products."""
    total = np.zeros((a.shape[0], b.shape[1]), F32)
    for k in range(a.shape[1]):
        total = (total.astype(np.float64) + np.multiply.outer(a[:, k], b[k]).astype(np.float64)).astype(F32)
    return total


def dots(rng: Rng) -> Case:
    n, rows = int(rng.choice([64, 96, 128, 256])), int(rng.choice([8, 12]))
    square = rng.random() < 0.3
    a, b = _halves(rng, rows, n), _halves(rng, n, n if square else rows)
    b = b[:, :64] if square and n > 64 else b
    name, add = _order(rng)
    fused = rng.random() < 0.2
    wide = a.astype(F32), b.astype(F32)

    def product(p: Array, q: Array, how: Callable[..., Array] = add, dtype: Any = F32) -> Array:
        return how(p[:, None, :] * q.T[None], dtype)

    correct = _fma(*wide) if fused else product(*wide)
    k = int(rng.integers(n))
    faults: dict[str, Callable[[], Array]] = {
        "lost term": lambda: product(_without(wide[0], k), np.delete(wide[1], k, 0)),
        "fp16 accumulator": lambda: product(*wide, SUMS[str(rng.choice(PLAIN))], F16),
        "fp16 products": lambda: product(a, b),
        "off by one at the end": lambda: product(wide[0][:, : n - 1], wide[1][: n - 1]),
        "lost tail of 16": lambda: product(wide[0][:, : n - 16], wide[1][: n - 16]),
    }
    if b.shape == (n, n):
        faults["wrong axis"] = lambda: product(wide[0], wide[1].T)
    fault = str(rng.choice(list(faults)))
    name = "fused multiply-adds" if fused else name
    return Case("dot", name, fault, lambda p, q: p @ q, (a, b), correct.astype(F16), faults[fault]().astype(F16))


def _softmax_steps(x: Any) -> Any:
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def _online(x: Array, size: int) -> Array:
    """The softmax whose maximum and sum are brought up to date block by block (Milakov and Gimelshein 2018)."""
    top, total = np.full(x.shape[:-1], -np.inf, F32), np.zeros(x.shape[:-1], F32)
    for i in range(0, x.shape[-1], size):
        block = x[..., i : i + size]
        new = np.maximum(top, block.max(-1))
        total = total * np.exp(top - new) + sequential(np.exp(block - new[..., None]))
        top = new
    return np.exp(x - top[..., None]) / total[..., None]


def softmaxes(rng: Rng) -> Case:
    n, rows = int(rng.choice([32, 64, 100, 256])), 16
    x = _halves(rng, n if rng.random() < 0.3 and n <= 64 else rows, n, scale=float(rng.choice([0.5, 1.0, 3.0])))
    name, add = _order(rng)
    stored = rng.random() < 0.4
    kind = "stored between" if stored else str(rng.choice(["division", "reciprocal", "exp2", "online", "logarithm"]))
    keep = (lambda y: y.astype(F16).astype(F32)) if stored else (lambda y: y)

    def soft(x: Array, total: Callable[[Array], Array] = lambda e: add(e), axis: int = -1) -> Array:
        x = np.moveaxis(x.astype(F32), axis, -1)
        if kind == "online" and axis == -1:
            return _online(x, 32)
        d = keep(x - x.max(-1, keepdims=True))
        e = keep(np.exp2(d * F32(math.log2(math.e))) if kind == "exp2" else np.exp(d))
        s = keep(total(e).astype(F32))[..., None]
        if kind == "logarithm":
            return np.exp(d - np.log(s))
        y = e * (F32(1) / s) if kind == "reciprocal" else e / s
        return np.moveaxis(y, -1, axis)

    correct = soft(x)
    was, kind = kind, "division" if kind == "online" else kind  # a fault in the sum needs a sum
    k = int(rng.integers(n))
    faults: dict[str, Callable[[], Array]] = {
        "lost term": lambda: soft(x, lambda e: add(_without(e, k))),
        "fp16 accumulator": lambda: soft(x, lambda e: SUMS[str(rng.choice(PLAIN))](e, F16)),
        "off by one at the end": lambda: soft(x, lambda e: add(e[..., : n - 1])),
        "wrong eps": lambda: soft(x, lambda e: add(e) + F32(0.01) * n**0.5),
        "maximum left in": lambda: soft(x, lambda e: add(e) + F32(1)),
    }
    if x.shape[0] == n:
        faults["wrong axis"] = lambda: soft(x, axis=0)
    fault = str(rng.choice(list(faults)))
    f = _softmax_steps if stored else lambda t: ops.softmax(t, -1)
    return Case("softmax", f"{was}, {name}", fault, f, (x,), correct.astype(F16), faults[fault]().astype(F16))


EPS = 1e-5


def _norm_steps(x: Any, w: Any, b: Any) -> Any:
    d = x - x.mean(-1, keepdim=True)
    return d * ((d * d).mean(-1, keepdim=True) + EPS).rsqrt() * w + b


def layer_norms(rng: Rng) -> Case:
    n, rows = int(rng.choice([64, 96, 128, 256])), 12
    stored = rng.random() < 0.3
    low = -0.5 if stored else -3.0
    scales = 10.0 ** rng.uniform(low, 0.5, (rows, 1))
    x = (rng.standard_normal((rows, n)) * scales + scales * rng.uniform(-1, 1, (rows, 1))).astype(F16)
    if rng.random() < 0.3 and n == 64:
        x = (rng.standard_normal((n, n)) * 10.0 ** rng.uniform(low, 0.5, (n, 1))).astype(F16)
    w, b = _halves(rng, n, scale=0.2, mean=1.0), _halves(rng, n, scale=0.2)
    name, add = _order(rng)
    kind = (
        "stored between" if stored else str(rng.choice(["two passes", "Welford's", "shifted", "division by the root"]))
    )
    keep = (lambda y: y.astype(F16).astype(F32)) if stored else (lambda y: y)
    one = F32(1)

    def norm(x: Array, add: Any = add, eps: float = EPS, free: int = 0, outside: bool = False, skip: int = 0) -> Array:
        x = x.astype(F32)
        count = F32(n - skip)
        if kind == "Welford's" and not skip:
            mean, m2 = np.zeros((len(x), 1), F32), np.zeros((len(x), 1), F32)
            for k in range(n):
                d = x[:, k : k + 1] - mean
                mean = mean + d / F32(k + 1)
                m2 = m2 + d * (x[:, k : k + 1] - mean)
            d, variance = x - mean, m2 / F32(n - free)
        elif kind == "shifted":
            shift = x[:, :1]
            mean = add(x[:, : n - skip] - shift)[:, None].astype(F32) / count
            squares = add((x[:, : n - skip] - shift) ** 2)[:, None].astype(F32)
            d, variance = x - (mean + shift), (squares - count * mean * mean) / F32(n - skip - free)
        else:
            mean = keep(add(x[:, : n - skip])[:, None].astype(F32) / count)
            d = keep(x - mean)
            variance = keep(add(keep(d * d)[:, : n - skip])[:, None].astype(F32) / F32(n - skip - free))
        root = np.sqrt(variance) + F32(eps) if outside else np.sqrt(keep(variance + F32(eps)))
        y = d / root if kind == "division by the root" else keep(d * keep(one / root))
        return keep(y * w.astype(F32)) + b.astype(F32)

    correct = norm(x)
    was = kind
    faults: dict[str, Callable[[], Array]] = {
        "wrong eps": lambda: norm(x, eps=float(rng.choice([1e-3, 1e-4, 1e-6, 0.0]))),
        "eps outside the root": lambda: norm(x, outside=True),
        "n - 1": lambda: norm(x, free=1),
        "off by one at the end": lambda: norm(x, skip=1),
        "fp16 accumulator": lambda: norm(x, functools.partial(SUMS[str(rng.choice(PLAIN))], dtype=F16)),
        "bias left out": lambda: norm(x) - b.astype(F32),
    }
    if x.shape[0] == n:
        faults["wrong axis"] = lambda: norm(x.T).T
    if stored:  # where a variance in half has an error of its own, eps is no more to be seen
        del faults["wrong eps"], faults["eps outside the root"]
    fault = str(rng.choice(list(faults)))
    if fault == "fp16 accumulator" and kind in ("Welford's", "shifted"):
        kind = "two passes"
    f = _norm_steps if stored else lambda t, w, b: ops.layer_norm(t, (n,), w, b, EPS)
    with np.errstate(all="ignore"):
        return Case(
            "layer norm", f"{was}, {name}", fault, f, (x, w, b), correct.astype(F16), faults[fault]().astype(F16)
        )


_erf, _erfc = np.vectorize(math.erf, otypes=[np.float64]), np.vectorize(math.erfc, otypes=[np.float64])
ROOT = 0.7071067811865476
TANH = 0.7978845608028654


def gelus(rng: Rng) -> Case:
    x = _halves(rng, 256, scale=float(rng.choice([1.0, 2.0])))
    w = x.astype(F32)
    by_tanh, stored = rng.random() < 0.4, rng.random() < 0.35
    keep = (lambda y: np.asarray(y, F32).astype(F16).astype(F32)) if stored else (lambda y: np.asarray(y, F32))
    half, one = F32(0.5), F32(1)

    def tanh(cubic: float = 0.044715, root: float = TANH, keep: Any = keep) -> Array:
        inner = keep(F32(root) * keep(w + keep(F32(cubic) * keep(keep(w * w) * w))))
        return keep(half * w) * keep(one + keep(np.tanh(inner)))

    def erf(root: float = ROOT, keep: Any = keep) -> Array:
        return keep(half * w) * keep(one + keep(_erf(keep(w * F32(root)))))

    def erfc() -> Array:
        return half * w * _erfc(-w * F32(ROOT)).astype(F32)

    def all_half(y: Any) -> Array:
        return np.asarray(y, F32).astype(F16).astype(F32)

    good: dict[str, Callable[[], Array]] = (
        {"tanh": tanh} if by_tanh else {"erf": erf, **({} if stored else {"erfc": erfc})}
    )
    name = str(rng.choice(list(good)))
    faults: dict[str, Callable[[], Array]] = {
        "other formula": erf if by_tanh else tanh,
        "logistic": lambda: w / (one + np.exp(F32(-1.702) * w)),
        "wrong constant": (lambda: tanh(0.04)) if by_tanh else (lambda: erf(0.7)),
        "factor left out": lambda: 2 * good[name](),
        "lost term": (lambda: tanh(0.0)) if by_tanh else (lambda: good[name]() - half * w),
    }
    if not stored:
        faults["steps in half"] = (lambda: tanh(keep=all_half)) if by_tanh else (lambda: erf(keep=all_half))
    fault = str(rng.choice(list(faults)))

    def steps(t: Any) -> Any:
        if by_tanh:
            return (t * 0.5) * (((t + (t * t) * t * 0.044715) * TANH).tanh() + 1.0)
        return (t * 0.5) * (ops.erf(t * ROOT) + 1.0)

    f = steps if stored else lambda t: ops.gelu(t, approximate="tanh" if by_tanh else "none")
    kind = f"{name}, stored between" if stored else name
    return Case("gelu", kind, fault, f, (x,), good[name]().astype(F16), faults[fault]().astype(F16))


def attentions(rng: Rng) -> Case:
    length, size = int(rng.choice([16, 24, 32])), int(rng.choice([16, 32, 64]))
    causal = bool(rng.random() < 0.6)
    q, k, v = (_halves(rng, length, size) for _ in range(3))
    name, add = _order(rng)
    kind = str(rng.choice(["one pass", "probabilities stored", "flash", "flash, stored", "stored between"]))
    scale = size**-0.5
    wide = [t.astype(F32) for t in (q, k, v)]
    half = lambda y: y.astype(F16).astype(F32)  # noqa: E731
    everywhere = half if kind == "stored between" else (lambda y: y)

    def product(a: Array, b: Array, how: Any = add, dtype: Any = F32) -> Array:
        return how(a[:, None, :] * b[None], dtype).astype(F32)

    def attend(
        shift: int = 0, scale: float = scale, first: Any = F32, second: Any = F32, keys: int = length, axis: int = -1,
        rescale: bool = True, order: Any = add,
    ) -> Array:  # fmt: skip
        s = everywhere(everywhere(product(wide[0], wide[1][:keys], order, first)) * F32(scale))
        if causal:
            s = np.where(np.tri(length, keys, shift, dtype=bool), s, -np.inf).astype(F32)
        values = wide[2][:keys]
        if kind.startswith("flash") and axis == -1:
            top, total = np.full((length, 1), -np.inf, F32), np.zeros((length, 1), F32)
            out = np.zeros((length, size), F32)
            for i in range(0, keys, 8):
                block = s[:, i : i + 8]
                new = np.maximum(top, block.max(-1, keepdims=True))
                p = np.exp(block - new)
                c = np.exp(top - new)
                total = total * c + add(p)[:, None]
                p = half(p) if kind == "flash, stored" else p
                out = (out * c if rescale else out) + product(p, values[i : i + 8].T, order, second)
                top = new
            return out / total
        e = everywhere(np.exp(everywhere(s - s.max(axis, keepdims=True))))
        total = everywhere(add(np.moveaxis(e, axis, -1)))
        p = e / np.expand_dims(total, axis)
        p = p if kind == "one pass" else half(p)
        return product(p, values.T, order, second)

    correct = attend()
    narrow = SUMS[str(rng.choice(PLAIN))]
    faults: dict[str, Callable[[], Array]] = {
        "fp16 accumulator of scores": lambda: attend(first=F16, order=narrow),
        "fp16 accumulator of values": lambda: attend(second=F16, order=narrow),
        "wrong scale": lambda: attend(scale=(size + 1) ** -0.5),
        "last key lost": lambda: attend(keys=length - 1),
        "wrong axis": lambda: attend(axis=0),
    }
    if causal:
        faults["off-by-one mask"] = lambda: attend(shift=1)
    if kind.startswith("flash"):
        faults["no rescaling"] = lambda: attend(rescale=False)
    fault = str(rng.choice(list(faults)))

    def steps(q: Any, k: Any, v: Any) -> Any:
        s = (q @ k.T) * scale
        if causal:
            s = s.masked_fill(~np.tri(length, dtype=bool), -np.inf)
        return _softmax_steps(s) @ v

    f = (
        steps
        if kind == "stored between"
        else lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, is_causal=causal)
    )
    with np.errstate(all="ignore"):
        return Case(
            "attention", f"{kind}, {name}", fault, f, (q, k, v), correct.astype(F16), faults[fault]().astype(F16)
        )


FAMILIES: dict[Callable[[Rng], Case], int] = {
    sums: 90,
    dots: 90,
    softmaxes: 80,
    layer_norms: 80,
    gelus: 60,
    attentions: 100,
}


def cases(share: float = 1.0) -> Iterator[Case]:
    """The 500 cases, or of each family its first ones; the same each time."""
    for number, (family, count) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([2026, number])
        for _ in range(max(1, round(count * share))):
            yield family(rng)
