"""A meter for each device, which measure at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from queue import SimpleQueue
from threading import Event
from typing import Protocol, TypeVar

from percept_cli.inputs.images import Pixels
from percept_cli.scoring.devices import devices_named
from percept_cli.scoring.meter import Measurement, Meter
from percept_cli.scoring.options import Options
from percept_cli.scoring.regions import Blocks

T = TypeVar("T")


class Crew(Protocol):
    """Threads that measure pairs."""

    count: int

    def submit(self, work: Callable[[], T], stop: Event) -> Future[T]:
        """Let one of them do the work; it may be given up once `stop` is set."""


class _OfDevices:
    """A thread for each device."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count)

    def submit(self, work: Callable[[], T], _: Event) -> Future[T]:
        """Let one of them do the work."""
        return self._threads.submit(work)


@lru_cache
def _crew_of(devices: int) -> _OfDevices:
    """The process's threads for so many devices, whatever is measured on them."""
    return _OfDevices(devices)


class Meters:
    """The meters of all devices that the options name, each of which measures one group at a time.

    On the CPU there is one, and its workers share the work.
    """

    def __init__(self, options: Options, *, one_reference: bool, workers: int | None) -> None:
        devices = devices_named(options.device)
        all_ = [Meter(options, d, one_reference=one_reference, workers=workers) for d in devices]
        self._first = all_[0]
        self._free: SimpleQueue[Meter] = SimpleQueue()
        for meter in all_:
            self._free.put(meter)
        own = self._first.workers if len(devices) == 1 else None
        self.workers: Crew = own or _crew_of(len(devices))
        self.weights, self.scale = self._first.weights, self._first.scale
        self.together = self._first.together
        self.device = devices[0].type if len(devices) > 1 else str(devices[0])

    def measure(
        self, pairs: Sequence[tuple[Pixels, Pixels]], changed: Sequence[Blocks]
    ) -> list[Measurement]:
        """What `Meter.measure` says, of a meter that is free."""
        if self.workers is self._first.workers:
            return self._first.measure(pairs, changed)
        meter = self._free.get()
        try:
            return meter.measure(pairs, changed)
        finally:
            self._free.put(meter)
