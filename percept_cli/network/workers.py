"""Threads that share the network's work and sleep while they wait.

torch's own threads meet at the end of every operation, and spin until the last one is there: beside
another busy process that takes several times as long as one thread alone. So inside a worker torch
has one thread. Whole pairs go to workers that are free; where there are fewer pairs than workers,
those that are left take parts of a pair's operations. How an operation is cut into parts depends on
its size alone, so who took which part, and how many workers there are, changes no bit of a result.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from percept_cli.errors import PerceptError

PIECES = 4
"""Into how many parts operations go that can be cut anywhere."""

SMALLEST = 1 << 17
"""Elements of a tensor from which that pays."""

T = TypeVar("T")
Part = Callable[[], object]


class StoppedError(Exception):
    """Nobody waits for the outcome any more."""


class _Here(threading.local):
    """Of the thread that asks: the workers it is one of, and whether to go on."""

    workers: Workers | None = None
    stop: threading.Event | None = None

    def __init__(self) -> None:
        self.scratch: dict[str, Tensor] = {}


_here = _Here()


class _Shared:
    """Parts of one operation: whoever is free takes the next."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._stop = _here.stop
        self._parts = deque(parts)
        self._left = len(self._parts)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._error: BaseException | None = None

    @property
    def parts_left(self) -> bool:
        return bool(self._parts)

    def help(self) -> None:
        """Take parts until none is left."""
        _here.stop = self._stop
        while True:
            try:
                part = self._parts.popleft()
            except IndexError:
                return
            try:
                part()
            except BaseException as error:
                self._error = error
            with self._lock:
                self._left -= 1
                if not self._left:
                    self._done.set()

    def wait(self) -> None:
        """Until all parts are done; raises what one of them has raised."""
        self._done.wait()
        if self._error:
            raise self._error


class Workers:
    """So many threads, or as many as the system has, in each of which torch has one.

    Raises PerceptError where it has none.
    """

    def __init__(self, count: int) -> None:
        self.count = 0
        self._changed = threading.Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._open: list[_Shared] = []
        self._idle = 0
        before, ready = torch.get_num_threads(), threading.Semaphore(0)
        for _ in range(count):
            try:
                threading.Thread(target=self._work, args=(ready,), daemon=True).start()
            except RuntimeError as error:
                if not self.count:
                    raise PerceptError("the system has no more threads: end some") from error
                break
            self.count += 1
        for _ in range(self.count):
            ready.acquire()
        # What a thread sets for itself is also what threads to come begin with.
        torch.set_num_threads(before)

    def submit(self, work: Callable[[], T], stop: threading.Event) -> Future[T]:
        """Let a worker do the work, or give it up soon once `stop` is set."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            _here.stop = stop
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        return future

    def run(self, work: Callable[[], T]) -> T:
        """Let a worker do the work, and wait for it; in one of them it is done at once."""
        if _here.workers is self:
            return work()
        stop = threading.Event()
        future = self.submit(work, stop)
        try:
            return future.result()
        except BaseException:
            stop.set()
            wait([future])
            raise

    def share(self, parts: Iterable[Part]) -> None:
        """Do all parts, together with workers that have nothing else to do."""
        shared = _Shared(parts)
        with self._changed:
            self._open.append(shared)
            self._changed.notify(self._idle)
        shared.help()
        with self._changed:
            self._open.remove(shared)
        shared.wait()

    def _work(self, ready: threading.Semaphore) -> None:
        torch.get_num_threads()  # Whoever asks first in a thread, or computes, gets the default.
        torch.set_num_threads(1)
        _here.workers = self
        ready.release()
        with torch.inference_mode():
            while True:
                self._next()()

    def _next(self) -> Callable[[], None]:
        """The next pair, or else an operation of another worker's pair that has parts left."""
        with self._changed:
            self._idle += 1
            try:
                while True:
                    if self._jobs:
                        return self._jobs.popleft()
                    for shared in self._open:
                        if shared.parts_left:
                            return shared.help
                    self._changed.wait()
            finally:
                self._idle -= 1


def heed(stop: threading.Event) -> None:
    """Let what this thread computes from now on end early once `stop` is set."""
    _here.stop = stop


def share(parts: Sequence[Part]) -> None:
    """Do all parts: in a worker with the help of others, elsewhere one after the other.

    Raises StoppedError where nobody waits for the work any more.
    """
    if _here.stop and _here.stop.is_set():
        raise StoppedError
    if _here.workers and _here.workers.count > 1 and len(parts) > 1:
        _here.workers.share(parts)
    else:
        for part in parts:
            part()


def scratch(name: str, like: Tensor, *shape: int) -> Tensor:
    """Room for what is soon forgotten; a worker gives the same again to whoever asks by that name.

    Fresh memory costs as much as arithmetic.
    """
    if not _here.workers:
        return like.new_empty(shape)
    size, kept = math.prod(shape), _here.scratch.get(name)
    if kept is None or len(kept) < size:
        kept = _here.scratch[name] = like.new_empty(size)
    return kept[:size].view(shape)


def piece(x: Tensor, length: int) -> int:
    """Of so many rows or channels of a tensor, how many are worth a part of their own."""
    small = x.device.type != "cpu" or x.numel() < SMALLEST
    return length if small else -(-length // PIECES)


@cache
def workers_of(count: int) -> Workers:
    """The process's threads of that number; a forked process makes its own."""
    return Workers(count)


def available() -> int:
    """How many workers this process may keep busy.

    Those are the cores that affinity and cgroups leave it, OMP_NUM_THREADS at the most, and its
    share of them under pytest-xdist.
    """
    from loky import cpu_count  # type: ignore[import-untyped]

    cores: int = cpu_count() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    most = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(min(cores, int(most) if most.isdigit() else cores), 1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers_of.cache_clear)
