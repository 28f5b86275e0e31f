"""A step on the device: where its tensors are, and its gradients against the CPU's, in every way of executing it."""

import pytest
import torch

from pipeline.base.images import to_uint8
from pipeline.networks.transgan import attention
from pipeline.training.data import RealImages
from pipeline.training.state import build
from pipeline.training.step import iteration

CPU = torch.device("cpu")
VARIANTS = ["full", "standard_attention", "axis_attention", "nystrom_attention", "batch_norm", "sngan", "stylegan2"]


def trace_only(monkeypatch):
    """What the compiler traces, without the minutes that generating code takes."""
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiler(function, backend="aot_eager"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_is_on_the_device(cell, settings, images, device, variant):
    config = settings()
    networks = build(cell("digits", variant).network, config, device)
    data = RealImages(images, seed=0, flip=True, device=device)
    scalars = [iteration(networks, data, config, step) for step in (1, 2)]
    modules = (networks.generator, networks.ema, networks.discriminator)
    tensors = [tensor for module in modules for tensor in module.state_dict().values()]
    for optimizer in (networks.optimizer_g, networks.optimizer_d):
        tensors += [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    tensors += [value for values in scalars for value in values.values()]
    assert {tensor.device.type for tensor in tensors} == {device.type}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_the_cpus(gradients, distance, device, variant):
    assert distance(gradients(device, variant), gradients(CPU, variant)) < 1e-4


@pytest.mark.parametrize("changes", [{"accumulate": 4}, {"recompute": True}, {"accumulate": 2, "recompute": True}])
def test_levers_of_memory_leave_the_gradients(gradients, distance, device, changes):
    assert distance(gradients(device, **changes), gradients(device)) < 1e-4


@pytest.mark.parametrize("variant", ["full", "nystrom_attention"])
def test_bf16_is_close_to_fp32(gradients, distance, device, variant):
    assert 1e-4 < distance(gradients(device, variant, precision="bf16"), gradients(device, variant)) < 0.06


@pytest.mark.nightly
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("execution", ["compiled", "compiled_graphs"])
def test_compiled_passes_equal_eager_ones(gradients, distance, device, execution, precision, parts, monkeypatch):
    if device == CPU:
        if (execution, precision, parts) != ("compiled_graphs", "fp32", 2):
            pytest.skip("one trial on the CPU is enough")
        trace_only(monkeypatch)
    # Five times: CUDA graphs are recorded by the first ones, and replayed by the last.
    times = 2 if device == CPU else 5
    changed = gradients(device, times=times, execution=execution, precision=precision, accumulate=parts)
    assert distance(changed, gradients(device, precision=precision, accumulate=parts)) < (
        1e-4 if precision == "fp32" else 0.03
    )


@pytest.mark.parametrize("size", [16, 6])
def test_a_learned_bias_leaves_attention_to_the_fused_kernels(device, size):
    tensors = [torch.randn(2, 4, 64, size, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in "qkv"]
    bias = torch.randn(4, 64, 64, device=device, dtype=torch.bfloat16, requires_grad=device.type == "cuda")
    with torch.profiler.profile() as profile:
        attention.attend(*tensors, bias, fused=True).float().sum().backward()
    names = " ".join(event.key for event in profile.key_averages())
    if device.type == "cuda":
        assert "fmha_cutlassF" in names and "fmha_cutlassB" in names
    else:
        assert "flash_attention_for_cpu" in names


def test_fused_attention_equals_explicit_products(device):
    q, k, v = torch.randn(3, 2, 4, 64, 16, generator=torch.Generator().manual_seed(0)).to(device)
    bias = torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(1)).to(device)
    explicit, fused = (attention.attend(q, k, v, bias, fused=fused) for fused in (False, True))
    torch.testing.assert_close(fused, explicit, rtol=1e-4, atol=1e-5)


def test_a_generator_draws_the_cpus_images(cell, settings, device):
    torch.manual_seed(3)
    ours = build(cell("digits", "full").network, settings(), device).ema
    torch.manual_seed(3)
    theirs = build(cell("digits", "full").network, settings(), CPU).ema
    latents = torch.randn(16, ours.latent_dim)
    difference = to_uint8(ours(latents.to(device))).cpu().int() - to_uint8(theirs(latents)).int()
    assert difference.abs().max() <= 1


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_that_a_generator_step_left_outlive_the_next_replay(
    cell, settings, images, device, precision, monkeypatch
):
    if device == CPU:
        if precision != "fp32":
            pytest.skip("one trial on the CPU is enough")
        trace_only(monkeypatch)
    found = []
    for execution in ("eager", "compiled_graphs"):
        config = settings(execution=execution, precision=precision, critic_steps=2, keep_generator_gradients=True)
        torch.manual_seed(3)
        networks = build(cell("digits", "full").network, config, device)
        data = RealImages(images, seed=0, flip=True, device=device)
        torch.manual_seed(5)
        found.append([iteration(networks, data, config, step)["gradient_d"].item() for step in range(1, 6)])
    assert found[1] == pytest.approx(found[0], rel=1e-3 if precision == "fp32" else 0.1)
