"""What the report's pictures of one cell need, as sheets of many small images in one lossless PNG, which git can hold.

Samples and real images, nearest training images, paths between latents, attention maps, snapshots of the training.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.base.files import atomic_write, read_json, write_json
from pipeline.base.images import tile
from pipeline.data.array import read_array
from pipeline.metrics.extractors.extractor import best_device, load_reference
from pipeline.metrics.extractors.registry import IllustratePlan
from pipeline.networks.families import load, load_attribute
from pipeline.networks.interface import Generator
from pipeline.networks.sampling import (
    draw_images,
    draw_latents,
    interpolate,
    load_generator,
    memory_advice,
    read_networks,
)

PIXELS = 4_000_000  # at most so many per sheet; beyond, rows are thinned out and columns cut
ROWS = 8  # thinning leaves at least so many
SAMPLES = 64  # the first so many of the measured samples, uncurated
REAL, REAL_PIXELS = 64, 400_000  # real images, and their pixels, at most: every cell has its own sheet
PATHS, STEPS = 8, 9  # of the interpolation
ATTENTION = 4  # of the samples, drawn with attention maps
QUERIES = 256  # samples compared with training images: the first so many of the measured ones
SUSPICIOUS = 8  # of them shown: those nearest to a training image, not the prettiest
NEAREST = 3  # training images shown of each
CHUNK = 4096  # training images held as floats at a time


def illustrate_run(
    plan: IllustratePlan, *, run: str | Path, data: str | Path, reference: str | Path, out: str | Path
) -> list[str]:
    """Write the sheets of the averaged generator in `run` to `out`; returns their names.

    The samples are the first of those that are measured. `data` is the dataset the generator was trained on, and
    `reference` holds its features. A run that ended without a generator (out of memory) has its snapshots alone.
    Errors: `UserError` where the device has too little memory.
    """
    torch.set_num_threads(plan.threads)
    run, out = Path(run), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if (run / "generator_ema.safetensors").is_file():
        with memory_advice(f"{run}: too little memory to draw {plan.batch} images at a time; lower evaluate.batch"):
            _draw(plan, run, data, reference, out)
    if (run / "grids.npy").is_file():
        snapshots = np.load(run / "grids.npy", allow_pickle=False)
        write_sheet(out / "grids", snapshots, rows=read_json(run / "grids.json")["kimg"])
    return sorted(path.stem for path in out.glob("*.png"))


def _draw(plan: IllustratePlan, run: Path, data: str | Path, reference: str | Path, out: Path) -> None:
    generator, real = load_generator(run, best_device()), read_array(data)
    draw = partial(draw_images, generator, seed=plan.seed, batch=plan.batch)
    # Whole batches, as in measuring: noise inside a network depends on how many images are drawn at a time.
    latents = draw_latents(generator, -(-QUERIES // plan.batch) * plan.batch, plan.seed)
    images = draw(latents)[:QUERIES]
    write_sheet(out / "samples", images[None, :SAMPLES], rows=["samples"])
    count = max(4, min(REAL, REAL_PIXELS // (real.shape[-1] * real.shape[-2])))
    write_sheet(out / "real", np.array(real[None, :count]), rows=["real"])
    starts, ends = draw_latents(generator, 2 * PATHS, plan.seed).chunk(2)
    paths = draw(interpolate(starts, ends, STEPS))
    write_sheet(out / "interpolation", paths.reshape(PATHS, STEPS, *paths.shape[1:]), rows=list(range(PATHS)))
    known = load_reference(reference)
    name, extractor = next(iter(known.extractors.items()))  # of the data set's first metric
    features = extractor.extract(images, plan.batch).features
    write_nearest_images(out, images, features, real, known.real[name, "train"].features)
    write_attention(out, generator.cpu(), latents, family=read_networks(run).generator.family, seed=plan.seed)


def write_nearest_images(
    folder: Path, images: np.ndarray, features: np.ndarray, real: np.ndarray, real_features: np.ndarray
) -> None:
    """Write sheets neighbours_pixel and neighbours_feature: a row per sample, then its nearest training images.

    A generator that learned its training set by heart draws samples that lie closer to a training image than training
    images lie to one another.
    Images (N, C, H, W) uint8 of samples and of the training set, and their features (N, d). The JSON beside each sheet:
    `distances` of the images shown; `median` of the samples' distance to their nearest training image; `real_median`
    the same from training images to their nearest other; `closer`, the share of samples that are nearer than 99 % of
    those. Pixel distances are root mean squares over pixels, in grey levels 0..255.
    """
    evenly = np.linspace(0, len(real) - 1, min(QUERIES, len(real))).round().astype(int)
    spaces = {"pixel": (images, real, images[0].size ** -0.5), "feature": (features, real_features, 1.0)}
    for name, (queries, training, unit) in spaces.items():
        distances, indices = nearest(queries[:QUERIES], training, NEAREST)
        # A training image's nearest is itself, at no distance: the second is another one.
        usual = nearest(training[evenly], training, 2)[0][:, 1]
        order = np.argsort(distances[:, 0], kind="stable")[:SUSPICIOUS]
        write_sheet(
            folder / f"neighbours_{name}",
            np.stack([np.concatenate([images[[index]], real[indices[index]]]) for index in order]),
            rows=order.tolist(),
            distances=rounded(distances[order] * unit),
            samples=len(distances),
            median=rounded(np.median(distances[:, 0]) * unit),
            real_median=rounded(np.median(usual) * unit),
            closer=rounded((distances[:, 0] < np.quantile(usual, 0.01)).mean()),
        )


def nearest(queries: np.ndarray, candidates: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances (Q, count) of each query's nearest candidates, and their indices; a row each, flattened."""
    flat = torch.from_numpy(np.asarray(queries, dtype=np.float32)).flatten(1)
    best, where = [], []
    for start in range(0, len(candidates), CHUNK):
        part = torch.from_numpy(np.array(candidates[start : start + CHUNK], dtype=np.float32)).flatten(1)
        distances = torch.cdist(flat, part, compute_mode="donot_use_mm_for_euclid_dist")
        values, indices = distances.topk(min(count, len(part)), dim=1, largest=False)
        best.append(values)
        where.append(indices + start)
    values, places = torch.cat(best, dim=1).topk(count, dim=1, largest=False)
    return values.numpy(), torch.cat(where, dim=1).gather(1, places).numpy()


