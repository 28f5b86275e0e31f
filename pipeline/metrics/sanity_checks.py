"""The evaluators' known answers: what each metric says where the answer is known. The report shows them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.base.images import to_float, to_uint8
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.extractor import Extractor
from pipeline.metrics.registry import parse
from pipeline.metrics.suite import Features, Real, measure, real_side

MOST = 2000  # images made for a case at most: a case needs no precision
BATCH = 500
ROUND_TRIP = 500


def known_answers(
    plan: ReferencePlan,
    extractor: Extractor,
    images: np.ndarray,
    real: Real,
    features: np.ndarray,
    logits: np.ndarray | None,
    test: Features | None,
) -> dict[str, Any]:
    """`<value>_<case>` and `n_<case>` of one network's metrics on the training split, flat.

    halves: one random half of the training images against the other, the least that can be expected. test: the test
    split's images. round_trip: the training images, some of them turned into network inputs and back (no distance).
    one_image: one image over and over (collapse: precise, no recall). constant: a grey area. noise: uniform noise.
    A value that cannot be had is the text that says why.
    """
    metrics = [
        name for name in plan.metrics if parse(name).extractor == extractor.name and parse(name).split == "train"
    ]
    if not metrics:
        return {}
    settings = plan.model_copy(update={"metrics": metrics})
    answers: dict[str, Any] = {}
    for case, (side, generated) in _cases(extractor, images, real, features, logits, test).items():
        try:
            values, unavailable = measure(settings, {(extractor.name, "train"): side}, {extractor.name: generated})
        except UserError as error:
            raise UserError(f"known answer {case}: {error}") from None
        answers |= {f"n_{case}": min(side.count, len(generated.features))} | {
            f"{name}_{case}": value for name, value in (values | unavailable).items() if not name.endswith("_std")
        }
    return answers


def _cases(
    extractor: Extractor,
    images: np.ndarray,
    real: Real,
    features: np.ndarray,
    logits: np.ndarray | None,
    test: Features | None,
) -> Mapping[str, tuple[Real, Features]]:
    def given(rows: np.ndarray, scores: np.ndarray | None) -> Features:
        return Features(rows, scores, extractor.no_logits)

    order = np.random.default_rng(0).permutation(len(features))
    half = len(order) // 2
    first, second, few = order[:half], order[half:], min(half, MOST)
    whole = Real(real.count, real.gaussian, features, real.radii)
    cases = {
        "halves": (
            real_side(np.asarray(features[first])),
            given(np.asarray(features[second]), None if logits is None else logits[second]),
        )
    }
    if test is not None:
        cases["test"] = (whole, test)
    back = to_uint8(to_float(torch.from_numpy(np.array(images[:ROUND_TRIP])))).numpy()
    rows, scores = extractor.extract(back, BATCH)
    cases["round_trip"] = (
        whole,
        given(
            np.concatenate([rows, features[ROUND_TRIP:]]),
            None if logits is None else np.concatenate([scores, logits[ROUND_TRIP:]]),
        ),
    )
    repeated = np.repeat(features[:1], few, axis=0) + np.random.default_rng(0).normal(
        0, 1e-3, (few, features.shape[1])
    ).astype(np.float32)
    cases["one_image"] = (whole, given(repeated, None if logits is None else np.repeat(logits[:1], few, axis=0)))
    rows, scores = extractor.extract(np.full_like(images[:1], 128), 1)
    cases["constant"] = (
        whole,
        given(np.repeat(rows, few, axis=0), None if scores is None else np.repeat(scores, few, axis=0)),
    )
    noise = np.random.default_rng(0).integers(0, 256, (min(len(images), MOST), *images.shape[1:]), dtype=np.uint8)
    cases["noise"] = (whole, given(*extractor.extract(noise, BATCH)))
    return cases
