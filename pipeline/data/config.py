"""Facts about a dataset's images, as written in params.yaml (`datasets.<name>.data`)."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.strict import Strict

Source = Literal["digits", "cifar10", "stl10", "celeba", "celebahq", "lsun_church", "folder"]


class DataConfig(Strict):
    """Where images come from and what is stored of them.

    Every image that is not square already is made so by `fit`. The aligned CelebA faces are 178 x 218, so `crop` is the
    customary centre crop to 178 x 178 (20 rows off the top and the bottom), before the resize.
    """

    source: Source                                          # reader of the images
    resolution: Annotated[int, Field(ge=1)]                 # pixels a side, after preparation; images are never enlarged
    channels: Literal[1, 3]
    path: Annotated[str, Field(min_length=1)] | None = None # local copy, a file or folder; null = $TRANSGAN_DATA, the cache, the official address
    fit: Literal["crop", "squash"] = "crop"                 # not square: centre crop to the short side | resize both sides to `resolution`
    convert: Literal["refuse", "lossless"] = "refuse"       # greyscale, palette and opaque alpha images: an error | made RGB, every pixel's colour kept
