"""What sweeps cost, measured: ``python -m tests.sweeps [PART ...]`` keeps records, of which docs/scale.md is printed.

PYTHONPATH=$PWD python -m tests.sweeps rates        what one core does of the main jobs
PYTHONPATH=$PWD python -m tests.sweeps local        a million rows that do nothing, on processes of this machine
PYTHONPATH=$PWD python -m tests.sweeps dask         100,000 rows that do nothing, on a cluster of Dask
PYTHONPATH=$PWD python -m tests.sweeps many         a million rows, or --rows of them: the driver, its file, its memory
PYTHONPATH=$PWD python -m tests.sweeps page         docs/scale.md again, of the records that are there
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.sweeps import page, scale

PARTS: dict[str, Callable[..., dict[str, object]]] = {
    "rates": scale.rates,
    "local": scale.local,
    "dask": scale.dask,
    "many": scale.many,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sweeps", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "page"], help="all of them where none is named")
    parser.add_argument("--rows", type=int, help="so many, instead of a million, 100,000 on Dask")
    asked = parser.parse_args()
    for part in asked.parts or PARTS:
        if part in PARTS:
            counted = {"count": asked.rows} if asked.rows and part != "rates" else {}
            page.record(part, PARTS[part](**counted))
    page.write()


if __name__ == "__main__":
    main()
