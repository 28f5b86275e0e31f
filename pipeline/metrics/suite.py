"""All metrics of one set of generated features against the real ones, by name."""

from collections.abc import Mapping

import torch

from pipeline.base.errors import UserError
from pipeline.metrics.config import MetricSettings
from pipeline.metrics.extractors.extractor import Features, check_finite
from pipeline.metrics.registry import UNAVAILABLE, parse


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
    first: dict[tuple[str, int], Features] = {}  # several metrics may read the same samples
    for name, protocol in ((name, parse(name)) for name in settings.metrics):
        formula, samples = protocol.formula, generated[protocol.extractor]
        rows = samples.logits if formula.reads == "logits" else samples.features
        if rows is None:
            unavailable[name] = f"{UNAVAILABLE}{samples.no_logits}"
            continue
        least = protocol.least(settings.splits, settings.subset_size)
        if len(samples) < (needed := max(least, protocol.count or 0)):
            raise UserError(f"{name}: needs at least {needed} generated samples, has {len(samples)}")
        count = protocol.count or len(samples)
        samples = first.setdefault((protocol.extractor, count), samples.rows(slice(count)))
        check_finite(rows[:count], name=name)
        sides = [real[protocol.extractor, split] for split in protocol.real]
        if fewest := [len(side) for side in sides if len(side) < least]:
            raise UserError(f"{name}: needs at least {least} real samples, has {fewest[0]}")
        known = {"seed": seed, "device": device, "neighbours": protocol.k}
        known |= {setting: getattr(settings, setting) for setting in protocol.settings}
        read = (getattr(side, formula.reads) for side in (*sides, samples))
        found = formula.compute(*read, **{option: known[option] for option in formula.options})
        values |= dict(zip(protocol.values, found if isinstance(found, tuple) else (found,), strict=True))
    return values, unavailable
