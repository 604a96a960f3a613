"""Workers, each a process with a limit of memory and time, and what they found."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import math
import os
import queue
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

import halfsim as hs
from tests.hostile import compare, draw, judge
from tests.hostile.names import Target, targets
from tests.hostile.recipes import recipes

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).with_name("known_calls.json")
MEMORY = 1 << 30
WALL = 60.0  # seconds that a call may wait, for what takes no time of the processor

Known = dict[str, list[draw.Arguments]]
Result = dict[str, Any]


def known_calls() -> Known:
    """Calls that work, by name, as the last whole run found them."""
    return json.loads(KNOWN.read_text("utf-8")) if KNOWN.exists() else {}


def save_known(known: Known, every: Iterable[str]) -> None:
    """Keep the calls that work, of the names that there are."""
    kept = {name: known[name] for name in sorted({*every} & known.keys())}
    KNOWN.write_text(
        "{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(c)}" for n, c in kept.items()) + "\n}\n", "utf-8"
    )


def makers(known: Mapping[str, list[draw.Arguments]], every: Iterable[Target]) -> dict[str, tuple[str, ...]]:
    """How objects are made: the calls of constructors that work."""
    found = {}
    for target in every:
        kind = _named(target.name)
        if inspect.isclass(kind) and known.get(target.name) and not dataclasses.is_dataclass(kind):
            texts = [draw.written(target, "", given).text for given in known[target.name][:2]]
            if texts:
                found[target.name.removeprefix("hs.")] = tuple(texts)
    return found


def _named(name: str) -> Any:
    try:
        return eval(name, judge.namespace())
    except Exception:
        return None


def all_targets(known: Known) -> list[Target]:
    first = targets({})
    return targets(makers({**known, **recipes(first)}, first))


def shares(every: Iterable[Target], total: int) -> dict[str, int]:
    """How many of ``total`` calls each name gets: more where there is more to get wrong."""
    weights = {t.name: min(len(t.parameters), 6) or 0.25 for t in every}
    whole = sum(weights.values())
    return {name: math.ceil(total * weight / whole) for name, weight in weights.items()}


def reset() -> tuple[Any, ...]:
    return (hs.get_default_dtype(), np.get_printoptions(), np.geterr(), os.getcwd())


def restore(state: tuple[Any, ...]) -> None:
    hs.set_default_dtype(state[0])
    np.set_printoptions(**state[1])
    np.seterr(**state[2])
    hs.manual_seed(0)


# In the worker.


def _limit() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot

    compare.torch()  # what it maps does not count
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY + (256 << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26,) * 2)


def _rung(*ignored: object) -> None:
    raise judge.Hang


def find(target: Target, seed: int, tries: int = 150, wanted: int = 4) -> list[draw.Arguments]:
    """Arguments with which a target works."""
    rng = random.Random(f"{seed}:{target.name}")
    found: list[draw.Arguments] = []
    for i in range(tries):
        given = draw.guess(target, rng, first=i == 0)
        if target.on:
            given["self"] = rng.choice(target.on)
        if given in found:
            continue
        call = draw.written(target, "", given)
        if _run(call)[0].kind == "result":
            found.append(given)
            if len(found) == wanted or not target.parameters:
                break
    return found


def _run(call: draw.Call) -> tuple[judge.Verdict, Any]:
    state = reset()
    signal.setitimer(signal.ITIMER_PROF, judge.SECONDS)
    try:
        return judge.judged(call)
    except judge.Hang:
        return judge.Verdict("hang"), None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        restore(state)


def worker() -> None:
    """Fork a process that takes jobs from standard input, a line each, and tells what came of each call.

    A call may end it; then another is forked, which need not import anything.
    """
    out: IO[str] = os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    source = os.dup(0)
    os.dup2(null, 0)
    warnings.simplefilter("always")
    every = {t.name: t for t in all_targets(known_calls())}
    _limit()
    while True:
        child = os.fork()
        if child == 0:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                signal.signal(signal.SIGPROF, _rung)
                out.write(json.dumps({"ready": os.getpid()}) + "\n")
                _serve(os.fdopen(source, "r"), out, every)
                os.chdir(ROOT)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:  # nobody asks any more
            return


def _serve(jobs: IO[str], out: IO[str], every: dict[str, Target]) -> None:
    state = reset()
    for line in jobs:
        job = json.loads(line)
        target = every[job["target"]]
        if "find" in job:
            out.write(json.dumps({"known": find(target, job["seed"])}) + "\n")
            continue
        for number in range(job["start"], job["calls"]):
            call = draw.draw(target, job["known"], job["seed"], number)
            out.write(json.dumps({"at": number, "text": call.text, "cpu": time.process_time()}) + "\n")
            verdict, result = _run(call)
            if verdict.kind == "result":
                out.write(json.dumps({"theirs": number, "cpu": time.process_time()}) + "\n")
                signal.setitimer(signal.ITIMER_PROF, judge.SECONDS)
                verdict = compare.checked(target, call, verdict, result)
                signal.setitimer(signal.ITIMER_PROF, 0)
                restore(state)
            out.write(json.dumps({"call": number, "text": call.text, **verdict._asdict()}) + "\n")
        out.write(json.dumps({"done": True}) + "\n")


# In the parent.


class Worker:
    """A process that judges calls, and its child that makes them."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg",
                       "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}  # fmt: skip
        command = [sys.executable, "-c", "from tests.hostile.work import worker; worker()"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT
        )
        self.buffer, self.child, self.since = b"", 0, 0.0
        self._wait()

    def _wait(self) -> None:
        """Wait for a child that is ready."""
        while "ready" not in (told := self.read(600)):
            if not told:
                raise RuntimeError("the worker does not start")
        self.child = told["ready"]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def ask(self, job: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def read(self, seconds: float) -> Result:
        """The next thing that it tells; nothing if it tells nothing for so long, or takes too much of the processor."""
        assert self.process.stdout is not None
        limit = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], 1.0)
            if ready:
                chunk = os.read(self.process.stdout.fileno(), 1 << 16)
                if not chunk:
                    return {}
                self.buffer += chunk
            elif time.monotonic() > limit or (self.child and self._used() > self.since + 2 * judge.SECONDS):
                return {}
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def _used(self) -> float:
        """Seconds of the processor that the child took."""
        try:
            words = Path(f"/proc/{self.child}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """End the child, and wait for the next."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        self.since = float("inf")
        self._wait()

    def find(self, target: str, seed: int) -> list[draw.Arguments]:
        """Arguments that work."""
        self.since = float("inf")
        self.ask({"target": target, "find": True, "seed": seed})
        told = self.read(120)
        if not told:
            self.end()
        elif "ready" in told:
            self.child = told["ready"]
        return told.get("known", [])

    def judge(self, target: str, known: list[draw.Arguments], seed: int, calls: int) -> Iterator[Result]:
        """What came of so many calls of a target."""
        start, current, theirs = 0, "", False
        while start < calls:
            self.since = float("inf")
            self.ask({"target": target, "known": known, "seed": seed, "start": start, "calls": calls})
            while "done" not in (told := self.read(WALL)):
                if not told or "ready" in told:  # it waits, or is gone
                    if told:
                        self.child = told["ready"]
                    else:
                        self.end()
                    kind = "result" if theirs else "hang" if not told else "crash"
                    yield {"call": start, "text": current, "kind": kind, "message": "", "error": "", "seconds": WALL}
                    start += 1
                    break
                self.since = told.get("cpu", self.since)
                if "at" in told:
                    start, current, theirs = told["at"], told["text"], False
                elif "theirs" in told:
                    theirs = True
                elif "call" in told:
                    yield told
                    start = told["call"] + 1


def run(
    names: list[str],
    known: Known,
    seed: int,
    calls: Callable[[str], int],
    jobs: int,
    told: Callable[[str, list[Result]], None],
    search: bool = False,
    written: Mapping[str, list[draw.Arguments]] = MappingProxyType({}),
) -> dict[str, list[Result]]:
    """Judge calls of all ``names``; ``told`` hears of each name as it is done, ``known`` takes calls found to work."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    found: dict[str, list[Result]] = {}

    def serve() -> None:
        it = Worker()
        try:
            while True:
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                if (search or not known.get(name)) and name not in written:
                    known[name] = it.find(name, seed)
                calls_of = written.get(name) or known[name]
                found[name] = list(it.judge(name, calls_of, seed, calls(name)))
                told(name, found[name])
        finally:
            it.close()

    threads = [threading.Thread(target=serve) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(sorted(found.items()))
