"""A residual block with in-place activations, and a U-Net with skips and interpolation, in one training loop."""

import torch
from torch import nn
from torch.nn import functional as F


def conv3x3(cin, cout, stride=1):
    return nn.Conv2d(cin, cout, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    expansion: int = 1

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inplanes, planes, stride), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3x3(planes, planes), nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride), nn.BatchNorm2d(planes))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class UNet(nn.Module):
    def __init__(self, channels=(4, 8)):
        super().__init__()
        self.enc = nn.ModuleList()
        last = 1
        for c in channels:
            self.enc.append(BasicBlock(last, c))
            last = c
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.mid = BasicBlock(last, last * 2)
        self.up = nn.ModuleList([BasicBlock(c + c * 2, c) for c in reversed(channels)])
        self.out = nn.Conv2d(channels[0], 1, 1)

    def forward(self, x):
        skips = []
        for block in self.enc:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.mid(x)
        for block, skip in zip(self.up, skips[::-1]):
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = torch.cat([skip, x], dim=1)
            x = block(x)
        return self.out(x)


def dice_loss(pred, target, smooth=1.0):
    pred = torch.sigmoid(pred).contiguous().view(-1)
    target = target.contiguous().view(-1)
    intersection = (pred * target).sum()
    return 1 - (2.0 * intersection + smooth) / (pred.sum() + target.sum() + smooth)


def run():
    torch.manual_seed(11)
    yy, xx = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    centers = torch.randint(3, 9, (4, 2))
    masks = torch.stack([((yy - c[0]) ** 2 + (xx - c[1]) ** 2 < 9).float() for c in centers]).unsqueeze(1)
    images = masks + 0.3 * torch.randn(masks.shape)
    model = UNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=6)
    losses, ious = [], []
    for _ in range(6):
        model.train()
        logits = model(images)
        loss = F.binary_cross_entropy_with_logits(logits, masks) + dice_loss(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        with torch.no_grad():
            pred = torch.sigmoid(logits) > 0.5
            inter, union = (pred & (masks > 0.5)).sum(), (pred | masks.bool()).sum()
            ious.append((inter / union.clamp(min=1)).item())
    print(f"loss {losses[-1]:.4f} IoU {ious[-1]:.3f} lr {scheduler.get_last_lr()[0]:.2e}")
    return {"losses": losses, "ious": ious, "lr": scheduler.get_last_lr()}


if __name__ == "__main__":
    run()
