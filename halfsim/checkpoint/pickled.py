"""What ``torch.save`` pickles, rebuilt from an allow-list: nothing in a file is imported, called or executed.

A pickle is a program for a small stack machine. This one has the instructions that plain data need, and for what a
file asks for by name only the builders below, which make tensors and plain values and can do nothing else.
"""

from __future__ import annotations

import io
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

from halfsim.autograd.tensor import Tensor
from halfsim.checkpoint.files import RefusedError
from halfsim.checkpoint.storages import DTYPES, KINDS, Kind, Storage, Storages, view
from halfsim.nn.parameter import Parameter
from halfsim.numerics.formats import Format

_PLAIN = (str, int, float, complex, bool, bytes, type(None))


class _Builder:
    """Something that a pickle may call: by its name there, and what is done then."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Callable[..., Any]) -> None:
        self.name, self.make = name, make


class _Mark:
    """Where a sequence of items begins on the stack."""


def _key(value: Any) -> Any:
    """``value`` if it may be a key; a tuple of tuples could take for ever to hash."""
    inner = value if isinstance(value, (tuple, frozenset)) else (value,)
    if not all(isinstance(x, _PLAIN) for x in inner):
        raise RefusedError(f"has a key of type {type(value).__name__}; allowed: numbers, strings, tuples of them")
    return value


def _ordered(pairs: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((_key(key), value) for key, value in pairs)


def _bytearray(*args: Any) -> bytearray:
    if args and not isinstance(args[0], bytes):
        if len(args) != 2:
            raise RefusedError("makes a bytearray of no bytes")
        args = (_encoded(*args),)
    return bytearray(*args)


def _encoded(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "ascii", "utf-8"):
        raise RefusedError("encodes something that is no text")
    return text.encode(encoding)


def _complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


def _size(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, (tuple, list)) or not all(type(n) is int for n in numbers):
        raise RefusedError("has a torch.Size of no integers")
    return tuple(numbers)


def _device(kind: Any, index: Any = None) -> str:
    return str(kind) if index is None else f"{kind}:{index}"


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *rest: Any) -> Any:
    return view(storage, storage.kind if isinstance(storage, Storage) else None, offset, size, stride, requires_grad)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, *rest: Any
) -> Any:
    return view(storage, getattr(dtype, "name", None), offset, size, stride, requires_grad)


def _parameter(data: Any, requires_grad: Any, *rest: Any) -> Any:
    floats = isinstance(data, Tensor) and isinstance(data.format, Format)
    return Parameter(data, bool(requires_grad)) if floats else data


def _of_type(make: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor with attributes of its own, which are left out."""
    if not isinstance(make, _Builder) or not isinstance(args, tuple):
        raise RefusedError("rebuilds a tensor from something else")
    return make.make(*args)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "builtins.set": lambda items=(): {_key(x) for x in items},
    "builtins.frozenset": lambda items=(): frozenset(_key(x) for x in items),
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "_codecs.encode": _encoded,
    "torch.Size": _size,
    "torch.device": _device,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_type,
}
# What only stands for a kind of numbers, storage or tensor.
_WORDS: dict[str, Any] = {
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
    **{f"torch.{name}": kind for name, kind in KINDS.items()},
    "torch.storage.UntypedStorage": Kind(""),
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
}


def _named(module: Any, name: Any) -> Any:
    """What a file may ask for by name; `RefusedError` that says the name for all else."""
    full = f"{'builtins' if module == '__builtin__' else module}.{name}"
    if full in _BUILDERS:
        return _Builder(full, _BUILDERS[full])
    if full in _WORDS:
        return _WORDS[full]
    raise RefusedError(f"asks for {full[:100]}, which is not allowed; allowed: tensors and plain values")


