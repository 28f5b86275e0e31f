"""The evaluator of the digits: a small classifier, trained by the `reference` stage and known by its weights' hash.

Its distances and scores are called fd_digits, is_digits, kd_digits: they are no FID, IS or KID.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.base.images import to_float
from pipeline.metrics.config import ClassifierConfig
from pipeline.metrics.extractor import Extractor
from pipeline.metrics.registry import DIGITS


class DigitsClassifier(nn.Module):
    """Images (B, C, 8, 8) in [-1, 1] -> features (B, 64) and logits (B, 10). Only the first channel is read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 4, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.conv1(images[:, :1])), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        features = F.relu(self.hidden(x.flatten(1)))
        return features, self.head(features)


def split(count: int, config: ClassifierConfig) -> tuple[Tensor, Tensor]:
    """Indices (train, held out) of a seeded random split. Errors: `UserError` where one part would be empty."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed))
    held_out = round(count * config.held_out)
    if not 0 < held_out < count:
        raise UserError(
            f"held_out: given {config.held_out}, {held_out} of {count} images; "
            "allowed: a share that leaves both parts some"
        )
    return order[held_out:], order[:held_out]


def train_classifier(
    images: np.ndarray, labels: np.ndarray, config: ClassifierConfig
) -> tuple[DigitsClassifier, float]:
    """Train on the training part with small shifts; returns the classifier and its accuracy on the held-out part.

    Deterministic: same images, settings, threads and machine give the same weights.
    """
    torch.manual_seed(config.seed)
    x, y = to_float(torch.from_numpy(np.array(images))), torch.from_numpy(np.array(labels))
    train, held_out = split(len(x), config)
    network = DigitsClassifier()
    batches = math.ceil(len(train) / 64)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=config.epochs * batches)
    for _ in tqdm(range(config.epochs), desc="classifier epochs", disable=None):
        for index in train[torch.randperm(len(train))].split(64):
            shift = torch.randint(-1, 2, (2,)).tolist()
            batch = F.pad(x[index], (1, 1, 1, 1), value=-1.0)[
                :, :, 1 + shift[0] : 9 + shift[0], 1 + shift[1] : 9 + shift[1]
            ]
            loss = F.cross_entropy(network(batch)[1], y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        accuracy = (network(x[held_out])[1].argmax(dim=1) == y[held_out]).double().mean()
    return network, float(accuracy)


class OnBytes(nn.Module):
    """The classifier on uint8 images, as the metrics have them."""

    def __init__(self, network: DigitsClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(to_float(images))


def digits_extractor(network: DigitsClassifier, digest: str) -> Extractor:
    """`digest`: sha256 of the file that holds the weights."""
    return Extractor(
        name=DIGITS, sha256=digest, features=network.hidden.out_features, resize="none", network=OnBytes(network).eval()
    )
