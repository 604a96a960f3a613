"""The questions in the order of the text, what it claims under each, and how each claim is judged.

The words stand in en.toml and zh.toml, under the number of the question and the name of the claim, which is that of
the function that computes its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halfsim.gallery.questions import in_runs, on_devices
from halfsim.gallery.questions.on_devices import Numbers

VERDICTS = ("right", "condition", "wrong", "omitted")


@dataclass(frozen=True)
class Claim:
    """What the text says: how it is judged, the function that computes the numbers, and the command that shows more."""

    verdict: str
    numbers: Callable[[], Numbers]
    command: str = ""

    @property
    def name(self) -> str:
        """Its name in the texts."""
        return self.numbers.__name__


d, r = on_devices, in_runs

# By number of the question, as the text has them.
QUESTIONS: dict[int, tuple[Claim, ...]] = {
    1: (
        Claim("condition", d.traffic, "halfsim cost --model transformer --device A100"),
        Claim("right", d.tensor_cores, "halfsim devices A100"),
        Claim("condition", d.larger, "halfsim cost --model mlp --recipe fp32 --recipe amp"),
        Claim("condition", d.embedded, "halfsim devices Cortex-M4F"),
        Claim("condition", r.classified, "halfsim applications"),
    ),
    2: (
        Claim("right", d.widths, "halfsim bits 0.1"),
        Claim("condition", d.vector_rates, "halfsim devices 'RTX 4090'"),
        Claim("condition", d.digits, "halfsim bits 2049"),
        Claim("condition", d.reach, "halfsim bits 70000"),
        Claim("condition", r.wide_too, "halfsim bits '16777216 + 1' --format float32"),
        Claim("condition", d.slower, "halfsim devices"),
    ),
    3: (
        Claim("condition", d.inference, "halfsim applications"),
        Claim("condition", d.positions, "halfsim applications"),
        Claim("condition", r.pictures_and_sound, "halfsim applications"),
        Claim("condition", r.tables, "halfsim applications"),
        Claim("condition", d.sensors, "halfsim applications"),
        Claim("wrong", d.mixed, "halfsim demo"),
    ),
    4: (
        Claim("wrong", d.training_too, "halfsim cost --model transformer --device A100"),
        Claim("right", d.cores, "halfsim devices"),
        Claim("condition", r.prototypes, "halfsim demo --optimizer adam"),
        Claim("right", d.servers, "halfsim devices A100"),
        Claim("condition", r.converted, "halfsim applications"),
    ),
    5: (
        Claim("condition", d.nvidia, "halfsim devices P100"),
        Claim("condition", d.amd, "halfsim devices MI250X"),
        Claim("wrong", d.intel, "halfsim devices 'Ice Lake'"),
        Claim("omitted", d.others, "halfsim devices"),
    ),
    6: (
        Claim("condition", d.in_general, "halfsim devices"),
        Claim("right", d.bandwidth, "halfsim devices A100"),
        Claim("condition", d.density, "halfsim cost --model cnn --device A100"),
        Claim("condition", d.hardware, "halfsim devices 'Sapphire Rapids'"),
        Claim("condition", d.energy, "halfsim cost --model transformer"),
    ),
    7: (
        Claim("right", r.mantissa, "halfsim bits 1.001"),
        Claim("wrong", r.vanishing, "halfsim gallery"),
        Claim("wrong", r.overflowed, "halfsim gallery"),
        Claim("condition", r.depth, "halfsim remedies"),
        Claim("condition", r.accuracy, "halfsim demo"),
        Claim("right", d.without_support, "halfsim cost --device 'Ice Lake'"),
        Claim("omitted", r.lost, "halfsim bits '1 - 0.0001'"),
    ),
    8: (
        Claim("condition", r.clipping, "halfsim remedies"),
        Claim("condition", r.activation, "halfsim remedies"),
        Claim("right", r.initialisation, "halfsim remedies"),
        Claim("wrong", r.smaller_rate, "halfsim remedies"),
        Claim("condition", r.scaled, "halfsim demo --recipe amp"),
        Claim("condition", r.steady, "halfsim remedies"),
        Claim("condition", r.saved, "halfsim remedies"),
        Claim("condition", r.accumulators, "halfsim devices V100"),
        Claim("wrong", r.larger_network, "halfsim remedies"),
        Claim("omitted", r.left_out, "halfsim remedies"),
    ),
    9: (
        Claim("condition", r.by_norm, "halfsim remedies"),
        Claim("wrong", r.shapes),
        Claim("condition", r.norms, "halfsim bits '60000 * 60000'"),
        Claim("right", r.formula),
        Claim("condition", r.too_small, "halfsim remedies"),
        Claim("right", r.recurrent, "halfsim remedies"),
    ),
}
