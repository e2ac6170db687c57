"""What MkDocs needs to build the site: pages and files outside of docs/ that its pages link.

Pages link other files of the repository as they lie, so that the links hold where the repository
is read. In the site these files lie below `repository/`; Markdown becomes pages, and other text is
there as `.txt`, which browsers show.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
TEXT = {".py", ".toml", ".yml", ".json", ".sh", ""}


def on_files(files: Files, config: Any) -> Files:
    """Add what is linked from the pages, and from what they link."""
    waiting = [ROOT / "docs" / file.src_uri for file in files if file.src_uri.endswith(".md")]
    known = set(waiting)
    for page in waiting:
        for _, target, _ in LINK.findall(page.read_text()):
            linked = _resolved(page, target)
            if linked in known or linked.is_relative_to(ROOT / "docs"):
                continue
            if not linked.is_file():
                raise SystemExit(f"{page.relative_to(ROOT)}: {target} is no file")
            known.add(linked)
            files.append(File.generated(config, _place(linked), content=linked.read_bytes()))
            if linked.suffix == ".md":
                waiting.append(linked)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where the files are in the site."""
    name = page.file.src_uri
    inside = name.startswith("repository/")
    source = ROOT / (name.removeprefix("repository/") if inside else f"docs/{name}")

    def moved(found: re.Match[str]) -> str:
        linked = _resolved(source, found[2])
        if not inside and linked.is_relative_to(ROOT / "docs"):
            return found[0]
        target = os.path.relpath(_place(linked), os.path.dirname(name) or ".")
        return f"{found[1]}{target}{found[3]}"

    return LINK.sub(moved, markdown)


def _resolved(page: Path, target: str) -> Path:
    """The file that a link leads to; of a folder its README."""
    found = Path(os.path.normpath(page.parent / target))
    return found / "README.md" if found.is_dir() else found


def _place(file: Path) -> str:
    """Where a file of the repository is in the site."""
    inside = file.relative_to(ROOT).as_posix()
    if file.is_relative_to(ROOT / "docs"):
        return inside.removeprefix("docs/")
    return f"repository/{inside}{'.txt' if file.suffix in TEXT else ''}"
