"""Scripts written for PyTorch, run in it and, with only their imports changed, in halfsim."""
