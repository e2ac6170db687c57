"""Each page must look like its baseline; `pytest --percept-update` accepts what there is."""

from __future__ import annotations

import pytest
from browser import SITE


@pytest.mark.parametrize("file", sorted(SITE.glob("*.html")), ids=lambda file: file.stem)
def test_the_page_looks_as_accepted(page, percept_snapshot, file) -> None:
    page.goto(file.as_uri())
    percept_snapshot(page, name=file.stem)
