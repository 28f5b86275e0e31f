"""k-th nearest neighbours and membership of k-NN balls among many features: fast products, exact results, any device.

All pairs of 50,000 features of 2,048 dimensions are 5e12 multiplications. So squared distances come from matrix
products, |x|^2 + |y|^2 - 2 x.y, tile by tile. The products are bfloat16 where the processor has such instructions, else
float32. Every row keeps its nearest candidates with a bound on the error of their distances. Only pairs that the bound
leaves open are measured again, as differences in double precision. A row with more open pairs than candidates is
computed again in the next higher precision. So the result is that of exact distances, whatever the device, the tile
size or the order.

The bound: with x' the rounded x, |x.y - x'.y'| <= |x| |y - y'| + |x - x'| |y'|. So 2 x.y is known to within
c |x| |y| <= c/2 (|x|^2 + |y|^2). Here c is twice the sum of both sides' relative rounding errors and the product's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TILE = 4096  # features a side of one product
CANDIDATES = 12  # kept per row beside those asked for
SAMPLE = 512  # features whose median is the common centre
ROWS = 256  # of a tile looked at, or pairs measured again, at a time: what a core's cache holds


def squared_radii(features: np.ndarray, neighbours: int, device: torch.device | str = "cpu") -> np.ndarray:
    """Squared distances (n,) fp64 of features (n, d) to their k-th nearest other one; a feature is its own 0-th."""
    radii, undecided, centre = np.empty(len(features)), np.arange(len(features)), _centre(features)
    for dtype in _precisions(device):
        every = _side(features, centre, dtype, device)
        symmetric = len(undecided) == len(features)
        rows = every if symmetric else _side(features[undecided], centre, dtype, device)
        nearest = _Nearest(rows, every, np.zeros(len(features)), keep=neighbours + 1 + CANDIDATES, balls=False)
        for part, columns, products in _tiles(rows, every, symmetric=symmetric):
            nearest.add(part, columns, products)
            if symmetric and part != columns:
                nearest.add(columns, part, products.t())
        radii[undecided], certain = nearest.kth(neighbours)
        undecided = undecided[~certain]
        if not len(undecided):
            break
    return radii


def within(
    first: np.ndarray,
    second: np.ndarray,
    first_radii: np.ndarray,
    second_radii: np.ndarray,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Which features of each side lie in a ball around any feature of the other side: two masks.

    Features (n, d) and (m, d), squared radii (n,) and (m,). A feature on the border of a ball is inside.
    """
    sides, radii, centre = (first, second), (first_radii, second_radii), _centre(first, second)
    inside = [np.zeros(len(side), dtype=bool) for side in sides]
    undecided = [np.arange(len(side)) for side in sides]
    for dtype in _precisions(device):
        whole = [_side(side, centre, dtype, device) for side in sides]
        complete = all(len(rows) == len(side) for rows, side in zip(undecided, sides, strict=True))
        nearest = [
            _Nearest(
                whole[own] if complete else _side(sides[own][undecided[own]], centre, dtype, device),
                whole[1 - own],
                radii[1 - own],
                keep=CANDIDATES,
                balls=True,
            )
            for own in (0, 1)
        ]
        if complete:  # one product serves both directions
            for rows, columns, products in _tiles(*whole):
                nearest[0].add(rows, columns, products)
                nearest[1].add(columns, rows, products.t())
        else:
            for found in nearest:
                for tile in _tiles(found.one, found.two):
                    found.add(*tile)
        for own in (0, 1):
            inside[own][undecided[own]], certain = nearest[own].inside()
            undecided[own] = undecided[own][~certain]
        if not any(map(len, undecided)):
            break
    return inside[0], inside[1]


@dataclass(frozen=True)
class _Side:
    """Features less the centre, rounded for the products, and what was lost by rounding."""

    exact: np.ndarray  # (n, d), as given
    rounded: Tensor  # (n, d)
    squares: Tensor  # (n,) squared norms less the centre, fp64 rounded to the precision of scores
    error: float  # largest relative rounding error of a row

    def __len__(self) -> int:
        return len(self.exact)


def _side(features: np.ndarray, centre: np.ndarray, dtype: torch.dtype, device: torch.device | str) -> _Side:
    rounded = torch.empty(features.shape, dtype=dtype, device=device)
    squares, error = torch.empty(len(features), dtype=_score_dtype(dtype), device=device), 0.0
    centre_ = torch.from_numpy(centre).to(device)
    for start in range(0, len(features), ROWS):
        part = slice(start, start + ROWS)
        exact = torch.from_numpy(np.array(features[part])).to(device) - centre_
        rounded[part] = exact
        norms = exact.square().sum(dim=1)
        squares[part] = norms
        lost = exact.sub_(rounded[part]).square_().sum(dim=1) / norms.clamp(min=1e-300)
        error = max(error, float(lost.max()) ** 0.5)
    return _Side(features, rounded, squares, error)


