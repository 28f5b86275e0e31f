"""Fréchet distance between two Gaussians fitted to features, in fp64 by symmetric eigendecomposition."""

from dataclasses import dataclass

import numpy as np

from pipeline.base.errors import UserError

ROWS = 8192  # features held in double precision at a time


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,), unbiased covariance (d, d), and, for the real side, a factor F with F F^T = covariance."""

    mean: np.ndarray
    covariance: np.ndarray
    factor: np.ndarray | None = None


def fit(features: np.ndarray, *, name: str = "features", factor: bool = False) -> Gaussian:
    """Gaussian of features (n, d), which may be memory-mapped; memory holds ROWS of them in double precision.

    Errors: `UserError` for fewer than two samples or a non-finite feature.
    """
    if len(features) < 2:
        raise UserError(f"{name}: {len(features)} samples; a covariance needs at least 2")
    parts = [slice(start, start + ROWS) for start in range(0, len(features), ROWS)]
    broken = sum(int((~np.isfinite(features[part])).any(axis=1).sum()) for part in parts)
    if broken:
        raise UserError(f"{name}: {broken} of {len(features)} samples have a non-finite feature")
    mean = sum(np.asarray(features[part], dtype=np.float64).sum(axis=0) for part in parts) / len(features)
    scatter = np.zeros((len(mean), len(mean)))
    for part in parts:
        centred = np.asarray(features[part], dtype=np.float64) - mean
        scatter += centred.T @ centred
    covariance = scatter * (1 / (len(features) - 1))
    return Gaussian(mean, covariance, square_root(covariance) if factor else None)


def square_root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric positive semi-definite square root; eigenvalues that rounding made negative count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def frechet_distance(real: Gaussian, generated: Gaussian) -> float:
    """||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017, eq. 6).

    The trace of the square root is the sum of the roots of the eigenvalues of F^T S2 F with F F^T = S1, a symmetric
    matrix, so no complex roots and no regularisation arise, at full rank or below.
    """
    factor = real.factor if real.factor is not None else square_root(real.covariance)
    cross = factor.T @ generated.covariance @ factor
    roots = np.sqrt(np.linalg.eigvalsh((cross + cross.T) / 2).clip(min=0))
    difference = real.mean - generated.mean
    return float(difference @ difference + np.trace(real.covariance) + np.trace(generated.covariance) - 2 * roots.sum())
