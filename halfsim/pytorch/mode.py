"""Every kernel of a PyTorch program, rounded: a dispatch mode that stands between autograd and the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from halfsim.autograd.observer import active
from halfsim.autograd.policy import Policy
from halfsim.autograd.scope import resolve, scope, scoped
from halfsim.frames import Line, caller
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.precision import Precision, native
from halfsim.pytorch import events, telling, writing
from halfsim.pytorch.aten import FLOATS, KEEP, Kernel, called, kernel_of
from halfsim.pytorch.faithful import formula_of
from halfsim.pytorch.held import HALVES, Held, held, mark, reading, round_in_place

_KERNELS: dict[Any, Kernel] = {}
_ACCUMULATE = "torch::autograd::AccumulateGrad"
_ARRIVES = ("detach", "add", "clone", "copy")  # kernels that put a gradient in its place, or add it to what is there
_REMEMBERED = 1 << 18  # operations of forward passes whose gradient may come


@dataclass(slots=True)
class Ran:
    """What an operation's gradient needs to know of it."""

    name: str
    path: str
    precision: Precision
    wide: bool
    line: Line | None = None
    broken: Any = None
    eps: float = 0.0  # of a normalisation


class _Looking:
    """A context in which halfsim's tensors of a program's memory are looked at: at the end of the outermost they go."""

    __slots__ = ("_depth", "_rounding")

    def __init__(self, rounding: Rounding) -> None:
        self._rounding, self._depth = rounding, 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if self._rounding.live and not self._depth:
            self._rounding.release()


@dataclass(slots=True)
class Call:
    """One call of a kernel: what it is called, where it stands, and what rules it."""

    kernel: Kernel
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str
    precision: Precision
    wide: bool
    exact: bool
    phase: str
    path: str
    floats: list[torch.Tensor]
    line: Line | None = None
    broken: Any = None
    leaf: Any = None  # the parameter whose gradient arrives
    sequence: int = 0
    targets: Sequence[torch.Tensor] = ()  # what it writes into
    eps: float = 0.0  # of the normalisation whose gradient it is
    stats: Sequence[torch.Tensor] = ()  # running averages that it moves
    output: int = 0  # which of its results is told


