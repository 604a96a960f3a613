"""Images: networks that are trained and networks that are used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import halfsim as hs
from halfsim import nn, ops
from tests.healthy.material import adam, images, master, normal, pixels, sgd, train
from tests.healthy.registry import Array, Result, Use, healthy


class Residual(nn.Module):
    """Two convolutions with normalisation, around which the input goes."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = norm(channels), norm(channels)

    def forward(self, x: hs.Tensor) -> hs.Tensor:
        y = ops.relu(self.norm1(self.conv1(x)))
        return ops.relu(self.norm2(self.conv2(y)) + x)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def convolutional(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), norm, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10))


def smooth() -> nn.Module:
    """One without corners, whose gradients do not jump with the last bit."""
    body = (nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.GELU(), nn.AvgPool2d(2), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(72, 10))


def resnet() -> nn.Module:
    stem = (nn.Conv2d(1, 6, 3, padding=1), Residual(6))
    return nn.Sequential(*stem, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))


def _classify(use: Use, model: nn.Module, make: object, steps: int = 6) -> Result:
    x, y = images()
    fed = use.tensor(x)
    return train(use, use.model(model), lambda: nn.cross_entropy(model(fed), y), make, steps)  # type: ignore[arg-type]


def _infer(use: Use, model: nn.Module, x: Array) -> Result:
    with hs.no_grad():
        return {"output": use.model(model).eval()(use.tensor(x)).numpy()}


@healthy("an MLP learns digits by SGD with momentum", "fp16", "bf16", "amp", "amp_bf16", "tf32", "fp32")
def mlp_sgd(use: Use) -> Result:
    return _classify(use, perceptron(), sgd)


@healthy("an MLP learns digits by Adam with float32 master weights", "fp16", "bf16", ulps=4)
def mlp_master(use: Use) -> Result:
    return _classify(use, perceptron(), master)


@healthy("a CNN with BatchNorm learns digits", "amp", "fp16", "amp_bf16")
def cnn_batch_norm(use: Use) -> Result:
    return _classify(use, convolutional(nn.BatchNorm2d(8)), sgd)


@healthy("a CNN with GroupNorm learns digits by Adam", "amp", "amp_bf16")
def cnn_group_norm(use: Use) -> Result:
    return _classify(use, convolutional(nn.GroupNorm(4, 8)), adam)


@healthy("a CNN with InstanceNorm learns digits", "amp", "fp16")
def cnn_instance_norm(use: Use) -> Result:
    return _classify(use, convolutional(nn.InstanceNorm2d(8, affine=True)), sgd)


@healthy("a ResNet block with BatchNorm learns digits", "amp", "amp_bf16")
def residual_training(use: Use) -> Result:
    return _classify(use, resnet(), sgd, 4)


@healthy("a ResNet block with BatchNorm, converted, in use", "fp16", "bf16", "amp", ulps=4)
def residual_inference(use: Use) -> Result:
    return _infer(use, resnet(), images()[0])


@healthy("an MLP in use, its products in float8", "fp8", ulps=2)
def mlp_float8(use: Use) -> Result:
    return _infer(use, perceptron(), images()[0])


@healthy("an MLP in use, every step rounded", "pure_fp16")
def mlp_every_step(use: Use) -> Result:
    return _infer(use, perceptron(), images()[0])


@healthy("a separable convolution with hardswish, as on a telephone, in use", "fp16", "bf16")
def separable(use: Use) -> Result:
    first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Hardswish(), nn.Conv2d(8, 8, 3, padding=1, groups=8))
    model = nn.Sequential(*first, nn.Hardswish(), nn.Conv2d(8, 16, 1), nn.SiLU(), nn.AvgPool2d(2))
    return _infer(use, model, images()[0])


@healthy("an autoencoder of convolutions learns digits", "amp", "amp_bf16")
def autoencoder(use: Use) -> Result:
    down = (nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.SiLU())
    model = use.model(nn.Sequential(*down, nn.ConvTranspose2d(4, 1, 2, stride=2)))
    x = use.tensor(images(16)[0])
    return train(use, model, lambda: ops.mse_loss(model(x), x), adam)


