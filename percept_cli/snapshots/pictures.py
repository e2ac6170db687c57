"""Whatever shows a test's picture → the bytes of an image file."""

from __future__ import annotations

import inspect
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept_cli.errors import PerceptError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "percept_snapshot"

KINDS = (
    "give a path, the bytes of an image file, a Pillow image, a Matplotlib figure, a Playwright "
    "page or locator, an array H×W, H×W×C or 1×H×W×C, or a tensor C×H×W or 1×C×H×W"
)

IN_PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
"""Modes that all releases of Pillow write as PNG."""


def encoded(image: Any) -> bytes:
    """The bytes of an image file; PerceptError for what is no image."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return _read(Path(image))
    if hasattr(image, "screenshot"):
        return _screenshot(image)
    if hasattr(image, "savefig"):
        stream = io.BytesIO()
        image.savefig(stream, format="png")
        return stream.getvalue()
    if hasattr(image, "read"):
        content = image.getvalue() if hasattr(image, "getvalue") else image.read()
        if isinstance(content, bytes):
            return content
        raise PerceptError(f"{NAME}: {_kind(image)} of text is no image: open it in binary mode")
    if hasattr(image, "getbands"):
        return _png(image)
    if hasattr(image, "__array__") or hasattr(image, "detach"):
        return _of_array(_of_tensor(image) if hasattr(image, "detach") else image)
    raise PerceptError(f"{NAME}: {_kind(image)} is no image: {KINDS}")


def _kind(image: Any) -> str:
    return f"an object of type {type(image).__module__}.{type(image).__qualname__}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PerceptError(f"{NAME}: {path}: cannot be read ({error.strerror})") from error


def _screenshot(page: Any) -> bytes:
    """What a Playwright page or locator shows, with animations ended and no caret."""
    taken = page.screenshot(animations="disabled", caret="hide")
    if inspect.isawaitable(taken):
        if inspect.iscoroutine(taken):
            taken.close()
        raise PerceptError(f"{NAME}: {_kind(page)} is asynchronous: give await page.screenshot()")
    content: bytes = taken
    return content


def _png(image: Any) -> bytes:
    """A Pillow image as PNG, upright; of a mode that PNG lacks, as it looks."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode not in IN_PNG:
        import numpy as np

        from percept_cli.inputs.images import decoded

        picture = decoded(image, NAME)
        pixels = picture.in_bytes()
        if picture.alpha is not None:
            alpha = picture.alpha if picture.alpha.dtype == np.uint8 else picture.alpha * 255
            pixels = np.dstack([pixels, np.asarray(alpha).round().astype(np.uint8)])
        image = Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _of_tensor(tensor: Any) -> Any:
    """The tensor where numpy takes it: on the CPU, and of a precision that it knows."""
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def _of_array(image: Any) -> bytes:
    import numpy as np
    from PIL import Image

    array = np.asarray(image)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if (
        array.ndim not in (2, 3)
        or not array.size
        or (array.ndim == 3 and array.shape[2] not in (3, 4))
    ):
        raise PerceptError(f"{NAME}: shape {np.shape(image)} is no image: {KINDS}")
    stream = io.BytesIO()
    Image.fromarray(_bytes(array)).save(stream, "PNG")
    return stream.getvalue()


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An array of colours in 0..255."""
    import numpy as np

    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            if not np.isfinite(array).all():
                raise PerceptError(f"{NAME}: NaN or infinite values: replace them")
            raise PerceptError(f"{NAME}: floating-point values outside 0..1: scale them")
        array = (array * 255).round()
    elif array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype != np.uint8:
        raise PerceptError(f"{NAME}: dtype {array.dtype}: give uint8, or float in 0..1")
    return np.ascontiguousarray(array.astype(np.uint8))
