"""Generator and discriminator as wholes: shapes, wiring against a hand-written forward pass, independence of the
batch.
"""

import copy

import pytest
import torch
import torch.nn.functional as F

from pipeline.networks.transgan.networks import Discriminator, Generator, PatchEmbedding
from pipeline.plan.config import resolve_cell

VARIANTS = [
    "standard_attention",
    "nystrom_attention",
    "axis_attention",
    "grid_attention",
    "multiscale",
    "full",
    "layer_norm",
    "batch_norm",
    "instance_norm",
    "no_norm",
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_and_gradients_reach_every_parameter(cell, variant):
    spec = cell("digits", variant).network
    generator, discriminator = Generator(spec), Discriminator(spec)
    images = generator(torch.randn(4, generator.latent_dim))
    assert images.shape == (4, 1, 8, 8)
    scores = discriminator(images)
    assert scores.shape == (4,)
    scores.square().sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


def block(module, x, heads):
    """A pre-norm block with token norm and full attention, from its state dict alone."""
    state = module.state_dict()

    def norm(t):
        return t / (t.pow(2).mean(-1, keepdim=True) + 1e-8).sqrt()

    q, k, v = (
        t.unflatten(-1, (heads, -1)).transpose(1, 2)
        for t in (norm(x) @ state["attention.qkv.weight"].T).chunk(3, dim=-1)
    )
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if "attention.relative_position.table" in state:
        side = int(x.shape[1] ** 0.5)
        index = [
            [
                (i // side - j // side + side - 1) * (2 * side - 1) + i % side - j % side + side - 1
                for j in range(side * side)
            ]
            for i in range(side * side)
        ]
        scores = scores + state["attention.relative_position.table"][torch.tensor(index)].permute(2, 0, 1)
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    x = x + mixed @ state["attention.proj.weight"].T + state["attention.proj.bias"]
    hidden = F.gelu(norm(x) @ state["mlp.fc1.weight"].T + state["mlp.fc1.bias"])
    return x + hidden @ state["mlp.fc2.weight"].T + state["mlp.fc2.bias"]


def test_discriminator_is_patches_pooling_concatenation_cls_and_head(cell):
    spec = cell("digits", "full").network
    d = Discriminator(spec)
    state, images = d.state_dict(), torch.randn(3, 1, 8, 8)

    def patches(stage, p):
        weight = state[f"stages.{stage}.patches.weight"].view(-1, 1, p, p)
        return F.conv2d(images, weight, state[f"stages.{stage}.patches.bias"], stride=p).flatten(2).transpose(1, 2)

    x = block(d.stages[0].blocks[0], patches(0, 2) + state["stages.0.position"], heads=2)
    pooled = F.avg_pool2d(x.transpose(1, 2).view(3, -1, 4, 4), 2).flatten(2).transpose(1, 2)
    x = block(d.stages[1].blocks[0], torch.cat([pooled, patches(1, 4)], -1) + state["stages.1.position"], heads=2)
    x = block(d.cls_blocks[0], torch.cat([state["cls"].expand(3, 1, -1), x], 1), heads=2)[:, 0]
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-8).sqrt()
    expected = (x @ state["head.weight"].T + state["head.bias"]).flatten()
    torch.testing.assert_close(d(images), expected, rtol=1e-4, atol=1e-5)


def test_generator_is_tokens_upsampling_position_blocks_and_rgb(params):
    content = copy.deepcopy(params)
    stages = [("none", 64), ("bicubic", 64), ("pixel_shuffle", 16)]
    geometry = {"base_side": 2, "stages": [{"upsample": up, "width": width, "depth": 2} for up, width in stages]}
    content["variants"] = {"mine": {"model": {"generator": {"transgan": geometry}}}}
    generator = Generator(resolve_cell(content, "digits", "mine").network)
    state, seen = generator.state_dict(), []
    for stage in generator.stages:
        stage.blocks.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    generator(z := torch.randn(2, generator.latent_dim))
    first = (z @ state["to_tokens.weight"].T + state["to_tokens.bias"]).view(2, 4, -1)
    torch.testing.assert_close(seen[0], first + state["stages.0.position"])
    before = generator.stages[0].blocks(seen[0])
    as_map = before.transpose(1, 2).reshape(2, -1, 2, 2)
    up = F.interpolate(as_map, size=(4, 4), mode="bicubic", align_corners=False)
    torch.testing.assert_close(seen[1], up.flatten(2).transpose(1, 2) + state["stages.1.position"])
    before = generator.stages[1].blocks(seen[1]).transpose(1, 2).reshape(2, -1, 4, 4)
    shuffled = before.view(2, -1, 2, 2, 4, 4).permute(0, 1, 4, 2, 5, 3).reshape(2, -1, 8, 8)
    torch.testing.assert_close(seen[2], shuffled.flatten(2).transpose(1, 2) + state["stages.2.position"])
    last = generator.stages[2].blocks(seen[2])
    rgb = (last @ state["to_rgb.weight"].T + state["to_rgb.bias"]).transpose(1, 2).view(2, 1, 8, 8)
    torch.testing.assert_close(generator(z), rgb)


def test_patch_embedding_is_a_convolution_with_kernel_equal_to_stride():
    patches, images = PatchEmbedding(4, 3, 10), torch.randn(2, 3, 8, 8)
    expected = F.conv2d(images, patches.weight.view(10, 3, 4, 4), patches.bias, stride=4).flatten(2).transpose(1, 2)
    torch.testing.assert_close(patches(images), expected, rtol=1e-5, atol=1e-5)


def test_no_overlapping_convolution_anywhere(cell):
    for dataset in ("digits", "cifar10", "church256"):
        with torch.device("meta"):
            for network in (Generator(cell(dataset).network), Discriminator(cell(dataset).network)):
                for module in network.modules():
                    assert not isinstance(module, torch.nn.modules.conv._ConvNd) or module.kernel_size in (
                        module.stride,
                        (1, 1),
                    )


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "batch_norm"])
def test_no_image_depends_on_its_batch(cell, variant):
    spec = cell("digits", variant).network
    generator, discriminator = Generator(spec).eval(), Discriminator(spec)
    z, order = torch.randn(4, generator.latent_dim), [2, 0, 3, 1]
    torch.testing.assert_close(generator(z)[order], generator(z[order]), rtol=1e-4, atol=1e-5)
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(discriminator(images)[order], discriminator(images[order]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_batch_statistics_are_said_to_be_used_where_a_norm_uses_them(cell, variant):
    spec = cell("digits", variant).network
    for network, own in ((Generator(spec), spec.generator), (Discriminator(spec), spec.discriminator)):
        norms = any(isinstance(module, torch.nn.BatchNorm1d) for module in network.modules())
        assert network.batch_statistics == own.batch_statistics == norms == (variant == "batch_norm")


def test_batch_norm_generator_samples_independently_of_the_batch_in_evaluation(cell):
    generator = Generator(cell("digits", "batch_norm").network)
    generator(torch.randn(8, generator.latent_dim))
    generator.eval()
    z = torch.randn(4, generator.latent_dim)
    torch.testing.assert_close(generator(z)[1:2], generator(z[1:2]), rtol=1e-4, atol=1e-5)


def test_single_scale_discriminator_sees_the_finest_patches_only(cell):
    d = Discriminator(cell("digits", "grid_attention").network)
    assert d.stages[0].patches is not None
    assert d.stages[1].patches is None and d.stages[1].widen is not None


def test_initialisation_follows_the_released_code(cell):
    with torch.random.fork_rng():
        d = Discriminator(cell("cifar10").network)
    state = d.state_dict()
    assert state["stages.1.blocks.0.mlp.fc1.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    assert not state["stages.1.blocks.0.mlp.fc1.bias"].any()
    assert state["stages.0.position"].std().item() == pytest.approx(0.02, rel=0.02)
    fan = (3 * 2 * 2 + 288 * 2 * 2) / 2  # of the convolution that the released code has here
    assert state["stages.0.patches.weight"].std().item() == pytest.approx(fan**-0.5, rel=0.05)
