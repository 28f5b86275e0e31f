"""Released checkpoints in and out: names and shapes, the same pictures and scores, one line for what is wrong."""

import argparse
import math
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import official
import pytest
import torch
from official import MODELS
from safetensors.torch import load_file

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.generators.export import export_released
from pipeline.generators.library import load_generator
from pipeline.networks.interface import build_discriminator
from pipeline.networks.sampling import read_networks
from pipeline.plan.config import load, resolve_cell
from pipeline.plan.planning import released_specs
from pipeline.released.import_weights import import_weights
from pipeline.released.names import places
from settings_files import copy_settings

ROOT = Path(__file__).parent.parent.parent
SMALL = {
    "cifar10": {"widths": (64, 16, 4), "d_widths": (48, 64), "latent": 16},
    "stl10": {"widths": (64, 16, 4), "d_widths": (48, 64), "latent": 16},
    "church256": {"widths": (256, 256, 256, 64, 16, 4), "depths": (1,) * 6, "d_widths": (48, 56, 64), "latent": 8},
    "celebahq256": {"widths": (256, 256, 256, 64, 16, 4), "depths": (1,) * 6, "d_widths": (48, 56, 64), "latent": 8},
}


def small(dataset: str) -> official.Official:
    return replace(MODELS[dataset], **SMALL[dataset])


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """params.yaml with narrow networks for the four datasets; everything else as it is."""
    content = load(ROOT / "params.yaml")
    edits: dict[str, object] = {}
    for dataset in MODELS:
        model, spec = small(dataset), resolve_cell(content, dataset, "full", released=True).network
        generator = [
            {"upsample": stage.upsample, "width": width, "depth": depth}
            for stage, width, depth in zip(spec.generator.stages, model.widths, model.depths, strict=True)
        ]
        full = [sum(block.attention == "standard" for block in stage.blocks) for stage in spec.discriminator.stages]
        discriminator = [
            {"width": width, "depth": depth, "full_blocks": min(1, blocks) if len(stage.blocks) == 2 else 0}
            for width, depth, blocks, stage in zip(
                model.d_widths, model.d_depths, full, spec.discriminator.stages, strict=True
            )
        ]
        networks = f"conf/released/{dataset}.yaml:model"
        edits[f"{networks}.generator.transgan.stages"] = generator
        edits[f"{networks}.generator.transgan.latent_dim"] = model.latent
        edits[f"{networks}.discriminator.transgan.stages"] = discriminator
    return str(copy_settings(tmp_path_factory.mktemp("params"), edits))


def checkpoint(dataset: str, **changes) -> dict:
    """A file as the released code writes one."""
    model = small(dataset)
    states = {
        key: official.with_index(official.random_state(shapes, seed))
        for seed, (key, shapes) in enumerate(
            {
                "gen_state_dict": official.generator_shapes(model),
                "dis_state_dict": official.discriminator_shapes(model),
                "avg_gen_state_dict": official.generator_shapes(model),
            }.items()
        )
    }
    return {
        "epoch": 1400,
        "gen_model": "ViT_custom_rp",
        **{key: {f"module.{name}": tensor for name, tensor in state.items()} for key, state in states.items()},
        "gen_optimizer": torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict(),
        "dis_optimizer": {"state": {}, "param_groups": []},
        "best_fid": np.float64(9.26),
        "path_helper": {"prefix": "logs/cifar", "log_path": "logs/cifar/Log"},
        "fixed_z": torch.zeros(4, model.latent),
        **changes,
    }


@pytest.fixture
def imported(params, tmp_path):
    def make(dataset="cifar10", content=None, out="run"):
        path = tmp_path / "weights.pth"
        torch.save(checkpoint(dataset) if content is None else content, path)
        import_weights(path, dataset=dataset, out=tmp_path / out, params=params)
        return tmp_path / out

    return make


def plain(state):
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


# ---- names and shapes at full size ----
@pytest.mark.parametrize("dataset", MODELS)
def test_every_name_and_shape_of_the_released_modules(dataset):
    spec = released_specs(load(ROOT / "params.yaml"), dataset)[0]
    for found, shapes in (
        (places(spec, discriminator=False), official.generator_shapes(MODELS[dataset])),
        (places(spec, discriminator=True), official.discriminator_shapes(MODELS[dataset])),
    ):
        assert {place.name: place.shape for place in found.values()} == shapes


def test_the_shapes_that_tests_go_by_have_the_released_parameter_count():
    shapes = official.generator_shapes(MODELS["celebahq256"]), official.discriminator_shapes(MODELS["celebahq256"])
    counts = [sum(map(math.prod, names.values())) for names in shapes]
    assert counts == [205_291_927, 17_748_681]  # counted on the released modules


