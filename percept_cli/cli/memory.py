"""What a command knows from earlier runs, as its options say."""

from __future__ import annotations

import typer

from percept_cli.cli.talk import Talk
from percept_cli.scoring.cache import cache_for
from percept_cli.scoring.memory import Keeps, Memory


def memory_of(context: typer.Context, talk: Talk, keeps: Keeps) -> Memory:
    """The memory of a command that has the options of a cache; PerceptError for wrong ones."""
    given = context.params
    wanted = False if given["no_cache"] else given["cache"] or True
    return Memory(cache_for(wanted, talk.error, given["cache_size"]), keeps)
