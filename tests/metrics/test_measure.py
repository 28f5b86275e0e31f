"""A cell measured by the Inception protocols: networks see what their metrics take, values get their protocol."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json, write_text
from pipeline.base.schema import dump
from pipeline.data.array import write_dataset
from pipeline.metrics import distances, reference
from pipeline.metrics import measure as measuring
from pipeline.metrics.config import MeasurePlan, ReferencePlan
from pipeline.metrics.extractors import extractor, weights
from pipeline.metrics.measure import measure_run
from pipeline.networks.transgan.networks import Generator
from small_extractor import small

SETTINGS = {"splits": 2, "subsets": 3, "subset_size": 10, "threads": 1}
NAMES = ["fid20_train_legacy", "fid12_train_clean", "is20", "kid20", "pr20_3_inception"]


@pytest.fixture
def project(tmp_path, monkeypatch, cell):
    """An untrained run of the digits' geometry, a dataset, and its reference by the small network."""
    resolved = cell("digits")
    generator = Generator(resolved.network)
    (tmp_path / "run").mkdir()
    write_text(tmp_path / "run/network.yaml", dump(resolved.network))
    save_file(generator.state_dict(), tmp_path / "run/generator_ema.safetensors")
    write_json(tmp_path / "run/run.json", {"status": "ok", "kimg": 1.0})
    write_dataset(
        tmp_path / "data",
        np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8),
        None,
        {"split": "train", "resize": "none"},
    )
    file = tmp_path / "weights.pt"
    file.write_bytes(b"weights")
    monkeypatch.setattr(
        weights,
        "find",
        lambda name, configured: file,
    )
    for module in (reference, extractor):
        monkeypatch.setattr(module, "load_extractor", lambda name, path: small(name, logits=False))
    plan = ReferencePlan(
        metrics=["fid_train_legacy", "fid_train_clean", "is", "kid", "pr3_inception"],
        weights=None,
        digits_classifier=None,
        **SETTINGS,
    )
    reference.build_reference(plan, data=tmp_path / "data", out=tmp_path / "reference")
    return tmp_path


def measured(folder, name="cell", **changes):
    plan = MeasurePlan(metrics=NAMES, curve=[], n_gen=20, seed=0, batch=8, **SETTINGS).model_copy(update=changes)
    return measure_run(plan, run=folder / "run", reference=folder / "reference", out=folder / name)


def test_values_by_full_name_and_what_is_not_available(project):
    result = measured(project)
    values = [
        "fid20_train_legacy",
        "fid12_train_clean",
        "kid20",
        "kid20_std",
        "precision20_3_inception",
        "recall20_3_inception",
    ]
    assert list(result) == ["status", "kimg", *values, "n_gen", "n_real"] and result == read_json(
        project / "cell/metrics.json"
    )
    protocol = read_json(project / "cell/protocol.json")
    assert protocol["unavailable"] == {"is20": "not available: these weights have no logits"}
    assert set(protocol["metrics"]) == {
        "fid20_train_legacy",
        "fid12_train_clean",
        "is20",
        "kid20",
        "precision20_3_inception",
        "recall20_3_inception",
    }
    assert {name: protocol["metrics"][name]["n_gen"] for name in ("fid20_train_legacy", "fid12_train_clean")} == {
        "fid20_train_legacy": 20,
        "fid12_train_clean": 12,
    }


def test_the_same_cell_gives_the_same_bytes_and_the_batch_has_no_part(project):
    first = measured(project)
    measured(project, "again")
    assert (project / "again/metrics.json").read_bytes() == (project / "cell/metrics.json").read_bytes()
    other = measured(project, "other", batch=3)
    assert {name: value for name, value in other.items() if isinstance(value, float)} == pytest.approx(
        {name: value for name, value in first.items() if isinstance(value, float)}, rel=1e-3, abs=1e-6
    )


def test_a_run_without_a_generator_keeps_its_status_and_its_protocols(project):
    (project / "run/generator_ema.safetensors").unlink()
    write_json(project / "run/run.json", {"status": "oom", "kimg": 0.0})
    assert measured(project) == {"status": "oom", "kimg": 0.0, "n_gen": 20, "n_real": 30}
    assert read_json(project / "cell/protocol.json")["unavailable"] == {}


def test_a_protocol_has_whatever_else_moves_its_value_and_nothing_that_does_not(project):
    measured(project, splits=5, subsets=7)
    facts = read_json(project / "cell/protocol.json")["metrics"]
    extra = {
        name: {key: value for key, value in entry.items() if key in ("splits", "subsets", "subset_size", "neighbours")}
        for name, entry in facts.items()
    }
    assert (
        extra["fid20_train_legacy"] == {}
        and extra["is20"] == {"splits": 5}
        and extra["kid20"] == {"subsets": 7, "subset_size": 10}
    )
    assert extra["precision20_3_inception"] == {"neighbours": 3}  # of its name, not of the setting


def test_the_seed_draws_the_kernel_distances_subsets_too(project, monkeypatch):
    seeds = []
    measure = measuring.measure
    monkeypatch.setattr(
        measuring, "measure", lambda *given, seed, **more: seeds.append(seed) or measure(*given, seed=seed, **more)
    )
    measured(project, seed=4)
    assert seeds == [4]


def test_too_little_memory_is_one_line_that_names_the_setting(project, monkeypatch):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 67.00 GiB")

    monkeypatch.setattr(measuring, "draw_images", refuse)
    with pytest.raises(UserError, match="8 images at a time; lower evaluate.batch"):
        measured(project)


# ---- curves ----
def test_kept_generators_are_measured_in_order_as_the_last_one_is(project, cell):
    (project / "run/weights").mkdir()
    torch.manual_seed(1)
    other = Generator(cell("digits").network)
    save_file(other.state_dict(), project / "run/weights/00000000.500.safetensors")
    save_file(torch_state(project), project / "run/weights/00000001.000.safetensors")
    result = measured(project, curve=["fid12_train_clean", "kid20", "pr20_3_inception"])
    header, first, last = (project / "cell/progress.csv").read_text().splitlines()
    assert header == "kimg,fid12_train_clean,kid20,precision20_3_inception,recall20_3_inception"
    assert first.split(",")[0] == "0.5" and last.split(",")[0] == "1"
    assert float(last.split(",")[1]) == pytest.approx(result["fid12_train_clean"], rel=1e-6)
    assert float(first.split(",")[1]) != float(last.split(",")[1])


def test_a_metric_of_several_values_has_all_of_them_at_the_end_too(project, monkeypatch):
    """The last row once had only the value that is named as the metric is."""
    values = {"{name}": "one", "{name}_two": "another"}
    two = replace(distances.KID, values=values, compute=lambda *sides, **options: (1.0, 2.0))
    monkeypatch.setattr(distances, "KID", two)
    (project / "run/weights").mkdir()
    save_file(torch_state(project), project / "run/weights/00000001.000.safetensors")
    measured(project, metrics=["kid20"], curve=["kid20"])
    assert (project / "cell/progress.csv").read_text() == "kimg,kid20,kid20_two\n1,1,2\n"


def test_no_curve_without_kept_generators_or_without_asking(project):
    measured(project, curve=["kid20"])
    assert not (project / "cell/progress.csv").exists()


def torch_state(project):
    return load_file(project / "run/generator_ema.safetensors")