# ---- in ----
@pytest.mark.parametrize(
    "dataset",
    [pytest.param(name, marks=[pytest.mark.nightly] * name.endswith("256")) for name in sorted(MODELS)],
)
def test_imported_networks_give_the_released_pictures_and_scores(dataset, imported):
    content, model = checkpoint(dataset), small(dataset)
    run = imported(dataset, content)
    z = torch.randn(2, model.latent, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = official.generator(plain(content["avg_gen_state_dict"]), model, z)
        images = load_generator(run).network(z)
        discriminator = build_discriminator(read_networks(run))
        discriminator.load_state_dict(load_file(run / "discriminator.safetensors"))
        scores = discriminator.eval()(images)
        expected_scores = official.discriminator(plain(content["dis_state_dict"]), model, images)
    assert images.std() > 0.1 and torch.allclose(images, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert torch.allclose(scores, expected_scores, rtol=1e-3, atol=1e-4)


def test_what_the_file_says_is_in_the_record(imported):
    run = imported()
    record = read_json(run / "run.json")
    assert (record["released_epoch"], record["released_best_fid"], record["status"]) == (1400, 9.26, "ok")
    assert record["imported_from"] == "weights.pth" and len(record["imported_sha256"]) == 64
    assert record["parameters_g"] == sum(map(math.prod, official.generator_shapes(small("cifar10")).values()))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_bare_state_dict_is_a_generator(prefix, imported):
    state = official.random_state(official.generator_shapes(small("cifar10")), 2)
    run = imported(content={f"{prefix}{name}": tensor for name, tensor in state.items()})
    assert {path.name for path in run.iterdir()} == {"network.yaml", "generator_ema.safetensors", "run.json"}
    assert torch.equal(load_file(run / "generator_ema.safetensors")["to_tokens.weight"], state["l1.weight"])


def test_the_church_generator_of_june_2021_has_no_noise(imported):
    content = checkpoint("church256")
    for key in ("gen_state_dict", "avg_gen_state_dict"):
        content[key] = {name: tensor for name, tensor in content[key].items() if "noise" not in name}
    run = imported("church256", content)
    assert not any(block.noise for stage in read_networks(run).generator.stages for block in stage.blocks)
    assert load_generator(run).sample(1).shape == (1, 256, 256, 3)


# ---- out ----
@pytest.mark.parametrize("dataset", ["cifar10", pytest.param("stl10", marks=pytest.mark.nightly), "church256"])
def test_out_again_is_bit_for_bit_what_came_in(dataset, imported, tmp_path):
    content = checkpoint(dataset)
    keys = export_released(imported(dataset, content), tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert set(keys) == {"gen_state_dict", "dis_state_dict", "avg_gen_state_dict"}
    for key in keys:
        assert again[key].keys() == content[key].keys()
        assert all(torch.equal(again[key][name], tensor) for name, tensor in content[key].items())


def test_the_filter_bank_of_celebahqs_discriminator(imported, tmp_path):
    content = checkpoint("celebahq256")
    content["dis_state_dict"]["module.Hz_fbank"] = torch.zeros(4, 22)  # dropped: it is computed
    export_released(imported("celebahq256", content), tmp_path / "again.pth", filter_bank=True)
    bank = torch.load(tmp_path / "again.pth", weights_only=True)["dis_state_dict"]["module.Hz_fbank"]
    assert bank.shape[0] == 4 and bank.dtype == torch.float32
    # The bands add up to the identity.
    whole = bank.sum(dim=0)
    assert whole[len(whole) // 2] == pytest.approx(1) and whole.abs().sum() == pytest.approx(1, abs=1e-5)


# ---- refusals ----
def change(content, key, name, tensor):
    state = dict(content[key])
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    return {**content, key: state}


@pytest.mark.parametrize(
    ("key", "name", "tensor", "said"),
    [
        ("avg_gen_state_dict", "module.l1.bias", None, r"l1.bias \(4096,\) is missing"),
        ("avg_gen_state_dict", "module.l1.bias", torch.zeros(3), r"l1.bias is \(3,\) instead of \(4096,\)"),
        ("gen_state_dict", "module.extra", torch.zeros(3), r"extra \(3,\) is unknown"),
        (
            "dis_state_dict",
            "module.head.bias",
            torch.tensor([float("nan")]),
            "head.bias has values that are not finite",
        ),
        ("dis_state_dict", "module.head.bias", torch.zeros(1, dtype=torch.int64), "instead of floating-point"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(key, name, tensor, said, imported, tmp_path):
    with pytest.raises(UserError, match=said) as error:
        imported(content=change(checkpoint("cifar10"), key, name, tensor))
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_weights_of_another_dataset_are_recognised(imported):
    with pytest.raises(UserError, match=r"and \d+ more \(it fits stl10\)"):
        imported("cifar10", checkpoint("stl10"))


class Evil:
    def __reduce__(self):
        return (Path("/nonexistent").touch, ())


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no checkpoint"),
        lambda path: path.write_bytes(pickle.dumps({"epoch": Evil()})),
        lambda path: torch.save({"epoch": Evil()}, path),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({"epoch": 3}, path),
        lambda path: torch.save({"gen_state_dict": {"a": 3}}, path),
        lambda path: torch.save({"gen_state_dict": {3: torch.zeros(1)}}, path),
        lambda path: torch.save({3: torch.zeros(1)}, path),
        lambda path: torch.save({"gen_state_dict": {}, "args": argparse.Namespace(lr=1)}, path),
        lambda path: path.unlink(),
    ],
)
def test_files_that_are_none_end_in_one_line(damage, params, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(checkpoint("cifar10"), path)
    damage(path)
    with pytest.raises(UserError, match=re.escape(str(path))) as error:
        import_weights(path, dataset="cifar10", out=tmp_path / "run", params=params)
    message = str(error.value)
    assert "\n" not in message and not any(word in message for word in ("weights_only", "safe_globals", "trust"))
    assert not (tmp_path / "run").exists()


def test_other_datasets_and_full_folders_are_refused(params, tmp_path, imported):
    with pytest.raises(UserError, match="given 'celeba64'; allowed: cifar10 | stl10"):
        import_weights(tmp_path / "x.pth", dataset="celeba64", out=tmp_path / "run", params=params)
    run = imported()
    with pytest.raises(UserError, match="is there already"):
        import_weights(tmp_path / "weights.pth", dataset="cifar10", out=run, params=params)
