"""The main job: train a real classifier in four kinds of arithmetic and say what went wrong where."""

from halfsim.demo.training import RECIPES, Recipe, Run, Settings, train

__all__ = ["RECIPES", "Recipe", "Run", "Settings", "train"]
