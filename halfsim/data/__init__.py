"""Small real data sets that travel with the package."""

from halfsim.data.digits import Split, digits
from halfsim.names import public as _public

__all__ = ["Split", "digits"]

_public(__name__)
