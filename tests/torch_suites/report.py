"""The counts and the work list, as plain text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.torch_suites.judging import BAD, OUTCOMES, Tally
from tests.torch_suites.names import INTERNAL
from tests.torch_suites.ops import SUITES, Entry, missing


def total(tallies: Iterable[Tally]) -> Counter[str]:
    found: Counter[str] = Counter()
    for tally in tallies:
        found.update(tally.counts)
    return found


def is_clean(entry: Entry) -> bool:
    """Whether a name holds in float64, or in integers if it knows no floats: something is right, and nothing is bad."""
    counts = total(entry.suites[s] for s in ("float64", "method") if s in entry.suites)
    if not counts["right"]:
        counts = total(entry.suites[s] for s in ("int64", "bool") if s in entry.suites)
    return bool(counts["right"]) and not any(counts[outcome] for outcome in BAD)


def counts_table(results: dict[str, Entry], suites: tuple[str, ...] = SUITES) -> Iterator[str]:
    """A line for each suite: samples, and how many came out how."""
    yield "suite      samples  " + "  ".join(f"{o:>14}" for o in reversed(OUTCOMES))
    for suite in suites:
        tallies = [entry.suites[suite] for entry in results.values() if suite in entry.suites]
        counts = total(tallies)
        if not tallies:
            continue
        line = f"{suite:10} {sum(t.samples for t in tallies):7}  " + "  ".join(
            f"{counts[o]:14}" for o in reversed(OUTCOMES)
        )
        compared, excused = sum(t.compared for t in tallies), sum((t.excused for t in tallies), Counter())
        line += f"   elements equal {sum(t.equal for t in tallies)} of {compared}" if compared else ""
        yield line + "".join(f"   {count} {why}" for why, count in sorted(excused.items()))


# What ordinary scripts use most, and often, of PyTorch's names; the order in which what is missing is worth having.
_EVERYDAY = """
zeros ones full empty arange linspace eye zeros_like ones_like full_like empty_like randn randint rand_like
randn_like normal bernoulli multinomial eq ne lt le gt ge any all logical_not logical_and logical_or sort
argsort topk unbind nonzero unique long int bool new_zeros new_ones new_full scatter scatter_add narrow select
masked_select allclose isclose equal diag trace median cumprod nan_to_num remainder fmod floor_divide
true_divide hstack vstack addmm var_mean std_mean clamp_min clamp_max meshgrid cdist quantile bincount
count_nonzero zero_ fill uniform exponential split_with_sizes index_add index_put index_fill take_along_dim
broadcast_tensors atan2 lgamma erfinv erfc logaddexp xlogy diff cross inner kron nansum nanmean unfold rsub
bucketize searchsorted histc nn.functional.one_hot nn.functional.interpolate nn.functional.unfold
nn.functional.grid_sample nn.functional.pixel_shuffle nn.functional.pixel_unshuffle nn.functional.conv3d
nn.functional.conv_transpose3d nn.functional.avg_pool3d nn.functional.max_pool3d
nn.functional.adaptive_avg_pool3d nn.functional.adaptive_max_pool1d nn.functional.adaptive_max_pool2d
nn.functional.adaptive_max_pool3d nn.functional.dropout3d nn.functional.alpha_dropout
nn.functional.triplet_margin_loss nn.functional.margin_ranking_loss nn.functional.hinge_embedding_loss
nn.functional.gaussian_nll_loss nn.functional.poisson_nll_loss nn.functional.ctc_loss
nn.functional.pairwise_distance nn.functional.embedding_bag nn.functional.multi_margin_loss
nn.functional.soft_margin_loss nn.functional.multilabel_margin_loss nn.functional.multilabel_soft_margin_loss
nn.functional.local_response_norm linalg.norm linalg.vector_norm linalg.inv linalg.solve linalg.det
linalg.cholesky linalg.qr linalg.svd linalg.eigh fft.fft fft.rfft fft.irfft fft.ifft stft istft
"""
_OFTEN = """
atleast_1d atleast_2d atleast_3d column_stack dstack fliplr flipud rot90 tensor_split hsplit vsplit dsplit
diag_embed diagflat tril_indices triu_indices cartesian_prod combinations block_diag cov corrcoef kthvalue
mode nanmedian nanquantile aminmax unique_consecutive argwhere isin isposinf isneginf isreal logical_xor
bitwise_and bitwise_or bitwise_xor bitwise_not gcd lcm acosh asinh atanh hypot copysign frac sgn signbit
heaviside sinc logit logaddexp2 logcumsumexp cummax cummin deg2rad rad2deg float_power fmax fmin ldexp frexp
nextafter positive digamma polygamma mvlgamma i0 addmv addr addbmm vdot dist renorm trapezoid trapz
cumulative_trapezoid gradient index_copy index_reduce scatter_reduce masked_scatter select_scatter
slice_scatter diagonal_scatter put as_strided view_as_real view_as_complex real imag conj angle polar complex
cholesky qr svd lu logdet pinverse matrix_exp cholesky_solve cholesky_inverse triangular_solve geometric
cauchy log_normal randint_like logspace short byte char H mH sum_to_size resize_ resize_as_ new_empty msort
histogram unravel_index scalar_tensor nn.functional.rrelu nn.functional.max_unpool1d
nn.functional.max_unpool2d nn.functional.max_unpool3d nn.functional.pdist nn.functional.channel_shuffle
nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d nn.functional.feature_alpha_dropout
nn.functional.triplet_margin_with_distance_loss nn.functional.multi_head_attention_forward
nn.functional.upsample_bilinear nn.functional.upsample_nearest
"""


def tiers(names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Names by how likely an ordinary script uses them."""
    left = set(names)
    for title, known in (("everyday", _EVERYDAY), ("often", _OFTEN)):
        found = [name for name in known.split() if name in left]
        left -= {*found}
        yield title, found
    for room in ("linalg", "fft", "special", "masked", "signal", "sparse"):
        found = sorted(name for name in left if name.startswith(f"{room}."))
        left -= {*found}
        yield room, found
    yield "seldom", sorted(left)


