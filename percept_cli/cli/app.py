"""The command `percept`: its subcommands, and what each ending means to the shell."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterable
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from percept_cli.cli import plain
from percept_cli.cli.exits import (
    DEFECT,
    INCOMPLETE,
    INTERRUPTED,
    PIPE_CLOSED,
    USAGE_ERROR,
)
from percept_cli.cli.interrupts import interrupted_code, listen
from percept_cli.cli.options import configured_defaults
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, PipeClosed, shown

# Typer's releases disagree on where this class lives: some bring their own copy of click.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    *("compare", "check", "approve", "calibrate", "init"),
    *("merge", "diff", "explain", "plot", "report", "layers", "weights", "cache"),
)
"""Each is in the module of its name."""

CONFIGURED = {"compare", "check"}
"""Those whose options a configuration file may hold; what others take from it, these do too."""


def _version(wanted: bool) -> None:
    if wanted:
        from percept_cli import __version__

        print(f"percept {__version__}")
        raise typer.Exit()


@app.callback()
def percept(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 -- its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """How different two images look, measured in the layers of VGG19.

    Exit codes: 0 compared or passed, 1 a check failed, 2 wrong usage, 3 not all could be compared
    or written, 70 a defect in percept, 130 interrupted, 141 the reader of the output went away,
    143 asked to end.
    """
    context.default_map = configured_defaults(context)


def run() -> int:
    """Run the command; its exit code."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=plain.NAME)
    # percept has a limit of its own (--max-pixels), and says itself what is wrong with an image.
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")
    listen()
    return _run()


def add_commands(names: Iterable[str] = COMMANDS) -> None:
    """Import these commands and make them known."""
    for name in names:
        module = import_module(f"percept_cli.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name=name)(getattr(module, name))


def _run() -> int:
    try:
        # Importing takes time: where a command is named, only what it needs is there.
        asked = set(sys.argv[1:2]) & set(COMMANDS)
        add_commands(CONFIGURED | asked if asked else COMMANDS)
        code = app(prog_name="percept", standalone_mode=False)
        if code == INTERRUPTED:
            code = interrupted_code()  # To Typer one signal is like the other.
        sys.stdout.flush()
    except UsageError as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        # Without a message it was the bare command, which has printed its help.
        return _failed(message, USAGE_ERROR) if message else USAGE_ERROR
    except OutputError as error:
        _drop_stdout()
        return _failed(str(error), INCOMPLETE)
    except PerceptError as error:
        return _failed(str(error), USAGE_ERROR)
    except (typer.Abort, KeyboardInterrupt):
        return interrupted_code()
    except (PipeClosed, BrokenPipeError):
        _drop_stdout()
        return PIPE_CLOSED
    except OSError as error:
        _drop_stdout()
        if error.filename is not None:
            name = shown(Path(os.fsdecode(error.filename)))
            return _failed(f"{name}: cannot be used ({error.strerror}): check it", USAGE_ERROR)
        return _failed(f"cannot read or write: {error.strerror or error}", INCOMPLETE)
    except Exception:
        traceback.print_exc()
        return _failed("this is a defect in percept: please report it with all above", DEFECT)
    return int(code or 0)


def _failed(message: str, code: int) -> int:
    Talk(quiet=False).error(message)
    return code


def _drop_stdout() -> None:
    """Keep the interpreter from writing what is left to a broken output when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
