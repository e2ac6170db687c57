"""Tables on a stream, in one look."""

from __future__ import annotations

from rich import box
from rich import console as rich_console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from percept_cli.errors import PipeClosed


class Console(rich_console.Console):
    """A console that leaves it to the command what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        """Say so, where Rich would end the process."""
        raise PipeClosed

    def print_whole(self, table: Table) -> None:
        """Print a table that wraps in a narrow terminal rather than lose what it says."""
        needed = Measurement.get(self, self.options.update(width=999), table)
        self.width = max(self.width, needed.maximum)
        self.print(table)


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table with a ruled header; the columns named in `right` are aligned there."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        if column in right:
            table.add_column(Text(column), justify="right", no_wrap=True)
        else:
            table.add_column(Text(column), overflow="fold")
    return table