def write_attention(folder: Path, generator: Generator, latents: Tensor, *, family: str, seed: int) -> None:
    """Sheets `attention` and, where the network has the tables, `relative_position` of one block in `folder`.

    `attention`: a row per sample, a map per head and query token (the JSON names them, and the attention's kind and
    window). `relative_position`: a row per table, a map per head, (2h - 1) x (2w - 1) offsets of a key from its query,
    upper left first. Nothing is written for a family without attention.
    """
    if (function := getattr(load(family), "ATTENTION", None)) is None:
        return
    shown = load_attribute(function)(generator, latents[:ATTENTION], seed=seed)
    samples, heads, queries = shown.weights.shape[:3]
    facts = {"kind": shown.kind, "stage": shown.stage, "side": shown.side, "window": shown.window}
    maps = shown.weights.reshape(samples, heads * queries, shown.side, shown.side)
    columns = {"heads": np.repeat(range(heads), queries).tolist(), "queries": [*map(list, shown.queries)] * heads}
    write_maps(folder / "attention", maps, rows=list(range(samples)), **facts, **columns)
    for name, table in shown.tables:
        write_maps(folder / f"relative_position{name}", table[None], rows=[0], **facts)


def write_sheet(path: Path, images: np.ndarray, rows: list[Any], **facts: Any) -> None:
    """Write images (R, N, C, H, W) uint8 as `path`.png, R rows of N images without gaps, and `path`.json.

    The JSON has the rows' labels, the image size and `facts`. Where there are too many pixels, rows are thinned evenly
    to no fewer than 8, the first and the last kept. Then columns are cut. The labels show which rows are left.
    """
    pixels = images.shape[-1] * images.shape[-2]
    most_rows = max(min(ROWS, len(images)), PIXELS // (pixels * images.shape[1]))
    kept = np.unique(np.linspace(0, len(images) - 1, min(most_rows, len(images))).round().astype(int))
    columns = max(1, min(images.shape[1], PIXELS // (pixels * len(kept))))
    sheet = tile(images[kept][:, :columns].reshape(-1, *images.shape[2:]), columns, gap=0)
    with atomic_write(path.with_suffix(".png")) as temporary:
        Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet).save(temporary)
    labels = [rows[index] for index in kept]
    write_json(path.with_suffix(".json"), {"rows": labels, "image": list(images.shape[-2:]), **facts})


def write_maps(path: Path, maps: np.ndarray, rows: list[Any], **facts: Any) -> None:
    """Write maps (R, N, H, W) of floats as a grey sheet: each map from its own `low` (0) to its own `high` (255).

    The JSON has both per map, so that a reader gets the values back to 1/255 of the map's range.
    """
    low, high = maps.min(axis=(2, 3)), maps.max(axis=(2, 3))
    span = np.where(high > low, high - low, 1)[..., None, None]
    grey = np.rint((maps - low[..., None, None]) / span * 255).astype(np.uint8)
    write_sheet(path, grey[:, :, None], rows, low=rounded(low), high=rounded(high), **facts)


def rounded(values: Any) -> Any:
    """A number, or an array as nested lists, to five significant digits."""
    if np.ndim(values):
        return [rounded(value) for value in values]
    return float(f"{values:.5g}")
