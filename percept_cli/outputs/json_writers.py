"""Results as JSON: one document, or a line per pair."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TextIO

from percept_cli.results import VERSION, Result, Settings
from percept_cli.summary import Summary


class JsonLinesWriter:
    """A line per pair, at once; then a line with version, settings and summary.

    Results without that closing line are not complete.
    """

    def __init__(self, stream: TextIO, settings: Callable[[], Settings]) -> None:
        self._stream = stream
        self._settings = settings

    def write(self, result: Result) -> None:
        """Write the result's line."""
        self._line(result.document())

    def close(self, summary: Summary) -> None:
        """Write the closing line."""
        settings = self._settings().document()
        self._line({"version": VERSION, "settings": settings, "summary": summary.document()})

    def _line(self, document: dict[str, Any]) -> None:
        self._stream.write(_text(document) + "\n")


class JsonWriter:
    """One document, written at the end, with a line per pair."""

    def __init__(self, stream: TextIO, settings: Callable[[], Settings]) -> None:
        self._stream = stream
        self._settings = settings
        self._pairs: list[str] = []

    def write(self, result: Result) -> None:
        """Keep the result."""
        self._pairs.append(_text(result.document()))

    def close(self, summary: Summary) -> None:
        """Write the document."""
        pairs = ",\n".join(self._pairs)
        self._stream.write(
            f'{{"version": {VERSION},\n'
            f'"settings": {_text(self._settings().document())},\n'
            f'"pairs": [\n{pairs}\n],\n'
            f'"summary": {_text(summary.document())}}}\n'
        )


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, default=str)
