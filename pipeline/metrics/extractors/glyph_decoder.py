"""The closed-form decoder of `pipeline.data.glyphs` as an extractor: its features are the factors that it reads."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, sha256, write_json
from pipeline.data.glyphs import Glyphs
from pipeline.metrics.extractors.extractor import Extractor
from pipeline.metrics.extractors.registry import GLYPH_SIDE, GLYPHS

PROBE = 256  # images that are drawn to see that the font is drawn here as it was there


class Decoder(nn.Module):
    """Images (B, 3, H, W) uint8 -> (B, 1 + F + 1 + 192): explained variance, F factors, combination, reduced pixels."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        self.glyphs = glyphs
        self.register_buffer("marker", torch.zeros(1))  # says where the network is: on the CPU

    def forward(self, images: Tensor) -> tuple[Tensor]:
        decoded = self.glyphs.decode(images.numpy())
        cells = self.glyphs.cell(decoded.factors)
        read = np.concatenate([decoded.explained[:, None], decoded.factors, cells[:, None]], axis=1)
        pixels = F.avg_pool2d(images.float(), images.shape[-1] // GLYPH_SIDE).flatten(1)
        return (torch.cat([torch.from_numpy(read).float(), pixels], dim=1),)


def write_decoder(path: Path, data: dict[str, Any]) -> None:
    """Write what the decoder of a prepared dataset is made of. Errors: `UserError` where its images are no glyphs.

    `data`: the dataset's manifest.
    """
    source = data.get("data", {}).get("source")
    if source not in ("glyphs", "glyphs_pairs"):
        raise UserError(f"{GLYPHS}: the images of {data.get('dataset')} are no glyphs; take its metrics out")
    decoder = {"resolution": data["shape"][-1], "pairs": source == "glyphs_pairs"}
    write_json(path, decoder | {"drawn_sha256": _drawn(Glyphs(**decoder))})


def load_decoder(name: str, path: Path) -> Extractor:
    """The decoder of a file of `write_decoder`.

    Errors: `UserError` where this machine draws other glyphs, by another version of the font or of Pillow.
    """
    facts = read_json(path)
    glyphs = Glyphs(facts["resolution"], pairs=facts["pairs"])
    if _drawn(glyphs) != facts["drawn_sha256"]:
        raise UserError(f"{path}: the font is drawn otherwise here; prepare the data set and its reference again")
    width = 1 + len(glyphs.factors) + 1 + 3 * GLYPH_SIDE**2
    return Extractor(name=name, sha256=sha256(path), features=width, resize="none", network=Decoder(glyphs).eval())


def _drawn(glyphs: Glyphs) -> str:
    return hashlib.sha256(next(glyphs.chunks(PROBE, 0)).tobytes()).hexdigest()
