"""The one place where hypothesis is imported, and what is said where it is missing."""

try:
    from hypothesis import HealthCheck, Phase, given, seed, settings, target
    from hypothesis import strategies as st
    from hypothesis.errors import InvalidArgument
    from hypothesis.extra import numpy as npst
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "hypothesis":
        raise
    raise ModuleNotFoundError('testing: hypothesis is missing; it comes with: pip install "halfsim[testing]"') from None

__all__ = ["HealthCheck", "InvalidArgument", "Phase", "given", "npst", "seed", "settings", "st", "target"]
