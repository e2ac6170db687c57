"""Write the distorted sample images next to their references."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).resolve().parent
NOISE_SEED = 20240229
STRENGTHS = (1, 2, 3)
EDIT_SIDES = (8, 20, 48)
EDIT_COLOURS = ((28, 110, 180), (245, 190, 40), (20, 140, 100), (200, 40, 90))

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]


class Distortion(NamedTuple):
    """A way to damage an image; amounts[k] belongs to strength k + 1 as `words` tell."""

    apply: Callable[[Image.Image, float], Image.Image]
    amounts: tuple[float, float, float]
    words: str
    suffix: str = ".png"


def encode_jpeg(image: Image.Image, quality: float) -> bytes:
    """JPEG bytes of an RGB image at a quality of 1 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=round(quality))
    return buffer.getvalue()


def jpeg(image: Image.Image, quality: float) -> Image.Image:
    """The image after one JPEG round trip at a quality of 1 to 95."""
    with Image.open(io.BytesIO(encode_jpeg(image, quality))) as decoded:
        return decoded.convert("RGB")


def blur(image: Image.Image, radius: float) -> Image.Image:
    """The image under a Gaussian blur whose standard deviation is `radius` pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def noise(image: Image.Image, sigma: float) -> Image.Image:
    """The image plus Gaussian noise of standard deviation `sigma`, in steps of 0 to 255."""
    pixels = np.asarray(image, dtype=np.float64)
    # One field for all strengths, so that a stronger candidate differs in amount alone.
    field = np.random.default_rng(NOISE_SEED).standard_normal(pixels.shape)
    noisy = np.clip(np.rint(pixels + sigma * field), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8))


def shift(image: Image.Image, distance: float) -> Image.Image:
    """The image moved right and down by `distance` pixels, its edges repeated."""
    pixels: Pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    before = (round(distance), 0)
    moved = np.pad(pixels, (before, before, (0, 0)), mode="edge")[:height, :width]
    return Image.fromarray(moved)


def patch_mask(size: tuple[int, int], side: float) -> Image.Image:
    """A mask of 0 and 255 holding a rounded square of `side` pixels in the middle."""
    width, height = size
    left, top = round((width - side) / 2), round((height - side) / 2)
    mask = Image.new("L", size, 0)
    corner = (left + round(side) - 1, top + round(side) - 1)
    ImageDraw.Draw(mask).rounded_rectangle(((left, top), corner), radius=side / 4, fill=255)
    return mask


def patch_colour(image: Image.Image) -> Colour:
    """The colour, 0 to 255, that differs most from the middle of the image."""
    middle = np.asarray(patch_mask(image.size, EDIT_SIDES[-1])) > 0
    covered = np.asarray(image, dtype=np.float64)[middle]
    return max(EDIT_COLOURS, key=lambda colour: float(np.abs(covered - colour).sum()))


def edit(image: Image.Image, side: float) -> Image.Image:
    """The image with a filled patch of `side` pixels in the middle."""
    # The colour does not depend on the side, so a larger edit always contains the smaller.
    patch = Image.new("RGB", image.size, patch_colour(image))
    return Image.composite(patch, image, patch_mask(image.size, side))


DISTORTIONS: dict[str, Distortion] = {
    "jpeg": Distortion(jpeg, (70, 30, 10), "JPEG of quality {}", ".jpg"),
    "blur": Distortion(blur, (0.7, 1.5, 3), "Gaussian blur of radius {} px"),
    "noise": Distortion(noise, (5, 15, 40), "Gaussian noise, standard deviation {} of 255"),
    "shift": Distortion(shift, (1, 3, 8), "moved {} px right and down"),
    "edit": Distortion(edit, EDIT_SIDES, "a patch {} px wide painted over"),
}


def distort(image: Image.Image, name: str, strength: int) -> Image.Image:
    """The image in RGB under the named distortion at a strength of 1, 2 or 3."""
    if strength not in STRENGTHS:
        raise ValueError(f"strength must be 1, 2 or 3, not {strength}")
    distortion = DISTORTIONS[name]
    return distortion.apply(image.convert("RGB"), distortion.amounts[strength - 1])


def write_candidate(reference: Path, name: str, strength: int) -> None:
    """Write one distorted reference into the folder `name-strength`."""
    distortion = DISTORTIONS[name]
    target = HERE / f"{name}-{strength}" / f"{reference.stem}{distortion.suffix}"
    target.parent.mkdir(exist_ok=True)
    with Image.open(reference) as image:
        if name == "jpeg":
            # Saving the decoded image would compress it a second time.
            quality = distortion.amounts[strength - 1]
            target.write_bytes(encode_jpeg(image.convert("RGB"), quality))
        else:
            distort(image, name, strength).save(target, optimize=True)


def main() -> None:
    """Write every reference under every distortion and strength."""
    for reference in sorted((HERE / "references").glob("*.png")):
        for name in DISTORTIONS:
            for strength in STRENGTHS:
                write_candidate(reference, name, strength)


if __name__ == "__main__":
    main()
