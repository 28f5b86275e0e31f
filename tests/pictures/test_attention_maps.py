"""Effective attention against the softmax written out, kind by kind; tables turned to key offsets; latent paths."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.networks.sampling import interpolate
from pipeline.networks.transgan.attention_maps import effective_attention, tables
from pipeline.networks.transgan.networks import Generator
from pipeline.pictures.illustrate import write_attention, write_maps

KINDS = {
    "standard_attention": "standard",
    "nystrom_attention": "nystrom",
    "axis_attention": "axis",
    "grid_attention": "grid",
    "full": "grid",
}


def build(cell, variant):
    generator = Generator(cell("digits", variant).network).eval()
    return generator, generator.stages[-1].blocks[-1].attention


@pytest.mark.parametrize("variant", KINDS)
def test_weights_mix_the_values_as_the_block_does(cell, variant):
    generator, module = build(cell, variant)
    weights = effective_attention(generator, module, torch.randn(2, generator.latent_dim), list(range(64)), seed=0)
    assert weights.shape == (2, module.heads, 64, 64) and module.kind == KINDS[variant]
    q, k, v = torch.randn(3, 2, module.heads, 64, 16).unbind(0)
    # Rows of weights sum to one wherever the weights are a softmax or a product of two.
    if module.kind != "nystrom":
        assert weights.sum(-1) == pytest.approx(torch.ones(2, module.heads, 64).numpy(), abs=1e-4)
        assert (weights >= 0).all()
    with torch.no_grad():
        basis = torch.eye(64).expand(2, module.heads, 64, 64)
        full = module.mix(q, k, basis, fused=False)
        assert torch.allclose(full @ v, module.mix(q, k, v, fused=False), atol=1e-5)
    assert not module.qkv._forward_hooks


def test_grid_attention_stays_in_its_cell(cell):
    generator, module = build(cell, "grid_attention")
    weights = effective_attention(generator, module, torch.randn(1, generator.latent_dim), [2 * 8 + 2], seed=0)[
        0, :, 0
    ].reshape(-1, 8, 8)
    assert (
        weights[:, :4, :4].sum() == pytest.approx(module.heads, abs=1e-4)
        and not weights[:, 4:].any()
        and not weights[:, :, 4:].any()
    )


def test_relative_position_is_by_the_keys_offset(cell):
    generator, module = build(cell, "full")
    ((name, table),) = tables(module)
    bias = module.relative_position().detach()
    # Query (1, 1), key (3, 0) of a 4 x 4 cell: two rows below, one column before.
    assert name == "" and table.shape == (2, 7, 7)
    assert table[:, 3 + 2, 3 - 1] == pytest.approx(bias[:, 1 * 4 + 1, 3 * 4 + 0].numpy())


def test_files_say_what_they_show(cell, tmp_path):
    generator, _ = build(cell, "full")
    write_attention(tmp_path, generator, torch.randn(5, generator.latent_dim), family="transgan", seed=0)
    facts = json.loads((tmp_path / "attention.json").read_text())
    assert (facts["kind"], facts["side"], facts["window"], facts["heads"], facts["rows"]) == (
        "grid",
        8,
        4,
        [0, 0, 1, 1],
        [0, 1, 2, 3],
    )
    assert facts["queries"] == [[2, 2], [4, 4], [2, 2], [4, 4]]
    assert (tmp_path / "relative_position.png").is_file()
    first = (tmp_path / "attention.png").read_bytes()
    torch.manual_seed(5)
    write_attention(tmp_path, generator, torch.zeros(5, generator.latent_dim), family="transgan", seed=0)
    assert (tmp_path / "attention.png").read_bytes() != first


def test_maps_come_back_to_one_part_in_255(tmp_path):
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    maps[0, 0] = 1.5
    write_maps(tmp_path / "maps", maps, rows=["a", "b"], kind="test")
    facts = json.loads((tmp_path / "maps.json").read_text())
    grey = np.asarray(Image.open(tmp_path / "maps.png")).reshape(2, 5, 3, 4).transpose(0, 2, 1, 3)
    low, high = (np.array(facts[name])[..., None, None] for name in ("low", "high"))
    assert low + grey / 255 * (high - low) == pytest.approx(maps, abs=(high - low).max() / 255)


def test_paths_end_at_their_latents_and_keep_their_length():
    start, end = torch.randn(2, 64), torch.randn(2, 64)
    path = interpolate(start, end, 5).reshape(2, 5, 64)
    assert torch.allclose(path[:, 0], start, atol=1e-4) and torch.allclose(path[:, -1], end, atol=1e-4)
    lengths = path.norm(dim=-1)
    assert lengths.min() > 0.8 * min(start.norm(dim=-1).min(), end.norm(dim=-1).min())
    assert torch.allclose(interpolate(start, start, 3).reshape(2, 3, 64)[:, 1], start, atol=1e-3)
