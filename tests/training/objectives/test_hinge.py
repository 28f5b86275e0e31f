import pytest

from critics import mean
from pipeline.training.objectives.hinge import Hinge


def test_both_losses_equal_their_formulas(real_scores, fake_scores):
    loss = Hinge()
    assert loss.generator(fake_scores, None).item() == pytest.approx(-mean(fake_scores))
    of_real, of_fake = (
        mean(max(0, 1 - score) for score in real_scores),
        mean(max(0, 1 + score) for score in fake_scores),
    )
    assert loss.discriminator(real_scores, fake_scores).item() == pytest.approx(of_real + of_fake, abs=1e-6)
