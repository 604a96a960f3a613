"""The driver: a few rows in flight at a time, each written down as it comes back."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from halfsim.sweeps.attempt import Answer, Task, failure
from halfsim.sweeps.engines import Engine, StoppedError
from halfsim.sweeps.grid import Row
from halfsim.sweeps.journal import FLUSH, Journal
from halfsim.sweeps.local import UnstartedError
from halfsim.text import counted

HOPE = 10.0  # seconds in which a late row may come back and free its place, before the study stops for want of one


@dataclass
class Flight:
    """A row that an engine has: since when, the number of the try, how many processes it has lost."""

    row: Row
    since: float
    tries: int
    lost: int
    late: bool = False


@dataclass(frozen=True)
class Orders:
    """What a study asks of its rows beside their function."""

    run: bytes
    file: str
    retries: int
    timeout: float | None
    retry_failed: bool


class Todo:
    """The rows that are to be run, each with how often it was tried before; ``skipped`` counts those passed over."""

    def __init__(self, rows: Iterator[Row], journal: Journal, orders: Orders) -> None:
        self._rows, self._journal, self._orders = rows, journal, orders
        self.skipped = 0

    def __iter__(self) -> Iterator[tuple[Row, int]]:
        for row in self._rows:
            tries = self._journal.failed.get(row.key, 0)
            again = tries and (self._orders.retry_failed or tries <= self._orders.retries)
            if again or row.key not in self._journal:
                yield row, tries
            else:
                self.skipped += 1


class Driver:
    """Sends rows to an engine, no more than it can soon run, and writes down what comes back.

    A row whose process is lost runs again, since any process may be killed from outside; when it loses another and
    another, that is its error. Where a lost process may take its neighbours' rows along, such a row runs again when the
    others are done, alone. Where the engine is gone as a whole, what it had is sent again once it is back.
    """

    def __init__(self, engine: Engine, journal: Journal, orders: Orders, progress: Callable[[int], None]) -> None:
        self._engine, self._journal, self._orders, self._progress = engine, journal, orders, progress
        self._back: queue.SimpleQueue[Future[Answer]] = queue.SimpleQueue()
        self._flying: dict[Future[Answer], Flight] = {}
        self._again: deque[Flight] = deque()
        self._suspects: deque[Flight] = deque()
        self._watched = orders.timeout is not None and not engine.kills
        self.done = 0

    def run(self, rows: Iterator[tuple[Row, int]]) -> None:
        """Run them all; `StoppedError` where none can run any more."""
        more = True
        while True:
            while more and (room := self._room):
                more = self._sent(rows, room)
            active = self._active
            hanging = len(self._flying) - active
            if active or (hanging and more and self._hopes()):
                self._wait()
                more = more or bool(self._again or self._suspects)
            elif not more or (hanging and not self._again and next(rows, None) is None):
                return
            elif hanging:
                raise StoppedError(
                    f"timeout: {counted(hanging, 'row hangs', 'rows hang')}, in every place that the executor has; "
                    "allowed: to go on with 'local:4', which ends them"
                )

    @property
    def _active(self) -> int:
        """How many rows are in flight and not given up."""
        late = sum(flight.late for flight in self._flying.values()) if self._watched else 0
        return len(self._flying) - late

    def _hopes(self) -> bool:
        """Whether one of the rows that hang, in every place, may yet come back."""
        last = max(flight.since for flight in self._flying.values())
        return time.monotonic() - last < (self._orders.timeout or 0.0) + HOPE

    @property
    def _room(self) -> int:
        """How many rows to send now: as many as there is room for, none where that is not worth a message."""
        slots = self._engine.slots
        if self._watched:
            return max(slots - len(self._flying), 0)
        room = max(slots * self._engine.ahead, 2 * self._engine.batch - 1) - len(self._flying)
        return room if room >= self._engine.batch else 0

    def _sent(self, rows: Iterator[tuple[Row, int]], room: int) -> bool:
        """Send the next rows; false where no more are left."""
        flights: list[Flight] = []
        while len(flights) < room and (flight := self._next(rows, alone=not flights)) is not None:
            flights.append(flight)
        now = time.monotonic()
        for flight in flights:
            flight.since = now
        tasks = [Task(self._orders.run, self._orders.file, flight.row.config, flight.row.seed) for flight in flights]
        try:
            futures = self._engine.submit(tasks) if tasks else []
        except Exception as error:
            self._again.extendleft(reversed(flights))
            self._gone(error)
            return True
        for flight, future in zip(flights, futures, strict=True):
            self._flying[future] = flight
            future.add_done_callback(self._back.put)
        return len(flights) == room

    def _next(self, rows: Iterator[tuple[Row, int]], alone: bool) -> Flight | None:
        if self._again:
            return self._again.popleft()
        if (new := next(rows, None)) is not None:
            return Flight(new[0], 0.0, new[1] + 1, 0)
        return self._suspects.popleft() if self._suspects and alone and not self._active else None

    def _wait(self) -> None:
        """Take what has come back; where nothing does, see to what is late and to the disk."""
        try:
            future = self._back.get(timeout=FLUSH)
        except queue.Empty:
            self._journal.flush(wait=True)
            if not self._engine.lives:
                self._gone(ConnectionError("the scheduler went away"))
        else:
            self._take(future)
        if self._watched:
            self._give_up()

    def _take(self, future: Future[Answer]) -> None:
        flight = self._flying.pop(future, None)
        if flight is None or flight.late:  # its row is settled, or goes again
            return
        error = _error(future)
        if error is None:
            answer = future.result()
            if answer.kind == "stopped":
                raise StoppedError(answer.text)
            late = self._orders.timeout is not None and answer.duration > self._orders.timeout
            self._settle(flight, self._late if late else answer)
            return
        meaning = self._engine.meaning(error)
        if meaning == "late":
            self._settle(flight, self._late)
        elif meaning == "lost":
            flight.lost += 1
            if flight.lost < self._engine.losses:
                (self._again if self._engine.kills else self._suspects).append(flight)
            else:
                self._settle(flight, Answer("error", failure("Crashed", "the process that ran it ended, each time")))
        elif meaning == "gone":
            self._again.appendleft(flight)
            self._gone(error)
        else:
            raise StoppedError(_unfit(error))

    @property
    def _late(self) -> Answer:
        timeout = self._orders.timeout or 0.0
        return Answer("error", failure("TimedOut", f"took more than {timeout:g} s"), timeout)

    def _settle(self, flight: Flight, answer: Answer) -> None:
        """Write down what came of a row, or let it run again where it failed and may."""
        if answer.kind == "error" and flight.tries <= self._orders.retries:
            flight.tries, flight.lost = flight.tries + 1, 0
            self._again.append(Flight(flight.row, 0.0, flight.tries, 0))
            return
        self._journal.append(flight.row, answer, flight.tries)
        self.done += 1
        self._progress(self.done)

    def _give_up(self) -> None:
        """Where the engine cannot end rows: write down those that are late; their places are lost till they end."""
        timeout = self._orders.timeout or 0.0
        for future, flight in self._flying.items():
            if time.monotonic() - flight.since > timeout and not flight.late and not future.done():
                flight.late = True
                self._settle(flight, self._late)

    def _gone(self, error: BaseException) -> None:
        """Take back what the engine had, and wait for it; `StoppedError` where it does not come back."""
        if self._engine.meaning(error) != "gone":
            raise StoppedError(_unfit(error))
        self._again.extend(flight for flight in self._flying.values() if not flight.late)
        self._flying.clear()
        self._journal.flush()
        self._engine.reopen(error)


def _unfit(error: BaseException) -> str:
    words = " ".join(str(error).split())[:160]
    if isinstance(error, UnstartedError):
        return f"executor: {words}; allowed: a script that calls sweep under: if __name__ == '__main__'"
    return f"executor: {type(error).__name__}: {words}; allowed: one that has halfsim where its rows run"


def _error(future: Future[Any]) -> BaseException | None:
    """The exception of a future; of one that was cancelled too."""
    try:
        return future.exception()
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return error
