"""Real images as D sees them: as they are, under each operation of the run's augmentation, and under all together."""

from pathlib import Path

import numpy as np
import torch

from pipeline.base.images import to_float, to_uint8
from pipeline.pictures.contact_sheet import write_sheet
from pipeline.training.augment import augment
from pipeline.training.config import AugmentConfig

PIXELS = 400_000  # of a sheet, at most: every cell has its own
REAL, AUGMENTED = 64, 16  # images: as they are, and of each row under augmentation


def write_real_images(out: Path, images: np.ndarray, config: AugmentConfig, seed: int) -> None:
    """Write the sheet `real`, and `augment` where the run had a policy: a row an operation, the last one with all.

    `images`: (N, C, H, W) uint8, the training images; the first ones are shown, without flips. `seed` draws the
    operations. Their probabilities are those of the training, so cutout leaves some images as they are.
    """
    pixels = images.shape[-1] * images.shape[-2]
    count = min(len(images), max(4, min(REAL, PIXELS // pixels)))
    write_sheet(out / "real", np.asarray(images[:count])[None], rows=["real"])
    if not config.policy:
        return
    policies = {name: [name] for name in config.policy} | {"all together": list(config.policy)}
    few = torch.from_numpy(np.array(images[: min(count, AUGMENTED, max(4, PIXELS // pixels // (len(policies) + 1)))]))
    rows = [few]
    for policy in policies.values():
        torch.manual_seed(seed)
        rows.append(to_uint8(augment(to_float(few), config.model_copy(update={"policy": policy}))))
    write_sheet(out / "augment", torch.stack(rows).numpy(), rows=["as they are", *policies])
