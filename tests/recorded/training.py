"""What is recorded of optimizers, schedules, clipping and loss scaling: built alike in PyTorch and in halfsim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TRAJECTORIES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd_maximize": ("SGD", {"lr": 0.125, "momentum": 0.875, "weight_decay": 2.0**-7, "maximize": True}),
    "adam_amsgrad": ("Adam", {"lr": 2.0**-6, "betas": (0.375, 0.875), "eps": 2.0**-13, "amsgrad": True}),
    "adam_maximize": ("Adam", {"lr": 2.0**-6, "betas": (0.5, 0.875), "eps": 2.0**-13, "maximize": True}),
    "adamw": ("AdamW", {"lr": 2.0**-5, "betas": (0.375, 0.875), "eps": 2.0**-12, "weight_decay": 0.5}),
    "adamw_amsgrad": ("AdamW", {"lr": 2.0**-5, "amsgrad": True, "maximize": True, "eps": 2.0**-10}),
    "rmsprop": ("RMSprop", {"lr": 2.0**-6, "alpha": 0.875, "eps": 2.0**-13}),
    "rmsprop_momentum": ("RMSprop", {"lr": 2.0**-6, "alpha": 0.75, "momentum": 0.5, "weight_decay": 2.0**-6}),
    "rmsprop_centered": ("RMSprop", {"lr": 2.0**-6, "alpha": 0.75, "momentum": 0.5, "centered": True, "eps": 0.0625}),
    "rmsprop_maximize": ("RMSprop", {"lr": 2.0**-6, "alpha": 0.75, "centered": True, "eps": 0.25, "maximize": True}),
    "adagrad": ("Adagrad", {"lr": 0.0625, "eps": 2.0**-12}),
    "adagrad_decay": (
        "Adagrad",
        {"lr": 0.0625, "lr_decay": 0.25, "weight_decay": 2.0**-6, "initial_accumulator_value": 0.125, "maximize": True},
    ),
    "nadam": ("NAdam", {"lr": 2.0**-6, "betas": (0.375, 0.875), "eps": 2.0**-13, "weight_decay": 2.0**-6}),
    "nadam_decoupled": ("NAdam", {"lr": 2.0**-6, "weight_decay": 0.5, "decoupled_weight_decay": True}),
    "radam": ("RAdam", {"lr": 2.0**-5, "betas": (0.375, 0.875), "eps": 2.0**-10, "weight_decay": 2.0**-6}),
    "radam_decoupled": ("RAdam", {"lr": 0.125, "weight_decay": 0.5, "decoupled_weight_decay": True, "maximize": True}),
    "adamax": ("Adamax", {"lr": 2.0**-6, "betas": (0.375, 0.875), "eps": 2.0**-10, "weight_decay": 2.0**-6}),
    "adamax_maximize": ("Adamax", {"lr": 2.0**-6, "eps": 2.0**-10, "maximize": True}),
    "adadelta": ("Adadelta", {"lr": 0.5, "rho": 0.875, "eps": 2.0**-9, "weight_decay": 2.0**-6}),
    "adadelta_maximize": ("Adadelta", {"eps": 2.0**-12, "maximize": True}),
    "asgd": ("ASGD", {"lr": 2.0**-5, "lambd": 0.0, "t0": 2.0, "weight_decay": 2.0**-6}),
    "asgd_decay": ("ASGD", {"lr": 2.0**-5, "lambd": 0.25, "alpha": 0.5, "t0": 3.0, "maximize": True}),
    "rprop": ("Rprop", {"lr": 2.0**-6}),
    "rprop_maximize": ("Rprop", {"lr": 0.1, "etas": (0.3, 1.7), "step_sizes": (1e-3, 0.3), "maximize": True}),
    "adafactor": ("Adafactor", {"lr": 0.0625, "weight_decay": 2.0**-6}),
    "adafactor_maximize": ("Adafactor", {"lr": 0.5, "beta2_decay": -0.5, "eps": (1e-3, 0.5), "maximize": True}),
}

# PyTorch's CPU kernels round the numbers among a half kernel's arguments to half; in these some are none.
# Adafactor's norms are sums, whose order is not ours.
WIDE_ONLY = {"adamw_amsgrad", "nadam", "nadam_decoupled", "adagrad_decay", "asgd_decay"} | {
    *("radam_decoupled", "adafactor", "adafactor_maximize")
}

STEPS = 24

# `s` is a module of schedules, `o` an optimizer of two groups: SGD with momentum, or Adam for those named so.
SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "lambda": lambda s, o: s.LambdaLR(o, [lambda step: 0.9**step, lambda step: 1 / (1 + step)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda step: 1 - 0.01 * step),
    "step": lambda s, o: s.StepLR(o, 3, gamma=0.3),
    "multistep": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 11], gamma=0.7),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.87),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.3, total_iters=4),
    "linear": lambda s, o: s.LinearLR(o, start_factor=0.1, end_factor=0.7, total_iters=9),
    "polynomial": lambda s, o: s.PolynomialLR(o, total_iters=11, power=1.7),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 7, eta_min=0.003),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, eta_min=0.003),
    "one_cycle": lambda s, o: s.OneCycleLR(o, [0.3, 0.7], total_steps=STEPS),
    "one_cycle_adam": lambda s, o: s.OneCycleLR(o, 0.3, epochs=STEPS, steps_per_epoch=1, anneal_strategy="linear"),
    "one_cycle_three": lambda s, o: s.OneCycleLR(o, 0.3, total_steps=STEPS, three_phase=True, pct_start=0.4),
    "one_cycle_plain": lambda s, o: s.OneCycleLR(o, 0.3, total_steps=STEPS, cycle_momentum=False, div_factor=5.0),
    "cyclic": lambda s, o: s.CyclicLR(o, [0.01, 0.02], 0.3, step_size_up=3, step_size_down=5),
    "cyclic_halved_adam": lambda s, o: s.CyclicLR(o, 0.01, [0.3, 0.2], step_size_up=4, mode="triangular2"),
    "cyclic_fading": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "cyclic_scaled": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 4, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"),
    "warm_up": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 12), s.ExponentialLR(o, 0.9)], [5, 17]
    ),
    "warm_restart": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, total_iters=3), s.StepLR(o, 2, 0.5), s.MultiStepLR(o, [1, 4])], [3, 12]
    ),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, total_iters=3), s.ExponentialLR(o, 0.9)]),
    "plateau": lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1, min_lr=[0.01, 0.002]),
    "plateau_max": lambda s, o: s.ReduceLROnPlateau(o, "max", 0.3, 0, threshold=0.05, threshold_mode="abs"),
}

METRICS = [1.0, 0.9, 0.9, 0.95, 0.95, 0.95, 0.94, 0.94, 0.5, 0.6, 0.6, 0.6, 0.7, 0.4, 0.4, 0.4, *[0.39] * 8]

NORM_TYPES = [2.0, 1.0, 3.0, float("inf"), 0.0, float("-inf"), 0.5, -1.0]


def scheduled(schedules: Any, name: str, groups: list[Any], sgd: Any, adam: Any) -> tuple[Any, Any]:
    """The optimizer of two groups and its schedule."""
    made = [{"params": [groups[0]]}, {"params": [groups[1]], "lr": 0.05}]
    optimizer = adam(made, lr=0.1) if "adam" in name else sgd(made, lr=0.1, momentum=0.9)
    return optimizer, SCHEDULES[name](schedules, optimizer)


def rates(name: str, optimizer: Any, schedule: Any, steps: range) -> list[list[float]]:
    """The rate and the momentum of both groups before each step, and what `get_last_lr` says."""
    rows = []
    for step in steps:
        held = [group["betas"][0] if "adam" in name else group["momentum"] for group in optimizer.param_groups]
        rows.append([*(group["lr"] for group in optimizer.param_groups), *held, *schedule.get_last_lr()])
        optimizer.step()
        schedule.step(*([METRICS[step]] if "plateau" in name else []))
    return rows


def scaled_training(
    sgd: Any, scaler: Any, parameters: list[Any], loss_of: Callable[[int], Any], spoil: Callable[[], None], clip: Any
) -> list[float]:
    """Training on scaled losses: gradients of step 2 spoiled, clipping in between, factors changed on the way."""
    optimizer, scales = sgd(parameters, lr=0.05, momentum=0.5), []
    for step in range(8):
        optimizer.zero_grad()
        scaler.scale(loss_of(step)).backward()
        if step == 2:
            spoil()
        if step % 2:
            scaler.unscale_(optimizer)
            clip(parameters, 0.25)
        scaler.step(optimizer)
        scaler.update()
        if step == 4:
            scaler.set_growth_factor(3.0)
            scaler.set_backoff_factor(0.25)
            scaler.set_growth_interval(2)
        scales.append(scaler.get_scale())
    return scales
