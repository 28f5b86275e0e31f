import pytest
import torch
from torch import nn

from pipeline.networks.transgan.blocks import TokenInstanceNorm, TokenNorm, make_norm


def test_token_norm_is_the_papers_formula_token_by_token():
    x = torch.randn(2, 3, 5)
    for b in range(2):
        for n in range(3):
            mean_square = sum(float(value) ** 2 for value in x[b, n]) / 5
            torch.testing.assert_close(TokenNorm()(x)[b, n], x[b, n] / (mean_square + 1e-8) ** 0.5)


def test_token_norm_equals_rms_norm_without_weight_and_ignores_scale():
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(TokenNorm()(x), nn.functional.rms_norm(x, (16,), eps=1e-8))
    torch.testing.assert_close(TokenNorm()(x * 37), TokenNorm()(x))


def test_instance_norm_equals_pytorchs():
    x = torch.randn(3, 9, 4)
    torch.testing.assert_close(TokenInstanceNorm()(x), nn.InstanceNorm1d(4)(x.transpose(1, 2)).transpose(1, 2))


def test_batch_norm_is_over_images_and_tokens_per_channel():
    x = torch.randn(3, 9, 4) * 5 + 2
    y = make_norm("batch", 4, running=False)(x)
    torch.testing.assert_close(y.mean(dim=(0, 1)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.var(dim=(0, 1), unbiased=False), torch.ones(4), atol=1e-4, rtol=0)


def test_batch_norm_without_running_statistics_has_no_buffers():
    assert not list(make_norm("batch", 4, running=False).buffers())
    assert list(make_norm("batch", 4, running=True).buffers())


@pytest.mark.parametrize("kind", ["token", "layer", "batch", "instance", "none"])
def test_every_norm_has_a_second_derivative(kind):
    norm = make_norm(kind, 4, running=False).double()
    x = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(norm, (x,))
