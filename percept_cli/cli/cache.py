"""`percept cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from percept_cli.cli.options import CacheIn
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, shown
from percept_cli.scoring.cache import Cache, default_folder


def cache(
    cache: CacheIn = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget all of them.")] = False,
) -> None:
    """Show where scores are kept, of how many pairs, and how much room they take.

    Examples:

        percept cache

        percept cache --clear
    """
    talk = Talk(quiet=False)
    kept = Cache(cache or default_folder(), talk.error)
    count, size = kept.size()
    if clear and count:
        kept.clear()
    if talk.errors:
        raise OutputError("the cache could not be read" if not clear else "nothing was cleared")
    what = "pairs forgotten" if clear else f"pairs, {size / (1 << 20):.1f} MiB"
    print(f"{shown(kept.path)}: {count} {what}")
