"""How far a run is: on a terminal only, and only if it takes more than a second."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 1.0
"""Seconds before progress is shown."""

T = TypeVar("T")


def with_progress(items: Iterable[T], total: int | None) -> Iterator[T]:
    """The items, while a bar on stderr says how many have come."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ExitStack() as shown:
        bar = Progress(*columns, console=console, transient=True)
        task = bar.add_task("comparing", total=total)
        started = time.monotonic()
        for item in items:
            if not bar.live.is_started and time.monotonic() - started > PATIENCE:
                shown.enter_context(bar)
            bar.advance(task)
            yield item
