"""The one place where hypothesis is imported, and what is said where it is missing."""

try:
    from hypothesis import strategies as st
    from hypothesis.errors import InvalidArgument
except ModuleNotFoundError:
    raise ModuleNotFoundError('testing: hypothesis is missing; it comes with: pip install "halfsim[testing]"') from None

__all__ = ["InvalidArgument", "st"]
