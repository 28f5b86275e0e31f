"""Memorisation check: the training images nearest to generated ones, in pixels and in the evaluator's features.

A generator that learned its training set by heart draws samples that lie closer to a training image than training
images lie to one another. Both distances are kept, so that one can be compared with the other.
"""

from pathlib import Path

import numpy as np
import torch

from pipeline.pictures.contact_sheet import rounded, write_sheet

QUERIES = 256  # samples compared: the first so many of the measured ones
SHOWN = 8  # of them, those nearest to a training image: the most suspicious, not the prettiest
NEAREST = 3
CHUNK = 4096  # training images held as floats at a time


def write_nearest_images(
    folder: Path, images: np.ndarray, features: np.ndarray, real: np.ndarray, real_features: np.ndarray
) -> None:
    """Write sheets neighbours_pixel and neighbours_feature: a row per sample, then its nearest training images.

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
        order = np.argsort(distances[:, 0], kind="stable")[:SHOWN]
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
