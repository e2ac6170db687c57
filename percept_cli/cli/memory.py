"""What a command knows from earlier runs, as its options say."""

from __future__ import annotations

import typer

from percept_cli.cli.options import is_given
from percept_cli.cli.talk import Talk
from percept_cli.scoring.cache import cache_for
from percept_cli.scoring.memory import Keeps, Memory


def memory_of(context: typer.Context, talk: Talk, keeps: Keeps) -> Memory:
    """The memory of a command that has the options of a cache; PerceptError for wrong ones."""
    cache = cache_for(wanted_cache(context), talk.error, context.params["cache_size"])
    return Memory(cache, keeps)


def wanted_cache(context: typer.Context) -> str | bool:
    """The folder that was named, else whether there is to be a cache."""
    named: str | None = context.params["cache"]
    # A flag is nearer than the environment.
    asked_for = is_given(context, "cache") and not is_given(context, "no_cache")
    return False if context.params["no_cache"] and not asked_for else named or True
