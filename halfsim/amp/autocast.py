"""``torch.autocast`` by another name for a scope."""

from __future__ import annotations

from halfsim.autograd.device import is_device
from halfsim.autograd.policy import AMP, PROMOTE, Policy
from halfsim.autograd.scope import scoped
from halfsim.numerics.formats import Format, as_format, bfloat16, float16
from halfsim.options import guarded_class, shown

_POLICIES: dict[Format, Policy] = {float16: AMP, bfloat16: Policy("amp_bf16")}


class autocast(scoped):  # noqa: N801  # PyTorch's name
    """A context, or a decorator, in which operations run as under PyTorch's CUDA autocast.

    ``dtype`` is float16 (the default) or bfloat16, by any of its names. ``enabled=False`` switches an autocast
    around it off: operations keep the format of their widest operand. ``cache_enabled`` is taken for PyTorch's sake:
    a weight is rounded anew wherever it is used, which gives the same values, but the gradients of one that is used
    twice are added in float32, as in PyTorch without its cache. The lists are those of CUDA whatever the device;
    "cpu" takes bfloat16 where no ``dtype`` is given. ``ValueError`` for other words and formats.

    >>> import halfsim as hs
    >>> a = hs.tensor([[1.0]])
    >>> with autocast():
    ...     (a @ a).format.name, (a + a).format.name
    ('float16', 'float32')
    """

    def __init__(
        self,
        device_type: object = "cuda",
        dtype: object = None,
        enabled: bool = True,
        cache_enabled: bool | None = True,
    ) -> None:
        kind = getattr(device_type, "type", device_type)
        if not is_device(kind):
            raise ValueError(
                f"device_type: {shown(device_type)} is not allowed; allowed: cuda, cpu, and PyTorch's others"
            )
        usual = bfloat16 if str(kind).startswith("cpu") else float16
        fmt = usual if dtype is None else as_format(dtype, "dtype")
        if fmt not in _POLICIES:
            raise ValueError(f"dtype: {fmt} is not allowed; allowed: float16, bfloat16")
        self.device, self.fast_dtype, self.cache_enabled = device_type, fmt, cache_enabled
        self.policy = _POLICIES[fmt] if enabled else PROMOTE
        super().__init__(rule=self.policy, base="")

    def __enter__(self) -> autocast:
        super().__enter__()
        return self


guarded_class(autocast)
