"""A meter for each device, which measure at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from queue import SimpleQueue
from threading import Event
from typing import Protocol, TypeVar

import torch

from percept_cli.inputs.images import Pixels
from percept_cli.network.workers import heed
from percept_cli.scoring.devices import devices_named
from percept_cli.scoring.meter import Measurement, Meter
from percept_cli.scoring.options import Options
from percept_cli.scoring.regions import Blocks

T = TypeVar("T")


class Crew(Protocol):
    """Threads that measure pairs."""

    count: int

    def submit(self, work: Callable[[], T], stop: Event) -> Future[T]:
        """Let one of them do the work, or give it up soon once `stop` is set."""


class _OfDevices:
    """A thread for each of these devices, each of which computes for one thread at a time."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self.count = len(devices)
        self.free: SimpleQueue[int] = SimpleQueue()
        for place in range(self.count):
            self.free.put(place)
        self._threads = ThreadPoolExecutor(self.count)

    def submit(self, work: Callable[[], T], stop: Event) -> Future[T]:
        def job() -> T:
            heed(stop)
            return work()

        return self._threads.submit(job)


@lru_cache
def _crew_of(devices: tuple[torch.device, ...]) -> _OfDevices:
    """The process's threads for these devices, whatever is measured on them."""
    return _OfDevices(devices)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crew_of.cache_clear)


class Meters:
    """The meters of all devices that the options name, each made when it is first needed.

    On the CPU there is one, and its workers share the work.
    """

    def __init__(self, options: Options, *, one_reference: bool, workers: int | None) -> None:
        self._devices = tuple(devices_named(options.device))
        self._made = partial(Meter, options, one_reference=one_reference, workers=workers)
        first = self._made(self._devices[0])
        self._meters = {0: first}
        alone = first.workers if len(self._devices) == 1 else None
        self._crew = None if alone else _crew_of(self._devices)
        self.workers: Crew | None = alone or self._crew
        self.weights, self.scale = first.weights, first.scale
        self.device = str(first.device) if len(self._devices) == 1 else first.device.type

    @property
    def together(self) -> int:
        """How many pixels are worth measuring together, in whatever pairs; 0 for one by one."""
        return self._meters[0].together

    def measure(
        self, pairs: Sequence[tuple[Pixels, Pixels]], changed: Sequence[Blocks]
    ) -> list[Measurement]:
        """What `Meter.measure` says, of a device that is free."""
        if not self._crew:
            return self._meters[0].measure(pairs, changed)
        place = self._crew.free.get()
        try:
            if place not in self._meters:
                self._meters[place] = self._made(self._devices[place])
            return self._meters[place].measure(pairs, changed)
        finally:
            self._crew.free.put(place)
