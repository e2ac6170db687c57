"""The command line: arguments to options, errors to exit codes. Importing it imports no torch."""

from percept_cli.cli.app import main

__all__ = ["main"]
