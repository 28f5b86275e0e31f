"""Which of very many pairs of features are near: matrix products in low precision, decided in double precision.

All pairs of 50,000 features of 2,048 dimensions are 5e12 multiplications. They are made as products of bfloat16 where the
processor has them and of float32 elsewhere, with a bound on their error that holds for every pair. A pair that the bound
leaves open is measured again, exactly: what comes out is the same on every machine, for every tile size and order.

With x' the rounded x, |x.y - x'.y'| <= |x| |y - y'| + |x - x'| |y'|, so d^2 = |x|^2 + |y|^2 - 2 x.y is known to within
c |x| |y| <= c/2 (|x|^2 + |y|^2), c twice the sum of both sides' relative rounding errors and the product's own.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

TILE = 4096         # features a side of one product
BLOCK = 64          # a row's pairs are looked at one by one only where the least of so many is near enough
SAMPLE = 512        # features whose median is the common centre
PAIRS = 256         # measured exactly at a time: what a core's cache holds
CROWD = 64          # open pairs per row of a tile beyond which the tile is computed in double precision instead
EPSILON = 2.0**-24


@dataclass(frozen=True)
class Rounded:
    """Features for products, ordered by `offset`, filled up with zeros to a multiple of BLOCK."""

    exact: np.ndarray       # (n, d), as given
    order: np.ndarray       # (n,) place in `exact` of every row below
    centre: np.ndarray
    low: Tensor             # (n', d), rounded, less the centre
    squares: Tensor         # (n',) float32, of the exact ones, less the centre
    reach: Tensor           # (n',) float32, squared radius; zero where none is asked for
    error: float            # largest |x - x'| / |x|

    @property
    def count(self) -> int:
        return len(self.exact)

    def double(self, part: slice) -> Tensor:
        """Rows of `part`, exact, less the centre."""
        return torch.from_numpy(np.asarray(self.exact[self.order[part]], dtype=np.float64) - self.centre)


def rounded(features: np.ndarray, centre: np.ndarray, reach: np.ndarray | None = None) -> Rounded:
    count, width = features.shape
    padded = -(-count // BLOCK) * BLOCK
    reach = np.zeros(count) if reach is None else reach
    parts = [slice(start, min(start + TILE, count)) for start in range(0, count, TILE)]
    norms = np.concatenate([np.square(np.asarray(features[part], dtype=np.float64) - centre).sum(axis=1) for part in parts])
    # Features whose scores begin alike lie in one block, so that a block's greatest product is its least score.
    order = np.argsort(norms - reach, kind="stable")
    side = Rounded(features, order, centre, torch.zeros(padded, width, dtype=_dtype()), torch.zeros(padded), torch.zeros(padded), 0.0)
    side.squares[:count], side.reach[:count] = torch.from_numpy(norms[order]).float(), torch.from_numpy(reach[order]).float()
    error = 0.0
    for part in parts:
        exact = side.double(part)
        side.low[part] = exact.to(side.low.dtype)
        error = max(error, float(((exact - side.low[part].double()).norm(dim=1) / exact.norm(dim=1).clamp(min=1e-300)).max()))
    return replace(side, error=error)


def centre_of(*sides: np.ndarray) -> np.ndarray:
    """Where most features are: rounding is relative to the distance from here, and a few astray must not move it."""
    some = [side[np.linspace(0, len(side) - 1, min(len(side), SAMPLE)).astype(int)] for side in sides]
    return np.median(np.concatenate(some).astype(np.float64), axis=0)


def squared_radii(features: np.ndarray, neighbours: int) -> np.ndarray:
    """(n,) squared distance of every feature to its k-th nearest other one (itself is the 0-th), in double precision."""
    side = rounded(features, centre_of(features))
    near = _Near(side, side, keep=neighbours + 1)
    for rows, columns, product in _tiles(side, side, symmetric=True):
        near.look(rows, columns, product)
        if rows != columns:
            near.look(columns, rows, product.t())
    i, j = near.pairs()
    distances = _measured(side, side, i, j)
    by_row = np.lexsort((distances, i))
    radii = np.empty(side.count)
    radii[side.order] = distances[by_row][np.searchsorted(i[by_row], np.arange(side.count)) + neighbours]
    return radii


def within(first: np.ndarray, second: np.ndarray, first_reach: np.ndarray, second_reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which features of each side lie within the reach (squared radius) of any of the other side's: two masks."""
    centre = centre_of(first, second)
    one, two = rounded(first, centre, first_reach), rounded(second, centre, second_reach)
    ahead, back = _Near(one, two, keep=0), _Near(two, one, keep=0)
    for rows, columns, product in _tiles(one, two):
        ahead.look(rows, columns, product)
        back.look(columns, rows, product.t())
    return ahead.decide(second_reach), back.decide(first_reach)