@healthy("patches of images through a transformer, in use", "fp16", "bf16")
def patches(use: Use) -> Result:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation="gelu", batch_first=True)
    cut = use.model(nn.Conv2d(1, 16, 2, stride=2)).eval()
    body, head = use.model(layer).eval(), use.model(nn.Linear(16, 10)).eval()
    with hs.no_grad():
        x = cut(use.tensor(images(8)[0])).flatten(2).transpose(1, 2)
        return {"logits": head(body(x).mean(1)).numpy()}


def _whole_pixels() -> Result:
    x = pixels()
    return {"centred": x - 128, "scaled": (x / 255 - 0.5) / 0.25}


@healthy("pixels from 0 to 255 kept in half, centred and scaled", "fp16", "pure_fp16", right=_whole_pixels)
def whole_pixels(use: Use) -> Result:
    x = use.tensor(pixels())
    return {"centred": (x - 128).numpy(), "scaled": ((x / 255 - 0.5) / 0.25).numpy()}


def _edges() -> Result:
    x = pixels()[:, 0] / 255
    a = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    cut = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    across, down = (np.einsum("nijkl,kl->nij", cut, k) for k in (a, a.T))
    return {"edges": np.sqrt(across**2 + down**2)[:, None]}


@healthy("edges of images by Sobel's filter", "fp16", right=_edges)
def edges(use: Use) -> Result:
    a = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    found = ops.conv2d(use.tensor(pixels() / 255), use.tensor(np.stack([a, a.T])[:, None]))
    return {"edges": ops.sqrt(ops.sum(ops.square(found), 1, keepdims=True)).numpy()}


def _augmented() -> Result:
    x = pixels() / 255
    bright = np.clip(1.2 * (np.flip(x, 3) ** 0.8) - 0.05, 0, 1)
    return {"image": np.pad(bright, ((0, 0), (0, 0), (2, 2), (2, 2)))[:, :, 1:9, 3:11]}


@healthy("images mirrored, brightened, padded and cut", "fp16", "bf16", right=_augmented)
def augmented(use: Use) -> Result:
    x = ops.flip(use.tensor(pixels() / 255), 3)
    bright = ops.clamp(1.2 * x**0.8 - 0.05, 0.0, 1.0)
    return {"image": ops.pad(bright, (2, 2, 2, 2))[:, :, 1:9, 3:11].numpy()}


@healthy("per-pixel classes of small images, learnt by Dice loss", "amp", "fp16")
def segmentation(use: Use) -> Result:
    x = images(12)[0]
    model = use.model(nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 1, 1)))
    fed, mask = use.tensor(x), use.tensor(x > 0.5)

    def dice() -> hs.Tensor:
        found = ops.sigmoid(model(fed))
        both, sizes = (found * mask).sum((1, 2, 3)), found.sum((1, 2, 3)) + mask.sum((1, 2, 3))
        return (1 - (2 * both + 1) / (sizes + 1)).mean()

    return train(use, model, dice, sgd)


@healthy("fine-tuning of the head alone, the body frozen", "amp", "fp16")
def frozen_body(use: Use) -> Result:
    x, y = images()
    body, head = use.model(nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.GELU())), use.model(nn.Linear(24, 10))
    for p in body.parameters():
        p.requires_grad_(False)
    fed = use.tensor(x)
    return train(use, head, lambda: nn.cross_entropy(head(body(fed)), y), sgd)


@healthy("the gradient of a class score by the pixels", "fp16", "amp")
def saliency(use: Use) -> Result:
    x, y = images(8)
    fed, model = use.tensor(x, requires_grad=True), use.model(smooth())
    ops.gather(model(fed), 1, y[:, None]).sum().backward()
    assert fed.grad is not None
    return {"map": fed.grad.numpy(), "noise": ops.mean(fed + 0.1 * use.tensor(normal(3, *x.shape)), 0).numpy()}
