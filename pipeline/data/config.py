"""The settings of a dataset's images: `data` in conf/dataset/<name>.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.base.schema import Strict

Source = Literal["digits", "cifar10", "stl10", "celeba", "celebahq", "lsun_church", "folder", "glyphs", "glyphs_pairs"]
NATIVE = {"digits": 8, "cifar10": 32, "stl10": 96}  # pixels a side of sources that are arrays
GLYPH_SIDES = (16, 32)


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
    # Greyscale, palette and opaque alpha images. lossless: made RGB (or grey), every pixel keeps its colour.
    convert: Literal["lossless", "refuse"] = "lossless"
    # Images that cannot be used. refuse: all are looked at, then the stage ends; skip: they are left out. Their names
    # and reasons are listed beside the dataset's folder (data/<name>.refused.txt).
    on_error: Literal["refuse", "skip"] = "refuse"

    @field_validator("resolution", "channels", "path", "count")
    @classmethod
    def _fits_the_source(cls, value: Any, info: ValidationInfo) -> Any:
        allowed = _allowed(info.data.get("source"), str(info.field_name), value)
        if allowed:
            raise ValueError(allowed)
        return value


def _allowed(source: str | None, key: str, value: Any) -> str | None:
    """What a source allows in place of `value`; None where it takes that."""
    drawn = source in ("glyphs", "glyphs_pairs")
    if key == "resolution" and source == "digits" and value != NATIVE["digits"]:
        return "8, the scans' own"
    if key == "resolution" and source in ("cifar10", "stl10") and value > NATIVE[source]:
        return f"at most {NATIVE[source]}, the images' own: they are never enlarged"
    if key == "resolution" and drawn and value not in GLYPH_SIDES:
        return " | ".join(map(str, GLYPH_SIDES))
    if key == "channels" and (drawn or source in ("cifar10", "stl10")) and value != 3:
        return "3, the images are in colour"
    if key == "path" and (drawn or source == "digits") and value is not None:
        return "null, the images are drawn" if drawn else "null, the scans come with scikit-learn"
    if key == "count" and source is not None and value is not None and not drawn:
        return "null, images are drawn for glyphs and glyphs_pairs alone"
    return None


def settings_file(dataset: str) -> str:
    """The file that holds the settings of a dataset, as messages name it."""
    return f"conf/dataset/{dataset}.yaml"
