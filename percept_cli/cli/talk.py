"""Everything said on standard error."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from percept_cli.errors import one_line, shown


@dataclass
class Talk:
    """Says errors always, and notes unless the user wants quiet."""

    quiet: bool
    errors: int = 0

    def error(self, message: str) -> None:
        """One line about what failed."""
        self.errors += 1
        self._say(message)

    def _say(self, message: str) -> None:
        with suppress(OSError):  # Where nobody can be told, results and exit codes still count.
            print(f"percept: {one_line(message)}", file=sys.stderr, flush=True)

    def note(self, message: str) -> None:
        """One line worth knowing."""
        if not self.quiet:
            self._say(message)

    def configuration(self, file: Path | None) -> None:
        """Which file options come from, if any."""
        if file:
            self.note(f"options from {shown(file)}")
