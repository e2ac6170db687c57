"""Pairs whose distances are being measured, several at once, and their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from threading import Event
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from percept_cli.scoring.meters import Crew
    from percept_cli.scoring.scored import Scored

T = TypeVar("T")
P = TypeVar("P")

AHEAD_PIXELS = 64_000_000
"""Most pixels, of the larger image of each pair, decoded ahead or being measured."""


class Measuring(Generic[P]):
    """Pairs that are being measured, several at once, whose results come in order."""

    def __init__(self, *, in_turn: bool) -> None:
        self._in_turn = in_turn
        self._stop = Event()
        self._begun: deque[tuple[list[P], Future[list[Scored]], int]] = deque()
        self._most = 1

    def add(
        self,
        pairs: list[P],
        work: Callable[[], list[Scored]],
        workers: Crew | None,
        pixels: int,
    ) -> None:
        """Begin to measure pairs together; without workers it is done at once."""
        future = workers.submit(work, self._stop) if workers else done(work())
        # One more than there are workers, so that none waits for the next.
        self._most = workers.count + 1 if workers else self._most
        self._begun.append((pairs, future, pixels))

    def ready(self) -> Iterator[tuple[P, Scored]]:
        """Results that are there, and those that must come before more pairs may be begun."""
        while self._begun and (self._full or self._begun[0][1].done()):
            yield from self._next()

    @property
    def _full(self) -> bool:
        pixels = sum(pixels for *_, pixels in self._begun)
        many = len(self._begun) > 1 and pixels > AHEAD_PIXELS
        return self._in_turn or many or len(self._begun) > self._most

    def rest(self) -> Iterator[tuple[P, Scored]]:
        """All results that are still to come."""
        while self._begun:
            yield from self._next()

    def _next(self) -> Iterator[tuple[P, Scored]]:
        pairs, future, _ = self._begun[0]
        results = future.result()  # If this is interrupted, it is still to be given up.
        self._begun.popleft()
        yield from zip(pairs, results, strict=True)

    def wait(self) -> None:
        """Until all that has begun is done."""
        wait([future for _, future, _ in self._begun])

    def give_up(self) -> None:
        """Nobody wants what has not come yet."""
        self._stop.set()
        for _, future, _ in self._begun:
            future.cancel()
        self.wait()


def done(outcome: T) -> Future[T]:
    """An outcome that is there already."""
    future: Future[T] = Future()
    future.set_result(outcome)
    return future