class _Near:
    """The pairs of `side` and `other` that may be near, gathered tile by tile.

    A pair's score is the other's offset less twice the product: a lower bound of the squared distance less the other's
    squared radius, less (1 - slack / 2) |x|^2. The other's margin and slack |x|^2 lead from the lower to the upper bound.
    With `keep` the nearest so many of every row are sought; without, whether any is nearer than its radius.
    """

    def __init__(self, side: Rounded, other: Rounded, keep: int) -> None:
        self.side, self.other, self.keep, self.slack = side, other, keep, _slack(side, other)
        self.offset = (1 - self.slack / 2) * other.squares - (1 + 4 * EPSILON) * other.reach
        self.offset[other.count :] = torch.inf
        blocks = self.offset.unflatten(0, (-1, BLOCK))
        self.least = blocks.amin(1)
        # Of a block that was filled up the greatest product may be no feature's: nothing is known from above.
        self.most = blocks.amax(1) + (self.slack * other.squares + 16 * EPSILON * other.reach).unflatten(0, (-1, BLOCK)).amax(1)
        self.best = torch.full((len(side.squares), keep), torch.inf)        # upper bounds of the nearest
        self.decided = torch.zeros(len(side.squares), dtype=torch.bool)
        self.decided[side.count :] = True       # rows that only fill the last block
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []

    def look(self, rows: slice, columns: slice, product: Tensor) -> None:
        """`product` (rows, columns) of a tile; pairs that may be near are remembered."""
        products = product.unflatten(1, (-1, BLOCK))
        blocks = slice(columns.start // BLOCK, columns.stop // BLOCK)
        # Along memory a maximum over blocks costs a thirtieth of one across it.
        greatest = products.amax(2) if product.is_contiguous() else product.t().unflatten(0, (-1, BLOCK)).amax(1).t()
        twice = 2 * greatest.float()
        limit = self._limit(rows, self.most[blocks] - twice)
        row, block = (self.least[blocks] - twice <= limit[:, None]).nonzero(as_tuple=True)
        if len(row) > CROWD * len(limit):
            return self._look_exactly(rows, columns)
        scores = self.offset[columns].unflatten(0, (-1, BLOCK))[block] - 2 * products[row, block].float()
        which, place = ((scores <= limit[row, None]) & scores.isfinite()).nonzero(as_tuple=True)
        if len(which) > CROWD * len(limit):
            return self._look_exactly(rows, columns)
        self.found.append((row[which] + rows.start, block[which] * BLOCK + place + columns.start, scores[which, place]))

    def _limit(self, rows: slice, above: Tensor) -> Tensor:
        """The score up to which a pair of each row is still open; `above`: upper bounds of each block's least score."""
        squares, decided = self.side.squares[rows], self.decided[rows]
        if self.keep:
            self.best[rows] = torch.cat([self.best[rows], above], dim=1).topk(self.keep, dim=1, largest=False).values
            limit = self.best[rows, -1] + self.slack * squares
        else:
            decided |= (above <= -(1 + self.slack / 2) * squares[:, None]).any(dim=1)
            limit = -(1 - self.slack / 2) * squares
        return torch.where(decided, -torch.inf, limit)

    def _look_exactly(self, rows: slice, columns: slice) -> None:
        """Where features crowd together closer than rounding tells apart: the tile in double precision, the least of a row.

        Its own error, 1e-15 of the squared distance from the centre, is smaller than what float32 features tell apart.
        """
        ends = slice(rows.start, min(rows.stop, self.side.count)), slice(columns.start, min(columns.stop, self.other.count))
        x, y = self.side.double(ends[0]), self.other.double(ends[1])
        reach, squares = self.other.reach[ends[1]].double(), self.side.squares[ends[0]].double()
        scores = (self.slack / 2) * squares[:, None] + (y.square().sum(1) - reach - 2 * x @ y.t()) + (x.square().sum(1) - squares)[:, None]
        values, places = scores.topk(min(max(self.keep, 1), len(y)), dim=1, largest=False)
        row = torch.arange(rows.start, rows.start + len(x)).repeat_interleave(places.shape[1])
        self.found.append((row, places.flatten() + columns.start, values.flatten().float()))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices (i, j) of all pairs that may be among the nearest of their row."""
        i, j, scores = (torch.cat(parts) for parts in zip(*self.found, strict=True))
        kept = scores <= self.best[i, -1] + self.slack * self.side.squares[i]
        return i[kept].numpy(), j[kept].numpy()

    def decide(self, reach: np.ndarray) -> np.ndarray:
        """(n,) in the order given: which are within the reach, also as given, of any of the other side's features."""
        i, j, _ = (torch.cat(parts) for parts in zip(*self.found, strict=True))
        open_ = ~self.decided[i]
        i, j = i[open_].numpy(), j[open_].numpy()
        ordered = self.decided[: self.side.count].numpy().copy()
        ordered[i[_measured(self.side, self.other, i, j) <= reach[self.other.order[j]]]] = True
        inside = np.empty_like(ordered)
        inside[self.side.order] = ordered
        return inside


def _tiles(one: Rounded, two: Rounded, *, symmetric: bool = False) -> Iterator[tuple[slice, slice, Tensor]]:
    """Products tile by tile, in order; the next ones are made while one is looked at.

    A product of bfloat16 keeps one core busy however many threads there are: threads make several.
    """
    rows, columns = ([slice(start, min(start + TILE, len(side.low))) for start in range(0, len(side.low), TILE)] for side in (one, two))
    places = [(row, column) for row in rows for column in columns if not symmetric or column.start >= row.start]
    workers = torch.get_num_threads()
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for place in [*places, *[None] * workers]:
            if place:
                waiting.append((*place, pool.submit(lambda row, column: one.low[row] @ two.low[column].t(), *place)))
            if waiting and (len(waiting) > workers or not place):
                row, column, product = waiting.popleft()
                yield row, column, product.result()


def _slack(one: Rounded, two: Rounded) -> float:
    """c of the module's docstring, with what float32 sums of products and scores add."""
    stored = torch.finfo(one.low.dtype).eps / 2
    return 2 * (one.error + two.error + one.error * two.error + stored + one.low.shape[1] * EPSILON) * 1.01 + 16 * EPSILON


def _measured(one: Rounded, two: Rounded, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Squared distances of the pairs of rows, from differences in double precision."""
    distances = torch.empty(len(i), dtype=torch.float64)
    buffers = [torch.empty(PAIRS, one.exact.shape[1], dtype=torch.float64) for _ in range(2)]    # kept: to ask for memory takes longer than to use it
    for start in range(0, len(i), PAIRS):
        part = slice(start, min(start + PAIRS, len(i)))
        x, y = (
            buffer[: part.stop - start].copy_(torch.from_numpy(side.exact[side.order[rows[part]]]))
            for buffer, side, rows in zip(buffers, (one, two), (i, j), strict=True)
        )
        torch.sum(x.sub_(y).square_(), 1, out=distances[part])
    return distances.numpy()


def _dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it itself; emulated it is slower than float32."""
    return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16", False) else torch.float32
