"""The evaluators' known answers: what each metric says where the answer is known. The report shows them as floors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.base.errors import UserError
from pipeline.base.images import to_float, to_uint8
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.extractors.extractor import Extractor, Features, best_device
from pipeline.metrics.registry import SPREAD, parse
from pipeline.metrics.suite import Real, measure, real_side

MOST = 1000  # images of a case at most, as many as a run of the faces is measured with
MEMORISED = 100
BATCH = 500
ROUND_TRIP = 500


@dataclass(frozen=True, kw_only=True)
class Side:
    """The real images of one split as one network sees them."""

    images: np.ndarray  # (N, C, H, W) uint8
    seen: Features
    real: Real


def known_answers(plan: ReferencePlan, extractor: Extractor, sides: Mapping[str, Side]) -> dict[str, Any]:
    """`<value>_<case>` and `n_<case>` of one network's metrics, flat; the cases are those of `_cases`.

    `sides` by split: train, and test where the dataset has one. Metrics that are compared with a test split, but for
    the digits' own, have no known answers: the cases are about the generator's training images. A value that cannot be
    had is the text that says why.
    """
    answers: dict[str, Any] = {}
    for split in sides:
        metrics = [name for name in plan.metrics if _asked(name, extractor.name, split)]
        if not metrics:
            continue
        for case, (own, generated) in _cases(extractor, sides, split, metrics):
            smallest = min(own[split].count, len(generated.features))
            size = None if plan.subset_size is None else min(plan.subset_size, smallest)
            settings = plan.model_copy(update={"metrics": metrics, "subset_size": size})
            real = {(extractor.name, name): side for name, side in own.items()}
            try:
                values, unavailable = measure(settings, real, {extractor.name: generated}, device=best_device())
            except UserError as error:
                raise UserError(f"known answer {case}: {error}") from None
            answers |= {f"n_{case}": smallest} | {
                f"{name}_{case}": value for name, value in (values | unavailable).items() if not name.endswith(SPREAD)
            }
    return answers


def _asked(name: str, extractor: str, split: str) -> bool:
    protocol = parse(name)
    return (protocol.extractor, protocol.split) == (extractor, split) and (split == "train" or bool(protocol.own))


def _cases(
    extractor: Extractor, sides: Mapping[str, Side], split: str, metrics: list[str]
) -> Iterator[tuple[str, tuple[dict[str, Real], Features]]]:
    """(name, (real sides by split, images in the place of generated ones)).

    The cases are those of the registry's CASES: train and test stand for the other split, where there is one.
    """
    here, whole = sides[split], {name: side.real for name, side in sides.items()}
    images, seen, random = here.images, here.seen, np.random.default_rng(0)
    count, gaussian = len(images), any(parse(name).kind == "frechet" for name in metrics)
    order, half, few = random.permutation(count), count // 2, min(count // 2, MOST)

    def against(index: np.ndarray) -> dict[str, Real]:
        return whole | {split: real_side(np.asarray(seen.features[np.sort(index)]), gaussian=gaussian)}

    def extracted(pictures: np.ndarray) -> Features:
        return extractor.extract(pictures, BATCH)

    yield "halves", (against(order[:half]), seen.rows(np.sort(order[half:])))
    if few < half:
        yield "rest", (against(order[few:]), seen.rows(np.sort(order[:few])))
    for other in set(sides) - {split}:
        yield other, (whole, sides[other].seen)
    training = sides["train"].seen
    yield "memorised", (whole, training.rows(np.arange(few) % min(MEMORISED, len(training.features))))
    back = to_uint8(to_float(torch.from_numpy(np.array(images[:ROUND_TRIP])))).numpy()
    yield "round_trip", (whole, _joined(extracted(back), seen.rows(slice(ROUND_TRIP, None))))
    blurred = F.avg_pool2d(
        torch.from_numpy(np.array(images[:few])).float(), 3, stride=1, padding=1, count_include_pad=False
    )
    yield "blurred", (whole, extracted(blurred.round().byte().numpy()))
    yield "one_image", (whole, _jittered(seen.rows(np.zeros(few, dtype=int))))
    yield "constant", (whole, extracted(np.full_like(images[:1], 128)).rows(np.zeros(few, dtype=int)))
    yield "noise", (whole, extracted(random.integers(0, 256, (few, *images.shape[1:]), dtype=np.uint8)))


def _joined(first: Features, second: Features) -> Features:
    logits = None
    if first.logits is not None and second.logits is not None:
        logits = np.concatenate([first.logits, second.logits])
    return Features(np.concatenate([first.features, second.features]), logits, no_logits=first.no_logits)


def _jittered(seen: Features) -> Features:
    """A little noise on the features: of equal samples no neighbour is the nearest one."""
    noise = np.random.default_rng(0).normal(0, 1e-3, seen.features.shape).astype(np.float32)
    return Features(seen.features + noise, seen.logits, no_logits=seen.no_logits)
