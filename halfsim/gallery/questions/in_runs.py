"""Numbers of small runs in simulated precision, seeded and the same everywhere, a function for each claim."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim import amp, nn, optim
from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.random import manual_seed
from halfsim.autograd.scope import precision
from halfsim.autograd.trace.trace import Trace, tracing
from halfsim.data import digits
from halfsim.demo.training import RECIPES
from halfsim.gallery.questions.on_devices import Numbers
from halfsim.gallery.questions.trained import answers, run, trained
from halfsim.hardware.devices import device
from halfsim.nn.utils import clip_grad_norm_, clip_grad_value_
from halfsim.numerics.formats import Format, bfloat16, float16, float32
from halfsim.numerics.quantize import round_to
from halfsim.text import share

_FORMATS = {"half": float16, "brain": bfloat16, "wide": float32}
_SCALE = 2.0**15  # the largest power of two that is a half; GradScaler begins with twice as much, in float32


def _until(fmt: Format, factor: float, stop: float) -> int:
    """After how many multiplications by ``factor``, each rounded, 1 has become ``stop``."""
    value, n = 1.0, 0
    while value != stop:
        value, n = float(round_to(value * factor, fmt)), n + 1
    return n


# ---- uses ------------------------------------------------------------------------------------------------------------


def classified() -> Numbers:
    """A classifier trained in float32, asked in float16."""
    wide, half, steps = answers("fp32", "fp32"), answers("fp16", "fp16"), answers("pure_fp16", "fp16")
    truth = digits().y_test
    return {"images": len(truth), "wide": float((wide == truth).mean()),
            "alike": int((wide == half).sum()), "pure": float((steps == truth).mean())}  # fmt: skip


def pictures_and_sound() -> Numbers:
    """Pixels, their sum, and a sine tone of full scale."""
    grey = 128
    with np.errstate(over="ignore"):
        sums = np.cumsum(np.full(1024, grey, np.float16), dtype=np.float16)
    t = np.arange(48000) / 48000
    tone = np.sin(2 * np.pi * 997 * t)
    ints = np.rint(tone * 32767) / 32767

    def decibels(found: np.ndarray) -> float:
        return float(10 * np.log10((tone**2).sum() / ((found - tone) ** 2).sum()))

    return {
        "whole": 1 << float16.precision,
        "bits": 8,
        "grey": grey,
        "full": int(np.argmax(np.isinf(sums))) + 1,
        "tone_half": decibels(np.asarray(round_to(tone, float16), np.float64)),
        "tone_ints": decibels(ints),
    }


def tables() -> Numbers:
    """Sums and counts of many rows."""
    ones, root = np.ones(70000, np.float16), 300
    with np.errstate(over="ignore"):
        total = float(ones.sum())
        running = float(np.cumsum(ones, dtype=np.float16)[-1])
        square = float(np.float16(root) * np.float16(root))
    return {
        "rows": len(ones),
        "total": total,
        "running": running,
        "mean": float(ones.mean()),
        "root": root,
        "square": square,
        "max": float16.max,
    }


def wide_too() -> Numbers:
    """What float32 does not hold either."""
    x = np.array([10000, 10001, 10002], np.float32)
    naive = float((x * x).mean(dtype=np.float32) - x.mean(dtype=np.float32) ** 2)
    whole = np.float32(2**24)
    return {
        "data": [f"{n:g}" for n in x],
        "whole": int(whole),
        "after": int(whole + np.float32(1)),
        "naive": naive,
        "true": float(np.var(x, dtype=np.float64)),
    }


# ---- networks --------------------------------------------------------------------------------------------------------


def prototypes() -> Numbers:
    """The first step of Adam in half precision."""
    gradient, eps = 1e-4, 1e-8
    w = tensor([1.0], "fp16", requires_grad=True)
    optimizer = optim.Adam([w], lr=1e-3, eps=eps)
    with precision("fp16"):
        w.grad = tensor([gradient], "fp16")
        optimizer.step()
    return {"eps": eps, "read": float(round_to(eps, float16)), "gradient": gradient, "weight": w.item()}


def converted() -> Numbers:
    """Weights and inputs turned into halves after training."""
    weights = np.concatenate([p.array.ravel() for p in trained("fp32").parameters()])
    halves = np.asarray(round_to(weights, float16))
    found = classified()
    return {"weights": weights.size, "changed": int((halves != weights).sum()), "images": found["images"],
            "alike": found["alike"], "input": 70000, "becomes": float(round_to(70000.0, float16))}  # fmt: skip


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def mantissa() -> Numbers:
    """Bits of the significand, and the next number after 1."""
    return {"half": float16.nmant, "wide": float32.nmant, "p_half": float16.precision, "p_wide": float32.precision,
            "brain": bfloat16.nmant, "eps_half": float16.eps, "eps_wide": float32.eps}  # fmt: skip


@cache
def _flushed(fmt: str, scale: float = 1.0) -> float:
    """The share of the gradients of a trained classifier, of activations too, that become zero in a format."""
    data, model = digits(), copy.deepcopy(trained("fp32")).to(fmt)
    with precision(fmt), tracing(Trace()) as events:
        found = nn.cross_entropy(model(tensor(data.x_train, fmt)), data.y_train)
        found.backward(tensor(scale, fmt))
    counts = events.count("backward")
    return share(counts.flushed, counts.nonzero)


def vanishing() -> Numbers:
    """Gradients that became zero, by format and with a loss scale; and a chain of factors."""
    tiny, grow = 1e-8, recurrent()
    return {"half": _flushed("fp16"), "brain": _flushed("bf16"), "scale": _SCALE, "scaled": _flushed("fp16", _SCALE),
            "p_half": float16.precision, "p_brain": bfloat16.precision, "tiny": tiny,
            "tiny_half": float(round_to(tiny, float16)), "tiny_brain": float(round_to(tiny, bfloat16)),
            "factor": grow["factor"], "grow_half": grow["half"], "grow_wide": grow["wide"]}  # fmt: skip


def _clipped(values: list[float], limit: float = 1.0, fmt: str = "fp16") -> tuple[float, list[float]]:
    """Norm and gradients after clipping by norm."""
    w = tensor([0.0] * len(values), fmt, requires_grad=True)
    w.grad = tensor(values, fmt)
    with precision(fmt):
        norm = clip_grad_norm_([w], limit).item()
    return norm, [float(g) for g in w.grad.array]


def overflowed() -> Numbers:
    """What clipping makes of a gradient that is infinite or zero already."""
    _, infinite = _clipped([float("inf"), 1.0])
    tiny = 1e-8
    _, zero = _clipped([tiny, 1.0])
    return {"infinite": infinite[0], "beside": infinite[1], "tiny": tiny, "lost": zero[0], "max": float16.max,
            "max_brain": bfloat16.max, "p_half": float16.precision, "p_brain": bfloat16.precision}  # fmt: skip


@cache
def _depths() -> dict[int, float]:
    """The error of a chain of layers in float16 against float64, relative, by depth: the median over 5 seeds."""
    found: dict[int, list[float]] = {1: [], 64: []}
    hadamard: NDArray[Any] = np.ones((1, 1))
    while len(hadamard) < 64:
        hadamard = np.kron(hadamard, [[1, 1], [1, -1]])
    for seed in range(5):
        draw = np.random.default_rng(seed)
        x = draw.standard_normal((8, 64)).astype(np.float16).astype(np.float64)
        half, exact = tensor(x, "fp16"), x
        for n in range(1, 65):
            w = hadamard * draw.choice([-0.125, 0.125], 64)  # orthogonal, and exact in halves
            exact = exact @ w
            with precision("fp16"):
                half = half @ tensor(w, "fp16")
            if n in found:
                found[n].append(float(np.linalg.norm(half.array - exact) / np.linalg.norm(exact)))
    return {n: float(np.median(errors)) for n, errors in found.items()}


def depth() -> Numbers:
    """How the error grows from layer to layer, beside that of one long sum."""
    found = _depths()
    return {"one": found[1], "many": found[64], "layers": 64, "times": found[64] / found[1],
            "sum": _sums()[16384][0], "sum_wide": _sums()[16384][1], "terms": 16384}  # fmt: skip


@cache
def _sums() -> dict[int, tuple[float, float]]:
    """Relative errors of dot products of n positive terms: each step in float16, and summed in float32."""
    found = {}
    for n in (64, 1024, 16384):
        draw = np.random.default_rng(n)
        a, b = (draw.uniform(0, 1, n).astype(np.float16) for _ in range(2))
        exact = float(a.astype(np.float64) @ b.astype(np.float64))
        errors = []
        for rule in ("pure_fp16", "fp16"):
            with precision(rule):
                got = (tensor(a.reshape(1, -1), "fp16") @ tensor(b.reshape(-1, 1), "fp16")).item()
            errors.append(abs(got - exact) / exact)
        found[n] = errors[0], errors[1]
    return found


def accuracy() -> Numbers:
    """What a classifier of digits loses in half precision."""
    truth, rules = digits().y_test, ("fp32", "fp16", "pure_fp16", "amp")
    said = {rule: answers(rule, RECIPES[rule].weights, rule) for rule in rules}
    apart = max(int((found != said["fp32"]).sum()) for found in said.values())
    right = {rule: float((found == truth).mean()) for rule, found in said.items()}
    return {**right, "images": len(truth), "apart": apart}


def lost() -> Numbers:
    """Updates too small for their weights."""
    w = tensor([1.0], "fp16", requires_grad=True)
    optimizer = optim.SGD([w], lr=1e-4)
    with precision("fp16"):
        for _ in range(100):
            optimizer.zero_grad()
            w.sum().backward()
            optimizer.step()
    return {"half_ulp": float16.epsneg / 2, "update": 1e-4, "weight": w.item(), "steps": 100,
            "share": run("fp16").live_updates_lost, "amp": run("amp").live_updates_lost}  # fmt: skip


# ---- remedies --------------------------------------------------------------------------------------------------------


def clipping() -> Numbers:
    """Clipping where it helps, and where it comes too late."""
    each = 60000.0
    norm, grads = _clipped([300.0, 400.0])
    late, gone = _clipped([each, each])
    return {"norm": norm, "limit": 1.0, "first": grads[0], "second": grads[1], "each": each, "late": late,
            "gone": gone[0]}  # fmt: skip


def activation() -> Numbers:
    """After how many layers of sigmoids a gradient is zero, at best."""
    slope = 0.25
    found = {name: _until(_FORMATS[name], slope, 0.0) for name in ("half", "wide")}
    return {"slope": slope, "half": found["half"], "wide": found["wide"]}


@cache
def _widths(scale: float, fmt: str) -> int:
    """After how many layers of width 256 with weights of that standard deviation a result is infinite; at most 50."""
    draw = np.random.default_rng(0)
    x = tensor(draw.standard_normal((4, 256)), fmt)
    with precision(fmt):
        for n in range(1, 51):
            x = ops.relu(x @ tensor(draw.standard_normal((256, 256)) * scale, fmt))
            if not np.isfinite(x.array).all():
                return n
    return 50


def initialisation() -> Numbers:
    """First weights of standard deviation 1, and He's."""
    plain, he = 1.0, (2 / 256) ** 0.5
    return {"plain": plain, "half": _widths(plain, "fp16"), "wide": _widths(plain, "fp32"), "he": he,
            "layers": _widths(he, "fp16"), "width": 256}  # fmt: skip


