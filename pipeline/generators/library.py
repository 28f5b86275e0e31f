"""Trained generators as a Python library (docs/how-to/networks.md):

generator = load_generator("digits/full")            # a name under pretrained/, or the folder of a run
images = generator.sample(16, seed=0)                # uint8 (16, height, width, channels)
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.images import to_uint8
from pipeline.generators.pretrained import find_run
from pipeline.networks import sampling
from pipeline.networks.interface import Generator

BATCH = 64  # images at a time


def load_generator(run_or_name: str | Path, device: torch.device | str = "cpu") -> "TrainedGenerator":
    """The averaged generator of a finished run, ready to draw images.

    `run_or_name`: the folder of a run (`runs/digits/full/seed0`), or the name of a network under pretrained/
    (`digits/full`). Nothing is downloaded.
    Errors: `UserError` where there is no such run or network, and where its weights do not fit its description.
    """
    return TrainedGenerator(find_run(run_or_name), device)


class TrainedGenerator:
    """A trained generator. Images are uint8 arrays (N, H, W, C) with values 0..255.

    The same seed gives the same images on the same machine. PyTorch's global random state stays as it was, except
    during the iteration of `batches`.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu"):
        self.folder = folder
        self.spec = sampling.read_networks(folder)  # both networks, as the plan resolved them
        self.network: Generator = sampling.load_generator(folder, device)
        self.resolution = self.network.resolution  # pixels a side
        self.channels = self.network.channels  # 1 or 3
        self.latent_dim = self.network.latent_dim

    def __repr__(self) -> str:
        size = f"{self.resolution} x {self.resolution} x {self.channels}"
        return f"TrainedGenerator({str(self.folder)!r}, images of {size}, latents of {self.latent_dim})"

    def latents(self, n: int, seed: int, truncation: float | None = None) -> Tensor:
        """z (n, latent_dim) float32 ~ N(0, I), drawn from `seed` on the CPU; `truncation` and errors as `sample`."""
        _check_positive("n", n)
        if not 0 <= seed < 2**63:
            raise UserError(f"seed: given {seed}; allowed: 0 to 2^63 - 1")
        latents = sampling.draw_latents(self.network, n, seed)
        return latents if truncation is None else truncate(latents, truncation, seed)

    def sample(self, n: int, seed: int = 0, truncation: float | None = None, *, batch: int = BATCH) -> np.ndarray:
        """`n` images, uint8 (n, H, W, C).

        `truncation`: latents from the normal distribution cut off at +-truncation in every component (BigGAN's
        truncation trick; lower is more typical and less varied). None: the full normal distribution, as in training.
        `batch`: images at a time; memory, and rounding at the most.
        Errors: `UserError` for a count, seed, batch or truncation out of range.
        """
        return self.draw(self.latents(n, seed, truncation), seed=seed, batch=batch)

    def sample_seeds(self, seeds: Sequence[int], truncation: float | None = None) -> np.ndarray:
        """One image per seed, uint8 (N, H, W, C): that of `sample(1, seed)`, whatever the other seeds are."""
        _check_positive("seeds", len(seeds))
        return np.concatenate([self.sample(1, seed, truncation) for seed in seeds])

    def interpolate(
        self,
        seeds: Sequence[int],
        steps: int,
        *,
        loop: bool = False,
        truncation: float | None = None,
        batch: int = BATCH,
    ) -> np.ndarray:
        """A walk from the image of one seed to that of the next, uint8 (frames, H, W, C), `steps` frames a leg.

        Latents move along great circles. The last image is that of the last seed; with `loop` the walk goes back to
        the first seed and ends one frame before it, so that a video can be repeated without a jump.
        Errors: as `sample`; `UserError` for fewer than two seeds.
        """
        _check_positive("seeds", len(seeds))
        stations = torch.cat([self.latents(1, seed, truncation) for seed in seeds])
        return self.draw(walk(stations[:, None], steps, loop=loop)[:, 0], seed=int(seeds[0]), batch=batch)

    def draw(self, latents: np.ndarray | Tensor, *, seed: int = 0, batch: int = BATCH) -> np.ndarray:
        """Images of given latents (N, latent_dim), uint8 (N, H, W, C).

        `seed` is that of the noise inside networks that draw some. Errors: `UserError` for another shape.
        """
        given = torch.as_tensor(latents, dtype=torch.float32)
        if given.ndim != 2 or given.shape[1] != self.latent_dim or not len(given):
            raise UserError(f"latents: given shape {tuple(given.shape)}; allowed: (n, {self.latent_dim}), n at least 1")
        device = self.network.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            return np.concatenate(list(self.batches(given, seed=seed, batch=batch)))

    def batches(self, latents: Tensor, *, seed: int, batch: int = BATCH) -> Iterator[np.ndarray]:
        """The images of latents (N, latent_dim) a batch at a time, for more than fit into memory.

        Sets PyTorch's global seed: networks with noise draw it from there.
        """
        _check_positive("batch", batch)
        torch.manual_seed(seed)
        for part in latents.split(batch):
            with torch.no_grad():
                images = to_uint8(self.network(part.to(self.network.device)))
            yield images.permute(0, 2, 3, 1).cpu().numpy()


def truncate(latents: Tensor, limit: float, seed: int) -> Tensor:
    """Latents whose components are N(0, 1) cut off at +-`limit`: every component outside is drawn again.

    The new values come from the cut-off distribution in one go, by its inverse distribution function. Components
    inside stay as they are.
    Errors: `UserError` for a limit that is not positive and finite.
    """
    if not 0 < limit < math.inf:
        raise UserError(f"truncation: given {limit}; allowed: more than 0, in standard deviations")
    uniform = torch.rand(latents.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    reach = math.erf(limit / math.sqrt(2))
    again = math.sqrt(2) * torch.erfinv((2 * uniform - 1) * reach)
    return torch.where(latents.abs() > limit, again.to(latents.dtype).clamp(-limit, limit), latents)


def walk(stations: Tensor, steps: int, *, loop: bool) -> Tensor:
    """Latents (S, P, Z) of P images at S stations -> (frames, P, Z), `steps` frames from each station to the next.

    Without `loop` the last station is the last frame; with it the walk returns to the first and stops a frame before.
    Errors: `UserError` for fewer than two stations or no step.
    """
    if len(stations) < 2:
        raise UserError(f"interpolation: given {len(stations)} seed; allowed: 2 or more")
    _check_positive("steps", steps)
    ends = stations.roll(-1, dims=0)
    starts, ends = (stations, ends) if loop else (stations[:-1], ends[:-1])
    frames = sampling.interpolate(starts.flatten(0, 1), ends.flatten(0, 1), steps + 1)
    frames = frames.unflatten(0, (*starts.shape[:2], steps + 1))[:, :, :steps].transpose(1, 2).flatten(0, 1)
    return frames if loop else torch.cat([frames, stations[-1:]])


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{name}: given {value}; allowed: 1 or more")
