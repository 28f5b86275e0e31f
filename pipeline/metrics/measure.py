"""One cell's numbers: samples of the averaged generator measured against the reference."""

from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.curve import write_curve
from pipeline.metrics.extractor import best_device
from pipeline.metrics.registry import SPREAD, parse
from pipeline.metrics.sample_size import write_sample_sizes
from pipeline.metrics.store import Reference, load_reference
from pipeline.metrics.suite import Features, measure
from pipeline.networks.sampling import draw_images, draw_latents, load_generator, memory_advice


def measure_run(plan: MeasurePlan, *, run: str | Path, reference: str | Path, out: str | Path) -> dict[str, Any]:
    """Measure the averaged generator in `run` and write metrics.json (flat), protocol.json and sample_size.csv.

    The files hold no time and no machine: the same run, settings and device give the same bytes. A run that ended
    without a generator (out of memory) keeps its status and has no values.
    Errors: `UserError` where the device has too little memory, for too few samples, or for a non-finite feature.
    """
    torch.set_num_threads(plan.threads)
    run, out = Path(run), Path(out)
    record, known = read_json(run / "run.json"), load_reference(reference)
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    if (run / "generator_ema.safetensors").is_file():
        device = best_device()
        advice = f"{run}: too little memory to draw or measure {plan.batch} images at a time; lower evaluate.batch"
        with memory_advice(advice):
            generated = sampled_features(plan, known, run, device)
        write_curve(plan, run=run, known=known, out=out, sampled=sampled_features)
        try:
            values, unavailable = measure(plan, known.real, generated, seed=plan.seed, device=device)
        except UserError as error:
            raise UserError(f"{run}: {error}") from None
        write_sample_sizes(plan.metrics, known.real, generated, out)
    facts = {"n_gen": plan.n_gen, "n_real": known.manifest["n_real"]}
    result = {"status": record["status"], "kimg": record["kimg"], **values, **facts}
    write_json(out / "protocol.json", {"metrics": protocols(plan, known), "unavailable": unavailable})
    write_json(out / "metrics.json", result)
    return result


def sampled_features(
    plan: MeasurePlan, known: Reference, run: Path, device: torch.device, weights: Path | None = None
) -> dict[str, Features]:
    """By network: features and logits of as many samples as its metrics take. Samples are drawn once, as uint8.

    `weights`: a generator that the run kept on its way; None: the last one.
    """
    generator = load_generator(run, device, weights=weights)
    most = max(parse(metric).count or plan.n_gen for metric in plan.metrics)
    latents = draw_latents(generator, most, plan.seed)
    images = draw_images(generator, latents, seed=plan.seed, batch=plan.batch)
    found = {}
    for name, extractor in known.extractors.items():
        own = [parse(metric) for metric in plan.metrics if parse(metric).extractor == name]
        if not own:
            continue
        count = max(protocol.count or plan.n_gen for protocol in own)
        found[name] = Features(*extractor.extract(images[:count], plan.batch), extractor.no_logits)
    return found


def protocols(plan: MeasurePlan, known: Reference) -> dict[str, dict[str, Any]]:
    """By value: everything that has to agree before it may stand beside another one of its name."""
    found: dict[str, dict[str, Any]] = {}
    for metric in plan.metrics:
        protocol = parse(metric)
        network = known.manifest["extractors"][protocol.extractor]
        side = next(
            side
            for side in known.manifest["sides"]
            if (side["extractor"], side["split"]) == (protocol.extractor, protocol.split)
        )
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
            **{name: getattr(plan, name) for name in protocol.settings},
            **({"neighbours": protocol.k} if protocol.k else {}),
        }
        found |= {value: facts for value in protocol.values if not value.endswith(SPREAD)}
    return found
