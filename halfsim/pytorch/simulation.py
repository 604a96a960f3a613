"""`halfsim.pytorch.simulate` and `observe`: the contexts around an unchanged PyTorch program."""

from __future__ import annotations

from contextlib import ExitStack

from halfsim.autograd.policy import PROMOTE, Policy, as_rule, rule_name
from halfsim.autograd.scope import precision, scope
from halfsim.contexts import Context
from halfsim.numerics.formats import Format, float32
from halfsim.numerics.precision import Precision
from halfsim.pytorch.mapped import Calls, patched
from halfsim.pytorch.mode import Rounding
from halfsim.pytorch.places import Places

DEPTHS = ("store", "faithful")


class Simulation:
    """A simulation under way: ``notes`` say in words what the program asked for and got in another way."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mapped: devices, dtypes, autocast, compile."""
        return tuple(self._calls.notes)

    def __repr__(self) -> str:
        return f"Simulation({rule_name(scope().rule)})"


class simulate(Context):  # noqa: N801  # used as a function
    """A context, or a decorator, in which every kernel of a PyTorch program is rounded as ``precision`` says.

    Forward, backward and optimizer run unchanged on the CPU. Under a precision ("fp16", "bf16", "pure_fp16", ...) all
    tensors of float32 act as if they were of its storage: data, parameters and the optimizer's state too; they stay
    tensors of float32, which hold such numbers, and ``x.dtype`` says what they act as. Where the program itself asks
    for float32 (``x.float()``) it is that. Under "amp", "amp_bf16" or a policy, tensors stay float32 and operations
    follow the policy: the lists of CUDA's autocast, module paths, and "@op" names. Without ``precision`` the one in
    force rules (`halfsim.precision`), which is float32 where there is none; ``torch.autocast`` inside is followed.

    ``depth`` is "store", PyTorch's own kernels in float32 and one rounding of each result, or "faithful", in which
    halfsim's formulas compute products, convolutions, attention, normalisations and reductions as the precision's
    accumulator does. ``ValueError`` for an unknown word, ``RuntimeError`` inside another simulation.

    >>> import torch, halfsim as hs
    >>> from halfsim.pytorch import simulate
    >>> with simulate("fp16"), hs.trace() as t:
    ...     product = torch.tensor([300.0]) * torch.tensor([300.0])
    >>> product.item(), t.verdict().klass, t.verdict().op
    (inf, 'overflow', 'mul')
    """

    _inside = False

    def __init__(self, precision: object = None, *, depth: str = "store") -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth: {depth!r} is not allowed; allowed: {', '.join(map(repr, DEPTHS))}")
        self.rule = None if precision is None else as_rule(precision)
        self.depth = depth
        self._alters = True
        self._stacks: list[ExitStack] = []

    def __enter__(self) -> Simulation:
        if simulate._inside:
            raise RuntimeError("simulate: it is on already; allowed: outside it")
        with ExitStack() as stack:
            if self.rule is not None or not self._alters:
                stack.enter_context(precision(PROMOTE if self.rule is None else self.rule))
            rounding = Rounding(self.depth == "faithful")
            rounding.alters = self._alters
            rounding.base = base_of(scope().rule) if self._alters else float32
            calls = Calls(rounding)
            rounding.places = stack.enter_context(Places())
            stack.enter_context(patched(calls))
            stack.enter_context(calls)
            stack.callback(rounding.release)
            stack.enter_context(rounding)
            simulate._inside = True
            stack.callback(setattr, simulate, "_inside", False)
            self._stacks.append(stack.pop_all())
        return Simulation(calls)

    def __exit__(self, *exception: object) -> None:
        self._stacks.pop().close()


class observe(simulate):  # noqa: N801  # used as a function
    """A context in which a trace sees every kernel of a PyTorch program, and none is altered.

    It is for `halfsim.trace`, with ``forecast=`` or without: the program computes in float32 what it always did.

    >>> import torch, halfsim as hs
    >>> from halfsim.pytorch import observe
    >>> with observe(), hs.trace(forecast="fp16") as t:
    ...     product = torch.tensor([300.0]) * torch.tensor([300.0])
    >>> product.item(), [(f.klass, f.op) for f in t.forecast()]
    (90000.0, [('overflow', 'mul')])
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._alters = False


def base_of(rule: Precision | Policy) -> Format:
    """The format that tensors of float32 act as under a rule: a precision's own, or that of a policy's default."""
    base = rule.default if isinstance(rule, Policy) else rule
    if rule is PROMOTE or not isinstance(base, Precision) or base.storage.contains(float32):
        return float32
    return base.storage
