"""One cell's numbers: samples of the averaged generator measured against the reference, at its end and on its way."""

from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json, write_table
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.extractors.extractor import DTYPE, Features, Reference, best_device, load_reference
from pipeline.metrics.registry import SPREAD, parse
from pipeline.metrics.suite import measure
from pipeline.networks.sampling import draw_images, draw_latents, kept_weights, load_generator, memory_advice

CURVE = "progress.csv"


def measure_run(plan: MeasurePlan, *, run: str | Path, reference: str | Path, out: str | Path) -> dict[str, Any]:
    """Measure the averaged generator in `run` and write metrics.json (flat), protocol.json and progress.csv.

    The files hold no time and no machine: the same run, settings and device give the same bytes. A run that
    ended without a generator (out of memory) keeps its status and has no values.
    Errors: `UserError` where the device has too little memory, for too few samples, or for a non-finite feature.
    """
    torch.set_num_threads(plan.threads)
    run, out = Path(run), Path(out)
    record, loaded = read_json(run / "run.json"), load_reference(reference)
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    if (run / "generator_ema.safetensors").is_file():
        try:
            with memory_advice(f"{run}: too little memory for {plan.batch} images at a time; lower evaluate.batch"):
                generated = sampled_features(plan, loaded, run)
            values, unavailable = measure(plan, loaded.real, generated, seed=plan.seed, device=best_device())
            write_curve(plan, run=run, reference=loaded, out=out, end=(record["kimg"], values))
        except UserError as error:
            raise UserError(str(error) if str(error).startswith(str(run)) else f"{run}: {error}") from None
    facts = {"n_gen": plan.n_gen, "n_real": loaded.manifest["n_real"]}
    result = {"status": record["status"], "kimg": record["kimg"], **values, **facts}
    write_json(out / "protocol.json", {"metrics": protocols(plan, loaded), "unavailable": unavailable})
    write_json(out / "metrics.json", result)
    return result


def sampled_features(
    plan: MeasurePlan, reference: Reference, run: Path, weights: Path | None = None
) -> dict[str, Features]:
    """By network: features and logits of as many samples as its metrics take. Samples are drawn once, as uint8.

    `weights`: a generator that the run kept on its way; None: the last one.
    """
    generator = load_generator(run, best_device(), weights=weights)
    counts: dict[str, int] = {}
    for protocol in map(parse, plan.metrics):
        counts[protocol.extractor] = max(counts.get(protocol.extractor, 0), protocol.count or plan.n_gen)
    latents = draw_latents(generator, max(counts.values()), plan.seed)
    images = draw_images(generator, latents, seed=plan.seed, batch=plan.batch)
    return {name: reference.extractors[name].extract(images[:count], plan.batch) for name, count in counts.items()}


def write_curve(
    plan: MeasurePlan, *, run: Path, reference: Reference, out: Path, end: tuple[float, dict[str, float]]
) -> None:
    """Measure `plan.curve` at every generator that `run` kept, if any, and write progress.csv: kimg, a column a value.

    `end`: kimg and values of the last generator; where the curve's metrics are among them, they are not measured again.
    """
    settings, rows = plan.model_copy(update={"metrics": plan.curve}), []
    names = [name for metric in plan.curve for name in parse(metric).values if not name.endswith(SPREAD)]
    for kimg, weights in kept_weights(run) if plan.curve else ():
        values = end[1]
        if kimg != end[0] or not {*names} <= values.keys():
            generated = sampled_features(settings, reference, run, weights)
            values, _ = measure(settings, reference.real, generated, seed=plan.seed, device=best_device())
        shown = {name: values[name] for name in names if name in values}
        rows.append({"kimg": kimg, **shown})
        text = ", ".join(f"{name} {value:.7g}" for name, value in shown.items())
        print(f"measure: {run}: {kimg:g} kimg: {text}", flush=True)
        torch.cuda.empty_cache()  # does nothing without a GPU
    if rows:
        write_table(out / CURVE, rows)


def protocols(plan: MeasurePlan, reference: Reference) -> dict[str, dict[str, Any]]:
    """By value: everything that has to agree before it may stand beside another one of its name.

    Beside it, where they are known, `perfect` and `perfect_std`: what as many perfect samples get.
    """
    sides = {(side["extractor"], side["split"]): side for side in reference.manifest["sides"]}
    facts_of: dict[str, dict[str, Any]] = {}
    for protocol in map(parse, plan.metrics):
        network = reference.manifest["extractors"][protocol.extractor]
        side = sides[protocol.extractor, protocol.split]
        steps = [step for step in (reference.manifest["resize"], network["resize"]) if step != "none"]
        count = protocol.count or plan.n_gen
        facts = {
            "extractor": protocol.extractor,
            "extractor_sha256": network["sha256"],
            "dtype": DTYPE,
            "split": side["images"],
            "resize": ", then ".join(steps) or "none",
            "n_real": side["n_real"],
            "n_gen": count,
            "seed": plan.seed,
            **{name: getattr(plan, name) for name in protocol.settings},
            **({"neighbours": protocol.k} if protocol.k else {}),
        }
        width = reference.real[protocol.extractor, protocol.split].features.shape[1]
        perfect = protocol.formula.perfect(count, width) if protocol.formula.perfect else ()
        values = [value for value in protocol.values if not value.endswith(SPREAD)]
        facts_of |= dict.fromkeys(values, facts)
        for value, (mean, deviation) in zip(values, perfect, strict=False):  # where it is known
            facts_of[value] = facts | {"perfect": mean, "perfect_std": deviation}
    return facts_of
