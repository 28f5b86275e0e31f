"""Every test of this folder runs twice: on a GPU (marker `gpu`, skipped without one) and, as a trial of the test
itself, on the CPU.
"""

import pytest
import torch

from pipeline.training.state import build
from pipeline.training.step import discriminator_gradients, generator_gradients

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def device(request, monkeypatch):
    """The device, with products and convolutions in full fp32, so that results can be compared with the CPU's."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return torch.device(request.param)


def same_draws(patch):
    """Random numbers of a GPU's code come from the CPU's generator: the same on every device."""

    def on_cpu(original):
        return lambda *args, device=None, **settings: original(*args, **settings).to(device or "cpu")

    with torch.device("cpu"):  # torch lists once which functions obey this context: those of now, not the patched ones
        torch.empty(0)
    randn = torch.randn
    patch.setattr(torch, "randn_like", lambda like: randn(like.shape, dtype=like.dtype).to(like.device))
    for name in ("rand", "randn", "randint"):
        patch.setattr(torch, name, on_cpu(getattr(torch, name)))


REAL = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def gradients(cell, settings, monkeypatch):
    """(device, variant, times, **settings) -> flat gradients (on the CPU) of D's whole loss and of G's, at the same
    weights and random numbers; computed `times` times, as CUDA graphs are recorded by the first ones.
    """

    def compute(device, variant="full", times=1, **changes):
        config = settings(**changes)
        torch.manual_seed(3)
        networks = build(cell("digits", variant).network, config, device)
        with torch.no_grad():
            for module in (networks.generator, networks.discriminator):
                for parameter in module.parameters():  # as initialised, the scores are nearly flat
                    parameter.add_(torch.randn(parameter.shape).to(device), alpha=0.05)
        for _ in range(times):
            networks.generator.zero_grad()
            networks.discriminator.zero_grad()
            torch.manual_seed(5)
            with monkeypatch.context() as patch:
                same_draws(patch)
                real = REAL.to(device)
                discriminator_gradients(networks, real, config, weight=config.penalty_weight)
                of_d = flat(networks.discriminator)
                generator_gradients(networks, config, real=real)
        return of_d, flat(networks.generator)

    return compute


def flat(module):
    """All gradients as one vector on the CPU; every parameter must have one."""
    assert all(parameter.grad is not None for parameter in module.parameters())
    return torch.cat([parameter.grad.flatten().cpu() for parameter in module.parameters()])


@pytest.fixture
def distance():
    """(ours, theirs) -> the larger of the relative L2 distances of D's and of G's gradients."""

    def of(ours, theirs):
        return max(((a - b).norm() / b.norm()).item() for a, b in zip(ours, theirs, strict=True))

    return of
