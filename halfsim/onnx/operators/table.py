"""The table of operators: a row says which function computes one, and what that function is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from halfsim.onnx.values import LIMIT

ML, TRAINING = "ai.onnx.ml", "ai.onnx.preview.training"
_EXTRAS = ("since", "wanted", "elements", "call", "graph")


@dataclass(frozen=True)
class Row:
    """How an operator runs.

    ``function`` takes the operator's inputs as positional arguments, None for those left out, and by keyword those
    attributes that it names, with the defaults of the operator's version; an attribute of an old version that became
    an input later is given as that. It may also name ``since`` (the version of the operator), ``wanted`` (how many
    outputs are), ``elements`` (the outputs' element types), ``call`` (which runs an attribute that is a graph) and
    ``graph`` (the graph that the node stands in). ``given`` says what the function takes: "floats" only tensors of
    floats as its first input, other types being left to the reference; "moved" tensors of integers too, since it only
    moves values; "any" whatever comes.
    """

    function: Callable[..., Any]
    given: str
    inputs: tuple[str, ...]
    options: tuple[str, ...]
    extras: tuple[str, ...]


ROWS: dict[tuple[str, str], Row] = {}


def row(*names: str, given: str = "floats", domain: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give the operators ``names`` the function as their row."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(function).parameters.values()
        inputs = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        options = tuple(name for name in keywords if name not in _EXTRAS)
        extras = tuple(name for name in keywords if name in _EXTRAS)
        for name in names:
            ROWS[domain, name] = Row(function, given, inputs, options, extras)
        return function

    return decorate


# Operators that onnx.reference runs: what does not round, or rounds outside the simulated unit, whose results then are
# stored once in the precision in force.
REFERENCE = {
    *(("", name) for name in (
        "And", "Or", "Xor", "Not", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitCast",
        "ConvInteger", "MatMulInteger", "NonMaxSuppression", "RegexFullMatch", "StringConcat", "StringNormalizer",
        "StringSplit", "TfIdfVectorizer", "ImageDecoder", "MelWeightMatrix", "Unique",
    )),
    *((ML, name) for name in (
        "ArrayFeatureExtractor", "Binarizer", "DictVectorizer", "FeatureVectorizer", "Imputer", "LabelEncoder",
        "LinearClassifier", "LinearRegressor", "Normalizer", "OneHotEncoder", "SVMClassifier", "SVMRegressor", "Scaler",
        "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor",
    )),
}  # fmt: skip


def room(size: int) -> int:
    """A number of values that fits in memory; ``ValueError`` for more."""
    if size > LIMIT:
        raise ValueError(f"{size} values are not allowed; allowed: up to 2**31")
    return size
