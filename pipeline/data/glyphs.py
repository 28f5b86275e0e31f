"""Procedural colour images with known factors, and a closed-form decoder that reads the factors back from any image.

`glyphs`: one of ten characters in one of four places, in one of six hues, on one of two grounds. `glyphs_pairs`: two
characters in opposite corners, the same character in real images, each in a hue of its own, so that the character is
all that they share. The images are drawn from DejaVu Sans Bold, which matplotlib ships. Their number is unlimited.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SHAPES = "0123456789"
HUES = np.array([[230, 60, 50], [60, 180, 75], [65, 100, 230], [240, 200, 40], [170, 70, 200], [60, 200, 210]], float)
GROUNDS = np.array([[20, 20, 20], [235, 235, 235]], float)
HUE_NOISE, GROUND_NOISE, PIXEL_NOISE = 10.0, 6.0, 6.0  # standard deviations, grey levels of 255
BLOCK = 1024  # images drawn at a time


class Decoded(NamedTuple):
    """What the decoder reads: the factors (N, F) int64, in the columns of `Glyphs.factors`, and `explained` (N,).

    `explained` is the share in [0, 1] of an image's variance that the best mask explains with free colours: about 0.99
    for a real image. An image of one colour has 0.
    """

    factors: np.ndarray
    explained: np.ndarray


class Glyphs:
    """The images of one resolution, single glyphs or pairs: `sample` draws factors, `render` images, `decode` reads.

    `factors` maps the name of a factor to the number of its values, in the order of the columns of a factor array:
    shape, place, hue, ground; of pairs: shape, shape_2, place, hue, hue_2, ground. The first glyph of a pair is the
    upper one, and place says in which diagonal they stand.
    """

    def __init__(self, resolution: int, *, pairs: bool = False):
        self.resolution, self.pairs = resolution, pairs
        glyphs = ("", "_2") if pairs else ("",)
        self.factors = {f"shape{glyph}": len(SHAPES) for glyph in glyphs}
        self.factors |= {"place": 2 if pairs else 4}
        self.factors |= {f"hue{glyph}": len(HUES) for glyph in glyphs} | {"ground": len(GROUNDS)}
        # The number of combinations of factors that real images have: those of a pair share their shape.
        self.cells = math.prod(self.factors.values()) // (len(SHAPES) if pairs else 1)
        # Shapes and place of every mask, (K, G + 1), in the order of `_masks`.
        sizes = [size for name, size in self.factors.items() if name.startswith(("shape", "place"))]
        self._mask_factors = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)

    def column(self, name: str) -> int:
        """The column of a factor in a factor array."""
        return list(self.factors).index(name)

    def cell(self, factors: np.ndarray) -> np.ndarray:
        """The number of an image's combination, (N,) in 0..cells-1. Of a pair the first shape counts."""
        names = [name for name in self.factors if name != "shape_2"]
        columns = tuple(factors[:, self.column(name)] for name in names)
        return np.ravel_multi_index(columns, [self.factors[name] for name in names])

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Factors of `count` real images, (N, F) int64: uniform and independent, but the shapes of a pair are equal."""
        factors = np.stack([rng.integers(size, size=count) for size in self.factors.values()], axis=1)
        if self.pairs:
            factors[:, self.column("shape_2")] = factors[:, self.column("shape")]
        return factors

    def render(self, factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Images (N, 3, H, W) uint8 of given factors; `rng` draws the noise of hues, grounds and pixels."""
        hues = factors[:, [column for column, name in enumerate(self.factors) if name.startswith("hue")]]
        sizes = self._mask_factors.max(0) + 1
        masks = self._masks[np.ravel_multi_index(tuple(factors[:, : len(sizes)].T), tuple(sizes))]  # (N, G, H, W)
        ground = GROUNDS[factors[:, -1]] + rng.normal(0, GROUND_NOISE, (len(factors), 3))
        ink = HUES[hues] + rng.normal(0, HUE_NOISE, (*hues.shape, 3))
        images = np.einsum("ngc,nghw->nchw", ink - ground[:, None], masks) + ground[..., None, None]
        images += rng.normal(0, PIXEL_NOISE, images.shape)
        return images.round().clip(0, 255).astype(np.uint8)

    def chunks(self, count: int, seed: int) -> Iterator[np.ndarray]:
        """`count` real images, a pure function of resolution, kind and seed: blocks of (k, 3, H, W) uint8.

        The images of a smaller count are the first of a larger one, whole blocks at a time.
        """
        for start in range(0, count, BLOCK):
            rng = np.random.default_rng([seed, start])
            yield self.render(self.sample(min(BLOCK, count - start), rng), rng)

    def decode(self, images: np.ndarray) -> Decoded:
        """Read the factors of images (N, 3, H, W) uint8 or float in 0..255, real or generated.

        Every mask (of a pair: every pair of masks, equal or not) is fitted by least squares with a free ground colour
        and a free colour a glyph. The best fit gives shape and place, its colours the nearest hue and ground.
        Errors: `ValueError` for another resolution or number of channels.
        """
        if images.shape[1:] != (3, self.resolution, self.resolution):
            raise ValueError(f"images must be (N, 3, {self.resolution}, {self.resolution}), not {images.shape}")
        pixels = images.reshape(len(images), 3, self.resolution**2).astype(np.float64)
        mean = pixels.mean(2)
        centred = pixels - mean[..., None]
        number, glyphs = self._masks.shape[:2]
        masks = self._masks.reshape(number, glyphs, -1)
        means = masks.mean(2)
        # The masks of a pair do not overlap, but their centred forms do: an orthonormal basis of each pair's span.
        basis, triangle = np.linalg.qr((masks - means[..., None]).swapaxes(1, 2))  # (K, P, G), (K, G, G)
        weights = centred.reshape(-1, centred.shape[2]) @ basis.transpose(1, 0, 2).reshape(-1, number * glyphs)
        weights = weights.reshape(len(images), 3, number, glyphs)
        explained = (weights**2).sum((1, 3))  # (N, K)
        best, rows = explained.argmax(1), np.arange(len(images))
        total = (centred**2).sum((1, 2))
        share = np.divide(explained[rows, best], total, out=np.zeros(len(images)), where=total > 1e-6)
        # Ink minus ground, (N, G, C), from the weights in the orthonormal basis.
        contrast = np.linalg.solve(triangle[best], weights[rows, :, best].swapaxes(1, 2))
        ground = mean - np.einsum("ngc,ng->nc", contrast, means[best])
        hues = _nearest(contrast + ground[:, None], HUES)
        columns = [self._mask_factors[best], hues, _nearest(ground, GROUNDS)[:, None]]
        return Decoded(np.concatenate(columns, axis=1).astype(np.int64), share.clip(0, 1))

    @cached_property
    def _masks(self) -> np.ndarray:
        """The ink in [0, 1] of every combination of shapes and place, (K, G, H, W)."""
        sixteenth = self.resolution // 16
        glyph_side = (8 if self.pairs else 13) * sixteenth
        glyphs, far = _draw(SHAPES, glyph_side), self.resolution - glyph_side
        masks = np.zeros((len(self._mask_factors), 2 if self.pairs else 1, self.resolution, self.resolution))
        for mask, (*shapes, place) in zip(masks, self._mask_factors, strict=True):
            single, pair = [(far * (place // 2), far * (place % 2))], [(0, far * place), (far, far * (1 - place))]
            corners = pair if self.pairs else single
            for plane, shape, (top, left) in zip(mask, shapes, corners, strict=True):
                plane[top : top + glyph_side, left : left + glyph_side] = glyphs[shape]
        return masks


def _draw(characters: Sequence[str], side: int) -> np.ndarray:
    """Characters centred in squares, (number, side, side) in [0, 1]."""
    import matplotlib  # imported here: it takes a second, and decoders of other data do not need it

    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf"), 36)
    drawn = []
    for character in characters:
        image = Image.new("L", (40, 40), 0)
        left, top, right, bottom = font.getbbox(character)
        ImageDraw.Draw(image).text((20 - (left + right) / 2, 20 - (top + bottom) / 2), character, fill=255, font=font)
        drawn.append(np.asarray(image.resize((side, side), Image.Resampling.BOX), float) / 255)
    return np.stack(drawn)


def _nearest(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The index of the palette's nearest colour, for colours (..., 3)."""
    return ((colours[..., None, :] - palette) ** 2).sum(-1).argmin(-1)
