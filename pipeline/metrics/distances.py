"""The distances and scores of features, by the functions of clean-fid and torch-fidelity.

Every Fréchet distance is torch-fidelity's, 28 s of processor time at 2,048 features. clean-fid's calls scipy's `sqrtm`,
63 s, and scipy 1.18 breaks it; a test compares the two. Torch and the libraries are imported by the functions: settings
are checked without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.metrics.registry import Formula

if TYPE_CHECKING:
    import torch

PAIRS = 4096  # features a side whose distances are held at a time


def frechet_distance(real: dict[str, np.ndarray], generated: dict[str, np.ndarray]) -> float:
    """||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017, eq. 6), torch-fidelity's, at least 0.

    Sides are {mu: m, sigma: S}. Rounding makes values between equal sides negative by about 1e-7 of the traces: 0.
    """
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    return max(0.0, float(fid_statistics_to_metric(generated, real, verbose=False)[KEY_METRIC_FID]))


def inception_score(logits: np.ndarray, *, splits: int) -> tuple[float, float]:
    """Mean and standard deviation of exp(E KL(p(y|x) || p(y))) over consecutive splits of logits (n, classes)."""
    import torch
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

    values = isc_features_to_metric(torch.from_numpy(np.array(logits)), splits=splits, shuffle=False)
    return values[KEY_METRIC_ISC_MEAN], values[KEY_METRIC_ISC_STD]


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, *, subsets: int, subset_size: int, seed: int
) -> tuple[float, float]:
    """clean-fid's `kernel_distance` over `subsets` random subsets drawn from `seed`, and their standard deviation.

    Unbiased squared MMD with the kernel (a.b / d + 1)^3 of features (n, d) and (m, d): it may be negative. clean-fid
    gives the mean alone, so it is called once a subset; the mean of these is what it says for all. A side with fewer
    than `subset_size` samples would be measured by smaller subsets: `suite.measure` refuses it.
    """
    from cleanfid import fid

    sides, state = [np.asarray(side) for side in (real, generated)], np.random.get_state()
    np.random.seed(seed)  # clean-fid draws from numpy's global generator
    try:
        values = [fid.kernel_distance(*sides, num_subsets=1, max_subset_size=subset_size) for _ in range(subsets)]
    finally:
        np.random.set_state(state)
    return float(np.mean(values)), float(np.std(values))


def precision_recall(
    real: np.ndarray, generated: np.ndarray, *, neighbours: int, device: torch.device | str = "cpu"
) -> tuple[float, float]:
    """torch-fidelity's improved precision and recall (Kynkäänniemi et al. 2019) of features (n, d) and (m, d)."""
    import torch
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    sides = [torch.from_numpy(np.array(side)).to(device) for side in (generated, real)]
    values = prc_features_to_metric(
        *sides, prc_neighborhood=neighbours, prc_batch_size=PAIRS, save_cpu_ram=True, verbose=False
    )
    return values[KEY_METRIC_PRECISION], values[KEY_METRIC_RECALL]


FID = Formula(
    frechet_distance, {"{name}": "Fréchet Inception distance"}, lower=True, reads="gaussian", abbreviation="FID"
)
_SCORE, _KERNEL = ({"{name}": label, "{name}_std": None} for label in ("Inception score", "kernel Inception distance"))
INCEPTION_SCORE = Formula(
    inception_score, _SCORE, lower=False, reads="logits", real=(), options=("splits",), abbreviation="IS"
)
KID = Formula(kernel_distance, _KERNEL, lower=True, options=("subsets", "subset_size", "seed"), abbreviation="KID")
_MANIFOLDS = {
    "precision{rest}": "share of samples inside the real images' manifold",
    "recall{rest}": "share of real images inside the samples' manifold",
}
PRECISION_RECALL = Formula(precision_recall, _MANIFOLDS, lower=False, options=("neighbours", "device"))
