"""Arguments as expressions: for each parameter's name what often fits, and what nobody should pass."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any, NamedTuple

# What an expression may name; a printed call runs after these lines.
PRELUDE = (
    "import datetime, io, itertools, math, operator; from decimal import Decimal; from fractions import Fraction; "
    "import numpy as np; import halfsim as hs; from tests.hostile import made"
)

TENSORS = (
    "hs.tensor(np.arange(12.0).reshape(3, 4) / 4 - 1)",
    "hs.tensor([0.5, 0.25, 0.75])",
    "hs.tensor(0.5)",
    "hs.tensor(np.arange(24.0).reshape(2, 3, 4) / 8)",
    "hs.tensor(np.eye(3) * 2 + 0.5)",
    "hs.tensor(np.arange(32.0).reshape(1, 2, 4, 4) / 16)",
    "hs.tensor([0, 1, 2])",
    "hs.tensor([True, False, True])",
    "hs.tensor([0.5, 0.25, 0.125], 'fp16')",
    "hs.tensor([[0.5, 1.5], [2.5, 0.25]], 'bf16', requires_grad=True)",
    "hs.tensor(np.zeros((2, 0)))",
    "hs.tensor(np.arange(64.0).reshape(1, 2, 2, 4, 4) / 64)",
    "hs.tensor([[0, 1], [1, 0]])",
)
ARRAYS = ("np.array([0.5, 1.5, 2.5])", "[0.5, 0.25]", "1.5", "np.float32(0.1)", "np.arange(6.0).reshape(2, 3)", "3")
AXES = ("0", "-1", "1", "(0, 1)", "None", "2")
SIZES = ("2", "1", "3", "(2, 2)", "0", "(1,)", "4")
INTS = ("1", "0", "2", "3", "-1", "5")
SHAPES = ("(3, 4)", "(2, 3)", "3", "(4,)", "(12,)", "(2, 0)", "()")
FLOATS = ("0.5", "1.0", "0.1", "2", "0.0", "1e-5", "-1.0")
BOOLS = ("True", "False")
FORMATS = ("'float16'", "hs.float32", "'bf16'", "np.float16", "hs.int64", "'float8_e4m3fn'", "None", "np.int32")
FUNCTIONS = ("lambda *x: x[0]", "lambda x: x * x", "lambda x: (x * x).sum()", "made.step", "made.run", "lambda *x: 1.0")
INDICES = ("hs.tensor([0, 1, 2])", "hs.tensor([[0, 1], [1, 0]])", "hs.tensor([0])", "np.array([0, 1])", "[0, 1]")
MASKS = ("hs.tensor([True, False, True])", "hs.tensor(np.eye(3) > 0)", "np.array([True, False])")
LISTS = (f"[{TENSORS[1]}, {TENSORS[1]}]", f"({TENSORS[0]}, {TENSORS[0]})", "[np.ones(3), np.zeros(3)]")
MODULES = ("hs.nn.Linear(3, 2)", "made.model()")
OPTIMIZERS = ("made.optimizer()", "hs.optim.SGD([made.parameter()], lr=0.1, momentum=0.9)")
PARAMETERS = ("[made.parameter()]", "made.model().parameters()")
BITS = ("np.uint16(15360)", "np.array([0, 1, 31744], np.uint16)", "[15360, 32768]")
PRECISIONS = ("'fp16'", "'pure_fp16'", "hs.FP32", "'amp'", "'storage=fp16, compute=fp32'")

_BY_NAME: dict[str, tuple[str, ...]] = {}


def _names(words: str, *values: str) -> None:
    for word in words.split():
        _BY_NAME[word] = values


_names("axis dim dims axes dim0 dim1 dim2 start_dim end_dim axis0 axis1 source destination dimension norm_axis", *AXES)
_names("size shape sizes output_size normalized_shape length lengths repeats repetitions steps", *SHAPES, *SIZES)
_names("batch_shape event_shape outer_shape sample_shape unflattened_size", *SHAPES)
_names("kernel_size stride padding dilation output_padding upscale_factor downscale_factor", *SIZES)
_names(
    "num_features in_features out_features in_channels out_channels input_size hidden_size groups", "2", "3", "4", "1"
)
_names(
    "num_groups num_layers num_heads nhead d_model embed_dim dim_feedforward num_channels num_classes", "1", "2", "4"
)
_names(
    "n_classes num_embeddings embedding_dim in1_features in2_features num_parameters kdim vdim proj_size", "3", "2", "4"
)
_names("chunks split_size_or_sections split_sizes indices_or_sections shifts k s", *INTS, "(1, 2)", "[1]")
_names("n m start stop end step num offset diagonal count index_count batch_size num_workers order", *INTS)
_names("bins minlength blank ignore_index padding_idx decimals", *INTS)
_names(
    "seed rank num_replicas num_samples history_size max_iter max_eval ns_steps T_max T_0 T_mult", "2", "1", "3", "0"
)
_names(
    "last_epoch total_iters total_steps epochs steps_per_epoch step_size patience cooldown growth_interval",
    "-1",
    "2",
    "3",
)
_names("max_evaluations first ulp total before after correction version exponent_bits precision", "3", "1", "5")
_names("format dtype fmt target_format storage d", *FORMATS)
_names("type type1 type2 to from_", *FORMATS)
_names("rounding", "'nearest_even'", "'toward_zero'", "hs.Rounding.UPWARD", "hs.Stochastic(1)", "'to_odd'")
_names("overflow", "'infinity'", "'saturate'")
_names("subnormals", "'keep'", "'flush'")
_names("tininess", "'after'", "'before'")
_names("precision", *PRECISIONS, "4", "11")
_names("rule policy fallback default reference", *PRECISIONS, "None")
_names("reduction", "'mean'", "'sum'", "'none'")
_names("reduce", "'sum'", "'amax'", "'mean'", "'prod'", "None")
_names("mode", "'constant'", "'nearest'", "'reflect'", "'bilinear'", "'fan_in'", "True")
_names("padding_mode", "'zeros'", "'reflect'")
_names("interpolation interpolation_mode", "'linear'", "'bilinear'", "'nearest'")
_names("indexing", "'ij'", "'xy'")
_names("side", "'left'", "'right'")
_names("approximate", "'none'", "'tanh'")
_names("equation", "'ij,jk->ik'", "'i->'", "'...'")
_names("rounding_mode", "None", "'floor'", "'trunc'")
_names("nonlinearity activation", "'relu'", "'tanh'", "'gelu'")
_names("norm_type p ord", "2", "1.0", "float('inf')", "0.5", "'fro'")
_names("index indices ind places", *INDICES, "0", "1")
_names("mask condition attn_mask key_padding_mask src_mask", *MASKS, "None")
_names("tensors arrays matrices operands inputs outputs modules shapes", *LISTS, *TENSORS[:3])
_names("values boundaries sorted_sequence elements test_elements", "hs.tensor([0.25, 0.5, 1.0])", *TENSORS[:4])
_names("parameters params grads", *PARAMETERS)
_names("model module layer encoder_layer decoder_layer half_model", *MODULES)
_names("optimizer", *OPTIMIZERS)
_names("scheduler", "hs.optim.lr_scheduler.StepLR(made.optimizer(), 2)")
_names("schedulers", "[hs.optim.lr_scheduler.StepLR(made.optimizer(), 2)]")
_names("milestones", "[1, 2]", "(1,)")
_names("scaler", "hs.amp.GradScaler()")
_names(
    "func func1d function f fn run accept fails lr_lambda scale_fn avg_fn hook collate_fn distance_function", *FUNCTIONS
)
_names("closure", "lambda: hs.tensor(1.0)", "None")
_names("worker_init_fn multi_avg_fn", "None")
_names("path file", "'out.json'", "'out.html'", "'out.npz'")
_names("name names label klass phase op tag", "'x'", "'fc'", "''")
_names("allow", "'@log'", "['@log', 'decoder.*']")
_names("text expression", "'0.1'", "'1 + 2'", "'0x1p-3'")
_names("dataset data_source datasets", "hs.utils.data.TensorDataset(hs.tensor(np.arange(6.0)))", "[1, 2, 3]")
_names("sampler", "hs.utils.data.SequentialSampler([1, 2, 3])", "None")
_names("loader", "[hs.tensor(np.ones((2, 3)))]")
_names("generator", "None", "hs.Generator()")
_names("device device_type", "'cpu'", "'cuda'", "None", "hs.device('cpu')")
_names("architecture", "'A100'", "'V100'", "hs.hardware.device('H100')")
_names("betas", "(0.9, 0.99)", "(0.5, 0.5)")
_names("etas step_sizes eps2", "(0.5, 1.2)", "(1e-6, 50)")
_names("lr eps alpha beta momentum weight_decay gamma factor decay lambd power tau delta margin", *FLOATS)
_names("threshold max_norm clip_value dropout dropout_p q probs label_smoothing rtol atol tol negative_slope", *FLOATS)
_names("min max low high value fill_value std mean gain lower upper rate loc scale", "0.5", "1.0", "0", *TENSORS[1:3])
_names("bits code codes", *BITS)
_names("pad", "(1, 1)", "(0, 1, 1, 0)")
_names("memory_format", "hs.contiguous_format", "None")
_names("requires_grad inplace keepdim keepdims bias ceil_mode training full affine", *BOOLS)
_names("state_dict state", "{}", "made.model().state_dict()")
_names("target", "hs.tensor([0, 1, 2])", *TENSORS[:7])
_names("scale_factor", "2", "2.0", "(2, 2)")
_names("specials", "'ieee'", "'nan'", "'none'")
_names("spec", "'fp16'", "'cpu'", "'float16'", "{'default': 'fp32'}")
_names("labels mask1", "hs.tensor([0, 1, 2])")
_names("batch", "hs.tensor(np.ones((2, 3)))")
_names("lookup", "'A100'", "'H100'")
_names("obj dict items", "{}", "[1]")
_names("idx i key", "0", "'a'", "1")
_names("sizes_", "(1, 2)")
_names("cell", "1.0")

_BY_KIND: list[tuple[Any, tuple[str, ...]]] = [
    (bool, BOOLS), (int, INTS), (float, FLOATS), (str, ("'mean'", "'x'", "'linear'")), (tuple, SIZES),
]  # fmt: skip


def candidates(p: inspect.Parameter, hint: Any) -> tuple[str, ...]:
    """What often fits the parameter ``p``: its annotation's words, else by its name, its annotation, its default."""
    words = _words(hint)
    if words:
        return words
    if hint is bool or isinstance(p.default, bool):
        return BOOLS
    if p.name in _BY_NAME:
        return _BY_NAME[p.name]
    for kind, values in _BY_KIND:
        if hint is kind or type(p.default) is kind:
            return values
    if "Callable" in str(hint):
        return FUNCTIONS
    if hint in (float | None, int | None):
        return (*FLOATS[:3], "1", "None")
    return (*TENSORS, *ARRAYS)


