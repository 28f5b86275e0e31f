"""The CelebA-HQ checkpoint of October 2021 in and out: the file itself says which of the two models it is."""

import math
from pathlib import Path

import official
import pytest
import torch
from safetensors.torch import load_file

import october
from october import SMALL, WHOLE
from pipeline.base.errors import UserError
from pipeline.base.schema import read_yaml
from pipeline.generators.export import export_released
from pipeline.generators.library import load_generator
from pipeline.networks.interface import build_discriminator
from pipeline.networks.sampling import read_networks
from pipeline.plan.config import load
from pipeline.plan.planning import released_specs
from pipeline.released.import_weights import import_weights
from pipeline.released.names import places
from settings_files import copy_settings

ROOT = Path(__file__).parent.parent.parent
KEYS = ("gen_state_dict", "avg_gen_state_dict", "dis_state_dict")


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """params.yaml with narrow networks for the variant; everything else as it is."""
    model = read_yaml(ROOT / "conf/variant/celebahq_october.yaml")["model"]
    generator, discriminator = (model[name]["transgan"] for name in ("generator", "discriminator"))
    for stage, width in zip(generator["stages"], SMALL.widths, strict=True):
        stage |= {"width": width, "depth": min(stage["depth"], SMALL.depth)}
    for stage, width, depth in zip(discriminator["stages"], SMALL.d_widths, SMALL.d_depths, strict=True):
        stage |= {"width": width, "depth": depth}
    generator["latent_dim"] = SMALL.latent
    edits = {"conf/variant/celebahq_october.yaml:model": model}
    return str(copy_settings(tmp_path_factory.mktemp("params"), edits))


@pytest.fixture(scope="module")
def content():
    """A file as the released code writes one, without the prefix of several GPUs."""
    shapes = {
        "gen_state_dict": october.generator_shapes(SMALL),
        "avg_gen_state_dict": october.generator_shapes(SMALL),
        "dis_state_dict": october.discriminator_shapes(SMALL),
    }
    return {"epoch": 7} | {
        key: official.with_index(official.random_state(own, seed)) for seed, (key, own) in enumerate(shapes.items())
    }


@pytest.fixture(scope="module")
def imported(params, content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("october")
    torch.save(content, folder / "october.pth")
    import_weights(folder / "october.pth", dataset="celebahq256", out=folder / "run", params=params)
    return folder / "run"


def test_every_name_and_shape_and_the_counts_of_the_released_modules():
    spec = released_specs(load(ROOT / "params.yaml"), "celebahq256")[1]
    for found, shapes, count in (
        (places(spec, discriminator=False), october.generator_shapes(WHOLE), 212_903_275),
        (places(spec, discriminator=True), october.discriminator_shapes(WHOLE), 13_334_593),
    ):
        assert {place.name: place.shape for place in found.values()} == shapes
        assert sum(map(math.prod, shapes.values())) == count


def test_imported_networks_give_the_released_pictures_and_scores(imported, content):
    z = torch.randn(1, SMALL.latent, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = october.generator(content["avg_gen_state_dict"], SMALL, z)
        images = load_generator(imported).network(z)
        discriminator = build_discriminator(read_networks(imported))
        discriminator.load_state_dict(load_file(imported / "discriminator.safetensors"))
        scores = discriminator.eval()(images)
        expected_scores = october.discriminator(content["dis_state_dict"], SMALL, images)
    assert images.std() > 0.1 and torch.allclose(images, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert torch.allclose(scores, expected_scores, rtol=1e-3, atol=1e-4)


def test_out_again_is_bit_for_bit_what_came_in(imported, content, tmp_path):
    export_released(imported, tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    for key in KEYS:
        assert again[key].keys() == {f"module.{name}" for name in content[key]}
        assert all(torch.equal(again[key][f"module.{name}"], tensor) for name, tensor in content[key].items())


def test_a_file_that_is_neither_model_is_compared_with_the_nearer_one(params, content, tmp_path):
    state = {**content["avg_gen_state_dict"], "embed_pos": torch.zeros(3)}
    torch.save({**content, "avg_gen_state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"does not fit: embed_pos is \(3,\) instead of \(1, 64, 256\)$"):
        import_weights(tmp_path / "w.pth", dataset="celebahq256", out=tmp_path / "run", params=params)
    assert not (tmp_path / "run").exists()


def test_the_model_of_october_is_recognised_under_another_dataset(params, content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"\(it fits celebahq256\)$"):
        import_weights(tmp_path / "w.pth", dataset="church256", out=tmp_path / "run", params=params)
