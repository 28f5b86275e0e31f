"""Pictures of samples: pixels enlarged without smoothing, tiled and labelled with Pillow, which takes milliseconds."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.base.files import atomic_write

GAP = 224  # grey of the gaps between images
TILE_SIDE = 240  # pixels a side, at least, of a tile on a contact sheet
INK, PAPER = (27, 27, 27), (255, 255, 255)


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 with a caption, to be placed on a contact sheet."""

    caption: str
    image: np.ndarray


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images (N, H, W, 3) uint8 as one picture, row by row (as square as it gets), with light gaps."""
    count, height, width = images.shape[:3]
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows, gap = -(-count // columns), max(1, height // 16)
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), GAP, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = gap + index // columns * (height + gap), gap + index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def coloured(maps: np.ndarray, colours: str, low: float, high: float) -> np.ndarray:
    """Maps (..., H, W) of floats -> (..., H, W, 3) uint8 in a matplotlib colour map."""
    share = (maps - low) / (high - low) if high > low else np.zeros_like(maps)
    return (matplotlib.colormaps[colours](share.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Every pixel repeated so that the longer side is at least `side`."""
    factor = max(1, -(-side // max(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def contact_sheet(path: Path, rows: list[tuple[str, list[Tile]]], title: str, side: int = TILE_SIDE) -> None:
    """Write labelled rows of captioned tiles as one PNG."""
    font, bold = (
        ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, 15)
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
    )
    enlarged_rows = [
        (label, [Tile(tile.caption, enlarged(tile.image, side)) for tile in tiles]) for label, tiles in rows
    ]
    line, margin = 24, 12
    width = (
        max(
            [sum(tile.image.shape[1] + margin for tile in tiles) for _, tiles in enlarged_rows]
            + [int(bold.getlength(title))]
        )
        + 2 * margin
    )
    heights = [
        max(tile.image.shape[0] for tile in tiles) + line * (bool(label) + any(tile.caption for tile in tiles)) + margin
        for label, tiles in enlarged_rows
    ]
    canvas = Image.new("RGB", (width, sum(heights) + line + 2 * margin), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, margin), title, font=bold, fill=INK)
    top = line + margin
    for (label, tiles), height in zip(enlarged_rows, heights, strict=True):
        inner, left = top, margin
        if label:
            draw.text((margin, inner), label, font=bold, fill=INK)
            inner += line
        for tile in tiles:
            if tile.caption:
                draw.text((left, inner), _fitted(tile.caption, font, tile.image.shape[1]), font=font, fill=INK)
            canvas.paste(Image.fromarray(tile.image), (left, inner + line * any(t.caption for t in tiles)))
            left += tile.image.shape[1] + margin
        top += height
    with atomic_write(path) as temporary:
        canvas.save(temporary, optimize=False)


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def data_uri(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a PNG inside an address."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
