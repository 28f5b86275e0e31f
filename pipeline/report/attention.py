"""Where the generator's tokens look, what they can reach, and what relative position learned, as pictures."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from pipeline.report.content import Figure
from pipeline.report.formats import number
from pipeline.report.pictures import Tile, contact_sheet, enlarged, label, rows_of
from pipeline.report.results import Results, Sheet

TOKEN = 12  # pixels that a token of an attention map gets
POSITIONS = ("relative_position", "relative_position_rows", "relative_position_columns")
MAPS, BIAS = "cividis", "PuOr_r"  # colours of attention and of relative position
PALE, REACHED, QUERY = (232, 232, 232), (0, 114, 178), (213, 94, 0)
SHADES = np.array([(0, 114, 178), (86, 160, 205), (160, 205, 232)], dtype=np.uint8)  # of neighbouring landmarks


def attention(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Where two query tokens of the first sample look, for every head, beside that sample; one scale for all maps."""
    cells = results.first_seed(dataset).iterrows()
    found = [(cell, sheet) for _, cell in cells if (sheet := results.maps(cell, "attention"))]
    if not found:
        return None
    most = max(float((sheet.images[0] * _reachable(sheet)).max()) for _, sheet in found)
    rows: list[tuple[str, list[Tile]]] = []
    for cell, sheet in found:
        facts, tiles = sheet.facts, []
        drawn = results.sheet(cell, "samples")
        if drawn is not None:
            tiles.append(Tile("the sample", enlarged(drawn.images[0][0], facts["side"] * TOKEN)))
        for index, (head, query) in enumerate(zip(facts["heads"], facts["queries"], strict=True)):
            shares = sheet.images[0][index] * _reachable(sheet)
            image = _marked(coloured(shares, MAPS, 0, most), query)
            tiles.append(Tile(f"head {head}; max {number(float(shares.max()))}", image))
        window = f" in {facts['window']} x {facts['window']}" if facts["kind"] == "grid" else ""
        rows.append((f"{label(cell)}: {facts['kind']}{window}", tiles))
    words = f"0 (left) to {number(most)} times an even share (right)"
    rows.append(("Scale of all maps", [_scale(words, MAPS, 0, most)]))
    path = folder / f"{dataset}_attention.png"
    contact_sheet(path, rows, side=120)
    note = (
        "Weights with which the outlined token mixes the values of all tokens, in the last generator block of the "
        "largest map up to 64 x 64: times the number of tokens it can reach, so 1 is an even share."
    )
    alt = f"Attention maps of {', '.join(name for name, _ in rows[:-1])} on {dataset}"
    return Figure(title="Attention maps", path=path, alt=alt, note=note, folded=True)


def relative_positions(results: Results, dataset: str, folder: Path) -> Figure | None:
    """What the relative position tables hold, a heat map a head, one scale for all."""
    found = [
        (cell, name, [table - table.mean() for table in sheet.images[0]])
        for _, cell in results.first_seed(dataset).iterrows()
        for name in POSITIONS
        if (sheet := results.maps(cell, name))
    ]
    if not found:
        return None
    most = max(float(np.abs(table).max()) for _, _, tables in found for table in tables)
    rows = [
        (
            f"{label(cell)}{name.removeprefix('relative_position').replace('_', ' ')}",
            [
                Tile(f"head {head}, ±{np.abs(table).max():.2g}", coloured(table, BIAS, -most, most))
                for head, table in enumerate(tables)
            ],
        )
        for cell, name, tables in found
    ]
    words = f"-{most:.2g} (left, lowers attention) to +{most:.2g} (right, raises it)"
    rows.append(("Bias added to an attention score", [_scale(words, BIAS, -most, most)]))
    path = folder / f"{dataset}_relative_position.png"
    contact_sheet(path, rows, side=120)
    note = (
        "Bias by where the key stands from the query (centre: the token itself; up and left: keys above and before "
        "it). Each head's mean is taken off: softmax does not see it."
    )
    alt = f"Learned bias by key offset of {', '.join(name for name, _ in rows[:-1])} on {dataset}: range ±{most:.2g}"
    return Figure(title="What relative position learned", path=path, alt=alt, note=note, folded=True)


def reach(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Which tokens a token can attend to, for every kind of attention in the plans; None without transformers."""
    found: dict[str, np.ndarray] = {}
    for (name, _), plan in results.trainings.items():
        stages = ((plan.get("network") or {}).get("generator") or {}).get("stages")
        if name == dataset and stages and "blocks" in stages[-1]:
            found |= dict([reached(stages[-1]["blocks"][-1])])
    if not found:
        return None
    path = folder / f"{dataset}_reach.png"
    contact_sheet(path, rows_of([Tile(words, image) for words, image in found.items()], 2), side=320)
    note = "A map of the generator's last blocks. Orange: the token that looks; blue: what it attends to."
    alt = f"Maps of the tokens that one token attends to: {'; '.join(found)}"
    return Figure(title="Which tokens a token attends to", path=path, alt=alt, note=note, folded=True)


def reached(block: dict[str, Any]) -> tuple[str, np.ndarray]:
    """What the token near the middle of a block's map attends to, in words and as a picture, a pixel a token.

    Nyström attention reaches all tokens through landmarks: neighbouring landmarks have different shades.
    """
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
        image = SHADES[(rows * side + columns) * landmarks // (side * side) % len(SHADES)]
        words = f"nystrom: {landmarks} means of {side * side // landmarks} tokens"
    image[row, column] = QUERY
    return words, image


def _reachable(sheet: Sheet) -> int:
    """How many tokens a token can look at."""
    return int(sheet.facts["window"] if sheet.facts["kind"] == "grid" else sheet.facts["side"]) ** 2


def _scale(words: str, colours: str, low: float, high: float) -> Tile:
    """The colours of a map from its lowest to its highest value."""
    return Tile(
        words, coloured(np.linspace(low, high, 128)[None].repeat(4, axis=0), colours, low, high).repeat(4, axis=1)
    )


def _marked(weights: np.ndarray, query: list[int]) -> np.ndarray:
    """A map enlarged, its query token outlined in white and black."""
    image = weights.repeat(TOKEN, axis=0).repeat(TOKEN, axis=1)
    top, left = query[0] * TOKEN, query[1] * TOKEN
    for inset, grey in ((0, 255), (1, 255), (2, 0)):
        rows, columns = slice(top + inset, top + TOKEN - inset), slice(left + inset, left + TOKEN - inset)
        image[[top + inset, top + TOKEN - 1 - inset], columns] = grey
        image[rows, [[left + inset], [left + TOKEN - 1 - inset]]] = grey
    return image


def coloured(maps: np.ndarray, colours: str, low: float, high: float) -> np.ndarray:
    """Maps (..., H, W) of floats -> (..., H, W, 3) uint8 in a matplotlib colour map."""
    share = (maps - low) / (high - low) if high > low else np.zeros_like(maps)
    return (matplotlib.colormaps[colours](share.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)
