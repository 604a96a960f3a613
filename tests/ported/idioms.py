"""Sentences of many scripts: masks, where, einsum, indexing, in-place changes, sorting, statistics, printing."""

import numpy as np
import torch
import torch.nn.functional as F


def flat(x):
    return x.detach().double().reshape(-1).tolist()


def masks(x):
    y = x.clone()
    y[y < 0] = 0
    y[:, 1] += 2.0
    y[0, :2] = torch.tensor([5.0, 6.0])
    y[y > 1] *= 0.5
    z = torch.where(x > 0, x, 0.1 * x)
    keep = (x.abs() > 0.5) & ~torch.isnan(x)
    rows, cols = torch.nonzero(keep, as_tuple=True)
    return [y, z, x[keep], x[rows, cols], keep.sum(dim=0), x.masked_fill(~keep, 0).sum(-1), keep.float().mean()]


def shapes(x):
    b, n = x.shape
    a = x.view(b, 2, n // 2).permute(1, 0, 2).contiguous()
    c = torch.einsum("hbd,hcd->hbc", a, a)
    chunks = x.chunk(2, dim=-1)
    s = torch.stack([*chunks], dim=0)
    rolled = torch.roll(x, shifts=(1, -1), dims=(0, 1))
    return [
        a,
        c,
        s.amax(0),
        torch.cat([x, x[:1]], 0)[::2],
        x[None, ..., -1],
        x.T @ x,
        x.unfold(1, 2, 2).sum(-1),
        rolled,
    ]


def sorting(x):
    values, indices = x.topk(2, dim=1)
    s, order = torch.sort(x, dim=1, descending=True)
    ranks = order.argsort(dim=1)
    m, i = x.max(dim=0)
    uniq, counts = torch.unique(torch.tensor([3, 1, 2, 3, 1, 3]), return_counts=True)
    median = x.median(dim=1)
    return [
        values,
        indices,
        s,
        ranks,
        m,
        i,
        uniq,
        counts,
        median.values,
        x.kthvalue(2, dim=1)[0],
        x.cumsum(1),
        x.argmin(),
    ]


def statistics(x):
    mean, std = x.mean(dim=0, keepdim=True), x.std(dim=0, keepdim=True, unbiased=False)
    normed = (x - mean) / (std + 1e-5)
    cov = normed.t().mm(normed) / (x.size(0) - 1)
    counts = torch.bincount(torch.tensor([0, 1, 1, 3]), minlength=5)
    hist = torch.histc(x, bins=4, min=-2, max=2)
    confusion = torch.zeros(3, 3, dtype=torch.int64)
    for t, p in zip([0, 1, 2, 2], [0, 2, 2, 1]):
        confusion[t, p] += 1
    recall = confusion.diag().float() / confusion.sum(1)
    return [
        torch.trace(cov),
        normed,
        cov,
        counts,
        hist,
        recall,
        x.var(),
        torch.quantile(x, 0.25),
        x.norm(),
        torch.logsumexp(x, 1),
        x.prod(),
    ]


def gradients(x):
    w = x.clone().requires_grad_()
    y = (w**2).sum() + F.softplus(w).mean() + w[1:].abs().max() + (w[:, ::2] * w[:, 1::2]).tanh().sum()
    (g,) = torch.autograd.grad(y, w, create_graph=True)
    (g**2).sum().backward()
    v = x.clone().requires_grad_()
    hidden = torch.zeros(x.shape[1])
    states = []
    for row in v:
        hidden = torch.tanh(hidden * 0.5 + row)
        states.append(hidden)
    torch.stack(states).sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad.zero_()
    return [y, g, w, w.grad, v.grad, w.is_leaf * torch.ones(1)]


def scatter(x):
    index = torch.tensor([[0, 2, 1, 0], [1, 1, 0, 2], [2, 0, 2, 1]])
    out = torch.zeros(3, 4).scatter_add_(0, index, x)
    onehot = torch.zeros(3, 4).scatter_(1, index[:, :1], 1)
    pooled = torch.zeros(2, 4).index_add_(0, torch.tensor([0, 1, 0]), x)
    picked = x.gather(1, index) - x.index_select(1, torch.tensor([3, 0, 1, 2]))
    return [out, onehot, pooled, picked, torch.take_along_dim(x, index, 1), F.one_hot(index[:, 0], num_classes=4)]


def integers():
    a = torch.arange(10)
    b = torch.tensor([1, 2, 3]) // 2
    lengths = torch.tensor([3, 1, 2])
    mask = torch.arange(int(lengths.max())).expand(3, -1) < lengths.unsqueeze(1)
    return [
        a % 3,
        b,
        a.float() / 3,
        a[a % 2 == 0],
        mask,
        mask.any(1),
        mask.all(),
        (a > 4).nonzero().squeeze(),
        a.sum() / 4,
        -a[2:5],
    ]


def draws():
    torch.manual_seed(99)
    a, b = torch.randn(2, 3), torch.rand(3).uniform_(-1, 1)
    c, d = torch.bernoulli(torch.full((4,), 0.5)), torch.normal(0.0, 2.0, size=(3,))
    probs = F.softmax(a, dim=1)
    return [
        a,
        b,
        c,
        d,
        torch.multinomial(probs, 2),
        torch.multinomial(probs, 4, replacement=True),
        torch.randperm(5),
        torch.randint(0, 9, (4,)),
        F.dropout(a, 0.5),
        torch.empty(3).exponential_(),
    ]


def numpy_bridge(x):
    a = x.numpy()
    b = torch.from_numpy(np.ascontiguousarray(a.T)).float()
    c = torch.tensor(a.astype(np.float64)).to(torch.float32)
    d = torch.as_tensor([1.5, 2.5], dtype=torch.float32)
    return [b, c, d, torch.tensor(np.float32(3.0)) * x, torch.from_numpy(np.array([1, 2, 3])).float().mean()]


def printing(x):
    lines = [
        f"{x.mean().item():.4f}",
        f"{x.mean():8.3f}",
        "%.3f" % x.sum(),
        "{:.2e}".format(x.std()),
        str(tuple(x.shape)),
        str(list(x.size())),
        str(x.numel()),
        str(x.dim()),
        f"{x.shape[0]}x{x.size(-1)}",
        str(x.argmax().item()),
        str(len(x)),
        str(x.tolist()[0][0] == x[0][0].item()),
        str(x.device),
        str(x.shape.numel()),
        str(x.dtype == torch.float32),
        str(x.requires_grad),
    ]
    for line in lines:
        print(line)
    return lines


def run():
    x = torch.tensor([[0.5, -1.25, 2.0, 0.75], [-0.3, 1.1, -2.2, 0.9], [1.7, 0.2, -0.6, -1.4]])
    found = {}
    for part in (masks, shapes, sorting, statistics, gradients, scatter, numpy_bridge):
        found[part.__name__] = [flat(value) for value in part(x)]
    found["integers"] = [flat(value) for value in integers()]
    found["draws"] = [flat(value) for value in draws()]
    found["printing"] = printing(x)
    return found


if __name__ == "__main__":
    run()
