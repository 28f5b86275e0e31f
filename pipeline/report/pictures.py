"""Pictures of what the cells made, how they look, where tokens attend: pixels without smoothing, tiled and labelled."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.images import GAP_GREY, tile
from pipeline.report.document import Figure
from pipeline.report.drawing import Tile, contact_sheet
from pipeline.report.formats import number
from pipeline.report.paper import MAIN_VARIANT
from pipeline.report.results import Results, Sheet
from pipeline.training.config import AugmentConfig

POSITIONS = ("relative_position", "relative_position_rows", "relative_position_columns")
MOMENTS = 8  # of a training, at most
AUGMENTED = 16  # real images shown under augmentation
SPACES = {"pixel": "pixel space", "feature": "the evaluator's feature space"}


def grid(images: np.ndarray, columns: int | None = None, side: int | None = None) -> np.ndarray:
    """Images (N, H, W, 3) as one picture, row by row (as square as it gets), with light gaps.

    `side`: only the first images, as many as make a square of at most about so many pixels; 4 at least.
    """
    images = images[: max(2, side // images.shape[1]) ** 2] if side else images
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    return tile(images.transpose(0, 3, 1, 2), columns, gap=max(1, images.shape[1] // 16))


def label(cell: Any) -> str:
    """The variant, and what befell it: pictures of a diverged run are of its last finite weights."""
    return cell.variant if cell.state == "ok" else f"{cell.variant}, {cell.state}"


def sheets(results: Results, dataset: str, name: str) -> list[tuple[pd.Series, Sheet]]:
    """A picture sheet of every cell of the first seed that has it."""
    cells = results.first_seed(dataset).iterrows()
    return [(cell, sheet) for _, cell in cells if (sheet := results.sheet(cell, name))]


def samples(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Real images, then the first measured samples of every cell, uncurated."""
    own = [(label(cell), sheet) for cell, sheet in sheets(results, dataset, "samples")]
    real = [("real images", sheet) for _, sheet in sheets(results, dataset, "real")[:1]] if own else []
    tiles = [Tile(name, grid(sheet.images[0], side=256)) for name, sheet in [*real, *own]]
    return contact_sheet(folder / f"{dataset}_samples.png", [("", tiles)], "samples", columns=4, folded=False,
                         dataset=dataset, real="; real images first" * bool(real))  # fmt: skip


def timelines(results: Results, dataset: str, folder: Path) -> Figure | None:
    """The same latents at several moments of training, a row of moments for every cell."""
    rows = []
    for cell, sheet in sheets(results, dataset, "grids"):
        kimgs = sheet.facts["rows"]
        shown = np.unique(np.linspace(0, len(kimgs) - 1, min(MOMENTS, len(kimgs))).round().astype(int))
        images = sheet.images[:, :16]
        rows.append((label(cell), [Tile(f"{kimgs[i]:g} kimg", grid(images[i], side=128)) for i in shown]))
    return contact_sheet(folder / f"{dataset}_training.png", rows, "training")


