"""A training step in the style of the released loop (its train_derived.py and functions.py), to compare ours with.

The same networks, losses and augmentation; eager, fp32, attention as explicit matrix products everywhere, real, fake
and interpolated images in separate passes, fakes made with their graph, Adam and clipping as PyTorch's defaults, the
weight average tensor by tensor through copies, images through a DataLoader with a transform per image.
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from pipeline.networks.families import load_attribute
from pipeline.networks.transgan import attention, blocks
from pipeline.networks.transgan.networks import Discriminator, Generator
from pipeline.training.augment import augment
from pipeline.training.config import LOSSES, TrainPlan
from pipeline.training.objectives import discriminator_loss
from pipeline.training.state import ema_beta


def explicit_everywhere() -> None:
    """From here on, in this process: no fused attention, PyTorch's own GELU in every pass."""
    fused_or_not = attention.attend
    attention.attend = lambda q, k, v, bias, *, fused: fused_or_not(q, k, v, bias, fused=False)
    blocks.Mlp.forward = lambda self, x, *, fused=True: self.fc2(F.gelu(self.fc1(x)))


class Images(Dataset):
    """uint8 images (N, C, H, W), each transformed when asked for."""

    def __init__(self, images: np.ndarray):
        self.images = images
        side = images.shape[-1]
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Resize((side, side)),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(np.ascontiguousarray(self.images[index].transpose(1, 2, 0)))


class Reference:
    """Networks, optimisers and data of the reference; `iteration()` is `critic_steps` D steps and one G step."""

    def __init__(self, plan: TrainPlan, images: np.ndarray, device: torch.device):
        explicit_everywhere()
        self.config, self.device = plan.train, device
        self.loss = load_attribute(LOSSES[plan.train.loss])
        torch.manual_seed(plan.seed)
        self.generator, self.discriminator = Generator(plan.network).to(device), Discriminator(plan.network).to(device)
        self.average = [parameter.detach().clone() for parameter in self.generator.parameters()]
        adam = {"lr": self.config.lr, "betas": (self.config.beta1, self.config.beta2)}
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), **adam)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), **adam)
        self.loader = DataLoader(
            Images(images), batch_size=self.config.batch_discriminator, shuffle=True, drop_last=True
        )
        self.batches, self.steps = self._forever(), 0

    def _forever(self) -> Iterator[Tensor]:
        while True:
            yield from self.loader

    def iteration(self) -> None:
        for _ in range(self.config.critic_steps):
            self.discriminator_step(next(self.batches).to(self.device))
        self.generator_step()

    def score(self, images: Tensor) -> Tensor:
        return self.discriminator(augment(images, self.config.augment))

    def fakes(self, count: int) -> Tensor:
        return self.generator(torch.randn(count, self.generator.latent_dim, device=self.device))

    def discriminator_step(self, real: Tensor) -> None:
        self.optimizer_d.zero_grad()
        scores_real = self.score(real)
        fake = self.fakes(len(real)).detach()
        scores_fake = self.score(fake)
        alpha = torch.rand(len(real), 1, 1, 1, device=self.device)
        between = (alpha * real + (1 - alpha) * fake).requires_grad_()
        scores = self.score(between)
        (gradient,) = torch.autograd.grad(
            scores, between, torch.ones_like(scores), create_graph=True, retain_graph=True
        )
        norm = gradient.flatten(1).norm(2, dim=1)
        penalty = ((norm - self.config.penalty_target) ** 2).mean() / self.config.penalty_target**2
        adversarial = discriminator_loss(self.loss, scores_real, scores_fake, drift_weight=self.config.drift_weight)
        loss = adversarial + self.config.penalty_weight * penalty
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.discriminator.parameters(), self.config.clip_norm)
        self.optimizer_d.step()
        loss.item()

    def generator_step(self) -> None:
        self.optimizer_g.zero_grad()
        loss = self.loss.generator(self.score(self.fakes(self.config.batch_generator)), None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), self.config.clip_norm)
        self.optimizer_g.step()
        self.steps += 1
        beta = ema_beta(self.config, self.steps * self.config.critic_steps * self.config.batch_discriminator)
        for average, parameter in zip(self.average, self.generator.parameters(), strict=True):
            average.mul_(beta).add_((1 - beta) * copy.deepcopy(parameter).detach())
        loss.item()
