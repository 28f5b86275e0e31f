"""Losses of both networks, the gradient penalty and the drift term (paper 6.2; paper.md 3.1)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.augment import Drawn, apply
from pipeline.training.config import TrainConfig

Score = Callable[..., Tensor]       # images (B, C, H, W) -> scores (B,); `fused=False` where it is differentiated twice


def generator_loss(scores_fake: Tensor, config: TrainConfig) -> Tensor:
    """-E[D(G(z))] for wgan_gp and hinge, E[softplus(-D(G(z)))] for non_saturating."""
    if config.loss == "non_saturating":
        return F.softplus(-scores_fake).mean()
    return -scores_fake.mean()


def discriminator_loss(scores_real: Tensor, scores_fake: Tensor, config: TrainConfig, *, batch_mean: Tensor | None = None) -> Tensor:
    """The adversarial part plus drift_weight * E[D(x)]^2 (the square of the batch mean, as released).

    `batch_mean`: E[D(x)] of the whole batch where the scores are those of a part. The square is then replaced by
    E (2 e - E) with the part's mean e: its mean over the parts, and that one's gradient, are those of the square.
    """
    if config.loss == "wgan_gp":
        loss = scores_fake.mean() - scores_real.mean()
    elif config.loss == "hinge":
        loss = F.relu(1 - scores_real).mean() + F.relu(1 + scores_fake).mean()
    else:
        loss = F.softplus(-scores_real).mean() + F.softplus(scores_fake).mean()
    mean = scores_real.mean()
    return loss + config.drift_weight * (mean.square() if batch_mean is None else batch_mean * (2 * mean - batch_mean))


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """real + alpha (fake - real), alpha ~ U(0, 1) per image."""
    return torch.lerp(real, fake, torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype))


def gradient_penalty(score: Score, between: Tensor, drawn: Drawn, config: TrainConfig) -> Tensor:
    """E[(||grad D(A(x))||_2 - phi)^2] / phi^2 over the interpolates x, A = DiffAug with the draws `drawn`.

    Interpolated before augmentation, as released. The gradient is with respect to x, all pixels and channels, and has
    the images' fp32. The explicit attention path is used: this is differentiated a second time.
    """

    def total(images: Tensor) -> Tensor:
        return score(apply(images, drawn, config.augment), fused=False).sum()

    if torch.compiler.is_compiling():
        gradient = torch.func.grad(total)(between)      # the one second derivative the compiler can trace through
    else:
        images = between.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(total(images), images, create_graph=True)
    norm = gradient.flatten(1).norm(dim=1)
    return ((norm - config.penalty_target) ** 2).mean() / config.penalty_target**2


def score_pair(score: Score, real: Tensor, fake: Tensor, *, together: bool) -> tuple[Tensor, Tensor]:
    """Scores of real and fake images, in one pass unless batch statistics forbid it (`together`)."""
    if not together:
        return score(real), score(fake)
    return score(torch.cat([real, fake])).split([len(real), len(fake)])
