"""The linear layer's own products against PyTorch's: values and derivatives of first and second order."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.networks import linear
from pipeline.networks.linear import Linear, applies

pytestmark = pytest.mark.skipif(not linear.AVAILABLE, reason="this build of torch has no oneDNN")


@pytest.fixture(autouse=True)
def for_any_size(monkeypatch):
    monkeypatch.setattr(linear, "LEAST", 0)


def derivatives(layer, x, upper):
    """Value, first derivatives, and those of the norm of the first one in x, as a gradient penalty takes them."""
    y = layer(x)
    leaves = [x, *layer.parameters()]
    (gradient,) = torch.autograd.grad((y.square() * upper).sum(), x, create_graph=True)
    first = torch.autograd.grad((y * upper).sum(), leaves, retain_graph=True)
    return y, *first, *torch.autograd.grad(gradient.norm(), leaves)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 12), (2, 5, 12), (2, 3, 4, 12)])
def test_values_and_derivatives_are_pytorchs(monkeypatch, bias, shape):
    layer, x, upper = Linear(12, 9, bias=bias), torch.randn(*shape, requires_grad=True), torch.randn(*shape[:-1], 9)
    assert applies(x, layer.weight)
    ours = derivatives(layer, x, upper)
    monkeypatch.setattr(linear, "AVAILABLE", False)
    for one, other in zip(ours, derivatives(layer, x, upper), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_an_input_that_is_not_contiguous_is_read_right():
    layer, x = Linear(12, 9), torch.randn(12, 6, 4).transpose(0, 2)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)


def test_it_stays_out_of_the_way_of_other_precisions_devices_and_small_products(monkeypatch):
    layer, x = Linear(12, 9), torch.randn(5, 12)
    assert (
        applies(x, layer.weight)
        and not applies(x.double(), layer.weight.double())
        and not applies(x.to("meta"), layer.weight)
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert not applies(x, layer.weight) and layer(x).dtype == torch.bfloat16
    monkeypatch.setattr(linear, "LEAST", 5 * 12 * 9 + 1)
    assert not applies(x, layer.weight)
