"""`hs.sweep`: every combination of a grid, once, whatever happens on the way."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from halfsim.options import shown
from halfsim.sweeps.code import code_of, sent
from halfsim.sweeps.drive import Driver, Orders, Todo
from halfsim.sweeps.engines import StoppedError, engine_of
from halfsim.sweeps.grid import grid_of
from halfsim.sweeps.journal import Journal
from halfsim.sweeps.results import Results
from halfsim.terminal import bar


def sweep(
    run: Callable[..., Any],
    grid: Mapping[str, Any],
    seeds: Any = 1,
    executor: Any = None,
    out: str | os.PathLike[str] = "results.jsonl",
    *,
    retries: int = 0,
    timeout: float | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    version: str = "",
) -> Results:
    """Call ``run(**config, seed=seed)`` for every combination of a grid with every seed, and keep what each gives.

    ``grid`` has a list of values for each name; ``seeds`` is how many, from 0 on, or a list. Each result, which is made
    of numbers, text, lists, dicts and small arrays, is a line of the file ``out`` as soon as it is there. Called again
    with the same file it runs what is missing: after a crash, with more values, with more seeds. An exception, a
    process that ends, a result that is not plain and a row of more than ``timeout`` seconds are the ``error`` of their
    row, and the others go on. Such a row counts as finished, unless it was tried no more than ``retries`` times, or
    with ``retry_failed``. Before each row the generators of its process (halfsim's, Python's, NumPy's and PyTorch's)
    start from its seed, so that no result depends on what ran before. NaN, infinities and the sign of zero stay what
    they are.

    ``executor`` is who runs the rows: "local:4" for four processes of this machine (one for each processor by default),
    "serial" for this process, "dask:ADDRESS" for a cluster (``pip install 'halfsim[distributed]'``), "mpi", or any
    `concurrent.futures.Executor`. Only local processes are ended when they take too long; elsewhere such a row is
    noted, and its place counts as lost until it comes back.

    ``ValueError`` for a file that is not of this function as it stands now, with what changed (``fresh`` begins it
    anew; ``version`` is what else the results depend on, as a commit), for one that another process writes, and for a
    grid that the function does not take; ``OSError`` where the file cannot be written any more, ``RuntimeError`` where
    no row can run any more. What is in the file then stays, and the same call goes on from there.

    >>> import os, tempfile, halfsim as hs
    >>> def error(format, scale, seed):
    ...     x = hs.tensor([0.1 * scale], format)
    ...     return {"error": x.item() - 0.1 * scale}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = os.path.join(folder, "results.jsonl")
    ...     found = hs.sweep(error, {"format": ["fp16", "bf16"], "scale": [1.0, 1000.0]}, executor="serial", out=out)
    ...     print(found.summary("format"))
    format  of     n  failed       mean       std
    fp16    error  2       0  -1.22e-05  1.73e-05
    bf16    error  2       0   4.88e-05  6.91e-05
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError("sweep: called by a process of its own; allowed: the call under: if __name__ == '__main__':")
    limit = _limit(timeout)
    if retries < 0:
        raise ValueError(f"retries: {shown(retries)} is not allowed; allowed: integers from 0 on")
    code, every, engine = code_of(run, version), grid_of(run, grid, seeds), engine_of(executor)
    payload, named = sent(run, engine.far)
    path = Path(out)
    journal = Journal(path, code, fresh)
    try:
        orders = Orders(payload, code.file if named else "", retries, limit, retry_failed)
        todo = Todo(every.rows(), journal, orders)
        rows = iter(todo)
        first = next(rows, None)
        if first is not None:
            with bar(path.name, len(every), "rows") as progress:
                engine.start(payload, orders.file, limit)
                try:
                    driver = Driver(engine, journal, orders, lambda n: progress(todo.skipped + n, todo.skipped))
                    driver.run(itertools.chain([first], rows))
                finally:
                    engine.close()
    except StoppedError as stopped:
        raise RuntimeError(str(stopped)) from None
    finally:
        journal.close()
    return Results([path], every)


def _limit(timeout: float | None) -> float | None:
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout: {shown(timeout)} is not allowed; allowed: positive seconds, None")
    return None if timeout is None else float(timeout)