def interpolations(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Great-circle paths between two latents, a row a path."""
    tiles = [
        Tile(label(cell), grid(sheet.images.reshape(-1, *sheet.images.shape[2:]), sheet.images.shape[1]))
        for cell, sheet in sheets(results, dataset, "interpolation")
    ]
    path = folder / f"{dataset}_interpolation.png"
    return contact_sheet(path, [("", tiles)], "interpolation", columns=4, dataset=dataset)


def neighbours(results: Results, dataset: str, folder: Path) -> Figure | None:
    """The samples nearest to a training image, and those training images, in two spaces."""
    rows: list[tuple[str, list[Tile]]] = []
    for space, words in SPACES.items():
        tiles = []
        for cell, sheet in sheets(results, dataset, f"neighbours_{space}"):
            images = sheet.images
            left, right = grid(images[:, 0], 1), grid(images[:, 1:].reshape(-1, *images.shape[2:]), images.shape[1] - 1)
            gap = np.full((left.shape[0], max(2, images.shape[3] // 2), 3), GAP_GREY, dtype=np.uint8)
            tiles.append(Tile(label(cell), np.concatenate([left, gap, right], axis=1)))
        rows.append((words, tiles))
    return contact_sheet(folder / f"{dataset}_neighbours.png", rows, "neighbours", columns=7, dataset=dataset)


def augmentation(results: Results, dataset: str, folder: Path) -> Figure | None:
    """What augmentation does to real images, a row an operation, the last with all; None where none uses it."""
    real = {cell.variant: sheet.images[0] for cell, sheet in sheets(results, dataset, "real")}
    plans = {name: results.training(dataset, name).get("train", {}).get("augment") or {} for name in real}
    used = [name for name in sorted(real, key=MAIN_VARIANT.__ne__) if plans[name].get("policy")]
    if not used:
        return None
    import torch  # takes seconds: for this picture alone

    from pipeline.base.images import to_float, to_uint8
    from pipeline.training.augment import augment

    # With the probabilities of the training: cutout leaves some images as they are.
    config, images = AugmentConfig(**plans[used[0]]), real[used[0]][:AUGMENTED]
    policies = {name.replace("_", " "): [name] for name in config.policy} | {"all together": list(config.policy)}
    tiles = [Tile("as they are", grid(images, len(images)))]
    for name, policy in policies.items():
        torch.manual_seed(0)
        batch = to_float(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        changed = to_uint8(augment(batch, config.model_copy(update={"policy": policy}))).numpy()
        tiles.append(Tile(name, grid(changed.transpose(0, 2, 3, 1), len(images))))
    return contact_sheet(folder / f"{dataset}_augment.png", [("", tiles)], "augment", columns=1,
                         dataset=dataset, variant=used[0])  # fmt: skip


def attention(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Where two query tokens of the first sample look, for every head, beside that sample; one scale for all maps."""
    rows, drawn = [], {cell.variant: sheet.images[0][0] for cell, sheet in sheets(results, dataset, "samples")}
    for cell, sheet in sheets(results, dataset, "attention"):
        facts, local = sheet.facts, sheet.facts["kind"] == "grid"
        reachable = int(facts["window" if local else "side"]) ** 2  # tokens
        tiles = [Tile("the sample", drawn[cell.variant])] if cell.variant in drawn else []
        for head, query, shares in zip(facts["heads"], facts["queries"], sheet.images[0] * reachable, strict=True):
            tiles.append(Tile(f"head {head}; max {number(float(shares.max()))}", shares, query))
        window = f" in {facts['window']} x {facts['window']}" if local else ""
        rows.append((f"{label(cell)}: {facts['kind']}{window}", tiles))
    return contact_sheet(folder / f"{dataset}_attention.png", rows, "attention", dataset=dataset,
                         colours="cividis", meaning="times an even share")  # fmt: skip


def relative_positions(results: Results, dataset: str, folder: Path) -> Figure | None:
    """What the relative position tables hold, a heat map a head, one scale for all."""
    tiles = [
        Tile(f"{label(cell)}{name.removeprefix('relative_position').replace('_', ' ')}, head {head}", table)
        for _, cell in results.first_seed(dataset).iterrows()
        for name in POSITIONS
        if (sheet := results.sheet(cell, name))
        for head, table in enumerate(sheet.images[0] - sheet.images[0].mean(axis=(1, 2), keepdims=True))
    ]
    meaning = "added to an attention score: below 0 lowers attention, above raises it"
    return contact_sheet(folder / f"{dataset}_relative_position.png", [("", tiles)], "relative_position",
                         columns=4, dataset=dataset, colours="PuOr_r", meaning=meaning)  # fmt: skip


FOLDED = (augmentation, timelines, interpolations, neighbours, attention, relative_positions)  # in the report's order
