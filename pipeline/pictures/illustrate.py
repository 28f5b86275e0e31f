"""What the report's pictures of one cell need: samples and real images, nearest images, paths, attention, snapshots."""

from pathlib import Path

import numpy as np
import torch

from pipeline.base.files import read_json
from pipeline.base.schema import bind, read_yaml
from pipeline.data.array import read_array
from pipeline.metrics.config import IllustratePlan
from pipeline.metrics.extractor import best_device
from pipeline.metrics.extractors import load_first_extractor, real_features
from pipeline.networks.sampling import (
    draw_images,
    draw_latents,
    interpolate,
    load_generator,
    memory_advice,
    read_networks,
)
from pipeline.pictures.attention_maps import write_attention
from pipeline.pictures.contact_sheet import write_sheet
from pipeline.pictures.nearest_images import QUERIES, write_nearest_images
from pipeline.pictures.real_images import write_real_images
from pipeline.training.config import AugmentConfig

SAMPLES = 64  # the first so many of the measured samples, uncurated
PATHS, STEPS = 8, 9  # of the interpolation
CONFIG = "config.yaml"  # of a run: what it was trained with


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
            _draw(plan, run, data, Path(reference), out)
    if (run / "grids.npy").is_file():
        snapshots = np.load(run / "grids.npy", allow_pickle=False)
        write_sheet(out / "grids", snapshots, rows=read_json(run / "grids.json")["kimg"])
    return sorted(path.stem for path in out.glob("*.png"))


def _draw(plan: IllustratePlan, run: Path, data: str | Path, reference: Path, out: Path) -> None:
    generator = load_generator(run, best_device())
    # Whole batches, as in measuring: noise inside a network depends on how many images are drawn at a time.
    count = -(-QUERIES // plan.batch) * plan.batch
    latents = draw_latents(generator, count, plan.seed)
    images = draw_images(generator, latents, seed=plan.seed, batch=plan.batch)[:QUERIES]
    write_sheet(out / "samples", images[None, :SAMPLES], rows=["samples"])
    ends = draw_latents(generator, 2 * PATHS, plan.seed)
    paths = draw_images(generator, interpolate(ends[:PATHS], ends[PATHS:], STEPS), seed=plan.seed, batch=plan.batch)
    write_sheet(out / "interpolation", paths.reshape(PATHS, STEPS, *paths.shape[1:]), rows=list(range(PATHS)))
    extractor = load_first_extractor(reference)
    features, _ = extractor.extract(images, plan.batch)
    write_nearest_images(out, images, features, read_array(data), real_features(reference, extractor.name))
    settings = read_yaml(run / CONFIG)["train"]["augment"]
    augmentation = bind(AugmentConfig, settings, file=str(run / CONFIG), prefix="train.augment")
    write_real_images(out, read_array(data), augmentation, plan.seed)
    family = read_networks(run).generator.family
    write_attention(out, generator.cpu(), latents, family=family, seed=plan.seed)
