"""Runs told apart by a hash an operation: written by a trace, read back, aligned, and the first difference named."""
