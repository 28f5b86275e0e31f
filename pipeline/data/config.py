"""The settings of a dataset's images: `data` in conf/dataset/<name>.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.schema import Strict

Source = Literal["digits", "cifar10", "stl10", "celeba", "celebahq", "lsun_church", "folder", "glyphs", "glyphs_pairs"]


class DataConfig(Strict):
    """Where images come from, and how they are brought to one size.

    `fit` makes every image square. The aligned CelebA faces are 178 x 218 pixels: there, `crop` is the customary centre
    crop to 178 x 178, which takes 20 rows off the top and the bottom before the resize.
    """

    source: Source  # reader of the images
    resolution: Annotated[int, Field(ge=1)]  # pixels a side, after preparation; images are never enlarged
    channels: Literal[1, 3]
    # A local copy, a file or folder. null: $TRANSGAN_DATA, the cache, the official address, in this order.
    path: Annotated[str, Field(min_length=1)] | None = None
    # Images that are not square. crop: centre crop to the short side; squash: both sides are resized to `resolution`.
    fit: Literal["crop", "squash"] = "crop"
    # Images that are drawn, for glyphs and glyphs_pairs alone; as many more are held out as the test split.
    count: Annotated[int, Field(ge=1)] | None = None
    # Greyscale, palette and opaque alpha images. lossless: made RGB (or grey), every pixel keeps its colour.
    convert: Literal["lossless", "refuse"] = "lossless"
    # Images that cannot be used. refuse: all are looked at, then the stage ends; skip: they are left out. Their names
    # and reasons are listed beside the dataset's folder (data/<name>.refused.txt).
    on_error: Literal["refuse", "skip"] = "refuse"


def settings_file(dataset: str) -> str:
    """The file that holds the settings of a dataset, as messages name it."""
    return f"conf/dataset/{dataset}.yaml"
