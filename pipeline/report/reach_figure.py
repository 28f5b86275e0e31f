"""Which tokens a token can attend to, for each kind of attention that was trained, drawn from the training plans."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.report.pictures import Tile, contact_sheet, enlarged
from pipeline.report.sample_figures import Group, Picture

Reach = tuple[str, np.ndarray]  # words, and the picture (side, side, 3)
PALE, REACHED, QUERY = (232, 232, 232), (0, 114, 178), (213, 94, 0)
SHADES = np.array([(0, 114, 178), (86, 160, 205), (160, 205, 232)], dtype=np.uint8)  # of neighbouring landmarks
PIXELS = 160  # of a map's side


def reach(plans: list[dict[str, Any]], dataset: str, folder: Path) -> Group | None:
    """A map of the generator's last blocks for every kind of attention among `plans`; None without transformers.

    The query is orange, what it attends to blue. Nyström attention reaches all tokens through landmarks: neighbouring
    landmarks have different shades.
    """
    found: dict[str, np.ndarray] = {}
    for plan in plans:
        generator = (plan.get("network") or {}).get("generator", {})
        if generator.get("stages") and "blocks" in generator["stages"][-1]:
            found |= dict([reached(generator["stages"][-1]["blocks"][-1])])
    if not found:
        return None
    path = folder / f"{dataset}_reach.png"
    tiles = [Tile(words, enlarged(image, 2 * PIXELS)) for words, image in found.items()]
    contact_sheet(path, [("", tiles[start : start + 2]) for start in range(0, len(tiles), 2)],
                  f"{dataset}: which tokens a token attends to")  # fmt: skip
    pictures = [
        Picture(words, f"Map of the tokens that one token attends to: {words}", enlarged(image, PIXELS))
        for words, image in found.items()
    ]
    note = "One map of the generator's last blocks, from the plans in plan/train/. Orange: the token that looks."
    return Group("Which tokens a token attends to", note, [path], pictures, "small", folded=True)


def reached(block: dict[str, Any]) -> Reach:
    """What the token near the middle of a block's map attends to, in words and as a picture, a pixel a token."""
    side, kind = int(block["side"]), block["attention"]
    row = column = side // 2 - 1
    rows, columns = np.indices((side, side))
    if kind == "grid":
        window = int(block["window"])
        inside = (rows // window == row // window) & (columns // window == column // window)
        words = f"grid: the {window * window} tokens of its cell of {window} x {window}"
    elif kind == "axis":
        inside = (rows == row) | (columns == column)
        words = f"axis: its row and its column, {2 * side - 1} tokens"
    else:
        inside = np.ones((side, side), dtype=bool)
        words = f"{kind}: all {side * side} tokens"
    image = np.where(inside[..., None], np.array(REACHED), np.array(PALE)).astype(np.uint8)
    if kind == "nystrom":
        landmarks = int(block["landmarks"])
        segment = (rows * side + columns) * landmarks // (side * side)
        image = SHADES[segment % len(SHADES)]
        words = f"nystrom: {landmarks} means of {side * side // landmarks} tokens"
    image[row, column] = QUERY
    return words, image
