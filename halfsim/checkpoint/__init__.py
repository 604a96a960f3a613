"""Checkpoints: everything a run needs to go on to the same bits, in one file that is whole or refused."""

from halfsim.checkpoint.session import Checkpoint, load, save
from halfsim.checkpoint.weights import load_weights, save_weights
from halfsim.names import public as _public

__all__ = ["Checkpoint", "load", "load_weights", "save", "save_weights"]

_public(__name__)
