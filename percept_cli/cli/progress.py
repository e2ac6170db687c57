"""How far a run is: on a terminal only, and only if it takes more than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TypeVar

PATIENCE = 1.0
"""Seconds before progress is shown."""

T = TypeVar("T")


def with_progress(items: Iterable[T], total: int | None) -> Iterator[T]:
    """The items, while a bar on stderr says how many have come."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.3g}/s" if task.speed else "", style="dim")

    console = Console(stderr=True)
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), Rate(""), Remaining())
    with ExitStack() as shown:
        bar = Progress(*columns, console=console, transient=True)
        task = bar.add_task("comparing", total=total)
        started = time.monotonic()
        for item in items:
            if not bar.live.is_started and time.monotonic() - started > PATIENCE:
                shown.enter_context(bar)
            bar.advance(task)
            yield item
