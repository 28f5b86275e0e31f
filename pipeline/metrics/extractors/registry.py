"""The networks that metrics take features from, by name. Without torch.

This folder is what pictures need of the metrics: no formula stands here. A new network is one line of NETWORKS.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pipeline.base.schema import Strict

DIGITS, GLYPHS, VGG = "digits_classifier", "glyphs_decoder", "vgg16"
GLYPH_SIDE = 8  # of the reduced images at the end of the decoder's features; noise of single pixels averages out
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Network:
    """An evaluating network, and what the images must be so that it can read them; None: anything."""

    title: str
    load: str  # "module:function": (name, file of its weights) -> Extractor
    channels: int | None = None
    resolutions: tuple[int, ...] | None = None
    own: bool = False  # made for one data set


NETWORKS = {
    "inception_legacy": Network("the Inception network", "pipeline.metrics.extractors.inception:load_network", 3),
    "inception_clean": Network("the Inception network", "pipeline.metrics.extractors.inception:load_network", 3),
    VGG: Network("VGG-16", "pipeline.metrics.extractors.inception:load_network", 3),
    DIGITS: Network("the digits' classifier", "pipeline.metrics.extractors.own:load_classifier", None, (8,), own=True),
    GLYPHS: Network("the glyphs' decoder", "pipeline.metrics.extractors.own:load_decoder", 3, (16, 32), own=True),
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
