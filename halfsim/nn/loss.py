"""Losses as layers; see the functions of the same meaning in `halfsim.ops`.

``size_average`` and ``reduce`` are PyTorch's old spelling of ``reduction``. Weights are buffers, and part of the state.
"""

from __future__ import annotations

from typing import Any

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.ops.loss import reduction_of
from halfsim.autograd.tensor import Tensor, plain
from halfsim.nn.module import Module


def _as_weight(weight: Any) -> Tensor | None:
    return weight if weight is None or isinstance(weight, Tensor) else tensor(weight)


class Loss(Module):
    """A loss with a reduction: "mean", "sum" or "none"."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction_of(reduction, size_average, reduce)

    def _weigh(self, **weights: Any) -> None:
        for name, weight in weights.items():
            self.register_buffer(name, _as_weight(weight))
        self._arrays = {name for name, weight in weights.items() if not isinstance(weight, Tensor)}

    def _weight(self, name: str = "weight") -> Any:
        """A weight given as an array follows the format of the input, as in functions; a Tensor has one of its own."""
        weight = getattr(self, name)
        return plain(weight) if name in self._arrays else weight


class WeightedLoss(Loss):
    """A loss with weights, which are a buffer, and a reduction."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weigh(weight=weight)


class CrossEntropyLoss(Loss):
    """-log softmax(input)[target], the mean, the sum or each; see `halfsim.ops.cross_entropy`.

    >>> import halfsim as hs
    >>> CrossEntropyLoss(label_smoothing=0.5)(hs.tensor([[2.0, 1.0]]), [0])
    tensor(0.5632616, float32)
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weigh(weight=weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Any, target: Any) -> Tensor:
        rest: dict[str, Any] = {"reduction": self.reduction, "label_smoothing": self.label_smoothing}
        return ops.cross_entropy(input, target, self._weight(), ignore_index=self.ignore_index, **rest)


class NLLLoss(Loss):
    """-input[target] for log-probabilities; see `halfsim.ops.nll_loss`."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weigh(weight=weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.nll_loss(input, target, self._weight(), ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(Loss):
    """The squared difference; see `halfsim.ops.mse_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """The absolute difference; see `halfsim.ops.l1_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """The absolute difference, squared near zero; see `halfsim.ops.smooth_l1_loss`."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """The squared difference near zero, linear from ``delta`` on; see `halfsim.ops.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not isinstance(delta, (int, float)) or isinstance(delta, bool):
            raise TypeError(f"delta: {delta!r} is not allowed; allowed: numbers")
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(WeightedLoss):
    """The cross entropy of probabilities of two classes; see `halfsim.ops.binary_cross_entropy`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.binary_cross_entropy(input, target, self._weight(), reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """The same of what a sigmoid would make probabilities; see `halfsim.ops.binary_cross_entropy_with_logits`."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._weigh(weight=weight, pos_weight=pos_weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        weights: dict[str, Any] = {"weight": self._weight(), "pos_weight": self._weight("pos_weight")}
        return ops.binary_cross_entropy_with_logits(input, target, reduction=self.reduction, **weights)


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence of log-probabilities from a target; see `halfsim.ops.kl_div`.

    ``reduction`` may also be "batchmean".
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        batch = reduction == "batchmean" and size_average is None and reduce is None
        super().__init__(size_average, reduce, "mean" if batch else reduction)
        self.reduction = "batchmean" if batch else self.reduction
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Tensor:
        return ops.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Loss):
    """How unlikely counts are under a rate, or under its logarithm; see `halfsim.ops.poisson_nll_loss`."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Any, target: Any) -> Tensor:
        options: dict[str, Any] = {"eps": self.eps, "reduction": self.reduction}
        return ops.poisson_nll_loss(log_input, target, self.log_input, self.full, **options)


class GaussianNLLLoss(Loss):
    """How unlikely measurements are under means and variances; see `halfsim.ops.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Any, target: Any, var: Any) -> Tensor:
        return ops.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class CTCLoss(Loss):
    """How unlikely sequences of labels without an alignment are; see `halfsim.ops.ctc_loss`."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        lengths = input_lengths, target_lengths
        return ops.ctc_loss(log_probs, targets, *lengths, self.blank, self.reduction, self.zero_infinity)
