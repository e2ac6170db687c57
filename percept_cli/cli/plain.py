"""Signs that a terminal without Unicode can show in place of those it cannot."""

from __future__ import annotations

import codecs

PLAIN = dict.fromkeys("█▉▊▋▌", "#") | dict.fromkeys("▍▎▏", " ")
PLAIN |= {"…": "...", "←": "<-", "→": "->", "×": "x", "·": "-", "–": "-", "²": "2", "≥": ">="}

NAME = "percept.plain"
"""What this handler of encoding errors is called."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    texts = (PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in signs)
    return "".join(texts), error.end


codecs.register_error(NAME, _plain)
