"""Patch embeddings start as the convolutions of the released code."""

import pytest
import torch
from torch import nn

from pipeline.networks.transgan.networks import Discriminator, PatchEmbedding


@pytest.mark.parametrize(
    ("dataset", "released"), [("digits", False), ("cifar10", True), ("stl10", True), ("church256", True)]
)
def test_every_scale_starts_as_torchs_own_convolution(cell, dataset, released):
    spec = cell(dataset, "full", released=released).network
    embeddings = [module for module in Discriminator(spec).modules() if isinstance(module, PatchEmbedding)]
    assert len(embeddings) >= 2
    for embedding in embeddings:
        convolution = nn.Conv2d(spec.channels, embedding.out_features, embedding.patch, stride=embedding.patch)
        nn.init.xavier_uniform_(convolution.weight)
        bound = convolution.weight.abs().max().item()
        assert embedding.weight.abs().max().item() == pytest.approx(bound, rel=0.05)
        assert embedding.weight.std().item() == pytest.approx(convolution.weight.std().item(), rel=0.1)


def test_the_same_numbers_as_the_convolutions_initialisation():
    embedding = PatchEmbedding(4, 3, 48)
    torch.manual_seed(0)
    embedding.initialise()
    convolution = nn.Conv2d(3, 48, 4, stride=4)
    torch.manual_seed(0)
    nn.init.xavier_uniform_(convolution.weight)
    assert torch.equal(embedding.weight, convolution.weight.flatten(1))
