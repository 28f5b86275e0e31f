"""Settings without augmentation, and scores to try losses on."""

import pytest
import torch


@pytest.fixture(scope="session")
def config(settings, augmentation):
    """(policy, **changes) -> training settings; no augmentation unless named, cutout always."""
    return lambda *policy, **changes: settings(
        augment=augmentation(policy=list(policy), cutout_probability=1.0), **changes
    )


@pytest.fixture
def real_scores():
    return torch.tensor([2.0, -1.0, 0.5, 3.0])


@pytest.fixture
def fake_scores():
    return torch.tensor([-0.5, 1.5, -3.0])