def _words(hint: Any) -> tuple[str, ...]:
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    found = [word for part in parts if typing.get_origin(part) is typing.Literal for word in typing.get_args(part)]
    return tuple(map(repr, found))


class Hostile(NamedTuple):
    """An expression, and what it is where it is no number, shape or text that a function might well take."""

    text: str
    junk: str = ""


HOSTILE = (
    *(Hostile(text) for text in (
        "None", "''", "'0.1'", "10**30", "-10**30", "2**63", "-2**63", "2**31", "-1", "0", "1", "3", "-7", "100000",
        "float('nan')", "float('inf')", "-float('inf')", "-0.0", "1e300", "5e-324", "2.5", "True", "False", "()", "[]",
        "(0,)", "(-1,)", "(2**62,)", "(1, 2, 3)", "[1.5, 2]", "[None]", "[[1, 2], [3, 4]]", "range(3)", "slice(None)",
        "np.float16(0.1)", "np.int8(-3)", "np.bool_(True)", "np.float64('nan')", "np.longdouble('1e4000')",
        "np.uint64(2**64 - 1)", "np.zeros((0, 3))", "np.zeros(3)", "np.array(1.5)", "np.full(3, np.nan)",
        "np.array([1e300, -np.inf])", "np.arange(12.0)[::-3]", "np.arange(6, dtype='>f4')",
        "np.asfortranarray(np.eye(3))",
        "made.readonly()", "made.subclass()", "np.zeros((1, 1, 1, 1, 1, 1, 1))", "np.arange(3)", "np.ones(3, bool)",
        "Fraction(1, 3)", "Decimal('0.1')", "Decimal('nan')", "Decimal('1e999999')", "10**5000",
        "hs.tensor(np.zeros((2, 0)))", "hs.tensor(float('nan'))", "hs.tensor([1, 2, 3])", "hs.tensor([True])",
        "hs.tensor([1.0], 'fp16')", "hs.tensor(np.ones((2, 3)), 'float64', requires_grad=True)", "hs.tensor(3)",
        "hs.tensor([1e30, -np.inf, np.nan])", "hs.tensor([0.1], 'float8_e4m3fn')", "[hs.tensor([1.0]), None]",
        "iter([1, 2])", "hs.float16", "'float16'", "'fp16'", "hs.FP16", "Ellipsis",
    )),
    Hostile("'abc'", "text"), Hostile("'x' * 10**6", "text"), Hostile("'9' * 20000"),
    Hostile("'a\\nb\\x00'", "text"), Hostile("'\\ud800'", "text"),
    Hostile("b'xx'", "bytes"), Hostile("bytearray(b'\\x00')", "bytes"), Hostile("1j", "complex"),
    Hostile("np.array([1j, 2])", "complex"), Hostile("np.complex64(1)", "complex"),
    Hostile("object()", "object"), Hostile("{}", "dict"), Hostile("{'a': 1}", "dict"), Hostile("{1, 2}", "set"),
    Hostile("int", "class"), Hostile("len", "callable"), Hostile("lambda: None", "callable"), Hostile("hs", "module"),
    Hostile("NotImplemented", "object"), Hostile("made.looped()", "looped list"), Hostile("made.nested()", "deep list"),
    Hostile("[[1], [2, 3]]", "ragged"), Hostile("['a', 1]", "text"), Hostile("np.array(['a', 'b'])", "text"),
    Hostile("np.array([None, 1], object)", "object array"), Hostile("np.array([object()], object)", "object array"),
    Hostile("np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])", "masked"),
    Hostile("np.datetime64('2020-01-01')", "datetime"), Hostile("datetime.timedelta(1)", "datetime"),
    Hostile("np.array(['2020-01-01'], 'M8[D]')", "datetime"), Hostile("np.zeros(2, [('a', 'f4')])", "record"),
    Hostile("made.liar()", "object"), Hostile("made.broken()", "object"),
)  # fmt: skip
