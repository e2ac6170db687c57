"""Ctrl-C and a request to end, at a moment that leaves results whole."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Timer, main_thread
from typing import Any

from percept_cli.cli.exits import INTERRUPTED, TERMINATED

AGAIN = 0.05
"""Seconds until an interrupt comes again that was lost."""


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end."""

    raised = False
    """Whether that has happened in this process."""

    def __init__(self) -> None:
        super().__init__()
        Terminated.raised = True


class _Held:
    """Interrupts that wait."""

    now = False
    came: list[int] = []  # noqa: RUF012 -- there is one process


def listen() -> None:
    """Let a request to end do what Ctrl-C does, and both wait where they must; once, at first."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Some shells ignore it.
        signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = partial(_not_raised, sys.unraisablehook)


def interrupted_code() -> int:
    """The exit code after an interrupt: 128 and the number of the signal, as shells have it."""
    return TERMINATED if Terminated.raised else INTERRUPTED


def _interrupt(number: int, _: object) -> None:
    if _Held.now:
        _Held.came.append(number)
    else:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _not_raised(otherwise: Callable[[Any], object], what: Any) -> None:
    """Let an interrupt come again that was raised where nothing can be: in a callback, say."""
    if not isinstance(what.exc_value, KeyboardInterrupt):
        otherwise(what)
        return
    number = signal.SIGTERM if isinstance(what.exc_value, Terminated) else signal.SIGINT
    again = Timer(AGAIN, _send, [number])
    again.daemon = True
    with suppress(RuntimeError):  # At the very end there are no more threads.
        again.start()


def _send(number: signal.Signals) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let interrupts wait until what is inside is done; only for the main thread."""
    _Held.now = True
    try:
        yield
    finally:
        _Held.now = False
        if _Held.came:
            _interrupt(_Held.came.pop(0), None)
