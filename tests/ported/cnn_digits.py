"""A small convolutional network learns handwritten digits, in float32, in half, and in mixed precision."""

import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((2, 2)),
        )
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(16 * 2 * 2, classes)

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return self.classifier(self.dropout(x))


def load_data(path, size=400):
    with np.load(path) as archive:
        images = archive["images"].astype(np.float32)[:size]
        labels = archive["labels"].astype(np.int64)[:size]
    x = torch.from_numpy(images).view(-1, 1, 8, 8) / 16.0
    y = torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(7)
    train, test = random_split(TensorDataset(x, y), [0.8, 0.2], generator=generator)
    return DataLoader(train, batch_size=32, shuffle=True), DataLoader(test, batch_size=128)


@torch.no_grad()
def evaluate(model, loader, dtype):
    model.eval()
    correct, total = 0, 0
    for images, labels in loader:
        logits = model(images.to(device, dtype))
        correct += (logits.argmax(dim=1) == labels.to(device)).sum().item()
        total += labels.size(0)
    return correct / total


def train(data, mode="float32", epochs=2, lr=0.2, weights=None):
    """The losses of all steps, the accuracy after them, and the scales of mixed precision."""
    torch.manual_seed(0)
    train_loader, test_loader = load_data(data)
    model = Net().to(device)
    if weights is not None:
        model.load_state_dict(torch.load(weights, map_location=device))
    dtype = torch.float32
    if mode == "half":
        model.half()
        dtype = torch.float16
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**22, growth_interval=8, enabled=mode == "amp")
    losses, scales = [], []
    for epoch in range(epochs):
        model.train()
        for images, labels in train_loader:
            images, labels = images.to(device, dtype), labels.to(device)
            optimizer.zero_grad()
            with torch.autocast(device_type=device.type, dtype=torch.float16, enabled=mode == "amp"):
                loss = F.cross_entropy(model(images), labels)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
            scales.append(scaler.get_scale())
        scheduler.step()
    return {"losses": losses, "accuracy": evaluate(model, test_loader, dtype), "scales": scales}


def find_rate(data, mode="float32", start=1e-3, factor=5.0, steps=10, weights=None):
    """The losses while the learning rate grows by a factor in every step."""
    torch.manual_seed(0)
    loader, _ = load_data(data)
    model = Net().to(device)
    if weights is not None:
        model.load_state_dict(torch.load(weights, map_location=device))
    dtype = torch.float16 if mode == "half" else torch.float32
    model.to(dtype).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=start)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=factor)
    batches, losses = iter(loader), []
    for _ in range(steps):
        images, labels = next(batches)
        loss = F.cross_entropy(model(images.to(device, dtype)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return {"losses": losses}


if __name__ == "__main__":
    digits = os.environ.get("DIGITS", "halfsim/data/digits.npz")
    for mode, lr in (("float32", 0.2), ("half", 0.2), ("amp", 0.2), ("half", 500.0)):
        run = train(digits, mode, lr=lr)
        print(f"{mode:8} lr {lr:<6} last loss {run['losses'][-1]:.4f}  accuracy {run['accuracy']:.1%}")
