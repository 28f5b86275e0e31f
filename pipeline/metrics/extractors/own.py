"""Evaluators of one data set each: the digits' classifier, the glyphs' decoder.

The classifier is trained by the `reference` stage and known by its weights' hash. Its distances and scores are called
fd_digits, is_digits, kd_digits: they are no FID, IS or KID. The held-out digits (`pipeline.data.readers.read_digits`)
are their real side: neither a generator nor this classifier is trained on them. The decoder is `pipeline.data.glyphs`'s
in closed form; its features are the factors that it reads.
"""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, sha256, write_json
from pipeline.base.images import to_float
from pipeline.data.glyphs import Glyphs
from pipeline.metrics.extractors.extractor import Extractor
from pipeline.metrics.extractors.registry import GLYPH_SIDE, GLYPHS, ClassifierConfig

BATCH, RATE = 64, 4e-3  # images a step; the highest learning rate of the one cycle
PROBE = 256  # glyphs that are drawn to see that the font is drawn here as it was there


class DigitsClassifier(nn.Module):
    """Images (B, C, 8, 8), uint8 or in [-1, 1] -> features (B, 64), logits (B, 10). Only the first channel is read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 4, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images[:, :1] if images.is_floating_point() else to_float(images[:, :1])
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        features = F.relu(self.hidden(x.flatten(1)))
        return features, self.head(features)


def train_classifier(images: np.ndarray, labels: np.ndarray, config: ClassifierConfig) -> DigitsClassifier:
    """Train on uint8 images (N, C, 8, 8) with labels (N,), shifted by a pixel at most.

    Deterministic: same images, settings, threads and machine give the same weights.
    """
    torch.manual_seed(config.seed)
    x, y = to_float(torch.from_numpy(np.array(images[:, :1]))), torch.from_numpy(np.array(labels))
    network = DigitsClassifier()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = config.epochs * math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps)
    for _ in tqdm(range(config.epochs), desc="classifier epochs", disable=None):
        for index in torch.randperm(len(x)).split(BATCH):
            top, left = (1 + torch.randint(-1, 2, (2,))).tolist()
            batch = F.pad(x[index], (1, 1, 1, 1), value=-1.0)[:, :, top : top + 8, left : left + 8]
            loss = F.cross_entropy(network(batch)[1], y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.inference_mode()
def accuracy(network: DigitsClassifier, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of uint8 images (N, C, 8, 8) whose label the classifier names."""
    predicted = network(torch.from_numpy(np.array(images)))[1].argmax(dim=1).numpy()
    return float((predicted == labels).mean())


def load_classifier(name: str, path: Path) -> Extractor:
    """The classifier from the file that `reference` wrote."""
    network = DigitsClassifier().eval()
    network.load_state_dict(load_file(path))
    return Extractor(name=name, sha256=sha256(path), resize="none", network=network)


class Decoder(nn.Module):
    """Images (B, 3, H, W) uint8 -> (B, 1 + F + 1 + 192): explained variance, F factors, combination, reduced pixels.

    `drawn` is the digest of a few images: another version of the font or of Pillow draws others.
    """

    def __init__(self, resolution: int, pairs: bool) -> None:
        super().__init__()
        self.glyphs = Glyphs(resolution, pairs=pairs)
        self.drawn = hashlib.sha256(next(self.glyphs.chunks(PROBE, 0)).tobytes()).hexdigest()
        self.register_buffer("marker", torch.zeros(1))  # says where the network is: on the CPU

    def forward(self, images: Tensor) -> tuple[Tensor]:
        decoded = self.glyphs.decode(images.numpy())
        cells = self.glyphs.cell(decoded.factors)
        read = np.concatenate([decoded.explained[:, None], decoded.factors, cells[:, None]], axis=1)
        pixels = F.avg_pool2d(images.float(), images.shape[-1] // GLYPH_SIDE).flatten(1)
        return (torch.cat([torch.from_numpy(read).float(), pixels], dim=1),)


def write_decoder(path: Path, data: dict[str, Any]) -> None:
    """What the decoder of a dataset is made of, by its manifest. Errors: `UserError` where its images are no glyphs."""
    source = data.get("data", {}).get("source")
    if source not in ("glyphs", "glyphs_pairs"):
        raise UserError(f"{GLYPHS}: the images of {data.get('dataset')} are no glyphs; take its metrics out")
    decoder = {"resolution": data["shape"][-1], "pairs": source == "glyphs_pairs"}
    write_json(path, decoder | {"drawn_sha256": Decoder(**decoder).drawn})


def load_decoder(name: str, path: Path) -> Extractor:
    """The decoder of a file of `write_decoder`. Errors: `UserError` where this machine draws other glyphs."""
    facts = read_json(path)
    decoder = Decoder(facts["resolution"], facts["pairs"])
    if decoder.drawn != facts["drawn_sha256"]:
        raise UserError(f"{path}: the font is drawn otherwise here; prepare the data set and its reference again")
    return Extractor(name=name, sha256=sha256(path), resize="none", network=decoder.eval())
