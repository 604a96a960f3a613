"""Cross-checks of results: what nobody can mean is not taken for a number, nor what NumPy or PyTorch refuse.

Where both give a result too, shapes and values are those of PyTorch, or of NumPy for its own functions.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import halfsim as hs
from halfsim.autograd.tape import SPECS
from tests.hostile import allowed, judge
from tests.hostile.draw import Call
from tests.hostile.judge import Verdict
from tests.hostile.names import Target
from tests.hostile.values import candidates

_RANDOM = re.compile(
    r"rand|empty|dropout|bernoulli|multinomial|normal|uniform|rrelu|fractional|exponential|cauchy|geometric|gumbel|"
    r"poisson|random|init|svd|eig"
)
# What PyTorch refuses for want of a kernel, or of dtypes that go together: no matter of the argument's value.
_KERNELS = re.compile(
    r"dtype|not implemented|scalar type|Half|BFloat16|Long|Bool|Byte|Float|alloc|memory|same type|MKL|LAPACK|"
    r"result type|should be the same|[Oo]verflow|isIntegral|undefined Tensor|bool|accelerator|requires? grad|"
    r"casting must|differentiable|deprecated|Could not infer|meta"
)
_DTYPES = ("dtype", "format", "type", "to", "type1", "type2", "from_", "spec", "arrays_and_dtypes")
_PLAIN = (type(None), bool, int, float, str)


@functools.cache
def torch() -> Any:
    """PyTorch, or None."""
    try:
        import torch as found
    except ImportError:
        return None
    found.set_num_threads(1)
    return found


def checked(target: Target, call: Call, verdict: Verdict, result: Any) -> Verdict:
    """The verdict on a call that gave ``result``, told by what its arguments are, by NumPy and by PyTorch."""
    for name, bad in call.hostile:
        if bad.junk and result is not NotImplemented and not _meant(target, name, bad.junk):
            return verdict._replace(kind="taken", message=f"{name}= takes {bad.junk}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _beside(call, verdict, result)
    except judge.Hang:
        return verdict


def _meant(target: Target, name: str, junk: str) -> bool:
    """Whether a parameter is there for such values, or for any."""
    if allowed.anything(target.name, name):
        return True
    if _is_record(target.name):
        return True
    p = next((p for p in target.parameters if p.name == name), None)
    if p is None:
        return False
    hint = target.hints.get(name)
    values = candidates(p, hint)
    if junk == "text":
        return isinstance(p.default, str) or any(v[:1] in "'{" for v in values)
    if junk == "class" and name in _DTYPES:
        return True
    if junk in ("callable", "class"):
        return any(v.startswith("lambda") for v in values)
    if junk == "ragged":
        return any(v.startswith(("[hs", "(hs")) for v in values)
    return junk == "dict" and ("Mapping" in str(hint) or any(v.startswith("{") for v in values))


def _is_record(name: str) -> bool:
    try:
        kind = eval(name, judge.namespace())
    except Exception:
        return False
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))


class _NotComparableError(Exception):
    pass


def _beside(call: Call, verdict: Verdict, result: Any) -> Verdict:
    library, other = _other(call.target)
    given = {*call.positional, *call.keywords}
    if (
        other is None
        or "2**62" in call.text
        or "-2**63" in call.text  # whose negative NumPy cannot hold
        or allowed.differs(call.target)
        or any((name, text) in given for name, text in allowed.NO_AXES)
    ):
        return verdict
    try:
        positional, keywords, on = judge._arguments(call)
        positional = [on, *positional] if call.on else positional
        convert = _array if library == "numpy" else _torch
        _operands(call.target, positional, keywords, library)
        args = [convert(x) for x in positional]
        kwargs = {name: convert(x) for name, x in keywords.items()}
    except Exception:
        return verdict
    try:
        theirs = other(*args, **kwargs)
    except (TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        types = isinstance(error, TypeError) and not re.search(r"must be (int|bool).*not (float|str|list)", text)
        effect = all(allowed.anything(call.target, name) for name, _ in call.hostile)
        if (
            _KERNELS.search(text)
            or not call.hostile
            or effect
            or (library == "PyTorch" and types)
            or isinstance(error, AttributeError)
        ):
            return verdict
        return verdict._replace(kind="taken", message=f"{library} refuses: {text[:200]}")
    except Exception:
        return verdict
    if _RANDOM.search(call.target) or "dropout_p=0" in call.text or call.target.endswith("_"):
        return verdict
    try:
        pairs = list(zip(_leaves(result), _leaves(theirs), strict=True))
    except TypeError:  # PyTorch's dtypes that NumPy lacks
        return verdict
    except ValueError:
        return verdict._replace(kind="wrong", message=f"another number of results than {library}")
    given = [x for x in positional if isinstance(x, hs.Tensor)]
    wide = all(x.format.name in ("float32", "float64") or x.format.name.startswith("int") for x in given)
    for mine, expected in pairs:
        if mine.shape != expected.shape:
            return verdict._replace(kind="wrong", message=f"shape {mine.shape}, {library} {expected.shape}")
        if mine.dtype.kind in "fiub" and expected.dtype.kind in "fiub":
            a, b = mine.astype(np.float64), expected.astype(np.float64)
            with np.errstate(all="ignore"):
                same = np.isclose(a, b, 1e-3 if wide else 0.05, 1e-4 if wide else 0.05, equal_nan=True)
            if not same.all() and "5e-324" not in call.text:  # which is 0 in float32, and compared as it is here
                where = int(np.argmin(same.ravel()))
                return verdict._replace(kind="wrong", message=f"value {a.ravel()[where]}, {library} {b.ravel()[where]}")
    return verdict


def _other(name: str) -> tuple[str, Any]:
    """The function of NumPy or PyTorch of that name."""
    if name.startswith("np."):
        return "numpy", operator.attrgetter(name[3:])(np)
    t = torch()
    if t is None:
        return "", None
    room, _, last = name.rpartition(".")
    rooms = {
        "hs.ops": [t.nn.functional, t], "hs.nn.functional": [t.nn.functional], "hs.linalg": [t.linalg],
        "hs.special": [t.special], "hs.signal.windows": [t.signal.windows], "Tensor": [t.Tensor],
        "hs.nn.utils.rnn": [t.nn.utils.rnn],
    }  # fmt: skip
    found = next((getattr(place, last) for place in rooms.get(room, ()) if hasattr(place, last)), None)
    return "PyTorch", found if callable(found) and not isinstance(found, type) else None


def _operands(name: str, positional: list[Any], keywords: dict[str, Any], library: str) -> None:
    """Refuse to compare where operands are not tensors, which PyTorch asks for and halfsim does not."""
    spec = SPECS.get(name.rpartition(".")[2])
    count = len(spec.operands) if spec is not None else 1
    for x in positional[:count]:
        if not isinstance(x, hs.Tensor) and not (
            isinstance(x, (list, tuple)) and all(isinstance(y, hs.Tensor) for y in x)
        ):
            raise _NotComparableError
    if library == "numpy" and not any(isinstance(x, hs.Tensor) for x in [*positional, *keywords.values()]):
        raise _NotComparableError


def _torch(x: Any) -> Any:
    t = torch()
    if isinstance(x, hs.Tensor):
        kind = getattr(t, x.format.name, None)
        if kind is None:
            raise _NotComparableError
        return t.tensor(x.array.copy()).to(kind)
    if type(x) in _PLAIN:
        return x
    if type(x) in (list, tuple) and len(x) < 20:
        return type(x)(_torch(y) for y in x)
    raise _NotComparableError


def _array(x: Any) -> Any:
    if isinstance(x, hs.Tensor):
        return x.numpy()
    if isinstance(x, str) and x not in np.sctypeDict and _is_format(x):  # which NumPy has no name for
        raise _NotComparableError
    if type(x) in _PLAIN:
        return x
    if type(x) in (list, tuple) and len(x) < 20:
        return type(x)(_array(y) for y in x)
    raise _NotComparableError


def _is_format(name: str) -> bool:
    try:
        return bool(hs.formats.as_dtype(name))
    except (TypeError, ValueError):
        return False


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, hs.Tensor):
        yield x.numpy()
    elif torch() is not None and isinstance(x, torch().Tensor):
        x = x.detach().resolve_neg()
        yield x.float().numpy() if x.dtype == torch().bfloat16 else x.numpy()
    elif isinstance(x, (np.ndarray, np.generic)):
        yield np.asarray(x)
    elif isinstance(x, (list, tuple)):
        for item in x:
            yield from _leaves(item)
