"""Every page of the site as a picture in the folder screenshots, for `percept check`."""

from __future__ import annotations

from pathlib import Path

from browser import SITE, steady_page

if __name__ == "__main__":
    with steady_page() as page:
        for file in sorted(SITE.glob("*.html")):
            page.goto(file.as_uri())
            page.screenshot(path=Path("screenshots") / f"{file.stem}.png", animations="disabled")
