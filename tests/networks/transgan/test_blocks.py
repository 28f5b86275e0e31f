import pytest
import torch
import torch.nn.functional as F

from pipeline.networks.transgan.blocks import Mlp, bicubic_matrix, resample, to_map, to_tokens


def test_mlp_paths_agree():
    mlp, x = Mlp(6, 4), torch.randn(2, 3, 6)
    torch.testing.assert_close(mlp(x), mlp(x, fused=False))


def test_map_and_tokens_are_inverse_and_row_major():
    x = torch.arange(2 * 6 * 3).view(2, 6, 3)[:, :4].float()
    as_map = to_map(x, 2)
    assert torch.equal(as_map[:, :, 1, 0], x[:, 2])
    assert torch.equal(to_tokens(as_map), x)


def enlarged(x, side, factor):
    """PyTorch's own."""
    as_map = to_map(x, side)
    return to_tokens(F.interpolate(as_map, scale_factor=factor, mode="bicubic", align_corners=False))


@pytest.mark.parametrize(("side", "factor"), [(1, 2), (2, 2), (5, 2), (8, 2), (16, 2), (6, 4)])
def test_bicubic_products_equal_pytorchs_to_rounding(side, factor):
    x = torch.randn(3, side * side, 4, requires_grad=True)
    ours, theirs = resample(x, bicubic_matrix(side, factor)), enlarged(x, side, factor)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=2e-6)
    upper = torch.randn_like(ours)
    gradients = [torch.autograd.grad(y, x, upper)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=4e-6)


def test_bicubic_products_have_a_second_derivative_and_keep_full_precision_under_autocast():
    x = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    matrix = bicubic_matrix(3, 2).double()
    assert torch.autograd.gradgradcheck(lambda x: resample(x, matrix).pow(3), (x,))
    x = torch.randn(2, 64, 3)
    with torch.autocast("cpu", torch.bfloat16):
        ours = resample(x, bicubic_matrix(8, 2))
    torch.testing.assert_close(ours, enlarged(x, 8, 2), rtol=1e-6, atol=2e-6)
