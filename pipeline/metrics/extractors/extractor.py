"""What a network says about images: features, logits, a Gaussian; the networks and real images of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.base.files import check_sha256, read_json
from pipeline.base.machine import device_of, map_on_devices
from pipeline.metrics.extractors.registry import NETWORKS

DTYPE = "float32 features, float64 statistics"
ROWS = 8192  # features held in double precision at a time


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_finite(rows: np.ndarray, *, name: str) -> None:
    """Errors: `UserError` where some of the rows (n, d), called `name`, are not finite."""
    if broken := int((~np.isfinite(rows).all(axis=1)).sum()):
        raise UserError(f"{name}: {broken} of {len(rows)} samples have a non-finite feature")


@dataclass(frozen=True)
class Features:
    """Images as one network sees them: features (n, d), and logits (n, classes) where its weights have any."""

    features: np.ndarray
    logits: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def gaussian(self) -> dict[str, np.ndarray]:
        """`mu` (d,) and unbiased `sigma` (d, d) of the features in double precision, as torch-fidelity names them.

        Summed block by block: numpy's `cov` needs three copies of all features (church256: 6.2 GB).
        Errors: `UserError` for a non-finite feature.
        """
        check_finite(self.features, name="features")
        mean, scatter = self.features.mean(axis=0, dtype=np.float64), 0.0
        for start in range(0, len(self), ROWS):
            centred = self.features[start : start + ROWS] - mean
            scatter += centred.T @ centred
        return {"mu": mean, "sigma": scatter / (len(self) - 1)}

    def rows(self, index: np.ndarray | slice) -> "Features":
        """A selection of the images; all of them are `self`, which fits its Gaussian once."""
        if isinstance(index, slice) and index.indices(len(self)) == (0, len(self), 1):
            return self
        return replace(self, features=self.features[index], logits=None if self.logits is None else self.logits[index])


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A network in evaluation mode with the facts that a value measured by it carries.

    `network` maps images (B, C, H, W) uint8 on its own device to features (B, d) and, where it has any, logits
    (B, classes). It resizes images itself, and `resize` says how.
    """

    name: str
    sha256: str  # of its weights' file
    resize: str  # in words; none where images are read as they are
    network: nn.Module
    largest: int = 10_000  # images at a time at most, whatever is asked for: memory

    def extract(self, images: np.ndarray, batch: int, *, what: str = "images") -> Features:
        """Features (N, d) and logits (N, classes), float32, of uint8 images (N, C, H, W), which may be memory-mapped.

        Computed on every visible GPU; a progress bar calls the images `what`.
        """

        @torch.inference_mode()
        def forward(network: nn.Module, part: np.ndarray) -> list[np.ndarray]:
            found = network(torch.from_numpy(part).to(device_of(network)))
            return [array.cpu().numpy() for array in found if array is not None]

        arrays: list[np.ndarray] = []
        step, done = min(batch, self.largest), 0
        parts = (np.array(images[start : start + step]) for start in range(0, len(images), step))
        # The 10-bit products that convolutions on a GPU use by default move a feature in its third digit.
        with (
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            tqdm(total=len(images), desc=f"{self.name}: {what}", disable=None) as bar,
        ):
            for found in map_on_devices(self.network, forward, parts):
                arrays = arrays or [np.empty((len(images), part.shape[1]), np.float32) for part in found]
                for array, part in zip(arrays, found, strict=True):
                    array[done : done + len(part)] = part
                done += len(found[0])
                bar.update(len(found[0]))
        return Features(*arrays)


def load_extractor(name: str, path: Path) -> Extractor:
    """The network `name` from the file of its weights. Errors: `UserError` for a file that is not known by its hash."""
    extractor: Extractor = resolve_name(NETWORKS[name].load)(name, path)
    return extractor


@dataclass(frozen=True)
class Reference:
    """What evaluation needs of reference/<dataset>/."""

    extractors: Mapping[str, Extractor]  # by name, in the order of the metrics
    real: Mapping[tuple[str, str], Features]  # by network and split; features alone, memory-mapped
    manifest: Mapping[str, Any]


def load_reference(folder: str | Path) -> Reference:
    """Networks, real images and manifest. Errors: `UserError` for a file that is missing or not the recorded one."""
    folder = Path(folder)
    manifest = read_json(folder / "manifest.json")
    for name, digest in manifest["files"].items():
        check_sha256(folder / name, digest)
    networks = manifest["extractors"].items()
    extractors = {name: load_extractor(name, folder / facts["weights"]) for name, facts in networks}
    real: dict[tuple[str, str], Features] = {}
    for side in manifest["sides"]:
        features = np.load(folder / side["features"], mmap_mode="r", allow_pickle=False)
        real[side["extractor"], side["split"]] = Features(features)
    return Reference(extractors, real, manifest)
