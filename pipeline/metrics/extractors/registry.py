"""The networks that metrics take features from, by name, and their files in reference/<dataset>/. Without torch.

This folder is what pictures need of the metrics: no formula stands here. A new network is one line of NETWORKS.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from pipeline.base.errors import UserError
from pipeline.base.files import check_sha256, read_json
from pipeline.base.schema import Strict

if TYPE_CHECKING:
    from pipeline.metrics.extractors.extractor import Extractor

DIGITS, GLYPHS, VGG = "digits_classifier", "glyphs_decoder", "vgg16"
GLYPH_SIDE = 8  # of the reduced images at the end of the decoder's features; noise of single pixels averages out
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Network:
    """An evaluating network, and what the images must be so that it can read them; None: anything."""

    title: str
    load: str  # "module:function": (name, file of its weights) -> Extractor
    resolutions: tuple[int, ...] | None = None
    channels: int | None = None
    own: bool = False  # made for one data set


_INCEPTION = Network(
    title="the Inception network",
    load="pipeline.metrics.extractors.inception:load_inception",
    channels=3,
)
NETWORKS = {
    "inception_legacy": _INCEPTION,
    "inception_clean": _INCEPTION,
    VGG: Network(title="VGG-16", load="pipeline.metrics.extractors.inception:load_vgg", channels=3),
    DIGITS: Network(
        title="the digits' classifier",
        load="pipeline.metrics.extractors.classifier:load_classifier",
        resolutions=(8,),
        own=True,
    ),
    GLYPHS: Network(
        title="the glyphs' decoder",
        load="pipeline.metrics.extractors.glyph_decoder:load_decoder",
        resolutions=(16, 32),
        channels=3,
        own=True,
    ),
}


class ClassifierConfig(Strict):
    """The digits' own evaluator, trained by the `reference` stage."""

    seed: Annotated[int, Field(ge=0)]  # of its initialisation and batches
    epochs: Count  # over the training images; the held-out ones say its accuracy


class IllustratePlan(Strict):
    """The content of plan/illustrate/<cell>.yaml: which latents are drawn, and how."""

    seed: int
    batch: Count
    threads: Count


def load_extractor(name: str, path: Path) -> Extractor:
    """The network `name` of NETWORKS from the file of its weights.

    Errors: `UserError` for a file that is not known by its hash.
    """
    extractor: Extractor = resolve_name(NETWORKS[name].load)(name, path)
    return extractor


def load_first_extractor(folder: Path) -> Extractor:
    """The network of a dataset's first metric, whose features say which images are near each other.

    Errors: `UserError` where its file is missing or not the one recorded.
    """
    manifest = read_json(folder / "manifest.json")
    name, facts = next(iter(manifest["extractors"].items()))
    check_sha256(folder / facts["weights"], manifest["files"][facts["weights"]])
    return load_extractor(name, folder / facts["weights"])


def real_features(folder: Path, extractor: str) -> np.ndarray:
    """Features (n, d) float32 of the training images by one network, memory-mapped, their hash checked.

    Errors: `UserError` where they were not kept, are missing, or are not the ones recorded.
    """
    manifest = read_json(folder / "manifest.json")
    for side in manifest["sides"]:
        if (side["extractor"], side["split"]) == (extractor, "train") and side["features"]:
            check_sha256(folder / side["features"], manifest["files"][side["features"]])
            return np.load(folder / side["features"], mmap_mode="r", allow_pickle=False)
    raise UserError(f"{folder}: keeps no features of the training images by {extractor}")
