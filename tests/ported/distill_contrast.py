"""Knowledge distillation with KLDiv, and a contrastive loss with normalized embeddings and hooks on activations."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def mlp(hidden):
    return nn.Sequential(nn.Linear(8, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, 4))


class SupConLoss(nn.Module):
    def __init__(self, temperature=0.07):
        super().__init__()
        self.temperature = temperature

    def forward(self, features, labels):
        sim = torch.matmul(features, features.T) / self.temperature
        logits_max, _ = torch.max(sim, dim=1, keepdim=True)
        logits = sim - logits_max.detach()
        mask = torch.eq(labels.view(-1, 1), labels.view(1, -1)).float()
        logits_mask = torch.scatter(torch.ones_like(mask), 1, torch.arange(len(labels)).view(-1, 1), 0)
        mask = mask * logits_mask
        exp_logits = torch.exp(logits) * logits_mask
        log_prob = logits - torch.log(exp_logits.sum(1, keepdim=True))
        return -((mask * log_prob).sum(1) / mask.sum(1)).mean()


def nt_xent(z1, z2, temperature=0.5):
    z = F.normalize(torch.cat([z1, z2], dim=0), dim=-1)
    n = z1.shape[0]
    sim = z @ z.t() / temperature
    sim.fill_diagonal_(float("-inf"))
    targets = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(sim, targets)


def run():
    torch.manual_seed(8)
    x, labels = torch.randn(16, 8), torch.arange(16) % 4
    teacher, student = mlp(24), mlp(6)
    teacher.eval()
    for p in teacher.parameters():
        p.requires_grad_(False)
    activations = {}

    def get_activation(name):
        def hook(module, input, output):
            activations[name] = output.detach()

        return hook

    handles = [m.register_forward_hook(get_activation(n)) for n, m in student.named_modules() if isinstance(m, nn.GELU)]
    grads = []
    student[0].weight.register_hook(lambda g: grads.append(g.norm().item()))
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    T, alpha, losses = 4.0, 0.7, {"distill": [], "supcon": [], "ntxent": []}
    for _ in range(4):
        logits = student(x)
        with torch.no_grad():
            soft = F.softmax(teacher(x) / T, dim=1)
        kd = nn.KLDivLoss(reduction="batchmean")(F.log_softmax(logits / T, dim=1), soft) * (alpha * T * T)
        loss = kd + F.cross_entropy(logits, labels) * (1.0 - alpha)
        contrast = SupConLoss(0.5)(F.normalize(logits, p=2, dim=1), labels)
        pair = nt_xent(logits, student(x + 0.1 * torch.randn_like(x)))
        optimizer.zero_grad()
        (loss + contrast + 0.1 * pair).backward()
        optimizer.step()
        for name, value in zip(losses, (loss, contrast, pair)):
            losses[name].append(value.item())
    [h.remove() for h in handles]
    stats = {k: (v.mean().item(), v.std().item(), (v < 0).float().mean().item()) for k, v in activations.items()}
    print(" ".join(f"{k}: {v[-1]:.4f}" for k, v in losses.items()), stats)
    return {**losses, "grads": grads, "activations": list(stats["1"])}


if __name__ == "__main__":
    run()