def smaller_rate() -> Numbers:
    """The share of updates that are lost, by learning rate."""
    found = {rate: run("fp16", rate).live_updates_lost for rate in (0.1, 0.01, 0.001)}
    return {"rate": 0.1, "lost": found[0.1], "tenth": 0.01, "lost_tenth": found[0.01], "hundredth": 0.001,
            "lost_hundredth": found[0.001]}  # fmt: skip


def scaled() -> Numbers:
    """Gradients in half precision with and without a loss scale."""
    tiny = 1e-8
    return {
        "half": _flushed("fp16"),
        "scaled": _flushed("fp16", _SCALE),
        "scale": _SCALE,
        "tiny": tiny,
        "read": float(round_to(tiny, float16)),
        "kept": float(round_to(tiny * _SCALE, float16)) / _SCALE,
    }


def steady() -> Numbers:
    """Normalisation and residual connections: what helps, and what overflows or is swallowed in them."""
    root, slope, layers, stream = 300.0, 0.25, 20, 2048.0
    return {
        "root": root,
        "square": float(round_to(root * root, float16)),
        "slope": slope,
        "layers": layers,
        "plain": slope**layers,
        "plain_half": float(round_to(slope**layers, float16)),
        "through": 1 + slope,
        "residual": (1 + slope) ** layers,
        "stream": stream,
        "sum": float(round_to(stream + 1.0, float16)),
    }


