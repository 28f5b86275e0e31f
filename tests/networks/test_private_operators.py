"""Private operators of torch that the networks call. A torch that drops or changes one fails here, with what to do."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.networks import linear

SCHEMAS = {
    "mkldnn::_linear_pointwise": (
        "mkldnn::_linear_pointwise(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm)"
        " -> Tensor Y"
    ),
    "aten::_scaled_dot_product_flash_attention_for_cpu": (
        "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0.,"
        " bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)"
    ),
    "aten::gelu_backward": (
        'aten::gelu_backward(Tensor grad_output, Tensor self, *, str approximate="none") -> Tensor'
    ),
}
PLAIN = {
    "mkldnn::_linear_pointwise": "pipeline/networks/linear.py: `applies` must return False; F.linear is the plain path",
    "aten::_scaled_dot_product_flash_attention_for_cpu": (
        "cpu_bias_attention.py: `applies` must return False; `attend` then takes PyTorch's public function"
    ),
    "aten::gelu_backward": "pipeline/networks/transgan/blocks.py: F.gelu in place of TwiceGelu is the plain path",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_operator_is_there_and_takes_what_it_took(name):
    if name.startswith("mkldnn") and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN, and the layer takes F.linear")
    namespace, _, operator = name.partition("::")
    found = getattr(getattr(torch.ops, namespace), operator, None)
    assert found is not None, f"torch {torch.__version__} has no {name}. {PLAIN[name]}"
    assert str(found.default._schema) == SCHEMAS[name], f"torch {torch.__version__} changed {name}. {PLAIN[name]}"


def test_onednn_is_in_use_where_torch_has_it():
    """Without this the layer would fall back to F.linear in silence, and the gain would be gone unseen."""
    assert torch.backends.mkldnn.is_available() == linear.AVAILABLE


def test_the_second_result_of_the_fused_attention_is_the_logarithm_of_the_sum():
    q, k, v = torch.randn(3, 2, 2, 5, 4).unbind()
    operator = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    value, logsum = operator(q, k, v, attn_mask=torch.zeros(1, 2, 5, 5))
    scores = q @ k.transpose(-2, -1) / 2
    torch.testing.assert_close(logsum, scores.logsumexp(dim=-1))
    torch.testing.assert_close(value, F.scaled_dot_product_attention(q, k, v))
