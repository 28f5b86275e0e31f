"""Improved precision and recall (Kynkäänniemi et al. 2019): shares of samples inside the other side's k-NN manifold."""

import numpy as np

from pipeline.metrics.near import squared_radii, within


def precision_recall(real: np.ndarray, generated: np.ndarray, *, neighbours: int, real_radii: np.ndarray | None = None) -> tuple[float, float]:
    """Features (n, d) each -> precision (generated inside the real manifold) and recall (real inside the generated one).

    `real_radii`: `squared_radii` of the real side, where it is kept. A sample on the border of a ball is inside.
    """
    reach = squared_radii(real, neighbours) if real_radii is None else real_radii
    generated_inside, real_inside = within(generated, real, squared_radii(generated, neighbours), reach)
    return float(generated_inside.mean()), float(real_inside.mean())
