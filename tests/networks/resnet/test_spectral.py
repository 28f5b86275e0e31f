"""Spectral normalisation against the singular value decomposition."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from pipeline.networks.resnet.networks import SpectralConv2d, SpectralLinear, iterate

MAKE = {"convolution": lambda: SpectralConv2d(3, 7, 3, padding=1), "linear": lambda: SpectralLinear(9, 5, True)}


@pytest.mark.parametrize("kind", MAKE)
def test_the_largest_singular_value_becomes_1(kind):
    module = MAKE[kind]().double()
    iterate(module, 500)
    matrix = module.weight.detach().flatten(1)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(module.compute().detach().flatten(1), matrix / s[0])
    assert torch.linalg.matrix_norm(module.compute().detach().flatten(1), 2).item() == pytest.approx(1.0, abs=1e-9)
    assert abs(torch.dot(module.u, u[:, 0])) == pytest.approx(1.0) and abs(torch.dot(module.v, vh[0])) == pytest.approx(
        1
    )


def test_one_iteration_is_the_published_one():
    module = SpectralLinear(4, 3, False)
    u, w = module.u.clone(), module.weight.detach()
    v = F.normalize(w.t() @ u, dim=0)
    iterate(module)
    torch.testing.assert_close(module.v, v)
    torch.testing.assert_close(module.u, F.normalize(w @ v, dim=0))


@pytest.mark.parametrize("kind", MAKE)
def test_sigma_is_differentiated_with_its_vectors_held_fixed(kind):
    """d(W / sigma) = dW / sigma - W (u^T dW v) / sigma^2: Miyato et al. 2018, equation 11."""
    module = MAKE[kind]().double()
    upstream = torch.randn_like(module.weight)
    (module.compute() * upstream).sum().backward()
    matrix = module.weight.detach().flatten(1)
    sigma = module.u @ matrix @ module.v
    inner = (upstream.flatten(1) * matrix).sum()
    expected = upstream.flatten(1) / sigma - inner * torch.outer(module.u, module.v) / sigma**2
    torch.testing.assert_close(module.weight.grad.flatten(1), expected)


def test_an_iteration_between_forward_and_backward_changes_no_gradient():
    module, x = SpectralConv2d(2, 3, 3, padding=1), torch.randn(2, 2, 4, 4)
    module(x).square().sum().backward()
    expected, module.weight.grad = module.weight.grad.clone(), None
    loss = module(x).square().sum()
    iterate(module, 3)
    loss.backward()
    torch.testing.assert_close(module.weight.grad, expected)


def test_the_vectors_are_saved_and_a_shared_weight_is_used():
    module = SpectralLinear(4, 3, True)
    assert set(module.state_dict()) == {"weight", "bias", "u", "v"}
    shared = torch.ones(3, 4)
    x = torch.randn(2, 4)
    torch.testing.assert_close(functional_call(module, {"shared": shared}, (x,)), F.linear(x, shared, module.bias))
