"""A transformer encoder with masks classifies sequences, early stopping keeps the best weights, AdamW with a warmup."""

import copy
import math

import torch
import torch.nn as nn


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=50):
        super().__init__()
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(1, max_len, d_model)
        pe[0, :, 0::2] = torch.sin(position * div_term)
        pe[0, :, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[:, : x.size(1)]


class Classifier(nn.Module):
    def __init__(self, vocab=12, d_model=16, nhead=4, classes=3):
        super().__init__()
        self.d_model = d_model
        self.embed = nn.Embedding(vocab, d_model, padding_idx=0)
        self.pos = PositionalEncoding(d_model)
        layer = nn.TransformerEncoderLayer(d_model, nhead, dim_feedforward=32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.head = nn.Linear(d_model, classes)
        self.init_weights()

    def init_weights(self):
        initrange = 0.1
        self.embed.weight.data.uniform_(-initrange, initrange)
        self.head.bias.data.zero_()
        self.head.weight.data.uniform_(-initrange, initrange)

    def forward(self, src):
        pad = src.eq(0)
        x = self.pos(self.embed(src) * math.sqrt(self.d_model))
        x = self.encoder(x, src_key_padding_mask=pad)
        keep = (~pad).unsqueeze(-1).float()
        x = (x * keep).sum(1) / keep.sum(1).clamp(min=1e-9)
        return self.head(x)


def topk_accuracy(output, target, topk=(1, 2)):
    maxk = max(topk)
    _, pred = output.topk(maxk, 1, True, True)
    pred = pred.t()
    correct = pred.eq(target.view(1, -1).expand_as(pred))
    return [correct[:k].reshape(-1).float().sum(0).mul_(100.0 / target.size(0)).item() for k in topk]


def run():
    torch.manual_seed(4)
    x = torch.randint(1, 12, (48, 7))
    lengths = torch.randint(3, 8, (48,))
    x[torch.arange(7)[None, :] >= lengths[:, None]] = 0
    y = x.sum(dim=1) % 3
    x_train, x_val, y_train, y_val = x[:32], x[32:], y[:32], y[32:]
    model = Classifier()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 1.0]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, amsgrad=True)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
    best, best_state, patience, waited, losses, validation = float("inf"), None, 3, 0, [], []
    for epoch in range(6):
        model.train()
        permutation = torch.randperm(x_train.size(0))
        for i in range(0, x_train.size(0), 16):
            indices = permutation[i : i + 16]
            loss = criterion(model(x_train[indices]), y_train[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        model.eval()
        with torch.no_grad():
            val_loss = criterion(model(x_val), y_val)
        validation.append(float(val_loss))
        if val_loss < best:
            best, best_state, waited = val_loss, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
            if waited >= patience:
                break
    print(model.load_state_dict(best_state))
    with torch.inference_mode():
        acc1, acc2 = topk_accuracy(model(x_val), y_val)
    print(f"best {best:.4f} acc@1 {acc1:.1f} acc@2 {acc2:.1f}")
    return {"losses": losses, "validation": validation, "accuracy": [acc1, acc2]}


if __name__ == "__main__":
    run()