class _Nearest:
    """Of every feature of `one`, the `keep` features of `two` whose squared distance less squared radius is least.

    The score of a pair is (1 - c/2) |y|^2 - radius - 2 x.y, a lower bound less (1 - c/2) |x|^2, which is the row's own.
    """

    def __init__(self, one: _Side, two: _Side, radii: np.ndarray, keep: int, *, balls: bool) -> None:
        """With `balls` pairs that are farther apart than the radius, by their lower bound, are left out."""
        self.one, self.two = one, two
        stored, unit = torch.finfo(one.rounded.dtype).eps / 2, torch.finfo(one.squares.dtype).eps
        summed = one.rounded.shape[1] * min(unit, 2.0**-24)
        self.c = 2.02 * (one.error + two.error + one.error * two.error + stored + summed) + 16 * unit
        radii_ = torch.from_numpy(radii).to(two.squares)
        self.offsets = (1 - self.c / 2) * two.squares - (1 + 8 * unit) * radii_
        self.margins = self.c * two.squares + 16 * unit * radii_  # from a lower bound to the upper one
        self.radii = radii
        outside = (self.c / 2 - 1) * one.squares
        self.limits = outside if balls else torch.full_like(outside, torch.inf)
        self.rows = ROWS if one.rounded.device.type == "cpu" else TILE
        shape = (len(one), min(keep, len(two)))
        self.scores = torch.full(shape, torch.inf, dtype=one.squares.dtype, device=one.squares.device)
        self.columns = torch.zeros(shape, dtype=torch.int64, device=one.squares.device)

    def add(self, rows: slice, columns: slice, products: Tensor) -> None:
        """Look at the products (rows, columns) of one tile."""
        keep, products = self.scores.shape[1], products.contiguous()
        for start in range(0, len(products), self.rows):
            part = slice(rows.start + start, min(rows.start + start + self.rows, rows.stop))
            # Mixed types subtract at half the speed, so the products are converted first.
            scores = products[start : start + self.rows].to(self.scores.dtype, copy=True)
            torch.sub(self.offsets[columns], scores, alpha=2, out=scores)
            # To sort out the least of a row takes ten times as long as to see whether the row has any of interest.
            limit = torch.minimum(self.scores[part, -1], self.limits[part])
            row = (scores.amin(dim=1) <= limit).nonzero().squeeze(1)
            least, where = scores[row].topk(min(keep, scores.shape[1]), dim=1, largest=False)
            row += part.start
            least = torch.cat([self.scores[row], least], dim=1)
            where = torch.cat([self.columns[row], where + columns.start], dim=1)
            self.scores[row], order = least.topk(keep, dim=1, largest=False)
            self.columns[row] = where.gather(1, order)

    def kth(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances (n,) to the k-th nearest, radii aside, and which of them are certain."""
        lower, upper = self._bounds()
        open_ = lower <= upper.kthvalue(k + 1, dim=1, keepdim=True).values
        found = self._measured(open_).kthvalue(k + 1, dim=1).values
        return found.numpy(), ((lower[:, -1].cpu() >= found) | self._complete).numpy()

    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """Which rows (n,) lie in a ball, and which of these answers are certain."""
        lower, upper = self._bounds()
        inside = (upper <= 0).any(dim=1)
        measured = self._measured((lower <= 0) & ~inside[:, None])
        inside = inside.cpu() | (measured <= torch.from_numpy(self.radii)[self.columns.cpu()]).any(dim=1)
        return inside.numpy(), (inside | (lower[:, -1].cpu() > 0) | self._complete).numpy()

    @property
    def _complete(self) -> bool:
        """Whether the candidates are all there are, or the error is that of double precision."""
        return self.scores.shape[1] == len(self.two) or self.one.rounded.dtype == torch.float64

    def _bounds(self) -> tuple[Tensor, Tensor]:
        """Bounds (n, keep) of squared distance less squared radius; the last lower one holds for all other features."""
        lower = self.scores + (1 - self.c / 2) * self.one.squares[:, None]
        return lower, lower + self.margins[self.columns] + self.c * self.one.squares[:, None]

    def _measured(self, open_: Tensor) -> Tensor:
        """Squared distances (n, keep) fp64 of the candidates marked in `open_`, infinity for the others."""
        found = torch.full(open_.shape, torch.inf, dtype=torch.float64)
        rows, places = open_.cpu().nonzero(as_tuple=True)
        i, j, distances = (
            rows.numpy(),
            self.columns.cpu()[rows, places].numpy(),
            torch.empty(len(rows), dtype=torch.float64),
        )
        for start in range(0, len(i), ROWS):
            part = slice(start, start + ROWS)
            x, y = (
                torch.from_numpy(np.asarray(side.exact[at[part]])).double()
                for side, at in ((self.one, i), (self.two, j))
            )
            distances[part] = x.sub_(y).square_().sum(dim=1)
        found[rows, places] = distances
        return found


def _tiles(one: _Side, two: _Side, *, symmetric: bool = False) -> Iterator[tuple[slice, slice, Tensor]]:
    """Products x.y tile by tile; of a symmetric matrix only those on and above the diagonal."""
    rows, columns = ([slice(at, min(at + TILE, len(side))) for at in range(0, len(side), TILE)] for side in (one, two))
    for row in rows:
        for column in columns:
            if not symmetric or column.start >= row.start:
                yield row, column, one.rounded[row] @ two.rounded[column].t()


def _centre(*sides: np.ndarray) -> np.ndarray:
    """Where most features are (d,). Rounding is relative to the distance from here; a few astray must not move it."""
    some = [side[np.linspace(0, len(side) - 1, min(len(side), SAMPLE)).astype(int)] for side in sides]
    return np.median(np.concatenate(some).astype(np.float64), axis=0)


def _precisions(device: torch.device | str) -> list[torch.dtype]:
    """Precisions of the products, the fastest first. The last one is always double precision.

    Emulated bfloat16 is slower than float32. Where torch may shorten float32 products (TF32), their error is not that
    of float32, so they are left out.
    """
    fast = []
    if torch.device(device).type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False):
        fast.append(torch.bfloat16)
    if torch.get_float32_matmul_precision() == "highest":
        fast.append(torch.float32)
    return [*fast, torch.float64]


def _score_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
