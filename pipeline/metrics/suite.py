"""All metrics of one set of features against the real ones, by name, and the floors: what each says where it is known.

The known answers are measured by the stage `reference`; the report shows them beside the values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.base.errors import UserError
from pipeline.base.images import to_float, to_uint8
from pipeline.metrics.config import MetricSettings, ReferencePlan
from pipeline.metrics.extractors.extractor import Extractor, Features, best_device, check_finite
from pipeline.metrics.extractors.registry import NETWORKS
from pipeline.metrics.registry import NO_LOGITS, SPREAD, parse

MOST = 1000  # images of a case at most, as many as a run of the faces is measured with
MEMORISED = 100
BATCH = 500
ROUND_TRIP = 500


def measure(
    settings: MetricSettings,
    real: Mapping[tuple[str, str], Features],
    generated: Mapping[str, Features],
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, float], dict[str, str]]:
    """Values of every metric of `settings.metrics`, flat, and why others cannot be had: name -> `not available: ...`.

    `real` by network and split, `generated` by network. A metric takes the first so many samples as its name says, one
    without a count all of them. `seed` draws the kernel distance's subsets. `device` computes neighbours.
    Errors: `UserError` naming the metric and the number of samples it needs, or for a non-finite feature.
    """
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    for protocol in map(parse, settings.metrics):
        name, formula, samples = protocol.name, protocol.formula, generated[protocol.extractor]
        rows = samples.logits if formula.reads == "logits" else samples.features
        if rows is None:
            unavailable[name] = NO_LOGITS
            continue
        least = protocol.least(settings.splits, settings.subset_size)
        if len(samples) < (needed := max(least, protocol.count or 0)):
            raise UserError(f"{name}: needs at least {needed} generated samples, has {len(samples)}")
        check_finite(rows[: protocol.count], name=name)
        sides = [real[protocol.extractor, protocol.split if split == "own" else split] for split in formula.real]
        if fewest := [len(side) for side in sides if len(side) < least]:
            raise UserError(f"{name}: needs at least {least} real samples, has {fewest[0]}")
        options = {**dict(settings), "seed": seed, "device": device, "neighbours": protocol.k}
        inputs = (getattr(side, formula.reads) for side in (*sides, samples.rows(slice(protocol.count))))
        result = formula.compute(*inputs, **{option: options[option] for option in formula.options})
        values |= dict(zip(protocol.values, result if isinstance(result, tuple) else (result,), strict=True))
    return values, unavailable


def known_answers(
    plan: ReferencePlan, extractor: Extractor, images: Mapping[str, np.ndarray], seen: dict[str, Features]
) -> dict[str, Any]:
    """`<value>_<case>` and `n_<case>` of one network's metrics, flat; the cases are those of `_cases`.

    By split (train, and test where the dataset has one): images (N, C, H, W) uint8, and as the network sees them.
    Metrics that are compared with a test split, but for the digits' own, have no known answers: the cases are about the
    generator's training images. A value that cannot be had is the text that says why.
    """
    answers: dict[str, Any] = {}
    for split in images if NETWORKS[extractor.name].own else ["train"]:
        protocols = map(parse, plan.metrics)
        names = [one.name for one in protocols if (one.extractor, one.split) == (extractor.name, split)]
        for case, sides, generated in _cases(extractor, images, seen, split) if names else ():
            smallest = min(len(sides[split]), len(generated))
            size = plan.subset_size and min(plan.subset_size, smallest)
            settings = plan.model_copy(update={"metrics": names, "subset_size": size})
            real = {(extractor.name, name): side for name, side in sides.items()}
            values, unavailable = measure(settings, real, {extractor.name: generated}, device=best_device())
            answers[f"n_{case}"] = smallest
            entries = (values | unavailable).items()
            answers |= {f"{name}_{case}": value for name, value in entries if not name.endswith(SPREAD)}
    return answers


def _cases(
    extractor: Extractor, images: Mapping[str, np.ndarray], seen: dict[str, Features], split: str
) -> Iterator[tuple[str, dict[str, Features], Features]]:
    """Each case of the registry's CASES: name, real images by split, images in the place of generated ones.

    Train and test stand for the other split, where there is one.
    """
    pictures, features, random = images[split], seen[split], np.random.default_rng(0)
    order, half = random.permutation(len(pictures)), len(pictures) // 2
    few, extracted = min(half, MOST), partial(extractor.extract, batch=BATCH, what="known answers")
    yield "halves", seen | {split: features.rows(np.sort(order[:half]))}, features.rows(np.sort(order[half:]))
    if few < half:
        yield "rest", seen | {split: features.rows(np.sort(order[few:]))}, features.rows(np.sort(order[:few]))
    for other in set(images) - {split}:
        yield other, seen, seen[other]
    yield "memorised", seen, seen["train"].rows(np.arange(few) % min(MEMORISED, len(images["train"])))
    back = extracted(to_uint8(to_float(torch.from_numpy(np.array(pictures[:ROUND_TRIP])))).numpy())
    rest = features.rows(slice(ROUND_TRIP, None))
    logits = None if rest.logits is None or back.logits is None else np.concatenate([back.logits, rest.logits])
    yield "round_trip", seen, replace(rest, features=np.concatenate([back.features, rest.features]), logits=logits)
    sharp = torch.from_numpy(np.array(pictures[:few])).float()
    blurred = F.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    yield "blurred", seen, extracted(blurred.round().byte().numpy())
    one = features.rows(np.zeros(few, dtype=int))
    # A little noise on the features: of equal samples no neighbour is the nearest one.
    noise = np.random.default_rng(0).normal(0, 1e-3, one.features.shape).astype(np.float32)
    yield "one_image", seen, replace(one, features=one.features + noise)
    yield "constant", seen, extracted(np.full_like(pictures[:1], 128)).rows(np.zeros(few, dtype=int))
    yield "noise", seen, extracted(random.integers(0, 256, (few, *pictures.shape[1:]), dtype=np.uint8))
