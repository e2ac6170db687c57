"""Results as Parquet: the columns of CSV with their types, and what ends JSON as metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from percept_cli.errors import PerceptError
from percept_cli.outputs.csv_writer import columns_of, row
from percept_cli.results import VERSION, Result, Settings
from percept_cli.summary import Summary

try:
    import pyarrow
    from pyarrow import parquet
except ImportError as error:
    raise PerceptError(
        "Parquet needs pyarrow: run 'pip install \"percept-cli[tables]\"'"
    ) from error

ROWS = 10_000
"""Rows that are written together."""

KEY = b"percept"
"""Under which version, settings and summary stand in the file's metadata, as JSON."""

WHOLE = (
    *("peak_x", "peak_y", "width", "height", "frame", "only_frame", "version", "scoring_version"),
    *("tolerance", "shrink", "size_tolerance", "max_pixels", "max_bytes"),
)
"""Columns of whole numbers."""

NUMBERS = (
    *("total", "peak", "floor", "jnd", "jnd_low", "jnd_high"),
    *("peak_threshold", "threshold", "jnd_threshold", "blur", "most_floor", "area", "colour"),
)
"""Columns of numbers, besides those of layers and other measures."""


def schema_of(settings: Settings, extra: Mapping[str, Any]) -> pyarrow.Schema:
    """Types of the columns of such a run; of what else is known of a pair, those of one pair."""
    measured = {*settings.layers, *settings.also}
    measured |= {f"{name}_{what}" for name in settings.layers for what in ("weight", "scale")}

    def kind(name: str) -> pyarrow.DataType:
        if name in WHOLE:
            return pyarrow.int64()
        if name in NUMBERS or name in measured:
            return pyarrow.float64()
        return pyarrow.string()

    columns, own = columns_of(settings, extra)
    fields = [(name, kind(name)) for name in columns]
    for name in own:
        kinds = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
        fields.append((name, kinds.get(type(extra[name]), pyarrow.string())))
    return pyarrow.schema(fields)


def cells_of(result: Result, settings: Settings, schema: pyarrow.Schema) -> dict[str, Any]:
    """A row with the types of that schema; what has none in a column stands in `extra`."""
    fixed = row(result, settings)
    own: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in result.extra.items():
        if name not in schema.names or name in fixed:
            rest[name] = value
        elif pyarrow.types.is_string(schema.field(name).type):
            own[name] = value if isinstance(value, str | None) else json.dumps(value)
        elif value is None or _fits(value, schema.field(name).type):
            own[name] = value
        else:
            rest[name] = value
    cells = fixed | own | {"extra": json.dumps(rest) if rest else None}
    cells["shard"] = str(cells["shard"]) if cells["shard"] else None
    return {name: cells.get(name) for name in schema.names}


def _fits(value: Any, kind: pyarrow.DataType) -> bool:
    """Whether a column of numbers, or of yes and no, can hold it as it is."""
    if isinstance(value, bool) or pyarrow.types.is_boolean(kind):
        return isinstance(value, bool) and bool(pyarrow.types.is_boolean(kind))
    if pyarrow.types.is_integer(kind):
        return isinstance(value, int) and abs(value) < 1 << 63
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= 1 << 53)


class ParquetWriter:
    """Writes rows in groups; the columns are those that the first result has."""

    def __init__(self, stream: TextIO, settings: Callable[[], Settings]) -> None:
        self._stream = stream
        self._settings = settings
        self._kept: list[dict[str, Any]] = []
        self._schema: pyarrow.Schema | None = None
        self._file: parquet.ParquetWriter | None = None

    def write(self, result: Result) -> None:
        """Keep the result's row, or write all that are kept."""
        settings = self._settings()
        self._schema = self._schema or schema_of(settings, result.extra)
        self._kept.append(cells_of(result, settings, self._schema))
        if len(self._kept) == ROWS:
            self._put()

    def _put(self) -> None:
        self._file = self._file or parquet.ParquetWriter(self._stream.buffer, self._schema)
        self._file.write_table(pyarrow.Table.from_pylist(self._kept, self._schema))
        self._kept = []

    def close(self, summary: Summary) -> None:
        """Write what is kept, and the end."""
        settings = self._settings()
        self._schema = self._schema or schema_of(settings, {})
        self._put()
        assert self._file
        end = {"version": VERSION, "settings": settings.document(), "summary": summary.document()}
        self._file.add_key_value_metadata({KEY: json.dumps(end).encode()})
        self._file.close()
