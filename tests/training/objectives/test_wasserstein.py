import pytest

from critics import mean
from pipeline.training.objectives.wasserstein import Wasserstein


def test_both_losses_are_differences_of_means(real_scores, fake_scores):
    loss = Wasserstein()
    assert loss.generator(fake_scores, None).item() == pytest.approx(-mean(fake_scores))
    assert loss.discriminator(real_scores, fake_scores).item() == pytest.approx(mean(fake_scores) - mean(real_scores))
