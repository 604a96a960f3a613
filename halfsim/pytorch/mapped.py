"""What a program says to a GPU and of half precision, as a simulation takes it: devices, dtypes, autocast, compile."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from halfsim.autograd.observer import active
from halfsim.autograd.policy import PROMOTE, Policy
from halfsim.autograd.scope import precision, scoped
from halfsim.autograd.tensor import Tensor
from halfsim.frames import level
from halfsim.numerics.formats import float32, float64
from halfsim.pytorch.held import FORMATS, held, tensor_of

_NARROW = (torch.float16, torch.bfloat16)
_TENSOR = torch.Tensor


class Mapped(UserWarning):
    """Something that a program asked for was done in another way in the simulation."""


class Calls(TorchFunctionMode):
    """A mode that hears every call of PyTorch's interface: it maps devices and dtypes, and names what runs."""

    def __init__(self, rounding: Any) -> None:
        super().__init__()
        self.rounding = rounding
        self.notes: list[str] = []

    def note(self, text: str, warn: bool = True) -> None:
        """Say once that something was mapped; what ``x.dtype`` says anyway is noted without a warning."""
        if text not in self.notes:
            self.notes.append(text)
            if warn:
                warnings.warn(f"halfsim.pytorch: {text}", Mapped, stacklevel=level())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        handler = _HANDLERS.get(func)
        if handler is not None:
            return handler(self, func, args, kwargs)
        rounding = self.rounding
        if kwargs:
            if "device" in kwargs:
                kwargs["device"] = self.device(kwargs["device"])
            if kwargs.get("pin_memory") and not torch.cuda.is_available():
                kwargs["pin_memory"] = False
            dtype = kwargs.get("dtype")
            if dtype is not None and dtype in FORMATS and rounding.alters:
                return self.typed(func, args, kwargs, dtype)
        name = getattr(func, "__name__", "")
        outer, rounding.function = rounding.function, name
        try:
            return func(*args, **kwargs)
        finally:
            rounding.function = outer

    def device(self, given: Any) -> Any:
        """A device that is there."""
        if given is None or isinstance(given, int):
            return torch.device("cpu") if isinstance(given, int) and not torch.cuda.is_available() else given
        if torch.device(given).type == "cuda" and not torch.cuda.is_available():
            self.note("there is no GPU: what the program puts on 'cuda' stays on the CPU")
            return torch.device("cpu")
        return given

    def typed(self, func: Any, args: Any, kwargs: Any, dtype: torch.dtype) -> Any:
        """A call that asks for a dtype: its numbers are of that format, in tensors of float32."""
        rounding = self.rounding
        fmt = FORMATS[dtype]
        if dtype is torch.float64:
            return func(*args, **kwargs)
        data = getattr(func, "__name__", "") in _DATA and dtype is torch.float32
        kwargs["dtype"] = torch.float32
        if data and not _scalar(args):
            return func(*args, **kwargs)
        if dtype in _NARROW:
            self.note(f"tensors of {dtype} are tensors of float32 that hold numbers of {fmt}", warn=False)
        outer, rounding.forced = rounding.forced, fmt
        try:
            out = func(*args, **kwargs)
        finally:
            rounding.forced = outer
        if isinstance(out, torch.Tensor) and out.dtype is torch.float32:
            known = held(out, rounding)
            known.format, known.wide = fmt, fmt is float32 and rounding.base is not float32
            known.raw = known.raw and fmt is not float32
        return out

    def cast(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """A tensor in another format, on the tape, in a tensor of float32."""
        rounding = self.rounding
        if not rounding.alters or (x.dtype not in FORMATS and not dtype.is_floating_point):
            return x.to(dtype)
        if dtype is torch.float64 or dtype not in FORMATS:
            return x.to(dtype)
        fmt = FORMATS[dtype]
        wide = fmt is float32 and rounding.base is not float32
        if x.dtype is torch.float64 and fmt is float32:  # data
            return x.to(dtype)
        if x.dtype is torch.float32:
            known = held(x, rounding)
            if known.raw and wide and not (x.requires_grad or known.name):  # data that was float32 all along
                return x
            if known.format is fmt and not known.raw:
                return x
            if dtype in _NARROW:
                self.note(f"tensors of {dtype} are tensors of float32 that hold numbers of {fmt}", warn=False)
        return self.rounded(x, fmt, wide)

    def rounded(self, x: torch.Tensor, fmt: Any, wide: bool, name: str = "cast") -> torch.Tensor:
        """A tensor's numbers in a format, as an operation of that name."""
        rounding = self.rounding
        outer, rounding.casting = rounding.casting, (fmt, wide, name)
        try:
            return torch.clone(x) if x.dtype is torch.float32 else x.to(torch.float32)
        finally:
            rounding.casting = outer


_DATA = {"tensor", "as_tensor", "from_numpy", "rand", "randn", "asarray"}


def _scalar(args: Any) -> bool:
    return bool(args) and isinstance(args[0], (int, float))


def _get_dtype(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    return calls.rounding.dtype(args[0]) if calls.rounding.alters else func(*args)


def _cast_to(dtype: torch.dtype) -> Callable[..., Any]:
    return lambda calls, func, args, kwargs: calls.cast(args[0], dtype)


def _to(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    x, rest = args[0], list(args[1:])
    dtype = kwargs.pop("dtype", None)
    if "device" in kwargs:
        kwargs["device"] = calls.device(kwargs["device"])
    for i, given in enumerate(rest):
        if isinstance(given, torch.dtype):
            dtype = given
            rest[i] = None
        elif isinstance(given, torch.Tensor):
            dtype = calls.rounding.dtype(given) if calls.rounding.alters else given.dtype
            rest[i] = None
        elif isinstance(given, (str, torch.device)) or (isinstance(given, int) and not isinstance(given, bool)):
            rest[i] = calls.device(given)
    device = kwargs.get("device") or next((d for d in rest if isinstance(d, (str, torch.device))), None)
    out = x if device is None else func(x, device)
    copy = kwargs.get("copy", False)
    if dtype is not None:
        made = calls.cast(out, dtype)
        return made if not (copy and made is x) else made.clone()
    return out.clone() if copy and out is x else out


def _cuda(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    if torch.cuda.is_available():
        return func(*args, **kwargs)
    calls.note("there is no GPU: what the program puts on 'cuda' stays on the CPU")
    return args[0]


def _type(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    dtype = args[1] if len(args) > 1 else kwargs.get("dtype")
    return calls.cast(args[0], dtype) if isinstance(dtype, torch.dtype) else func(*args, **kwargs)


def _type_as(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    dtype = calls.rounding.dtype(args[1]) if calls.rounding.alters else args[1].dtype
    return calls.cast(args[0], dtype)


def _fused(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    """What one kernel of a GPU computes in float32 and stores once, and a CPU in several."""
    rounding, x = calls.rounding, args[0] if args else next(iter(kwargs.values()))
    if not rounding.alters or rounding.forced is not None or x.dtype is not torch.float32:
        return func(*args, **kwargs)
    known = held(x, rounding)
    if known.format is float32:
        return func(*args, **kwargs)
    outer, rounding.forced = rounding.forced, float32
    try:
        out = func(*args, **kwargs)
    finally:
        rounding.forced = outer
    return out if out is x else calls.rounded(out, known.format, known.wide, func.__name__)


def _backward(calls: Calls, func: Any, args: Any, kwargs: Any) -> Any:
    """A backward pass begins: its root may contain a loss scale."""
    root, observer = args[0] if args else None, active()
    root = root[0] if isinstance(root, (tuple, list)) and root else root
    if observer is not None and isinstance(root, torch.Tensor) and root.dtype in FORMATS:
        with calls.rounding.looking:
            observer.begins(tensor_of(root, held(root, calls.rounding), observer))
    return func(*args, **kwargs)


_HANDLERS: dict[Any, Callable[..., Any]] = {
    _TENSOR.dtype.__get__: _get_dtype,
    _TENSOR.half: _cast_to(torch.float16),
    _TENSOR.bfloat16: _cast_to(torch.bfloat16),
    _TENSOR.float: _cast_to(torch.float32),
    _TENSOR.to: _to,
    _TENSOR.cuda: _cuda,
    _TENSOR.pin_memory: _cuda,
    _TENSOR.type: _type,
    _TENSOR.type_as: _type_as,
    torch.nn.functional.dropout: _fused,
    torch.nn.functional.rms_norm: _fused,
    torch.dropout: _fused,
    _TENSOR.backward: _backward,
    torch.autograd.backward: _backward,
    torch.autograd.grad: _backward,
    torch.rms_norm: _fused,
}


# What no mode hears of: classes and functions of PyTorch's that stand in for others while a simulation is on.


@contextmanager
def patched(calls: Calls) -> Iterator[None]:
    """Autocast, the GradScaler, clipping and compile, as the simulation takes them, until it is left."""
    with ExitStack() as stack:
        for owner, name, make in _patches(calls):
            plain = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
            setattr(owner, name, make(plain))
            stack.callback(setattr, owner, name, plain)
        yield


def _patches(calls: Calls) -> list[tuple[Any, str, Callable[[Any], Any]]]:
    found = _all_patches(calls)
    return found if calls.rounding.alters else [patch for patch in found if patch[1] not in _ALTERING]


_ALTERING = ("__init__", "__enter__", "__exit__", "synchronize", "set_device")


def _all_patches(calls: Calls) -> list[tuple[Any, str, Callable[[Any], Any]]]:
    scaler, autocast = torch.amp.grad_scaler.GradScaler, torch.amp.autocast_mode.autocast
    clip = torch.nn.utils.clip_grad
    return [
        (autocast, "__init__", lambda plain: _autocast_init(calls, plain)),
        (autocast, "__enter__", lambda plain: _autocast_enter),
        (autocast, "__exit__", lambda plain: _autocast_exit),
        (scaler, "__init__", lambda plain: _scaler_init(calls, plain)),
        (scaler, "scale", lambda plain: _scaler_scale(calls, plain)),
        (scaler, "unscale_", lambda plain: _scaler_unscale(calls, plain)),
        (scaler, "_maybe_opt_step", lambda plain: _scaler_step(calls, plain)),
        (scaler, "update", lambda plain: _scaler_update(calls, plain)),
        (torch, "compile", lambda plain: _compile(calls)),
        (torch.nn.Module, "compile", lambda plain: lambda self, *args, **kwargs: calls.note(_COMPILE)),
        *((owner, name, lambda plain: _clip(calls, plain))
          for owner in (torch.nn.utils, clip) for name in ("clip_grad_norm_", "clip_grad_value_")),
        *((torch.cuda, name, lambda plain: lambda *args, **kwargs: None)
          for name in ("synchronize", "set_device") if not torch.cuda.is_available()),
    ]  # fmt: skip


_COMPILE = "torch.compile is passed over: the program runs as it is written, kernel by kernel"


def _compile(calls: Calls) -> Any:
    def compile(model: Any = None, **kwargs: Any) -> Any:
        calls.note(_COMPILE)
        return model if model is not None else (lambda function: function)

    return compile


def _autocast_init(calls: Calls, plain: Any) -> Any:
    def init(self: Any, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: Any = None) -> None:
        self._halfsim = []
        if not enabled:
            pass
        elif device_type == "cuda" and not torch.cuda.is_available():
            calls.note("torch.autocast('cuda') is simulated by the lists of CUDA's autocast, on the CPU")
        elif device_type != "cuda":
            calls.note(f"torch.autocast({device_type!r}) is simulated by the lists of CUDA's autocast")
        default = torch.bfloat16 if device_type == "cpu" else torch.float16
        self.device, self.fast_dtype, self._enabled = device_type, dtype or default, enabled
        self._cache_enabled = bool(cache_enabled)

    return init


def _autocast_enter(self: Any) -> Any:
    lists = Policy("amp_bf16" if self.fast_dtype is torch.bfloat16 else "amp")
    context = precision(lists if self._enabled else PROMOTE)
    context.__enter__()
    self._halfsim.append(context)
    return self


def _autocast_exit(self: Any, *exception: Any) -> bool:
    self._halfsim.pop().__exit__(None, None, None)
    return False


def _scaler_init(calls: Calls, plain: Any) -> Any:
    def init(self: Any, device: str = "cuda", *args: Any, **kwargs: Any) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            device = "cpu"
        plain(self, device, *args, **kwargs)

    return init


def _scaler_scale(calls: Calls, plain: Any) -> Any:
    def scale(self: Any, outputs: Any) -> Any:
        found = plain(self, outputs)
        observer = active()
        if observer is not None and self._enabled and isinstance(found, torch.Tensor):
            with calls.rounding.looking:
                observer.scaled(tensor_of(found, held(found, calls.rounding), observer), float(self._scale.item()))
        return found

    return scale


def _scaler_unscale(calls: Calls, plain: Any) -> Any:
    def unscale_(self: Any, optimizer: Any) -> Any:
        with scoped(phase="optimizer", path=""):
            plain(self, optimizer)
            observer = active()
            if observer is None or not self._enabled:
                return
            with calls.rounding.looking:
                for _, view in _gradients(calls, optimizer, observer):
                    observer.unscaled(view, float(self._scale.item()))

    return unscale_


def _gradients(calls: Calls, optimizer: Any, observer: Any) -> Iterator[tuple[Any, Any]]:
    """Parameters with a gradient, as halfsim's tensors with theirs."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None and p.grad.layout is torch.strided:
                known = held(p.grad, calls.rounding)
                grad = tensor_of(p.grad, known, observer)
                view = type(grad)(grad.array, grad.format, name=calls.rounding.places.full(p))
                view._grad = grad
                yield p, view


def _scaler_step(calls: Calls, plain: Any) -> Any:
    def step(self: Any, optimizer: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
        skipped = bool(sum(v.item() for v in state["found_inf_per_device"].values()))
        result = plain(self, optimizer, state, *args, **kwargs)
        observer = active()
        if skipped and observer is not None:
            observer.advance(skipped=True)
        return result

    return step


def _scaler_update(calls: Calls, plain: Any) -> Any:
    def update(self: Any, new_scale: Any = None) -> None:
        observer = active()
        if observer is None or not self._enabled or self._scale is None:
            return plain(self, new_scale)
        before = float(self._scale.item())
        states = self._per_optimizer_states.values()
        found = any(v.item() for s in states for v in s["found_inf_per_device"].values())
        plain(self, new_scale)
        return observer.note_scale(before, found)

    return update


def _clip(calls: Calls, plain: Any) -> Any:
    def clip(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        leaves = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        with scoped(phase="optimizer", path=""):
            observer = active()
            if observer is not None:
                group = type("Group", (), {"param_groups": [{"params": leaves}]})
                with calls.rounding.looking:
                    views = [view for _, view in _gradients(calls, group, observer)]
                    squares = sum(float(np.square(view._grad.array, dtype=np.float64).sum()) for view in views)
                    norm = (
                        Tensor(np.asarray(np.sqrt(squares)), float64) if plain.__name__ == "clip_grad_norm_" else None
                    )
                    observer.clipped(views, norm)
            return plain(leaves, *args, **kwargs)

    return clip