def work_list(results: dict[str, Entry]) -> Iterator[str]:
    """What is missing, and what is wrong of what is there."""
    absent = missing(results)
    covered = [e for e in results.values() if e.place]
    clean = [e.name for e in covered if is_clean(e)]
    yield f"names: {len(results)}; found here {len(covered)}; of these without fault in float64: {len(clean)};"
    yield f"missing {len(absent)}; ATen's own (not asked for) {sum(name in INTERNAL for name in results)}"
    yield ""
    yield from counts_table(results)
    yield ""
    yield "MISSING, by how likely an ordinary script uses the name"
    for title, names in tiers(absent):
        if names:
            yield f"  {title} ({len(names)}):"
            yield from (f"    {line}" for line in textwrap.wrap(" ".join(names), 140, break_on_hyphens=False))
    yield ""
    only_ops = sorted(e.name for e in covered if e.place.startswith("hs.ops") and "." not in e.name)
    yield f"IN hs.ops BUT NOT AT THE TOP LEVEL ({len(only_ops)}): " + " ".join(only_ops)
    yield from sections(results, SECTIONS)


WRONG = ("wrong value", "wrong gradient", "wrong dtype", "not a tensor")
WIDE, HALVES, INTEGERS = ("float64", "method", "error"), ("float16", "bfloat16"), ("int64", "bool")

# Titles, and what is listed under them: suites and outcomes.
SECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "WRONG IN FLOAT64: values, gradients, dtypes": (WIDE, WRONG),
    "UNCLEAR ERRORS: missing arguments, bare messages": (WIDE, ("unclear error",)),
    "ACCEPTED THOUGH TORCH REFUSES": (WIDE, ("accepted",)),
    "REFUSED IN ONE CLEAR LINE": (WIDE, ("refused",)),
    "NOT RUN": (WIDE, ("skipped",)),
    "HALF AND BFLOAT16, ELEMENTWISE: results that are not PyTorch's CPU results bit for bit": (HALVES, WRONG),
    "HALF AND BFLOAT16: errors": (HALVES, ("unclear error", "refused")),
    "INTEGERS AND BOOLS": (INTEGERS, (*WRONG, "unclear error", "refused")),
}


def sections(results: dict[str, Entry], titles: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> Iterator[str]:
    """Under each title the troubles of all names."""
    for title, (suites, outcomes) in titles.items():
        yield ""
        yield title
        for entry in sorted(results.values(), key=lambda e: e.name):
            yield from troubles(entry, outcomes, suites)


def troubles(entry: Entry, outcomes: tuple[str, ...], suites: tuple[str, ...] = ()) -> Iterator[str]:
    """One line for each kind of trouble of a name, with the smallest sample."""
    for suite, tally in entry.suites.items():
        if suites and suite not in suites:
            continue
        found = list(tally.troubles(outcomes))
        for judged in found[:6]:
            yield f"{entry.name} [{suite}] {judged.outcome}: {judged.why}\n      {judged.call}"
        if len(found) > 6:
            yield f"{entry.name} [{suite}] and {len(found) - 6} other kinds"
