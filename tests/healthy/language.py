"""Text: attention, masks, positions, and whole models of language."""

from __future__ import annotations

import math

import numpy as np

import halfsim as hs
from halfsim import nn, ops
from tests.healthy.material import adam, adamw, master, normal, softmax, text, train
from tests.healthy.registry import Array, Result, Use, healthy

LETTERS = 28


def causal(length: int) -> Array:
    return np.tri(length, dtype=bool)


class Language(nn.Module):
    """A causal transformer on characters; the last places of every row are padding."""

    def __init__(self, dropout: float = 0.0, norm_first: bool = False) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(LETTERS, 16), nn.Embedding(32, 16)
        self.layer = nn.TransformerEncoderLayer(
            16, 2, 32, dropout=dropout, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.head = nn.Linear(16, LETTERS)

    def forward(self, codes: Array) -> hs.Tensor:
        rows, length = codes.shape
        x = self.embedding(codes) + self.positions(np.arange(length))
        mask = hs.tensor(np.where(causal(length), 0.0, -math.inf), x.format)
        padding = np.zeros((rows, length), bool)
        padding[:, -2:] = True
        return self.head(self.layer(x, src_mask=mask, src_key_padding_mask=padding)).reshape(-1, LETTERS)


class Llama(nn.Module):
    """A block as in today's models of language: RMSNorm, attention with turned positions, a gated MLP."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate, self.up = nn.Linear(width, 2 * width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: hs.Tensor) -> hs.Tensor:
        q, k, v = ops.chunk(self.qkv(self.norm1(x)), 3, -1)
        q, k = turned(q), turned(k)
        x = x + self.out(ops.scaled_dot_product_attention(q, k, v, is_causal=True))
        y = self.norm2(x)
        return x + self.down(ops.silu(self.gate(y)) * self.up(y))


def angles(length: int, width: int) -> Array:
    """The angles of sinusoidal positions, (length, width / 2), as they are computed in float32."""
    places = np.arange(length, dtype=np.float32)[:, None]
    return places * np.float32(10000) ** (-np.arange(0, width, 2, dtype=np.float32) / width)


def turned(x: hs.Tensor) -> hs.Tensor:
    """Rotary positions: pairs of features turned by angles whose sines were taken in float32."""
    angle = angles(x.shape[-2], x.shape[-1])
    cos, sin = hs.tensor(np.cos(angle), x.format), hs.tensor(np.sin(angle), x.format)
    a, b = ops.chunk(x, 2, -1)
    return ops.cat([a * cos - b * sin, a * sin + b * cos], -1)


def _language(use: Use, model: nn.Module, make: object, steps: int = 4, **loss: float) -> Result:
    x, y = text()
    model = use.model(model)
    return train(use, model, lambda: nn.cross_entropy(model(x), y.reshape(-1), **loss), make, steps)  # type: ignore


@healthy("a causal transformer with padding learns text", "amp", "amp_bf16", "tf32")
def transformer_training(use: Use) -> Result:
    return _language(use, Language(), adamw)


@healthy("the same, norms first, with label smoothing and master weights", "fp16", "bf16")
def transformer_master(use: Use) -> Result:
    return _language(use, Language(norm_first=True), master, label_smoothing=0.1)


@healthy("the same with dropout", "amp")
def transformer_dropout(use: Use) -> Result:
    return _language(use, Language(0.1), adam)


@healthy("a causal transformer with padding, converted, in use", "fp16", "bf16", "amp", "pure_fp16")
def transformer_inference(use: Use) -> Result:
    with hs.no_grad():
        return {"logits": use.model(Language()).eval()(text()[0]).numpy()}


@healthy("a block with RMSNorm, rotary positions and gates, in use", "fp16", "bf16", "fp8")
def llama_block(use: Use) -> Result:
    with hs.no_grad():
        return {"hidden": use.model(Llama())(use.tensor(normal(1, 2, 12, 16))).numpy()}


@healthy("gradients of a block with RMSNorm, rotary positions and gates", "amp", "bf16")
def llama_gradients(use: Use) -> Result:
    model = use.model(Llama())
    x = use.tensor(normal(1, 2, 12, 16), requires_grad=True)
    ops.square(model(x)).mean().backward()
    return {"x": x.grad.numpy(), "gate": model.gate.weight.grad.numpy()}  # type: ignore[union-attr]


def _attention(mask: Array) -> Array:
    q, k, v = (normal(i, 2, 8, 16) for i in range(3))
    return softmax(np.where(mask, q @ k.swapaxes(1, 2) / 4, -np.inf)) @ v


def _causal_attention() -> Result:
    return {"output": _attention(causal(8))}


@healthy("attention by hand, masked with -inf that is added", "fp16", "bf16", "pure_fp16", right=_causal_attention)
def added_mask(use: Use) -> Result:
    q, k, v = (use.tensor(normal(i, 2, 8, 16)) for i in range(3))
    scores = q @ k.transpose(1, 2) / math.sqrt(16)
    mask = use.tensor(np.where(causal(8), 0.0, -np.inf))
    return {"output": (ops.softmax(scores + mask, -1) @ v).numpy()}


@healthy("attention by hand, masked by where() with the format's lowest number", "fp16", "bf16",
         right=_causal_attention)  # fmt: skip
def lowest_mask(use: Use) -> Result:
    q, k, v = (use.tensor(normal(i, 2, 8, 16)) for i in range(3))
    scores = q @ k.transpose(1, 2) / math.sqrt(16)
    low = hs.tensor(-scores.format.max, scores.format)
    return {"output": (ops.softmax(ops.where(causal(8), scores, low), -1) @ v).numpy()}


@healthy("attention by hand, masked by masked_fill with -inf", "fp16", "amp", right=_causal_attention)
def filled_mask(use: Use) -> Result:
    q, k, v = (use.tensor(normal(i, 2, 8, 16)) for i in range(3))
    scores = ops.masked_fill(q @ k.transpose(1, 2) / math.sqrt(16), ~causal(8), -math.inf)
    return {"output": (ops.softmax(scores, -1) @ v).numpy()}


@healthy("gradients through attention whose mask is -inf", "fp16", "bf16")
def masked_gradients(use: Use) -> Result:
    q, k, v = (use.tensor(normal(i, 2, 8, 16), requires_grad=True) for i in range(3))
    scores = ops.masked_fill(q @ k.transpose(1, 2) / 4, ~causal(8), -math.inf)
    ops.square(ops.softmax(scores, -1) @ v).sum().backward()
    return {name: x.grad.numpy() for name, x in zip("qkv", (q, k, v), strict=True)}  # type: ignore[union-attr]


def _biased() -> Result:
    q, k, v = (normal(i, 2, 8, 16) for i in range(3))
    far = np.arange(8)[None, :] - np.arange(8)[:, None]
    return {"output": softmax(np.where(far <= 0, q @ k.swapaxes(1, 2) / 4 + far * 0.25, -np.inf)) @ v}


@healthy("attention with a penalty for distance", "fp16", right=_biased)
def distance_bias(use: Use) -> Result:
    q, k, v = (use.tensor(normal(i, 2, 8, 16)) for i in range(3))
    far = np.arange(8)[None, :] - np.arange(8)[:, None]
    bias = use.tensor(np.where(far <= 0, far * 0.25, -np.inf))
    return {"output": ops.scaled_dot_product_attention(q, k, v, attn_mask=bias).numpy()}


def _positions() -> Result:
    angle = np.arange(500)[:, None] * 10000.0 ** (-np.arange(0, 16, 2) / 16)
    return {"table": np.concatenate([np.sin(angle), np.cos(angle)], -1)}


@healthy("sinusoidal positions up to 500, computed in float32 and converted", "fp16", "bf16", right=_positions)
def sinusoidal(use: Use) -> Result:
    with hs.precision("fp32"):
        angle = hs.tensor(angles(500, 16), "fp32")
        table = ops.cat([ops.sin(angle), ops.cos(angle)], -1)
    return {"table": (table.to(use.data) * 1.0).numpy()}


@healthy("embeddings averaged over words, tied to the output", "amp", "fp16")
def tied(use: Use) -> Result:
    x, y = text()
    table = use.model(nn.Embedding(LETTERS, 16))

    def loss() -> hs.Tensor:
        sums = ops.cumsum(table(x), 1) / use.tensor(np.arange(1.0, 17)[:, None])
        return nn.cross_entropy(ops.linear(sums, table.weight).reshape(-1, LETTERS), y.reshape(-1))

    return train(use, table, loss, lambda p: hs.optim.SGD(p, lr=0.5))


def _log_likelihood() -> Result:
    x, (codes, _) = normal(4, 4, 16, LETTERS), text()
    found = np.take_along_axis(np.log(softmax(x)), codes[..., None], -1)[..., 0]
    return {"rows": found.sum(-1), "perplexity": np.exp(-found.mean())}


@healthy("log-likelihood and perplexity of sentences", "fp16", "bf16", right=_log_likelihood)
def perplexity(use: Use) -> Result:
    codes, _ = text()
    found = ops.gather(ops.log_softmax(use.tensor(normal(4, 4, 16, LETTERS)), -1), 2, codes[..., None])[..., 0]
    return {"rows": found.sum(-1).numpy(), "perplexity": ops.exp(-found.mean()).numpy()}


def _nucleus() -> Result:
    x = normal(5, 4, LETTERS) * 3
    return {"p": softmax(np.where(x >= np.sort(x)[:, [-5]], x / 0.7, -np.inf))}


@healthy("chances of the five best next letters, the others masked by -inf", "fp16", "bf16", right=_nucleus)
def five_best(use: Use) -> Result:
    kept = normal(5, 4, LETTERS) * 3
    kept = kept >= np.sort(kept)[:, [-5]]
    logits = use.tensor(normal(5, 4, LETTERS) * 3) / 0.7
    return {"p": ops.softmax(ops.where(kept, logits, -math.inf), -1).numpy()}


@healthy("gradients through attention so sharp that most of its chances are zero", "fp16", "bf16", ulps=8)
def sharp_attention(use: Use) -> Result:
    q, k, v = (use.tensor(normal(i, 2, 8, 16) * (3 if i < 2 else 1), requires_grad=True) for i in range(3))
    chances = ops.softmax(q @ k.transpose(1, 2) / 4, -1)
    ops.square(chances @ v).sum().backward()
    return {name: x.grad.numpy() for name, x in zip("qkv", (q, k, v), strict=True)}  # type: ignore[union-attr]


@healthy("branches that begin at a scale of 1e-4 beside what they are added to", "fp16", "bf16", "amp")
def layer_scale(use: Use) -> Result:
    model, x = use.model(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), nn.GELU())), use.tensor(normal(1, 8, 16))
    with hs.no_grad():
        for _ in range(3):
            x = x + use.tensor(np.full(16, 1e-4)) * model(x)
    return {"x": x.numpy()}
