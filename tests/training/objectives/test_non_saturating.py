import math

import pytest

from critics import mean
from pipeline.training.objectives.non_saturating import NonSaturating


def sigmoid(score):
    return 1 / (1 + math.exp(-float(score)))


def test_both_losses_are_cross_entropies(real_scores, fake_scores):
    loss = NonSaturating()
    of_g = -mean(math.log(sigmoid(score)) for score in fake_scores)
    assert loss.generator(fake_scores, None).item() == pytest.approx(of_g)
    of_real = -mean(math.log(sigmoid(score)) for score in real_scores)
    of_fake = -mean(math.log(1 - sigmoid(score)) for score in fake_scores)
    assert loss.discriminator(real_scores, fake_scores).item() == pytest.approx(of_real + of_fake, abs=1e-6)
