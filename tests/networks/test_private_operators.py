"""Private operators of torch that the networks call. A torch that drops or changes one fails here, with what to do."""

import pytest
import torch
import torch.nn.functional as F

SCHEMAS = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": (
        "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0.,"
        " bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)"
    ),
    "aten::gelu_backward": (
        'aten::gelu_backward(Tensor grad_output, Tensor self, *, str approximate="none") -> Tensor'
    ),
    "aten::_fused_rms_norm": (
        "aten::_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)"
    ),
    "aten::_fused_rms_norm_backward": (
        "aten::_fused_rms_norm_backward(Tensor grad_out, Tensor input, int[] normalized_shape, Tensor rstd,"
        " Tensor? weight, bool[2] output_mask) -> (Tensor, Tensor)"
    ),
    "aten::_softmax_backward_data": (
        "aten::_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor"
    ),
}
PLAIN = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": (
        "transgan/derivatives.py: `BiasedAttention.applies` must return False, and `attend` takes PyTorch's own"
    ),
    "aten::gelu_backward": "transgan/derivatives.py: F.gelu in place of TwiceGelu is the plain path",
    "aten::_fused_rms_norm": "transgan/derivatives.py: `few_launches` must return False",
    "aten::_fused_rms_norm_backward": "transgan/derivatives.py: `few_launches` must return False",
    "aten::_softmax_backward_data": "transgan/derivatives.py: `few_launches` must return False",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_operator_is_there_and_takes_what_it_took(name):
    namespace, _, operator = name.partition("::")
    found = getattr(getattr(torch.ops, namespace), operator, None)
    assert found is not None, f"torch {torch.__version__} has no {name}. {PLAIN[name]}"
    assert str(found.default._schema) == SCHEMAS[name], f"torch {torch.__version__} changed {name}. {PLAIN[name]}"


def test_the_second_result_of_the_fused_attention_is_the_logarithm_of_the_sum():
    q, k, v = torch.randn(3, 2, 2, 5, 4).unbind()
    operator = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    value, logsum = operator(q, k, v, attn_mask=torch.zeros(1, 2, 5, 5))
    scores = q @ k.transpose(-2, -1) / 2
    torch.testing.assert_close(logsum, scores.logsumexp(dim=-1))
    torch.testing.assert_close(value, F.scaled_dot_product_attention(q, k, v))
