"""Tensors and gradients on the simulated unit."""
