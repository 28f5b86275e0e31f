"""A small trained-looking generator on disk, without a training."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.base.files import write_json, write_text
from pipeline.base.schema import dump
from pipeline.networks.interface import build_generator
from pipeline.networks.sampling import draw_images, draw_latents
from pipeline.networks.spec import NetworkSpec


def write_trained(folder: Path, spec: NetworkSpec, *, seed: int = 0) -> Path:
    """A run's folder with what drawing needs. Weights are scaled so that the images are not grey."""
    torch.manual_seed(seed)
    generator = build_generator(spec)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name == "to_rgb.weight":
                parameter.mul_(4)
            if name.endswith("noise_strength"):
                parameter.fill_(0.5)
    write_text(folder / "network.yaml", dump(spec))
    save_file(generator.state_dict(), folder / "generator_ema.safetensors")
    record = {"status": "ok", "kimg": 144.0, "parameters_g": 228561, "seconds": 288.4, "device": "a machine"}
    write_json(folder / "run.json", {**record, "revision": "0" * 40})
    return folder


def sample(generator, count, seed, batch):
    """`count` images (N, C, H, W) uint8 of latents drawn at once from `seed`."""
    return draw_images(generator, draw_latents(generator, count, seed), seed=seed, batch=batch)
