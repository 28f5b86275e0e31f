"""How far the samples' mean features are from the real ones': a metric in one file, as CONTRIBUTING.md describes it."""

import numpy as np

from pipeline.metrics.registry import Formula


def mean_shift(real: np.ndarray, generated: np.ndarray) -> float:
    """||m1 - m2|| of features (n, d) and (m, d)."""
    return float(np.linalg.norm(real.mean(axis=0) - generated.mean(axis=0)))


MEAN_SHIFT = Formula(mean_shift, {"{name}": "distance between the mean features"}, lower=True)
