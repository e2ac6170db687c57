"""Make docs/reference from the code: every command with its options, and every configuration key.

    python scripts/reference.py

tests/test_docs.py holds that the pages are what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

from percept_cli.cli.app import COMMANDS, add_commands, app
from percept_cli.gate.rules import KEYS
from percept_cli.inputs.configuration import TYPES

FOLDER = Path(__file__).resolve().parents[1] / "docs/reference"

CONFIGURATION = """# Configuration

Options that say what is measured, and what passes, can also be set in the environment
(`PERCEPT_LAYERS`, `PERCEPT_DISTANCE`, …) and in `percept.toml`, or under `[tool.percept]` in
`pyproject.toml`:

```toml
layers = ["conv1_1", "conv3_1"]
distance = "unit"
max-pixels = 50_000_000
[layer-weight]
conv3_1 = 2
```

The nearest such file counts, in the working folder or above it; percept says which it used, results
name it, and another user's is refused. A flag wins over the environment, the environment over the
file. The Python functions read neither, but for `PERCEPT_CACHE` and `PERCEPT_NO_CACHE`.
"""

SINGLE = """## Single images

`[images."GLOB"]` holds settings of the images that a glob matches, inside the folders that are
checked: {keys}. All that is said of an image by all globs that match it holds, the last one
winning. `*` matches slashes as well. [An example](../gate.md#settings-for-single-images).
"""


def commands() -> str:
    """The help of every command, as Markdown."""
    command: Any = typer.main.get_command(app)
    # Whoever added single ones before, as tests do, must not change their order.
    command.commands = {name: command.commands[name] for name in COMMANDS}
    context = command.make_context("percept", ["layers"], resilient_parsing=True)
    made: str = get_docs_for_click(obj=command, ctx=context, name="percept", title="Commands")
    return f"{made.strip()}\n"


def configuration() -> str:
    """Every key of a configuration file: what it holds, what for, and its variable."""
    group: Any = typer.main.get_command(app)
    options = {
        option.removeprefix("--"): parameter
        for name in ("compare", "check")
        for parameter in group.commands[name].params
        for option in parameter.opts
    }
    rows = ["| key | holds | what for | variable |", "|---|---|---|---|"]
    for key, (_, words) in TYPES.items():
        if key != "images":
            words = words.replace("|", "\\\\|")
            help_text, variable = options[key].help, options[key].envvar
            rows.append(f"| `{key}` | {words} | {help_text} | `{variable}` |")
    keys = ", ".join(f"`{key}`" for key in KEYS)
    return "\n".join((CONFIGURATION, *rows, "", SINGLE.format(keys=keys)))


def pages() -> dict[str, str]:
    """Name → content of the pages that this makes."""
    add_commands()
    return {"commands.md": commands(), "configuration.md": configuration()}


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
