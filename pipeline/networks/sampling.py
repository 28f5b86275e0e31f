"""A finished run's averaged generator, and samples from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.base.errors import UserError
from pipeline.base.images import to_uint8
from pipeline.base.machine import device_of, map_on_devices, out_of_memory
from pipeline.base.schema import bind, read_yaml
from pipeline.networks.interface import Generator, build_generator
from pipeline.networks.spec import NetworkSpec

WEIGHTS = "generator_ema.safetensors"
NETWORKS = "network.yaml"


def load_generator(run: str | Path, device: torch.device | str = "cpu", *, weights: Path | None = None) -> Generator:
    """The weight-averaged generator of runs/<cell>/, in evaluation mode; `weights`: one that was kept on the way.

    Errors: `UserError` where the folder is no finished run or its weights do not fit its networks.
    """
    run = Path(run)
    spec, file = read_networks(run), weights or run / WEIGHTS
    if not (run / WEIGHTS).is_file():
        raise UserError(f"{run}: the run left no generator ({WEIGHTS} is missing); run.json says why")
    generator = build_generator(spec)
    try:
        generator.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{file}: does not fit {NETWORKS} or is damaged: {problem}") from None
    return generator.to(device).eval()


def read_networks(run: Path) -> NetworkSpec:
    """What both networks of runs/<cell>/ are. Errors: `UserError` where the folder is no finished run."""
    if not (run / NETWORKS).is_file():
        raise UserError(f"{run}: no finished run here ({NETWORKS} is missing)")
    return bind(NetworkSpec, read_yaml(run / NETWORKS), file=str(run / NETWORKS))


def kept_weights(run: Path) -> list[tuple[float, Path]]:
    """(kimg, file) of the averaged generators that a training kept (`train.weight_snapshots`), in order."""
    return sorted((float(path.stem), path) for path in (run / "weights").glob("*.safetensors"))


@contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Turn a shortage of memory into `advice`. Unlike a training's, a shortage in sampling is no result of the model.

    Errors: `UserError` where the device has too little memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(f"{advice} ({(str(error).splitlines() or [type(error).__name__])[0]})") from None


def draw_latents(generator: Generator, count: int, seed: int) -> Tensor:
    """z (count, latent_dim) ~ N(0, I), on the CPU, all drawn at once from `seed`."""
    return torch.randn(count, generator.latent_dim, generator=torch.Generator().manual_seed(seed))


def draw_images(generator: Generator, latents: Tensor, *, seed: int, batch: int) -> np.ndarray:
    """Images (N, C, H, W) uint8 of latents (N, latent_dim), `batch` at a time on every visible GPU."""
    # Per-token noise inside the network, where it is on, depends on the batch size and the number of GPUs.
    torch.manual_seed(seed)

    @torch.no_grad()
    def draw(network: nn.Module, part: Tensor) -> Tensor:
        return to_uint8(network(part.to(device_of(network)))).cpu()

    return torch.cat(list(map_on_devices(generator, draw, latents.split(batch)))).numpy()


def interpolate(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Great-circle paths between latents (P, Z) and (P, Z), ends included -> (P steps, Z), path by path.

    On a straight line between two Gaussian vectors the length drops to 1/sqrt(2) of what the network was trained on.
    """
    start, end = start[:, None], end[:, None]
    share = torch.linspace(0, 1, steps)[None, :, None]
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1)[..., None].clamp(-1, 1)
    angle = torch.arccos(cosine).clamp(min=1e-4)
    return ((torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(angle)).flatten(0, 1)
