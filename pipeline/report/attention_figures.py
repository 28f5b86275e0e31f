"""Where the generator's tokens look and what its relative positions learned, as pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.report.pictures import Tile, coloured, contact_sheet, enlarged
from pipeline.report.sample_figures import Group, Picture, label
from pipeline.report.sheets import Sheet, cell_sheet, load_maps

TOKEN = 12  # pixels a token of an attention map gets
COLOURS = "cividis"
TABLES = ("relative_position", "relative_position_rows", "relative_position_columns")


def attention(cells: pd.DataFrame, results: str, folder: Path) -> Group | None:
    """Where two query tokens of the first sample look, for every head, beside that sample; one scale for all maps."""
    found = [(cell, sheet) for _, cell in cells.iterrows() if (sheet := load_maps(results, cell, "attention"))]
    if not found:
        return None
    dataset, rows, pictures = cells.iloc[0].dataset, [], []
    path = folder / f"{dataset}_attention.png"
    most = max(float((sheet.images[0] * _reachable(sheet)).max()) for _, sheet in found)
    for cell, sheet in found:
        facts, tiles = sheet.facts, []
        drawn = cell_sheet(results, cell, "samples")
        name = f"{label(cell)} ({facts['kind']})"
        if drawn is not None:
            image = enlarged(drawn.images[0][0], facts["side"] * TOKEN)
            tiles.append(Tile("the sample", image))
            alt = f"The generated image whose attention is shown, {cell.variant} on {dataset}"
            pictures.append(Picture(f"{name}: the sample", alt, image))
        for index, (head, query) in enumerate(zip(facts["heads"], facts["queries"], strict=True)):
            shares = sheet.images[0][index] * _reachable(sheet)
            image = _marked(coloured(shares, COLOURS, 0, most), query)
            caption = f"head {head} at {query[0]},{query[1]}; max {shares.max():.2g}"
            tiles.append(Tile(caption, image))
            alt = (
                f"Attention of token row {query[0]}, column {query[1]} of {facts['side']} x {facts['side']}, head "
                f"{head}, {cell.variant} on {dataset}: at most {shares.max():.2g} times an even share"
            )
            pictures.append(Picture(f"{name}, {caption}", alt, image))
        window = f" in {facts['window']} x {facts['window']}" if facts["kind"] == "grid" else ""
        rows.append((f"{label(cell)}: {facts['kind']}{window}", tiles))
    scale = coloured(np.linspace(0, most, 64)[None].repeat(6, axis=0), COLOURS, 0, most)
    words = f"scale of all maps: 0 (left) to {most:.2g} times an even share (right)"
    rows.append(("", [Tile(words, enlarged(scale, 512))]))
    pictures.append(Picture(words, f"Colour scale from 0 to {most:.2g}", scale))
    side = found[0][1].facts["side"]
    contact_sheet(path, rows, f"{dataset}: attention of the generator's last {side} x {side} block", side=150)
    note = (
        "Exact weights with which the outlined token mixes the values of all tokens, for the sample beside them, "
        "in the "
        "last generator block of the largest map up to 64 x 64. One scale for all maps: a weight times the number of "
        "tokens that this kind of attention lets a token reach, so 1 is an even share. Grid attention stops at "
        "its cell."
    )
    return Group("Attention maps", note, [path], pictures, "small", folded=True)


def relative_positions(cells: pd.DataFrame, results: str, folder: Path) -> Group | None:
    """What the relative position tables hold, a heat map a head, one scale for all."""
    found = [
        (cell, name, sheet)
        for _, cell in cells.iterrows()
        for name in TABLES
        if (sheet := load_maps(results, cell, name))
    ]
    if not found:
        return None
    dataset, rows, pictures = cells.iloc[0].dataset, [], []
    path = folder / f"{dataset}_relative_position.png"
    most = max(float(np.abs(_centred(table)).max()) for _, _, sheet in found for table in sheet.images[0])
    for cell, name, sheet in found:
        tiles, axis = [], name.removeprefix("relative_position").replace("_", " ")
        for head, table in enumerate(sheet.images[0]):
            reach = float(np.abs(_centred(table)).max())
            image = enlarged(coloured(_centred(table), "PuOr_r", -most, most), 7 * TOKEN)
            tiles.append(Tile(f"head {head}, ±{reach:.2g}", image))
            alt = (
                f"Learned bias by key offset, {table.shape[0]} x {table.shape[1]} offsets, head {head} of "
                f"{cell.variant} on {dataset}{axis}: range ±{reach:.2g}"
            )
            pictures.append(Picture(f"{label(cell)}{axis}, head {head}; ±{reach:.2g}", alt, image))
        rows.append((f"{label(cell)}{axis}", tiles))
    contact_sheet(path, rows, f"{dataset}: relative position, bias by key offset", side=180)
    note = (
        "Bias added to an attention score by where the key stands from the query (centre: the token itself; up "
        "and left: "
        "keys above and before it), in the same block as the attention maps. Orange raises attention, purple "
        "lowers it; "
        f"one scale for all, ±{most:.2g}. Each head's mean is taken off: softmax does not see it."
    )
    return Group("What relative position learned", note, [path], pictures, "small", folded=True)


def _reachable(sheet: Sheet) -> int:
    """How many tokens a token can look at."""
    side = sheet.facts["window"] if sheet.facts["kind"] == "grid" else sheet.facts["side"]
    return int(side) ** 2


def _centred(table: np.ndarray) -> np.ndarray:
    """A table without its mean: only differences within a head mean something."""
    return table - table.mean()


def _marked(weights: np.ndarray, query: list[int]) -> np.ndarray:
    """A map enlarged, its query token outlined in white and black."""
    image = weights.repeat(TOKEN, axis=0).repeat(TOKEN, axis=1)
    top, left = query[0] * TOKEN, query[1] * TOKEN
    for inset, grey in ((0, 255), (1, 255), (2, 0)):
        rows, columns = slice(top + inset, top + TOKEN - inset), slice(left + inset, left + TOKEN - inset)
        image[[top + inset, top + TOKEN - 1 - inset], columns] = grey
        image[rows, [[left + inset], [left + TOKEN - 1 - inset]]] = grey
    return image
