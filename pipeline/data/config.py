"""The settings of a dataset's images: `data` in conf/dataset/<name>.yaml."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.base.schema import Strict

Source = Literal["digits", "cifar10", "stl10", "celeba", "celebahq", "lsun_church", "folder", "glyphs", "glyphs_pairs"]
DRAWN = ("glyphs", "glyphs_pairs")
SIDES: dict[str | None, Sequence[int]] = {  # pixels a side that can be made of sources that are arrays
    "digits": (8,),
    "cifar10": range(1, 33),
    "stl10": range(1, 97),
    **dict.fromkeys(DRAWN, (16, 32)),
}


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
    # Images that are drawn, for glyphs and glyphs_pairs alone (null: 20,000); as many more are held out as test split.
    count: Annotated[int, Field(ge=1)] | None = None
    # Images that cannot be used. refuse: all are looked at, then the stage ends; skip: they are left out. Their names
    # and reasons are listed beside the dataset's folder (data/<name>.refused.txt).
    on_error: Literal["refuse", "skip"] = "refuse"

    @field_validator("resolution", "channels", "path", "count")
    @classmethod
    def _fits_the_source(cls, value: Any, info: ValidationInfo) -> Any:
        source, key, allowed = info.data.get("source"), info.field_name, ""
        if key == "resolution" and value not in (sides := SIDES.get(source, (value,))):
            allowed = f"at most {sides[-1]}, the images' own" if len(sides) > 2 else " | ".join(map(str, sides))
        elif key == "channels" and value != 3 and source in SIDES.keys() - {"digits"}:
            allowed = "3, the images are in colour"
        elif key == "path" and value is not None and source in (*DRAWN, "digits"):
            allowed = "null, the images are drawn" if source in DRAWN else "null, the scans come with scikit-learn"
        elif key == "count" and value is not None and source not in (*DRAWN, None):
            allowed = "null, images are drawn for glyphs and glyphs_pairs alone"
        if allowed:
            raise ValueError(allowed)
        return value
