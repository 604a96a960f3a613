"""Modules as people write them: custom layers, containers, buffers, freezing, weight tying, surgery, inspection."""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.to_qkv = nn.Linear(dim, dim * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(0.0))

    def forward(self, x, mask=None):
        b, n, d = x.shape
        qkv = self.to_qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        dots = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale
        if mask is not None:
            dots = dots.masked_fill(~mask[:, None, None, :], torch.finfo(dots.dtype).min)
        out = torch.einsum("bhij,bhjd->bhid", dots.softmax(dim=-1), v)
        return self.to_out(out.transpose(1, 2).reshape(b, n, d))


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        return self._norm(x.float()).type_as(x) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w1, self.w2, self.w3 = (
            nn.Linear(i, o, bias=False) for i, o in ((dim, hidden), (hidden, dim), (dim, hidden))
        )

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class ViT(nn.Module):
    def __init__(self, size=8, patch=4, dim=16, depth=2, classes=5):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.pos_embed = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.layers = nn.ModuleList(
            nn.ModuleList([RMSNorm(dim), SelfAttention(dim, 4), RMSNorm(dim), SwiGLU(dim, 24)]) for _ in range(depth)
        )
        self.head = nn.Sequential(OrderedDict([("norm", nn.LayerNorm(dim)), ("fc", nn.Linear(dim, classes))]))
        self.register_buffer("steps", torch.tensor(0), persistent=True)

    def forward(self, img):
        x = self.patch(img).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        for norm1, attn, norm2, ff in self.layers:
            x = x + attn(norm1(x))
            x = x + ff(norm2(x))
        if self.training:
            self.steps += 1
        return self.head(x[:, 0])


def mixup(x, y, lam):
    index = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[index, :], y, y[index]


def run():
    torch.manual_seed(6)
    model = ViT()
    images, labels = torch.randn(6, 3, 8, 8), torch.randint(0, 5, (6,))
    for param in model.patch.parameters():
        param.requires_grad = False
    trainable = filter(lambda p: p.requires_grad, model.parameters())
    optimizer = torch.optim.AdamW(trainable, lr=3e-3)
    losses = []
    for step in range(4):
        mixed, a, b = mixup(images, labels, 0.7)
        output = model(mixed)
        loss = 0.7 * F.cross_entropy(output, a) + 0.3 * F.cross_entropy(output, b)
        l2_reg = torch.tensor(0.0)
        for name, p in model.named_parameters():
            if "weight" in name and p.requires_grad:
                l2_reg += torch.norm(p)
        loss = loss + 1e-4 * l2_reg
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    total_norm = sum(p.grad.data.norm(2).item() ** 2 for p in model.parameters() if p.grad is not None) ** 0.5
    model.head.fc = nn.Linear(model.head.fc.in_features, 2)
    model.head.fc.weight.data.normal_(mean=0.0, std=0.02)
    model.eval()
    with torch.no_grad():
        probabilities = F.softmax(model(images), dim=1)
        half = model.half()(images.half()).float()
    shapes = [(name, tuple(p.shape)) for name, p in model.named_parameters()]
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    names = [type(m).__name__ for m in model.children()]
    lines = str(model.head).split("\n")
    print(f"loss {losses[-1]:.4f}, norm {total_norm:.3f}, {count:,} parameters, steps {model.steps.item()}")
    return {
        "losses": losses,
        "norm": total_norm,
        "probabilities": probabilities.tolist(),
        "count": count,
        "shapes": shapes,
        "names": names,
        "lines": lines,
        "keys": list(model.state_dict().keys()),
        "half": next(model.parameters()).dtype == torch.float16,
        "finite": torch.isfinite(half).all().item(),
    }


if __name__ == "__main__":
    run()
