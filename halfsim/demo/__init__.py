"""The main job: train a real classifier in four kinds of arithmetic and say what went wrong where."""

from halfsim.demo.training import RECIPES, Recipe, Run, Settings, train
from halfsim.names import public as _public

__all__ = ["RECIPES", "Recipe", "Run", "Settings", "train"]

_public(__name__)
