"""`check --watch`: the same check again whenever an image has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from percept_cli.cli.exits import INTERRUPTED, USAGE_ERROR
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.inputs.pairs import Pair
from percept_cli.scoring.scored import Scored

WAKE = 200
"""Milliseconds after which it is looked whether the user has interrupted."""

Results: TypeAlias = "Callable[[Iterable[Pair]], Iterator[tuple[Pair, Scored]]]"
"""Pairs → each image's judged result, in order."""

Files: TypeAlias = "tuple[tuple[Path, int, int], ...]"
"""Paths, times and sizes: what tells that nothing has changed."""


def watched(
    baseline: Path,
    candidate: Path,
    masks: Sequence[Path],
    results: Results,
    once: Callable[[Results], int],
    talk: Talk,
) -> int:
    """Check again and again; the exit code of the interrupt that ends it.

    A mask that changes counts for all images.

    Raises PerceptError where the library that watches files is missing.
    """
    try:
        from watchfiles import watch
    except ImportError as error:
        raise PerceptError("--watch needs watchfiles: pip install 'percept-cli[watch]'") from error
    named = {path.resolve() for path in (baseline, candidate)}
    # A file that is written anew is another one: its folder is watched.
    folders = {path if path.is_dir() else path.parent for path in named}
    for folder in folders:
        if not folder.is_dir():
            raise PerceptError(f"{shown(folder)}: no such folder: check the path")

    def concerns(_: object, changed: str) -> bool:
        path = Path(changed)
        return not named.isdisjoint((path, *path.parents))

    found = watch(
        *folders,
        watch_filter=concerns,
        rust_timeout=WAKE,
        yield_on_timeout=True,
        raise_interrupt=True,
    )
    next(found)  # From here on no change is missed.
    remembered = Remembered(results, masks)
    code = once(remembered)  # What is wrong with how it was called will not mend itself.
    while code < INTERRUPTED:
        seen = _files(masks)  # The folders they lie in may be large.
        talk.note("waiting for changes: Ctrl-C ends it")
        next(changes for changes in found if changes or _files(masks) != seen)
        code = _told(once, remembered, talk)
    return code


def _told(once: Callable[[Results], int], results: Results, talk: Talk) -> int:
    """The exit code of a check; what went wrong is said, and may be mended by the next change."""
    try:
        return once(results)
    except OutputError:
        raise
    except PerceptError as error:
        talk.error(str(error))
        return USAGE_ERROR


class Remembered:
    """Results, computed again only for images of which a file, or any mask, has changed."""

    def __init__(self, results: Results, masks: Sequence[Path] = ()) -> None:
        self._results = results
        self._masks = masks
        self._known: dict[str, tuple[Files, Pair, Scored]] = {}

    def __call__(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Scored]]:
        groups = {name: list(group) for name, group in groupby(pairs, key=lambda pair: pair.name)}
        masks = _files(self._masks)
        now = {name: masks + _files(_paths(group)) for name, group in groups.items()}
        changed = [
            pair
            for name, group in groups.items()
            if name not in self._known or self._known[name][0] != now[name]
            for pair in group
        ]
        fresh = self._results(changed)
        known, self._known = self._known, {}
        for name, files in now.items():
            if name in known and known[name][0] == files:
                _, pair, scored = known[name]
            else:
                pair, scored = next(fresh)
            self._known[name] = files, pair, scored
            yield pair, scored
        next(fresh, None)  # So it ends here, and not where nobody hears of an interrupt.


def _paths(group: Iterable[Pair]) -> Iterator[Path]:
    return (path for pair in group for path in (pair.baseline, pair.file) if path)


def _files(paths: Iterable[Path]) -> Files:
    found = []
    for path in paths:
        try:
            status = path.stat()
            found.append((path, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((path, 0, 0))
    return tuple(found)
