"""Attention with a learned bias on the CPU against the explicit formula, forward and every gradient."""

import pytest
import torch

from pipeline.networks.transgan import cpu_bias_attention
from pipeline.networks.transgan.attention import attend
from pipeline.networks.transgan.cpu_bias_attention import BiasedAttention, applies, biased_attention


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
    monkeypatch.setattr(cpu_bias_attention, "CHUNK", chunk)  # an image at a time, two, all
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
    (first,) = torch.autograd.grad(BiasedAttention.apply(*inputs)[0].square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def test_it_is_used_where_a_bias_learns_and_only_there():
    q, k, v, bias = tensors(1, tokens=cpu_bias_attention.LEAST)
    assert (
        applies(q, bias) and not applies(q, None) and not applies(q, bias.detach()) and not applies(q[..., 1:, :], bias)
    )
    with torch.no_grad():
        assert not applies(q, bias)
    torch.testing.assert_close(attend(q, k, v, bias, fused=True), attend(q, k, v, bias, fused=False))