def saved() -> Numbers:
    """A checkpoint in halves."""
    weights = np.concatenate([p.array.ravel() for p in trained("fp32").parameters()])
    halves = np.asarray(round_to(weights, float16), np.float64)
    normal = np.abs(weights) >= float16.smallest_normal
    error = np.abs(halves - weights)[normal] / np.abs(weights[normal])
    return {"weights": weights.size, "changed": int((halves != weights).sum()), "error": float(error.max()),
            "scale": amp.GradScaler().get_scale()}  # fmt: skip


def accumulators() -> Numbers:
    """One dot product on three devices."""
    draw = np.random.default_rng(0)
    a, b = (draw.uniform(0, 1, 4096).astype(np.float16).astype(np.float32) for _ in range(2))
    exact = float(a.astype(np.float64) @ b.astype(np.float64))
    errors = {name: abs(float(device(name).matmul(a[None], b[:, None]).item()) - exact) / exact for name in
              ("P100", "V100", "H100")}  # fmt: skip
    return {"terms": 4096, "max": float16.max, "zero": float16.smallest_subnormal / 2, **errors}


def larger_network() -> Numbers:
    """Deeper and wider: layers to zero, and the error of longer sums."""
    sums, chain = _sums(), activation()
    return {
        "slope": chain["slope"],
        "half": chain["half"],
        "wide": chain["wide"],
        "short": 64,
        "error_short": sums[64][0],
        "long": 16384,
        "error_long": sums[16384][0],
    }


