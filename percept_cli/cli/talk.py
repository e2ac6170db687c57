"""Everything said on standard error."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from percept_cli.errors import one_line, shown


@dataclass(frozen=True)
class Talk:
    """Says errors always, and notes unless the user wants quiet."""

    quiet: bool

    def error(self, message: str) -> None:
        """One line about what failed."""
        print(f"percept: {one_line(message)}", file=sys.stderr, flush=True)  # noqa: T201

    def note(self, message: str) -> None:
        """One line worth knowing."""
        if not self.quiet:
            self.error(message)

    def configuration(self, file: Path | None) -> None:
        """Which file options come from, if any."""
        if file:
            self.note(f"options from {shown(file)}")