class Rounding(TorchDispatchMode):
    """The mode: it runs each kernel on numbers as the precision in force reads them, and rounds what it stores.

    ``base`` is the format of tensors that say nothing else; ``faithful`` lets halfsim's own formulas compute what has
    one. ``alters`` is False where numbers are only looked at.
    """

    def __init__(self, faithful: bool = False) -> None:
        super().__init__()
        self.faithful = faithful
        self.base: Format = float32
        self.function = ""  # the function of PyTorch's interface that is running
        self.casting: tuple[Format, bool, str] | None = None  # what a clone is to be, if the program says so, its name
        self.forced: Format | None = None  # the format that an argument dtype= asks for
        self.ran: dict[int, Ran] = {}
        self.live: list[Held] = []  # memory whose arrays the kernel in hand looks at
        self.looking = _Looking(self)
        self.places: Any = None  # names of modules and parameters, see `halfsim.pytorch.places`

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self.looking:
            return self.dispatched(func, args, kwargs or {})

    def release(self) -> None:
        """Give up what shows the memory of tensors, now that the kernel has ended."""
        for known in self.live:
            known.let_go(active())
        self.live.clear()

    def dispatched(self, func: Any, args: Any, kwargs: Any) -> Any:
        """One kernel, by what it is."""
        kernel = _KERNELS.get(func)
        if kernel is None:
            kernel = _KERNELS[func] = kernel_of(func)
        if kernel.looks:
            out = func(*args, **kwargs)
            for x in _written(kernel, args, kwargs) if kernel.written else ():
                held(x, self).tensors.clear()
            return out
        backward = torch._C._current_graph_task_id() != -1
        node = torch._C._current_autograd_node() if backward else None
        leaf = node.variable if node is not None and node.name() == _ACCUMULATE else None
        at = leaf
        if leaf is not None and kernel.raw not in _ARRIVES:  # a hook of the user's
            leaf = None
        if kernel.view:
            out = func(*args, **kwargs)
            if leaf is not None and isinstance(out, torch.Tensor):
                self.arrived(leaf, out)
            return out
        return self.compute(kernel, func, args, kwargs, None if at is not None else node, backward, leaf, at)

    def compute(
        self, kernel: Kernel, func: Any, args: Any, kwargs: Any, node: Any, backward: bool, leaf: Any, at: Any
    ) -> Any:
        """Run a kernel that makes or changes numbers."""
        floats = events.floats_of(args)
        if kwargs:
            floats += events.floats_of(kwargs.values())
        targets = _written(kernel, args, kwargs) if kernel.written or kernel.named else []
        if kernel.overwrites:
            floats = [x for x in floats if not any(x is target for target in targets)]
        if kernel.foreach and kernel.raw.startswith("_foreach_"):
            with self:
                return one_by_one(kernel, args, kwargs)
        observer, here = active(), scope()
        sequence = torch._C._autograd._get_sequence_nr() - 1
        ran = None
        if node is not None and leaf is None:
            ran = self.ran.get(node._sequence_nr())
        line, broken, eps = None, None, 0.0
        if leaf is not None:
            name, category, phase = "accumulate", None, "backward"
            path = self.places.parameter(leaf)[0]
            precision, wide = native(held(leaf, self).format), held(leaf, self).wide
            if precision.storage is not float32 and isinstance(here.rule, Precision):
                precision = here.rule
        elif ran is not None:
            name, path, phase, precision, wide = ran.name, ran.path, "backward", ran.precision, ran.wide
            line, broken, eps = ran.line, ran.broken, ran.eps
        else:
            name, category = called(kernel, args, self.function)
            if self.casting is not None:
                name = self.casting[2]
            phase, path = here.phase, here.path
            if backward and phase == "forward":
                phase = "backward"
                path = self.places.parameter(at)[0] if at is not None else path
            precision, wide = self.ruled(kernel, name, category, floats, targets, here)
        stats = [x for x in args[3:5] if x is not None] if kernel.raw == "native_batch_norm" and args[5] else []
        floats = [x for x in floats if not any(x is stat for stat in stats)] if stats else floats
        before = [self.settled(x) for x in stats]
        exact = kernel.exact_with(args, kwargs) and self.casting is None
        call = Call(kernel, func, args, kwargs, name, precision, wide, exact, phase, path, floats, line, broken, leaf,
                    sequence, targets, eps, stats)  # fmt: skip
        if kernel.foreach:
            out = writing.each(self, call, observer)
        elif self.unseen(call, observer):
            out = self.quick(call)
        else:
            out = telling.told(self, call, observer)
        for x, old in zip(stats, before, strict=True):
            writing.averaged(self, call, observer, x, old)
        if phase != "backward" and not backward and torch.is_grad_enabled():
            self.remember(call)
        return out

    def settled(self, x: torch.Tensor) -> Any:
        """The numbers of a statistic that a kernel is about to move, in its own format, if anybody watches."""
        known = held(x, self)
        if known.raw:
            round_in_place(x, known.format)
            known.raw = False
        return x.detach().numpy().copy() if active() is not None else None

    def own(self, call: Call) -> Any:
        """The formula of halfsim's that computes this call, in depth "faithful"; None for PyTorch's kernel."""
        return formula_of(call) if self.faithful else None

    def unseen(self, call: Call, observer: Any) -> bool:
        """Whether nobody watches, and PyTorch's kernel in float32 with one rounding after it is all there is to do."""
        plain = call.precision.mode is None and not self.own(call) and not _real_halves(call.floats)
        return plain and (observer is None or _sparse(call.args))

    def remember(self, call: Call) -> None:
        """Remember an operation of the forward pass for its gradient; the first kernel of a node speaks for it."""
        if call.sequence not in self.ran:
            if len(self.ran) >= _REMEMBERED:
                for old in list(self.ran)[: _REMEMBERED // 2]:
                    del self.ran[old]
            line = call.line or (caller() if active() is not None else None)
            self.ran[call.sequence] = Ran(
                call.name, call.path, call.precision, call.wide, line, call.broken, _eps(call)
            )

    def ruled(
        self, kernel: Kernel, name: str, category: str | None, floats: list[torch.Tensor],
        targets: list[torch.Tensor], here: Any,
    ) -> tuple[Precision, bool]:  # fmt: skip
        """The precision of a call, and whether the program asked for one that wide."""
        if self.casting is not None:
            return native(self.casting[0]), self.casting[1]
        if self.forced is not None:
            return native(self.forced), True
        rule = here.rule
        if targets and held(targets[0], self).wide:  # what is changed in place stays in its format
            return native(held(targets[0], self).format), True
        fmt, wide = self.widest(floats)
        if kernel.raw == "_to_copy" and fmt is float64:  # data on its way into tensors of float32
            fmt, wide = self.base, False
        if wide and not (category == "fp16" and not all(held(x, self).wide for x in floats)):
            narrow = rule if isinstance(rule, Precision) else rule.default
            if isinstance(narrow, Precision) and not narrow.storage.contains(fmt):
                return native(fmt), True
        if not floats and kernel.made and self.base is not float32 and not isinstance(rule, Precision):
            fmt = self.base
        return resolve(name, category, fmt), wide and isinstance(rule, Policy)

    def widest(self, floats: list[torch.Tensor]) -> tuple[Format, bool]:
        """The format of the widest tensors, those without axes apart, and whether the program asked for it."""
        known = [(held(x, self), x.ndim) for x in floats]
        known = [(h, n) for h, n in known if not h.inner] or known
        deep = [h for h, n in known if n] or [h for h, _ in known]
        if not deep:
            return self.base, False
        fmt = deep[0].format
        for h in deep[1:]:
            if h.format is not fmt and not fmt.contains(h.format):
                fmt = h.format if h.format.contains(fmt) else float32
        return fmt, any(h.wide for h in deep)

    def quick(self, call: Call) -> Any:
        """A call that nobody watches: PyTorch's kernel, and its results rounded where they stand."""
        args, kwargs, precision = call.args, call.kwargs, call.precision
        kernel, storage = call.kernel, precision.storage
        targets = call.targets
        for x in targets:
            known = held(x, self)
            if known.raw and not kernel.overwrites:
                round_in_place(x, known.format)
                known.raw = False
            known.copies.clear()
        swap = None
        for x in call.floats:
            known = held(x, self)
            if known.inner or (not known.raw and (known.format is storage or storage.contains(known.format))):
                continue
            if any(x is target for target in targets):
                continue
            read = reading(x, known, precision)
            if read is not x:
                swap = swap or {}
                swap[id(x)] = read
        if swap is not None:
            args, kwargs = events.replaced(args, swap), {k: events.replaced(v, swap) for k, v in kwargs.items()}
        if storage is float64:
            args, kwargs = deepened(args), {k: deepened(v) for k, v in kwargs.items()}
        out = call.func(*args, **kwargs)
        if targets:
            for x in targets:
                known = held(x, self)
                if not call.exact and known.format is not float32 and known.format is not float64:
                    round_in_place(x, known.format)
                known.raw = False
                known.tensors.clear()
            return out
        self.store(call, out, storage)
        return out

    def store(self, call: Call, out: Any, storage: Format) -> None:
        """Round the results of a kernel and say what they are."""
        if isinstance(out, torch.Tensor):
            if out.dtype in FLOATS and out.layout is torch.strided:
                if not call.exact and storage is not float32 and storage is not float64:
                    round_in_place(out, storage)
                mark(out, self, storage, call.wide)
        elif isinstance(out, (tuple, list)):
            keep = call.name in KEEP and not call.kernel.backward
            for i, y in enumerate(out):
                if isinstance(y, torch.Tensor) and y.dtype in FLOATS and y.layout is torch.strided:
                    if keep and i:
                        mark(y, self, float32, inner=True)
                        continue
                    if not call.exact and storage is not float32 and storage is not float64:
                        round_in_place(y, storage)
                    mark(y, self, storage, call.wide)

    def arrived(self, leaf: Any, grad: torch.Tensor) -> None:
        """A gradient has reached its parameter, as it is: it is held in the parameter's format from here on."""
        if grad.dtype not in FLOATS or grad.layout is not torch.strided:
            return
        known, of = held(grad, self), held(leaf, self)
        observer = active()
        path, name = self.places.parameter(leaf)
        known.name = f"{path}.{name}" if path else name
        if observer is not None:
            events.leaf(self, observer, leaf, grad, path, known)
        known.format, known.wide = of.format, of.wide

    def dtype(self, x: torch.Tensor) -> Any:
        """The dtype that the program sees: that of the format which the numbers have."""
        real = torch._C.TensorBase.dtype.__get__(x)
        if real is not torch.float32 or x.layout is not torch.strided:
            return real
        with torch._C.DisableTorchFunction():
            return HALVES.get(held(x, self).format, real)

    def scoped_in(self, call: Call) -> Any:
        """The scope of a call, for those who ask for phase and path."""
        return scoped(phase=call.phase, path=call.path)


def deepened(x: Any) -> Any:
    """Arguments with float64 in the place of narrower floats, for a reference run."""
    if isinstance(x, torch.Tensor):
        return x.double() if x.dtype in FLOATS else x
    if isinstance(x, (list, tuple)):
        return type(x)(deepened(item) for item in x)
    return x


def _eps(call: Call) -> float:
    """What a normalisation adds to its variance, which the kernel of the gradient is not given."""
    last = call.args[-1] if call.args else None
    return last if "norm" in call.name and isinstance(last, float) else 0.0


def _written(kernel: Kernel, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors of floats that a call writes into."""
    found = [args[i] for i in kernel.written if i < len(args)]
    return events.floats_of([*found, *(kwargs.get(name) for name in kernel.named)])


def one_by_one(kernel: Kernel, args: Any, kwargs: Any) -> Any:
    """A kernel over lists of tensors as one call for each, which is what it is by definition."""
    stem = kernel.raw.removeprefix("_foreach_")
    count = next(len(x) for x in args if isinstance(x, (list, tuple)))
    made = []
    for i in range(count):
        item = [x[i] if isinstance(x, (list, tuple)) else x for x in args]
        if stem in ("addcdiv", "addcmul") and len(item) > 3:
            item, more = item[:3], {"value": item[3] if not isinstance(item[3], torch.Tensor) else item[3].item()}
        else:
            more = {k: x[i] if isinstance(x, (list, tuple)) else x for k, x in kwargs.items()}
        if stem == "norm":
            made.append(torch.linalg.vector_norm(*item, **more))
        elif stem == "pow" and not isinstance(item[0], torch.Tensor):
            made.append(torch.pow(*item, **more))
        else:
            method = getattr(torch.Tensor, stem + ("_" if kernel.written else ""))
            made.append(method(*item, **more))
    return None if kernel.written else made


def _sparse(args: Any) -> bool:
    return any(isinstance(x, torch.Tensor) and x.layout is not torch.strided for x in args)


def _real_halves(floats: list[torch.Tensor]) -> bool:
    return any(x.dtype in (torch.float16, torch.bfloat16) for x in floats)
