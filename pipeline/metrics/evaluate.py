"""One cell's results: samples measured against the reference, and copies of what the report shows, small enough for git."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.data.array import read_array
from pipeline.errors import UserError
from pipeline.files import read_json, write_json
from pipeline.metrics.attention_maps import write_attention
from pipeline.metrics.config import EvaluatePlan
from pipeline.metrics.neighbours import write_neighbours
from pipeline.metrics.protocols import parse
from pipeline.metrics.sheet import write_sheet
from pipeline.metrics.store import Reference, load_reference
from pipeline.metrics.suite import Features, measure
from pipeline.sampling import draw_images, draw_latents, interpolate, load_generator
from pipeline.training.memory import out_of_memory

SAMPLES = 64        # the first so many of the measured samples, uncurated
PATHS, STEPS = 8, 9     # of the interpolation
# What a kind of metric has beside its name that moves its value.
SETTINGS = {"score": ("splits",), "kernel": ("subsets", "subset_size")}
COPIES = ("history.csv", "machine.csv", "run.json")


def evaluate_run(plan: EvaluatePlan, *, run: str | Path, data: str | Path, reference: str | Path, metrics: str | Path, pictures: str | Path) -> dict[str, Any]:
    """Measure the averaged generator in `run`; write one flat JSON to `metrics`, what the report shows to `pictures`.

    `data` is the dataset it was trained on: samples are compared with its images one by one (neighbours).
    The JSON holds no time and no machine: the same run, settings and device give the same bytes. A run that ended without a
    generator (out of memory) keeps its status and has no values.
    """
    torch.set_num_threads(plan.threads)
    run, pictures = Path(run), Path(pictures)
    record = read_json(run / "run.json")
    known = load_reference(reference)
    pictures.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"status": record["status"], "kimg": record["kimg"]}
    unavailable: dict[str, str] = {}
    if (run / "generator_ema.safetensors").is_file():
        generator = load_generator(run, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        latents = draw_latents(generator, plan.n_gen, plan.seed)
        with _memory_advice(run, plan):
            images = draw_images(generator, latents, seed=plan.seed, batch=plan.batch)
            generated = {
                name: Features(*extractor.extract(images[: _most(plan, name)], plan.batch), extractor.no_logits) for name, extractor in known.extractors.items()
            }
        try:
            values, unavailable = measure(plan, known.real, generated, seed=plan.seed)
        except UserError as error:
            raise UserError(f"{run}: {error}") from None
        result |= values
        write_sheet(pictures / "samples", images[None, :SAMPLES], rows=["samples"])
        ends = draw_latents(generator, 2 * PATHS, plan.seed)
        paths = draw_images(generator, interpolate(ends[:PATHS], ends[PATHS:], STEPS), seed=plan.seed, batch=plan.batch)
        write_sheet(pictures / "interpolation", paths.reshape(PATHS, STEPS, *paths.shape[1:]), rows=list(range(PATHS)))
        first = next(iter(known.extractors))
        write_neighbours(pictures, images, generated[first].features, read_array(data), known.real[first, "train"].features)
        write_attention(pictures, generator.cpu(), latents, seed=plan.seed)
    if (run / "grids.npy").is_file():
        write_sheet(pictures / "grids", np.load(run / "grids.npy", allow_pickle=False), rows=read_json(run / "grids.json")["kimg"])
    result |= {"n_gen": plan.n_gen, "n_real": known.manifest["n_real"]}
    for name in COPIES:
        if (run / name).is_file():
            shutil.copyfile(run / name, pictures / name)
    write_json(pictures / "protocol.json", {"metrics": protocols(plan, known), "unavailable": unavailable})
    write_json(metrics, result)
    return result


@contextmanager
def _memory_advice(run: Path, plan: EvaluatePlan) -> Iterator[None]:
    """Errors: `UserError` where the device has too little memory: unlike a training's, that says nothing about the model."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(f"{run}: too little memory to draw or measure {plan.batch} images at a time; lower evaluate.batch ({str(error).splitlines()[0]})") from None


def protocols(plan: EvaluatePlan, known: Reference) -> dict[str, dict[str, Any]]:
    """By value: everything that has to agree before it may stand beside another one of its name."""
    found = {}
    for metric in plan.metrics:
        protocol = parse(metric)
        network = known.manifest["extractors"][protocol.extractor]
        side = next(side for side in known.manifest["sides"] if (side["extractor"], side["split"]) == (protocol.extractor, protocol.split))
        steps = [step for step in (known.manifest["resize"], network["resize"]) if step != "none"]
        facts = {
            "extractor": protocol.extractor,
            "extractor_sha256": network["sha256"],
            "dtype": network["dtype"],
            "split": side["images"],
            "resize": ", then ".join(steps) or "none",
            "n_real": side["n_real"],
            "n_gen": protocol.count or plan.n_gen,
            "seed": plan.seed,
            **{name: getattr(plan, name) for name in SETTINGS.get(protocol.kind, ())},
            **({"neighbours": protocol.k or plan.neighbours} if protocol.kind == "neighbours" else {}),
        }
        found |= {value: facts for value in protocol.values if not value.endswith("_std")}
    return found


def _most(plan: EvaluatePlan, extractor: str) -> int:
    """Images that the metrics of a network take."""
    return max(parse(metric).count or plan.n_gen for metric in plan.metrics if parse(metric).extractor == extractor)
