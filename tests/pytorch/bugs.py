"""Bugs of the catalogue in their original form: small PyTorch programs, and what is to be told of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Bug:
    """``run`` returns the value; ``broken`` says whether the symptom is there; the rest is what a verdict must name."""

    id: str
    run: Callable[[], Any]
    broken: Callable[[Any], bool]
    klass: str | tuple[str, ...]
    op: str | tuple[str, ...]
    phase: str = "forward"
    precision: str = "fp16"
    depth: str = "store"


BUGS: dict[str, Bug] = {}


def bug(
    id: str, broken: Any, klass: Any, op: Any, phase: str = "forward", precision: str = "fp16", depth: str = "store"
) -> Any:
    def keep(run: Callable[[], Any]) -> Callable[[], Any]:
        BUGS[id] = Bug(id, run, broken, klass, op, phase, precision, depth)
        return run

    return keep


def has_nan(y: Any) -> bool:
    return bool(torch.isnan(torch.as_tensor(y)).any())


def has_inf(y: Any) -> bool:
    return bool(torch.isinf(torch.as_tensor(y)).any())


# Activations past 65504.


class T5LayerNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6))


class T5FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.wi, self.wo = nn.Linear(2, 8, bias=False), nn.Linear(8, 3, bias=False)
        self.layer_norm = nn.LayerNorm(3)
        with torch.no_grad():
            self.wi.weight.copy_(torch.outer(torch.tensor([1.0] * 6 + [-1.0] * 2), torch.tensor([120.0, 61.0])))
            self.wo.weight.copy_(torch.outer(torch.tensor([61.0, 0.53, -7.9]), torch.ones(8)))

    def forward(self, x):
        return self.layer_norm(self.wo(F.relu(self.wi(x))))


@bug("B01", has_nan, "overflow", "linear")
def t5_feed_forward():
    return T5FeedForward()(torch.tensor([[1.0, 1.0], [0.1, 0.2]]))


@bug("B02", has_inf, "overflow", "dropout")
def mt5_dropout():
    torch.manual_seed(3)
    dense = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        dense.weight.copy_(torch.diag(torch.tensor([209.0, 0.5, -1.3, 2.0])))
    torch.manual_seed(1)
    return nn.Dropout(0.1)(dense(torch.tensor([[300.0, 10.1, 4.3, 700.7]])))


@bug("B03", lambda y: bool((y[0] == 0).all()), "overflow", "pow")
def rms_norm_squares():
    x = torch.tensor([[300.1, 3.2, 2.3, 1.1], [1.1, -0.3, 0.7, 2.2]])
    return T5LayerNorm(4)(x)


@bug(
    "B04",
    lambda y: bool((y[0, 0] == 0).all()),
    "overflow",
    ("instance_norm", "batch_norm"),
    precision="pure_fp16",
    depth="faithful",
)
def instance_norm():
    board = torch.tensor([[512.0, -512.0], [-512.0, 512.0]]).repeat(4, 4)
    return nn.InstanceNorm2d(2)(torch.stack([board, board / 300])[None])


@bug("B05", lambda y: has_nan(y[1]), "eps lost", "layer_norm", precision="pure_fp16", depth="faithful")
def layer_norm_eps():
    torch.manual_seed(5)
    x = torch.randn(3, 10)
    x[1] = 0
    return nn.LayerNorm(10, eps=1e-12)(x)


@bug("B06", lambda y: has_nan(y[0]), "overflow", "matmul")
def attention_scores():
    torch.manual_seed(6)
    q, k, v = torch.randn(3, 1, 5, 64)
    q[0, 0, 7], k[0, 3, 7] = 576.0, 382.75
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(64)
    return torch.matmul(F.softmax(scores, dim=-1), v)[0]


@bug("B07", has_nan, "constant changed", ("tensor", "mul"))
def gpt2_mask():
    w, b = torch.tensor([[2.1, 5.1, 1.3], [0.3, 0.1, -0.7]]), torch.tensor([1.0, 1.0, 0.0])
    w = w * b - torch.tensor(1e10) * (1 - b)
    return F.softmax(w, dim=-1)


@bug("B08", lambda y: has_nan(y[1]), "constant changed", "masked_fill")
def padded_row():
    q, k = torch.tensor([[0.3, 1.1], [0.7, -0.2]]), torch.tensor([[1.0, 0.1], [0.2, 0.9], [0.4, 0.4], [-1.1, 0.6]])
    padding = torch.tensor([[False, False, True, True], [True, True, True, True]])
    return (q @ k.T).masked_fill(padding, -1e8).softmax(-1)


@bug("B10", has_nan, "overflow", "exp")
def softmax_by_hand():
    e = torch.exp(torch.tensor([[12.0, 11.0, 10.0], [0.3, 0.1, -0.2]]))
    return e / e.sum(-1, keepdim=True)


@bug("B11", has_nan, "overflow", "pow", "backward")
def gelu_accurate():
    x = torch.tensor([0.7, 300.0], requires_grad=True)
    y = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))
    y.sum().backward()
    return x.grad


@bug("B12", has_inf, "overflow", "exp")
def softplus_by_hand():
    return torch.log(1 + torch.exp(torch.tensor([12.0, 11.1, 3.3, -8.0])))


@bug("B13", lambda y: has_inf(y) and has_nan(y), "constant changed", "clamp")
def bce_clip():
    t, logits = torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([10.0, 10.0, 0.3, -0.7])
    p = torch.sigmoid(logits).clamp(1e-7, 1 - 1e-7)
    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p))


@bug("B14", has_inf, "overflow", "sum")
def label_smoothing():
    torch.manual_seed(14)
    logits, labels = 3.6 * torch.randn(2, 50265), torch.tensor([[17], [4242]])
    log_probs = -F.log_softmax(logits, dim=-1)
    nll = log_probs.gather(dim=-1, index=labels).sum() / labels.numel()
    smooth = log_probs.sum(dim=-1, keepdim=True).sum() / log_probs.numel()
    return 0.9 * nll + 0.1 * smooth


@bug("B15", has_nan, "overflow", ("nll_loss", "sum"))
def nll_mean():
    torch.manual_seed(15)
    logits, target = torch.randn(4, 2, 256, 256), torch.randint(2, (4, 256, 256))
    weight = torch.ones(2)
    loss = F.nll_loss(F.log_softmax(logits, dim=1), target, weight, reduction="sum")
    return loss / weight[target].sum()


@bug("B16", has_inf, "overflow", "mean", precision="pure_fp16", depth="faithful")
def mean_overflow():
    return torch.tensor([40000.0, 40000.0, 40000.0]).mean()


@bug("B20", has_nan, "overflow", "sum")
def dice_loss():
    torch.manual_seed(0)
    logits = torch.randn(512, 512)
    mask = (torch.rand(512, 512) < 0.9).type_as(logits)
    logits = logits + 2 * mask - 1
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * mask).sum() + 1e-7) / (p.sum() + mask.sum() + 1e-7)


@bug("B21", lambda n: n == 3, "overflow", "mul")
def nms_area():
    b = torch.tensor([[0.0, 0.0, 300.2, 300.1], [5.1, 5.3, 305.0, 305.4], [2.0, 0.4, 302.3, 300.0]])
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    inner = (torch.min(b[:, None, 2:], b[:, 2:]) - torch.max(b[:, None, :2], b[:, :2])).clamp(min=0)
    inter = inner[..., 0] * inner[..., 1]
    overlaps = inter / (area[:, None] + area - inter)
    kept = []
    for i in range(3):
        if not (overlaps[i, kept] > 0.2).any():
            kept.append(i)
    return len(kept)


@bug("B22", lambda y: not y[0, 1] > 0.5, "integer rounding", ("add", "mul"))
def batched_nms():
    b = torch.tensor([[117.0, 117.0, 141.0, 141.0], [120.0, 120.0, 144.0, 144.0], [3300.0, 3320.0, 3500.0, 3400.0]])
    labels = torch.tensor([17.0, 17.0, 0.0])
    b = b + labels[:, None] * (b.max() + 1)
    area = (b[:, 2:] - b[:, :2]).prod(-1)
    inter = (torch.min(b[:, None, 2:], b[:, 2:]) - torch.max(b[:, None, :2], b[:, :2])).clamp(min=0).prod(-1)
    return (inter / (area[:, None] + area - inter))[:2, :2]


@bug("B23", lambda n: n == 3073, "integer rounding", ("tensor", "cast"))
def position_ids():
    p = torch.arange(4096).to(torch.float16)
    return torch.unique(p).numel()


@bug("B24", lambda n: n == 1200, "swamping", "add")
def arange_loop():
    x, n = torch.tensor(2040.0), 0
    while float(x) < 3000 and n < 1200:
        x, n = x + 1, n + 1
    return n


@bug(
    "B25",
    lambda t: t.tolist() == [1000.0, 936.0, 832.0, 624.0],
    "integer rounding",
    ("tensor", "cast"),
    precision="bf16",
)
def time_steps():
    t = torch.tensor([999, 937, 833, 625]).to(torch.bfloat16)
    angles = t.float()[:, None] * 10000.0 ** (-torch.arange(8).float() / 8)
    torch.cat([angles.cos(), angles.sin()], dim=-1)
    return t


@bug("B26", lambda n: n <= 897, "integer rounding", "matmul", precision="fp32")
def rope_positions():
    inv_freq = 10000.0 ** (-torch.arange(0, 8, 2).float() / 8)
    positions = torch.arange(8192).float()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        freqs = inv_freq[:, None] @ positions[None, :]
        return torch.unique(freqs.float().cos()[0]).numel()


@bug("B27", lambda y: bool((y == 0).all()), "overflow", "mul")
def cosine_of_squares():
    torch.manual_seed(0)
    x, y = torch.randn(2, 512)

    def cosine(x, y, eps=1e-8):
        w = (x * x).sum() * (y * y).sum()
        return (x * y).sum() / w.clamp(min=eps * eps).sqrt()

    return torch.stack([cosine(x, y), cosine(x, x)])


@bug("B28", lambda y: has_nan(y[1]), "eps lost", ("normalize", "clamp"))
def normalize_eps():
    return F.normalize(torch.tensor([[0.3, -1.1, 0.7], [0.0, 0.0, 0.0]]), dim=-1)


@bug("B29", has_nan, "underflow", "pow")
def norm3_gradient():
    x = torch.tensor([1e-4, 1.5e-4], requires_grad=True)
    (x.abs() ** 3).sum().pow(1 / 3).backward()
    return x.grad


@bug("B32", lambda w: 1.5e-5 < w.norm() < 1.54e-5, "scaler", "clip_grad_norm_", "optimizer", "amp")
def clip_before_unscale():
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=1.0), torch.amp.GradScaler("cuda")
    loss = F.mse_loss(model(torch.tensor([[0.6, 0.7], [0.6, 0.7]])), torch.tensor([[-0.5], [-0.5]]))
    scaler.scale(loss).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return model.weight.detach()


@bug("B33", lambda scale: scale == 0, "scaler", "div", "forward", "fp32")
def scale_to_zero():
    torch.manual_seed(0)
    images = torch.rand(4, 6)
    images[2] = 0
    model = nn.Linear(6, 1, bias=False)
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cuda", init_scale=2.0**10)
    x, y = images / images.amax(1, keepdim=True), torch.ones(4, 1)
    for _ in range(170):
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = F.mse_loss(model(x).float(), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return scaler.get_scale()


@bug("B36", has_nan, "eps lost", ("add", "addcdiv"), "optimizer")
def adam_eps():
    w = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([w], lr=1e-3)
    (w * torch.tensor([0.0, 0.5])).sum().backward()
    optimizer.step()
    return w.detach()


@bug("B38", lambda w: bool((w == 1).all()), "swamping", "update", "optimizer", "bf16")
def lost_updates():
    w = nn.Parameter(torch.ones(768))
    optimizer = torch.optim.AdamW([w], lr=6e-4, weight_decay=0.0)
    for _ in range(100):
        optimizer.zero_grad()
        (w * torch.linspace(0.5, 1.5, 768)).sum().backward()
        optimizer.step()
    return w.detach()


@bug("B39", lambda w: w[0] == 1, "swamping", "decay", "optimizer", "bf16")
def no_decay():
    w = nn.Parameter(torch.tensor([1.0, 0.7, -0.3]))
    optimizer = torch.optim.AdamW([w], lr=1e-3, weight_decay=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (w * 0).sum().backward()
        optimizer.step()
    return w.detach()


@bug("B40", lambda w: bool((w == 1).all()), "swamping", "average", "optimizer")
def ema_stands_still():
    model = nn.Linear(3, 1, bias=False)
    nn.init.ones_(model.weight)
    ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9999))
    ema.update_parameters(model)
    nn.init.constant_(model.weight, 2.0)
    for _ in range(300):
        ema.update_parameters(model)
    return ema.module.weight.detach()


@bug("B41", lambda m: m < 3.0, "swamping", "add", precision="bf16")
def running_mean():
    mean = torch.tensor(0.0)
    for n in range(2000):
        mean = (mean * n + torch.tensor(3.7)) / (n + 1)
    return mean


@bug("B43", has_nan, "constant changed", "tensor")
def bessel():
    torch.manual_seed(0)
    x = torch.randn(32, 56, 56)
    n = torch.tensor(float(x.numel()))
    return x.var(correction=0) * (n / (n - 1))


@bug("B44", lambda y: bool((y == 0).all()), "overflow", ("tensor", "batch_norm"))
def variance_downcast():
    norm = nn.BatchNorm1d(2).eval()
    norm.running_var.fill_(1e5)
    return norm(torch.tensor([[1000.0, -123.4]])).detach()


@bug("B45", lambda g: has_inf(g[0]), "overflow", "sum", "backward")
def average_of_workers():
    w = nn.Parameter(torch.ones(2))
    w.register_hook(lambda g: g.expand(1024, 2).sum(0) / 1024)
    (w * torch.tensor([100.0, 3e-5])).sum().backward()
    return w.grad


@bug("B47", lambda d: int((torch.isnan(d) | (d == 0)).sum()) >= 16, "cancellation", "sub")
def cdist_by_products():
    rng = np.random.default_rng(0)
    a = rng.uniform(size=(32, 4096))
    b = a + 0.01 * rng.standard_normal((32, 4096))
    a, b = torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32)
    squares = (a * a).sum(-1, keepdim=True) + (b * b).sum(-1) - 2 * (a @ b.T)
    return torch.sqrt(squares).diagonal()


@bug("B48", has_nan, "cancellation", "sub")
def one_pass_variance():
    torch.manual_seed(0)
    x = 5 + 0.12 * torch.randn(2048, 64)
    mean = x.mean(0)
    variance = (x * x).mean(0) - mean * mean
    return (x - mean) / torch.sqrt(variance + 1e-5)


@bug("B49", has_nan, "overflow", "conv2d")
def black_image():
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(6)]
    with torch.no_grad():
        for conv in layers:
            conv.weight *= 6
    model = nn.Sequential(*layers, nn.GroupNorm(1, 4), nn.Conv2d(4, 3, 1), nn.Sigmoid())
    return model(30 * torch.randn(1, 4, 8, 8)).detach()


@bug("B53", has_nan, "constant changed", ("sub", "rsub", "add"))
def ciou_eps():
    iou, v, eps = torch.tensor([1.0, 0.8]), torch.tensor([0.0, 0.05]), 1e-9
    alpha = v / ((1 + eps) - iou + v)
    return iou - v * alpha


@bug("B62", lambda y: has_inf(y), "overflow", ("norm", "pow", "mul", "sum"))
def norm_of_hundreds():
    g = torch.full((3, 3), 100.0)
    return g.pow(2).sum().sqrt()


# The second catalogue.


@bug("N09", has_inf, "overflow", ("exp", "sum"))
def log_sum_exp_cliff():
    return torch.log(torch.exp(torch.full((1, 32), 7.6875)).sum(-1))


@bug("N10", has_inf, "underflow", "softmax")
def log_of_softmax():
    return torch.log(F.softmax(torch.tensor([[50.0, 1.0, 0.5, 0.1]]), dim=-1))


@bug("N14", has_inf, "overflow", "sum")
def describe():
    x = 1.2345678 * torch.arange(1000)
    return x.sum() / x.numel()


@bug("N16", lambda y: has_nan(y) or has_inf(y), ("eps lost", "constant changed"), "clamp")
def focal_guard():
    p = torch.sigmoid(torch.tensor([9.3906, 0.5]))
    return (1 - p).clamp(min=1.17549435e-38).log() * torch.tensor([0.0, 1.0])


@bug("N21", has_nan, "eps lost", "add")
def equal_scores():
    s = torch.tensor([[0.7, 0.7, 0.7], [0.1, 0.4, 0.9]])
    low, high = s.amin(-1, keepdim=True), s.amax(-1, keepdim=True)
    return (s - low) / (high - low + 1e-8)


@bug("N25", lambda y: has_inf(y), ("overflow", "integer rounding"), ("tensor", "cast"))
def half_labels():
    return torch.tensor([79999, 2049, 65520]).half()


@bug("N31", lambda g: g < 385, "swamping", "accumulate", "backward", "bf16")
def accumulated_in_bf16():
    w = nn.Parameter(torch.ones(4))
    torch.manual_seed(0)
    for _ in range(800):
        (w * (0.4 + 0.2 * torch.rand(4))).sum().backward()
    return w.grad[0]


@bug("N32", has_nan, "overflow", "add", precision="bf16")
def two_masks():
    low = torch.finfo(torch.bfloat16).min
    causal, padding = torch.tensor([[low, low], [0.0, 0.0]]), torch.tensor([[low, low], [0.0, 0.0]])
    return F.softmax(torch.tensor([[0.3, 0.2], [0.1, 0.4]]) + (causal + padding), dim=-1)
