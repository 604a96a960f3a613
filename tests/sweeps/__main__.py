"""What sweeps cost, measured: ``python -m tests.sweeps [PART ...]`` keeps records, of which docs/scale.md is printed.

PYTHONPATH=$PWD python -m tests.sweeps rows         100,000 rows on processes of this machine, and 20,000 on Dask
PYTHONPATH=$PWD python -m tests.sweeps million      a million tiny rows: the driver, its file, its memory
PYTHONPATH=$PWD python -m tests.sweeps rates        what one core does of the main jobs
PYTHONPATH=$PWD python -m tests.sweeps page         docs/scale.md again, of the records that are there
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.sweeps import page, scale

PARTS: dict[str, Callable[[], dict[str, object]]] = {
    "rates": scale.rates,
    "local": scale.local,
    "dask": scale.dask,
    "million": scale.million,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sweeps", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "page"], help="all of them where none is named")
    for part in parser.parse_args().parts or PARTS:
        if part in PARTS:
            page.record(part, PARTS[part]())
    page.write()


if __name__ == "__main__":
    main()
