"""Improved precision and recall (Kynkäänniemi et al. 2019): shares of samples inside the other side's k-NN manifold."""

import numpy as np
import torch

from pipeline.metrics.knn_radii import squared_radii, within


def precision_recall(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    neighbours: int,
    real_radii: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> tuple[float, float]:
    """Precision (generated samples inside the real manifold) and recall (real samples inside the generated one).

    Features (n, d) and (m, d). `real_radii` (n,): `squared_radii` of the real side, where they are kept. A sample on
    the border of a ball is inside. `device` is where the distances are computed; it does not change the result.
    """
    if real_radii is None:
        real_radii = squared_radii(real, neighbours, device)
    generated_radii = squared_radii(generated, neighbours, device)
    generated_inside, real_inside = within(generated, real, generated_radii, real_radii, device)
    return float(generated_inside.mean()), float(real_inside.mean())