class Machine:
    """Runs one pickle of ``file`` and leaves the file behind it; ``storages`` gives what a tensor is a view of."""

    def __init__(self, file: IO[bytes], storages: Storages) -> None:
        self._file, self._storages = file, storages
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value; `RefusedError` for an instruction or a name that is not allowed."""
        for opcode, argument, _ in pickletools.genops(self._file):
            name = opcode.name
            if name == "STOP":
                return self._pop()
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self._stack.append(argument)
            else:
                step = getattr(self, f"_{name.lower()}", None)
                if step is None:
                    raise RefusedError(
                        f"has the instruction {name}, which is not allowed; allowed: those of plain data"
                    )
                step(argument)
        raise RefusedError("ends too early")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if isinstance(value, _Mark):
            raise RefusedError("takes more from its stack than there is")
        return value

    def _items(self) -> list[Any]:
        """What lies above the last mark."""
        at = len(self._stack) - 1
        while not isinstance(self._stack[at], _Mark):
            at -= 1
            if at < 0:
                raise RefusedError("takes more from its stack than there is")
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items

    def _top(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise RefusedError(f"puts items into a {type(self._stack[-1]).__name__}")
        return self._stack[-1]

    # Instructions, by the names that pickletools gives them.

    def _proto(self, argument: Any) -> None: ...

    def _frame(self, argument: Any) -> None: ...

    def _pop_mark(self, argument: Any) -> None:
        self._items()

    def _memoize(self, argument: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, argument: Any) -> None:
        self._memo[argument] = self._stack[-1]

    _binput = _long_binput = _put

    def _get(self, argument: Any) -> None:
        self._stack.append(self._memo[argument])

    _binget = _long_binget = _get

    def _tuple(self, argument: Any) -> None:
        self._stack.append(tuple(self._items()))

    def _tuple1(self, argument: Any, count: int = 1) -> None:
        items = [self._pop() for _ in range(count)]
        self._stack.append(tuple(items[::-1]))

    def _tuple2(self, argument: Any) -> None:
        self._tuple1(argument, 2)

    def _tuple3(self, argument: Any) -> None:
        self._tuple1(argument, 3)

    def _list(self, argument: Any) -> None:
        self._stack.append(self._items())

    def _dict(self, argument: Any) -> None:
        items = self._items()
        self._stack.append({_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)})

    def _frozenset(self, argument: Any) -> None:
        self._stack.append(frozenset(_key(x) for x in self._items()))

    def _append(self, argument: Any) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _appends(self, argument: Any) -> None:
        items = self._items()
        self._top(list).extend(items)

    def _setitem(self, argument: Any) -> None:
        value, key = self._pop(), self._pop()
        self._top(dict)[_key(key)] = value

    def _setitems(self, argument: Any) -> None:
        items = self._items()
        self._top(dict).update((_key(k), v) for k, v in zip(items[::2], items[1::2], strict=True))

    def _additems(self, argument: Any) -> None:
        items = self._items()
        self._top(set).update(_key(x) for x in items)

    def _global(self, argument: str) -> None:
        self._stack.append(_named(*argument.split(" ", 1)))

    def _stack_global(self, argument: Any) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(_named(module, name))

    def _reduce(self, argument: Any) -> None:
        args, builder = self._pop(), self._pop()
        if not isinstance(builder, _Builder) or not isinstance(args, tuple):
            raise RefusedError(f"calls a {type(builder).__name__}, which is not allowed")
        self._stack.append(builder.make(*args))

    _newobj = _reduce

    def _build(self, argument: Any) -> None:
        """The attributes of an ordered dict, PyTorch's versions of modules, are left out."""
        self._pop()
        if not isinstance(self._stack[-1], OrderedDict):
            raise RefusedError(f"sets attributes of a {type(self._stack[-1]).__name__}, which is not allowed")

    def _binpersid(self, argument: Any) -> None:
        self._stack.append(self._storages.find(self._pop()))


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": _Mark,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


def unpickled(data: bytes, storages: Storages) -> Any:
    """The value of the one pickle in ``data``."""
    return Machine(io.BytesIO(data), storages).run()