@cache
def _thousand(**options: object) -> float:
    """A weight of 1 after 1,000 updates of +0.0001."""
    manual_seed(0)
    w = tensor([1.0], "fp16", requires_grad=True)
    optimizer = optim.SGD([w], lr=1e-4, **options)  # type: ignore[arg-type]
    with precision("fp16"):
        for _ in range(1000):
            w.grad = tensor([-1.0], "fp16")
            optimizer.step()
    return w.item()


def left_out() -> Numbers:
    """A thousand small updates of one weight, by remedy."""
    return {
        "steps": 1000,
        "update": 1e-4,
        "true": 1 + 1000 * 1e-4,
        "plain": _thousand(),
        "master": _thousand(master_weights=True),
        "kahan": _thousand(kahan=True),
        "stochastic": _thousand(rounding="stochastic"),
    }


# ---- clipping --------------------------------------------------------------------------------------------------------


def by_norm() -> Numbers:
    """Clipping by norm keeps the direction, by value it does not."""
    a, b, limit = 30.0, 40.0, 5.0
    norm, grads = _clipped([a, b], limit, "fp32")
    w = tensor([0.0, 0.0], requires_grad=True)
    w.grad = tensor([a, b])
    clip_grad_value_([w], limit)
    return {"a": a, "b": b, "before": norm, "first": grads[0], "second": grads[1], "limit": limit,
            "value_first": float(w.grad.array[0]), "value_second": float(w.grad.array[1])}  # fmt: skip


def shapes() -> Numbers:
    """Gradients have the shapes of their parameters."""
    sizes = [p.array.size for p in trained("fp32").parameters()]
    return {"largest": max(sizes), "rows": 32, "columns": 64, "tensors": len(sizes), "all": sum(sizes)}


def norms() -> Numbers:
    """The norm itself in half precision, and of gradients that are scaled."""
    each, true, limit = 60000.0, 0.5, 1.0
    late, gone = _clipped([each, each])
    scaled_norm, grads = _clipped([true * _SCALE], limit, "fp32")
    return {"each": each, "norm": late, "gone": gone[0], "scale": _SCALE, "true": true, "limit": limit,
            "scaled_norm": scaled_norm, "left": grads[0] / _SCALE}  # fmt: skip


def formula() -> Numbers:
    """PyTorch's coefficient at the limit itself."""
    limit = 0.5
    _, grads = _clipped([limit], limit, "fp64")
    return {"limit": limit, "eps": 1e-6, "left": grads[0]}


def too_small() -> Numbers:
    """A threshold so small that the clipped gradients vanish."""
    entries, limit = 10000, 1e-6
    _, half = _clipped([0.01] * entries, limit)
    _, wide = _clipped([0.01] * entries, limit, "fp32")
    return {"entries": entries, "limit": limit, "half": half[0], "wide": wide[0]}


def recurrent() -> Numbers:
    """After how many steps a gradient that grows by a fifth a step is infinite."""
    factor = 1.2
    found = {name: _until(fmt, factor, np.inf) for name, fmt in _FORMATS.items()}
    return {"factor": factor, "half": found["half"], "wide": found["wide"], "brain": found["brain"]}
