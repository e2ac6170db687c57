"""`percept weights` and `percept weights fetch`."""

from __future__ import annotations

from typing import Annotated

import typer

from percept_cli.errors import PerceptError, shown
from percept_cli.network import weights as sources

app = typer.Typer(help="List the weights percept can use, or fetch them.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def weights(context: typer.Context) -> None:
    """List the weights percept can use: size, layers, hash, and where they are.

    Example: percept weights
    """
    if context.invoked_subcommand:
        return
    from rich.table import Table
    from rich.text import Text

    from percept_cli.outputs.console import Console

    table = Table.grid(padding=(0, 2))
    for known in sources.known_weights():
        there = known.path.is_file()
        size = f"{known.path.stat().st_size / 1e6:.1f} MB" if there else "not fetched"
        table.add_row(Text(known.name, style="bold"), f"conv1_1 to {known.last_layer}, {size}")
        table.add_row("  sha256", Text(known.sha256, overflow="fold"))
        table.add_row("  file", Text(shown(known.path), overflow="fold"))
    table.add_row(Text("a path", style="bold"), "a state dict with torchvision's VGG19 names")
    Console().print(table)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Weights to fetch: torchvision.")],
) -> None:
    """Download weights once, and check their hash.

    Example: percept weights fetch torchvision
    """
    if name == "bundled":
        print(sources.bundled_path())
    elif name == "torchvision":
        print(sources.fetch_torchvision())
    else:
        raise PerceptError(f"unknown weights {name!r}: torchvision can be fetched")
