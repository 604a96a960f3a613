"""The smallest inputs, and a script, that still show a failure."""
