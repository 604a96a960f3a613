"""What the usual answers claim of remedies: a row for each claim that a cell judges; its words are in the texts."""

from __future__ import annotations

from typing import NamedTuple


class Claim(NamedTuple):
    """A claim by the name of its words, and the cell that has to help for it to hold."""

    name: str
    problem: str
    remedy: str


CLAIMS = (
    Claim("explode", "exploding", "clip-norm"),
    Claim("recurrent", "exploding-lstm", "clip-norm"),
    Claim("clip-unstable", "instability", "clip-norm"),
    Claim("clip-precision", "precision", "clip-norm"),
    Claim("activation", "vanishing", "activation"),
    Claim("initialisation", "instability", "initialisation"),
    Claim("small-rate-stable", "instability", "smaller-lr"),
    Claim("small-rate-precision", "precision", "smaller-lr"),
    Claim("small-rate-updates", "updates", "smaller-lr"),
    Claim("mixed", "precision", "mixed-precision"),
    Claim("mixed-underflow", "underflow", "mixed-precision"),
    Claim("norm-vanishing", "vanishing", "normalisation"),
    Claim("norm-unstable", "instability", "normalisation"),
    Claim("residual-vanishing", "vanishing", "residual"),
    Claim("residual-unstable", "instability", "residual"),
    Claim("checkpoints", "interruption", "checkpoints"),
    Claim("deeper-vanishing", "vanishing", "deeper"),
    Claim("wider-vanishing", "vanishing", "wider"),
    Claim("wider-unstable", "instability", "wider"),
    Claim("half-vanishing", "vanishing", "float32"),
    Claim("half-exploding", "exploding", "float32"),
    Claim("depth", "depth", "shallower"),
)
