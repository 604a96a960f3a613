"""The Python array API standard 2024.12 on tensors: what ``x.__array_namespace__()`` gives to libraries that speak it.

Functions have the standard's names, signatures and rules of promotion, and run on the simulated unit in the precision
in force; `halfsim.ops` keeps PyTorch's. Beside the standard's dtypes there are ``float16`` and ``bfloat16``, not its
complex ones. docs/array_api.md says what is left out, and why.
"""

from halfsim.array_api import linalg
from halfsim.array_api._arrays import *
from halfsim.array_api._creation import *
from halfsim.array_api._dtypes import *
from halfsim.array_api._dtypes import __array_namespace_info__
from halfsim.array_api._elementwise import *
from halfsim.array_api._statistics import *
from halfsim.array_api.linalg import matmul, matrix_transpose, tensordot, vecdot
from halfsim.names import public as _public

__array_api_version__ = "2024.12"

__all__ = sorted(
    {
        *(name for name in globals() if not name.startswith("_")),
        "__array_api_version__",
        "__array_namespace_info__",
    }
)

_public(__name__)
