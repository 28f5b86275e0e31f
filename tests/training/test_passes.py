"""What the adversarial pass shows to D: one batch where that changes no score, two where it would."""

import pytest
import torch

from pipeline.networks.transgan.networks import Discriminator
from pipeline.training.execution import StepNetwork
from pipeline.training.step import adversarial_pass


class Recorder:
    """A loss that remembers the scores it was given."""

    def discriminator(self, real, fake):
        self.scores = real, fake
        return fake.mean() - real.mean()


def score_pair(discriminator, real, fake, config):
    loss = Recorder()
    _, mean_real, mean_fake = adversarial_pass(StepNetwork(discriminator, config), real, fake, loss, None)
    for scores, mean in zip(loss.scores, (mean_real, mean_fake), strict=True):
        torch.testing.assert_close(scores.mean(), mean)
    return loss.scores


@pytest.mark.parametrize(("variant", "passes"), [("full", 1), ("instance_norm", 1), ("batch_norm", 2)])
def test_real_and_fake_share_a_batch_unless_a_batch_statistic_forbids_it(cell, settings, variant, passes):
    discriminator, shown = Discriminator(cell("digits", variant).network), []
    real, fake = torch.randn(6, 1, 8, 8), torch.randn(4, 1, 8, 8) * 2
    with torch.no_grad():
        expected = [discriminator(images) for images in (real, fake)]
        discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
        scores = score_pair(discriminator, real, fake, settings())
    assert [len(score) for score in scores] == [6, 4] and len(shown) == passes
    for ours, theirs in zip(scores, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_batch_norm_scores_would_differ_in_one_batch(cell, settings):
    discriminator = Discriminator(cell("digits", "batch_norm").network)
    real, fake = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8) * 2
    with torch.no_grad():
        scores = torch.cat(score_pair(discriminator, real, fake, settings()))
        assert (scores - discriminator(torch.cat([real, fake]))).abs().max() > 1e-3
