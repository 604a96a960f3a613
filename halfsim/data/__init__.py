"""Small real data sets that travel with the package."""

from halfsim.data.digits import Split, digits

__all__ = ["Split", "digits"]
