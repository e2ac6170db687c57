"""Ctrl-C and a request to end, at a moment that leaves results whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from percept_cli.cli.exits import INTERRUPTED, TERMINATED


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end."""

    raised = False
    """Whether that has happened in this process."""

    def __init__(self) -> None:
        super().__init__()
        Terminated.raised = True


def listen() -> None:
    """Let a request to end do what Ctrl-C does; only for the main thread."""
    signal.signal(signal.SIGTERM, _terminate)


def interrupted_code() -> int:
    """The exit code after an interrupt: 128 and the number of the signal, as shells have it."""
    return TERMINATED if Terminated.raised else INTERRUPTED


def _terminate(*_: object) -> None:
    raise Terminated


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let interrupts wait until what is inside is done; only for the main thread."""
    came: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, _: came.append(number)) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
    if came:
        raise Terminated if came[0] == signal.SIGTERM else KeyboardInterrupt
