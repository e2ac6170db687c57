"""Exit codes; README.md explains them."""

from __future__ import annotations

USAGE_ERROR = 2
INCOMPLETE = 3
DEFECT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
