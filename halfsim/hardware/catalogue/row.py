"""What a row of the catalogue is, and the words that several rows share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RECORDED = "GPU outputs: its own are recorded here; the model has none of them wrong"
PUBLISHED = "GPU outputs: 5,000 of its own that Khattak and Mikaitis published, none wrong; none recorded here"
SIBLING = "GPU outputs: none of its own; those recorded of other {} devices have none wrong"
MODELS = "literature: published models (MMA-Sim; Khattak and Mikaitis) agree; no outputs of the hardware compared here"
ONE_MODEL = "literature: one published model (MMA-Sim); no outputs of the hardware compared here"
DOCUMENTS = "documents: the maker's instruction reference; not compared with the hardware"
EXECUTED = "executed: conversions and bf16 dot products were compared with a CPU that has them; none wrong"
CONVERSIONS = "executed: conversions were compared with a CPU that has them; none wrong"
UNKNOWN = "none: nobody has described the bits of its sums"

UNREAD = "unverified: not re-read in that document"
QUOTED = "quoted: read in a text that quotes that document"


@dataclass(frozen=True)
class Row:
    """A device as data.

    ``figures``: "year"; peaks, dense TFLOP/s by format and kind of unit; "bandwidth" in GB/s; "memory" as sold,
    with its unit. ``sources`` says of each figure, "*" of all others, where it stands: keys of `DOCUMENTS`, each with a
    place after a colon where it has one, several apart by "; ". ``marks`` says what weakens a figure, ``low`` which
    peaks the device may pass. ``product`` is what the figures are of, where the name is a family's or a core's,
    ``seen`` how many devices software sees, ``roles`` those of a Precision where no unit is described but its modes
    are, ``described`` the document that tells of its modes.
    """

    name: str
    vendor: str
    units: tuple[str, ...]
    support: str
    figures: Mapping[str, float | str]
    sources: Mapping[str, str]
    evidence: str
    marks: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    note: str = ""
    arithmetic: str = ""  # of the words in ARITHMETIC, where it is not the first unit's
    product: str = ""
    low: tuple[str, ...] = ()
    seen: int = 1
    roles: Mapping[str, str] = field(default_factory=dict)
    described: str = ""
