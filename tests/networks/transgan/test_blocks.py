import torch
import torch.nn.functional as F

from pipeline.networks.transgan.blocks import Mlp, TwiceGelu, to_map, to_tokens


def test_twice_gelu_equals_gelu_to_the_second_derivative():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    first, first_theirs = (
        torch.autograd.grad(f(x).pow(2).sum(), x, create_graph=True)[0] for f in (TwiceGelu.apply, F.gelu)
    )
    second, second_theirs = (torch.autograd.grad(g.pow(3).sum(), x)[0] for g in (first, first_theirs))
    torch.testing.assert_close(TwiceGelu.apply(x), F.gelu(x))
    torch.testing.assert_close(first, first_theirs)
    torch.testing.assert_close(second, second_theirs)
    assert torch.autograd.gradgradcheck(TwiceGelu.apply, (x,))


def test_twice_gelu_works_inside_functional_gradients():
    x = torch.randn(7)
    ours = torch.func.grad(lambda x: torch.func.grad(lambda x: TwiceGelu.apply(x).sum())(x).square().sum())(x)
    theirs = torch.func.grad(lambda x: torch.func.grad(lambda x: F.gelu(x).sum())(x).square().sum())(x)
    torch.testing.assert_close(ours, theirs)


def test_mlp_paths_agree():
    mlp, x = Mlp(6, 4), torch.randn(2, 3, 6)
    torch.testing.assert_close(mlp(x), mlp(x, fused=False))


def test_map_and_tokens_are_inverse_and_row_major():
    x = torch.arange(2 * 6 * 3).view(2, 6, 3)[:, :4].float()
    as_map = to_map(x, 2)
    assert torch.equal(as_map[:, :, 1, 0], x[:, 2])
    assert torch.equal(to_tokens(as_map), x)
