"""Which files are images: told by their suffix, and where that is in doubt by their first bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from stat import S_ISREG

from PIL import Image

from percept_cli.errors import PerceptError

ALLOWED = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "JXL", "MPO"),
    *("PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
"""Formats that are opened, as Pillow names them: none that starts another program, as PostScript
does, needs a library for its container, or only says what it holds."""

WITHOUT_MARK = {"DIB", "GBR"}
"""Formats that begin with a number that other files may begin with as well."""

FIRST = 16
"""Bytes at a file's beginning by which Pillow tells formats."""


@dataclass(frozen=True)
class Plugin:
    """A format that another package teaches Pillow."""

    format: str
    package: str
    module: str
    suffixes: tuple[str, ...]
    register: str | None = None
    """The function that does it; None where importing the module is enough."""

    def teach(self, name: str) -> None:
        """Register the format; PerceptError names the file and the package that is missing."""
        try:
            module = import_module(self.module)
        except ImportError as error:
            raise PerceptError(
                f"{name}: {self.format} is read with the package {self.package}: "
                f"pip install {self.package}"
            ) from error
        if self.register:
            getattr(module, self.register)()


HEIF = Plugin(
    *("HEIF", "pillow-heif", "pillow_heif", (".heic", ".heif", ".heics", ".hif")),
    register="register_heif_opener",
)
JXL = Plugin("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", (".jxl",))
AVIF = Plugin("AVIF", "pillow-avif-plugin", "pillow_avif", (".avif", ".avifs"))

BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), HEIF),
    **dict.fromkeys((b"mif1", b"msf1"), HEIF),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
}
"""What follows `ftyp`, the first box of such a file."""

NAKED_JXL = b"\xff\n"
"""How JPEG XL without boxes begins: too short a mark, unless its package opens the file."""


def readable(name: str) -> bool:
    """Whether Pillow, maybe with another package, reads files of such a name."""
    Image.preinit()
    ending = os.path.splitext(name)[1].lower()
    if ending not in Image.EXTENSION:
        Image.init()  # All of Pillow's formats take longer to load than a small folder to read.
    kind = Image.EXTENSION.get(ending)
    # What Pillow opens as JPEG may turn out to be an MPO.
    opens = kind == "MPO" or (kind in Image.OPEN and kind in ALLOWED)
    return opens or any(ending in plugin.suffixes for plugin in (HEIF, JXL, AVIF))


def holds_image(path: Path) -> bool:
    """Whether a file, whatever its name, begins as an image does; False where it is not readable.

    Its header has to be one: "BMW" and "Python" begin like files of Pillow's formats.
    """
    try:
        if not S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            first = file.read(FIRST)
            Image.init()
            if plugin := plugin_for(first):
                if first[:2] != NAKED_JXL:
                    return True
                plugin.teach(path.name)
            Image.open(file, formats=[kind for kind in opened_formats() if _has_mark(kind)])
            return True
    except (Image.DecompressionBombError, MemoryError):
        return True
    except Exception:  # Pillow's plugins raise anything at all on broken headers.
        return False


def opened_formats() -> list[str]:
    """The formats that Pillow may try on a file, of those it knows now."""
    return [kind for kind in Image.OPEN if kind.upper() in ALLOWED]


def _has_mark(kind: str) -> bool:
    """Whether files of that format begin as no others do, and Pillow has a decoder for them."""
    return Image.OPEN[kind][1] is not None and kind not in WITHOUT_MARK


def plugin_for(first: bytes) -> Plugin | None:
    """The format of another package that a file with these first bytes has, if any."""
    if first[:2] == NAKED_JXL or first[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        return JXL
    plugin = BRANDS.get(first[8:12]) if first[4:8] == b"ftyp" else None
    return None if plugin and plugin.format in Image.OPEN else plugin
