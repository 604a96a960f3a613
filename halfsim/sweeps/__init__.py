"""Sweeps: a grid of experiments on any executor, a line of a file each, resumable; `halfsim.sweep` runs one."""

from halfsim.names import public as _public
from halfsim.sweeps.results import Results, results
from halfsim.sweeps.summary import Group, Summary

__all__ = ["Group", "Results", "Summary", "results"]

_public(__name__)
