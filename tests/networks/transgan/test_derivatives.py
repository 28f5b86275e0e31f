"""Closed forms against PyTorch's formulas: values, first and second derivatives. The CUDA ones are tried on the CPU."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.networks.transgan import attention, derivatives
from pipeline.networks.transgan.attention import RelativePosition, attend, fused_attention
from pipeline.networks.transgan.derivatives import BiasedAttention, OffsetTable, RmsNorm, TwiceAttention, TwiceGelu

applies = BiasedAttention.applies


def biased_attention(q, k, v, bias):
    return BiasedAttention.apply(q, k, v, bias)


def tensors(*lead, tokens=12, size=4, heads=3, dtype=torch.float64):
    q, k, v = (torch.randn(*lead, heads, tokens, size, dtype=dtype, requires_grad=True) for _ in range(3))
    return (
        q,
        k,
        v,
        torch.randn(heads, tokens, tokens, dtype=torch.promote_types(dtype, torch.float32), requires_grad=True),
    )


def gradients(function, inputs, upper):
    return torch.autograd.grad(function(*inputs), inputs, upper)


@pytest.mark.parametrize("chunk", [1, 900, 2**22])
def test_values_and_gradients_are_those_of_the_formula(monkeypatch, chunk):
    monkeypatch.setattr(derivatives, "CHUNK", chunk)  # an image at a time, two, all
    inputs = tensors(5)
    upper = torch.randn_like(inputs[0])
    explicit = lambda *args: attend(*args, fused=False)  # noqa: E731
    torch.testing.assert_close(biased_attention(*inputs), explicit(*inputs))
    for ours, theirs in zip(
        gradients(biased_attention, inputs, upper), gradients(explicit, inputs, upper), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_gradients_equal_finite_differences():
    assert torch.autograd.gradcheck(biased_attention, tensors(2, tokens=5, size=3, heads=2))


def test_bf16_is_as_close_to_fp32_as_its_inputs_allow():
    inputs = tensors(2, tokens=40, size=8, dtype=torch.bfloat16)
    wide = [tensor.detach().float().requires_grad_() for tensor in inputs]
    upper = torch.randn_like(inputs[0])
    for ours, theirs in zip(
        gradients(biased_attention, inputs, upper), gradients(biased_attention, wide, upper.float()), strict=True
    ):
        assert ((ours.float() - theirs).norm() / theirs.norm()) < 0.01


def test_nothing_of_n_by_n_is_kept_but_the_bias():
    q, k, v, bias = tensors(6, tokens=64)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        biased_attention(q, k, v, bias)
    assert max(kept) == bias.numel() < 6 * bias.numel()


def test_a_second_derivative_is_refused_and_never_wrong():
    inputs = tensors(2)
    (first,) = torch.autograd.grad(BiasedAttention.apply(*inputs).square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def test_it_is_used_where_a_bias_learns_and_only_there():
    q, k, v, bias = tensors(1, tokens=derivatives.LEAST_TOKENS)
    assert (
        applies(q, bias) and not applies(q, None) and not applies(q, bias.detach()) and not applies(q[..., 1:, :], bias)
    )
    with torch.no_grad():
        assert not applies(q, bias)
    torch.testing.assert_close(attend(q, k, v, bias, fused=True), attend(q, k, v, bias, fused=False))


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


def checked(function, inputs):
    """First and second derivatives against finite differences."""
    settings = {"check_undefined_grad": False}
    return torch.autograd.gradcheck(function, inputs, **settings) and torch.autograd.gradgradcheck(function, inputs)


def test_rms_norm_equals_pytorchs_to_the_second_derivative():
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(RmsNorm.apply(x, 1e-8), F.rms_norm(x, (5,), eps=1e-8))
    assert checked(lambda x: RmsNorm.apply(x, 1e-8), (x,))


@pytest.mark.parametrize("biased", [True, False])
def test_attention_that_is_differentiated_twice_equals_the_formula(biased):
    q, k, v = (torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3))
    inputs = (q, k, v, torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)) if biased else (q, k, v)

    def twice(q, k, v, bias=None):
        return TwiceAttention.apply(q, k, v, bias)

    bias = inputs[3] if biased else None
    explicit = attend(*(t.view(2, 2, 3, 2) for t in (q, k, v)), bias, fused=False)
    torch.testing.assert_close(twice(*inputs).view(2, 2, 3, 2), explicit)
    assert checked(twice, inputs)


@pytest.mark.parametrize(("height", "width"), [(3, 5), (1, 4), (4, 1), (8, 8)])
def test_the_table_of_offsets_gets_the_sums_that_a_scatter_gives_it(height, width):
    position = RelativePosition(height, width, 2).double()
    torch.nn.init.normal_(position.table)
    bias, tokens = OffsetTable.apply(position.table, position.index, height, width), height * width
    assert torch.equal(bias, position.compute())
    upper = torch.randn(2, tokens, tokens, dtype=torch.float64)
    gradients = [torch.autograd.grad(value, position.table, upper)[0] for value in (bias, position.compute())]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (1, 8), (8, 1)])
def test_the_bias_of_relative_positions_is_contiguous(height, width):
    """CUDA's fused attention kernels want stride 1 in the bias's last dimension, and fall back without a word."""
    bias = RelativePosition(height, width, 3)()
    assert bias.stride() == ((height * width) ** 2, height * width, 1)


def test_head_sizes_are_padded_and_large_batches_divided_for_the_kernels_of_a_gpu(monkeypatch):
    q, k, v = torch.randn(3, 7, 2, 9, 6, dtype=torch.float64)
    bias = torch.randn(2, 9, 9, dtype=torch.float64)
    expected, seen = attend(q, k, v, bias, fused=False), []
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda q, *_, **given: seen.append(q.shape) or kernel(q, *_, **given)
    )
    monkeypatch.setitem(attention.LIMITS, "cpu", (8, 3))
    torch.testing.assert_close(fused_attention(q, k, v, bias), expected)
    assert seen == [(3, 2, 9, 8), (3, 2, 9, 8), (1, 2, 9, 8)]
