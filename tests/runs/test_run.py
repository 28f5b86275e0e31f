"""A run's folder, the key it is known by, and twins that are copied instead of trained again."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.images import to_uint8
from pipeline.base.schema import bind, read_yaml
from pipeline.data.array import read_manifest, write_dataset
from pipeline.networks.transgan.networks import Discriminator, Generator
from pipeline.runs import job
from pipeline.runs import run as module
from pipeline.runs.job import Job, find_twin, run_key
from pipeline.runs.run import run_cell
from pipeline.runs.work_dirs import WORKER, read_record, record_folder, stored, work_root
from pipeline.training.config import TrainPlan

FILES = {
    "config.yaml",
    "discriminator.safetensors",
    "generator.safetensors",
    "generator_ema.safetensors",
    "grid.png",
    "grids.json",
    "grids.npy",
    "history.csv",
    "network.yaml",
    "run.json",
}
NEVER = "a training that should not have been run"


@pytest.fixture(scope="module")
def first(tmp_path_factory, plan, data):
    """A finished run of `full`: its folder."""
    out = tmp_path_factory.mktemp("runs") / "digits/full/seed0"
    run_cell(plan(kimg=0.06), data=data, out=out, name="digits/full/seed0")
    return out


@pytest.fixture
def runs(first, tmp_path):
    """A folder of runs with that one run in it."""
    shutil.copytree(first, tmp_path / "runs/digits/full/seed0")
    return tmp_path / "runs/digits"


@pytest.fixture
def untrainable(monkeypatch):
    monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail(NEVER))


def test_bf16_on_a_processor_without_it_is_said_before_any_work(plan, data, tmp_path, monkeypatch, capsys):
    said = []

    def work(*_, **__):
        said.append(capsys.readouterr())
        raise RuntimeError("work begins")

    monkeypatch.setattr(module, "has_bf16", lambda: False)
    monkeypatch.setattr(module, "train", work)
    with pytest.raises(RuntimeError, match="work begins"):
        run_cell(plan(precision="bf16"), data=data, out=tmp_path / "runs/digits/full/seed0", name="digits/full/seed0")
    (line,) = [line for line in "".join(said[0]).splitlines() if "bf16" in line]
    assert "has no bf16" in line and "train.precision=fp32" in line


# ---- what is in the folder ----
def test_a_run_leaves_these_files_and_no_others(first):
    assert {path.name for path in first.iterdir()} == FILES


def test_the_record_says_what_was_done(first, plan):
    record = read_json(first / "run.json")
    assert (record["status"], record["kimg"], record["kimg_planned"]) == ("ok", 0.064, 0.06)
    network = plan().network
    assert record["parameters_g"] == sum(p.numel() for p in Generator(network).parameters())
    assert record["parameters_d"] == sum(p.numel() for p in Discriminator(network).parameters())
    assert record["libraries"]["torch"]


def test_when_where_and_how_fast_is_in_a_record_beside_the_run(first):
    key = read_json(first / "run.json")["key"]
    record = read_record(key)
    assert record["seconds"] > 0 and record["threads"] == 1 and record["device"] and record["peak_memory_mib"] > 10
    assert (record["cell"], record["accumulate"], record["processes"]) == ("digits/full/seed0", 1, [[0.0, 1]])
    assert not {"seconds", "device", "revision", "peak_memory_mib"} & read_json(first / "run.json").keys()
    machine = pd.read_csv(record_folder(key) / "machine.csv")
    assert list(machine.kimg) == [0.016, 0.032, 0.048, 0.064] and (machine.seconds.diff().dropna() > 0).all()
    assert read_record("0" * 64) == {}


def test_settings_and_weights_can_be_read_back(first, plan):
    settings = bind(TrainPlan, read_yaml(first / "config.yaml"), file="config.yaml")
    assert settings == plan(kimg=0.06)
    for name, network in (("generator", Generator), ("generator_ema", Generator), ("discriminator", Discriminator)):
        state = load_file(first / f"{name}.safetensors")
        network(settings.network).load_state_dict(state)
        assert all(tensor.isfinite().all() for tensor in state.values())


def test_history_and_grids_have_the_planned_sizes_and_the_last_grid_is_the_averages(first, plan):
    history = pd.read_csv(first / "history.csv")
    assert list(history.step) == [2, 4, 6, 8] and list(history.kimg) == [0.016, 0.032, 0.048, 0.064]
    assert not history.isna().any().any() and {"wasserstein", "penalty", "loss_g"} <= set(history)
    grids = np.load(first / "grids.npy")
    assert grids.shape == (3, 8, 1, 8, 8) and grids.dtype == np.uint8
    assert read_json(first / "grids.json") == {"kimg": [0.0, 0.032, 0.064]}
    average = Generator(plan().network).eval()
    average.load_state_dict(load_file(first / "generator_ema.safetensors"))
    latents = torch.randn(8, average.latent_dim, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(grids[-1], to_uint8(average(latents)).numpy())
    picture = np.asarray(Image.open(first / "grid.png"))
    # 8 images in a row, 8 pixels each shown 4 times as large, 4 pixels between and around.
    assert picture.shape == (8 * 4 + 8, 8 * 36 + 4)
    np.testing.assert_array_equal(picture[4:36:4, 4:36:4], grids[-1][0, 0])


def test_two_trainings_of_one_plan_give_the_same_bytes(first, plan, data, tmp_path):
    out = tmp_path / "elsewhere/digits/full/seed0"
    record = run_cell(plan(kimg=0.06), data=data, out=out, name="again")
    assert record["copied_from"] is None
    for name in FILES:
        assert (out / name).read_bytes() == (first / name).read_bytes(), name


def test_a_diverged_run_is_a_run_with_finite_weights(plan, data, tmp_path):
    out = tmp_path / "runs/digits/wild/seed0"
    record = run_cell(plan(lr=1e30), data=data, out=out, name="wild")
    assert read_json(out / "run.json").items() <= record.items()
    assert (record["status"], record["kimg"]) == ("diverged", 0.0)
    assert {path.name for path in out.iterdir()} == FILES
    for name in ("generator", "generator_ema", "discriminator"):
        assert all(tensor.isfinite().all() for tensor in load_file(out / f"{name}.safetensors").values())


def test_the_history_of_a_run_that_diverged_at_once_is_an_empty_table(plan, data, tmp_path):
    run_cell(plan(lr=1e30), data=data, out=tmp_path / "runs/digits/wild/seed0", name="wild")
    assert len(pd.read_csv(tmp_path / "runs/digits/wild/seed0/history.csv")) == 0


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory.\nMore."),
        MemoryError("no room"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_a_result(plan, data, tmp_path, monkeypatch, error):
    out = tmp_path / "runs/digits/large/seed0"
    monkeypatch.setattr(module, "train", failing(error))
    record = run_cell(plan(), data=data, out=out, name="large")
    assert read_json(out / "run.json").items() <= record.items()
    assert (record["status"], record["kimg"]) == ("oom", 0.0)
    assert record["detail"] == str(error).splitlines()[0]
    assert {path.name for path in out.iterdir()} == {"config.yaml", "network.yaml", "run.json"}
    # Another try may have more memory: it is no twin to copy.
    assert find_twin(tmp_path / "runs/digits/other/seed0", record["key"]) is None


def test_a_batch_that_no_machine_holds_ends_as_too_little_memory(plan, data, tmp_path):
    record = run_cell(plan(batch_generator=2**40), data=data, out=tmp_path / "runs/digits/large/seed0", name="large")
    assert record["status"] == "oom" and record["bytes_asked"] == 2**40 * plan().network.generator.latent_dim * 4
    assert (
        (record["batch_discriminator"], record["batch_generator"]) == (8, 2**40)
        and "train.accumulate: 2" in record["would_help"]
        and record["device"]
    )


def cards_memory(monkeypatch, images: int) -> list[int]:
    """A training that fits where a part of a batch has at most `images`; returns the parts that were tried."""
    tried, original = [], module.train

    def train(plan, *arguments):
        tried.append(plan.train.accumulate)
        if plan.train.batch_discriminator // plan.train.accumulate > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(plan, *arguments)

    monkeypatch.setattr(module, "train", train)
    return tried


def test_parts_are_doubled_until_the_first_iteration_fits_and_the_record_says_so(
    plan, data, tmp_path, monkeypatch, capsys
):
    tried = cards_memory(monkeypatch, images=2)
    out = tmp_path / "runs/digits/large/seed0"
    record = run_cell(plan(accumulate="auto", seed=7), data=data, out=out, name="large")
    assert (record["status"], record["accumulate"], tried) == ("ok", 4, [1, 2, 4])
    assert "computed in 4 parts" in capsys.readouterr().out
    assert (
        "accumulate" not in read_json(out / "run.json")
        and read_yaml(out / "config.yaml")["train"]["accumulate"] == "auto"
    )


@pytest.mark.parametrize("changes", [{"accumulate": 1}, {"variant": "batch_norm"}, {"batch_generator": 7}])
def test_a_given_number_of_parts_batch_statistics_and_odd_batches_stay_as_they_are(
    plan, data, tmp_path, monkeypatch, changes
):
    tried = cards_memory(monkeypatch, images=2)
    record = run_cell(
        plan(**{"accumulate": "auto"} | changes), data=data, out=tmp_path / "runs/digits/large/seed0", name="large"
    )
    assert record["status"] == "oom" and len(tried) == 1


@pytest.mark.parametrize(("processes", "parts", "more"), [(2, 1, 2), (4, 1, 2), (4, 2, None)])
def test_parts_are_shared_by_all_processes(plan, processes, parts, more):
    train = plan(accumulate="auto", processes=processes)
    one = Job(name="cell", plan=train, data=Path(), out=Path(), work=Path(), key="ab", parts=parts).in_more_parts()
    assert (one and one.parts) == more


def test_auto_is_the_same_training_as_one_part(plan):
    key = run_key(plan(), "images", torch.device("cpu"))
    assert run_key(plan(accumulate="auto"), "images", torch.device("cpu")) == key
    assert run_key(plan(accumulate=2), "images", torch.device("cpu")) != key


def test_the_key_names_an_architecture_and_no_card(plan, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: pytest.fail("its name"))
    a100 = run_key(plan(), "images", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert run_key(plan(), "images", torch.device("cuda"))[: job.TRAINING] == a100[: job.TRAINING]
    assert run_key(plan(), "images", torch.device("cuda")) != a100


def test_the_state_that_another_kind_of_machine_left_is_named_before_the_training_begins_anew(
    plan, data, tmp_path, monkeypatch, capsys
):
    key = run_key(plan(), read_manifest(data)["images_sha256"], torch.device("cpu"))
    other = work_root() / f"{key[: job.TRAINING]}{'0' * job.TRAINING}"
    other.mkdir(parents=True)
    write_json(other / "step-000000012.json", {})
    write_json(other / "progress.json", {"kimg": 12.5})
    monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail(capsys.readouterr().out))
    with pytest.raises(pytest.fail.Exception, match=f"another kind of machine.* 12.5 kimg .*{other}"):
        run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="digits/full/seed0")
    assert stored(other)
    shutil.rmtree(other)


def test_compiling_without_a_compiler_is_refused_before_any_work(plan, data, tmp_path, untrainable, monkeypatch):
    monkeypatch.setattr(job, "_has_compiler", lambda: False)
    with pytest.raises(UserError, match=r"train\.execution: given 'compiled', which needs a C\+\+ compiler.*: eager$"):
        run_cell(plan(execution="compiled"), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")


def test_a_compiler_is_looked_for_where_cxx_says(monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/nonexistent/g++",))
    from torch._inductor import cpp_builder

    cpp_builder.get_cpp_compiler.cache_clear() if hasattr(cpp_builder.get_cpp_compiler, "cache_clear") else None
    assert not job._has_compiler()


def test_any_other_failure_is_a_failure(plan, data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", failing(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="mat1"):
        run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
    assert not (tmp_path / "runs").exists()


def failing(error):
    def train(*_, **__):
        raise error

    return train


def test_damaged_images_are_refused_before_any_training(plan, data, tmp_path, untrainable):
    damaged = tmp_path / "damaged"
    shutil.copytree(data, damaged)
    content = bytearray((damaged / "images.npy").read_bytes())
    content[-1] ^= 1
    (damaged / "images.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"images\.npy: sha256 is") as error:
        run_cell(plan(), data=damaged, out=tmp_path / "runs/digits/full/seed0", name="cell")
    assert "\n" not in str(error.value) and not (tmp_path / "runs").exists()


# ---- twins ----
def test_a_finished_run_with_the_same_key_is_copied_and_says_so(runs, plan, data, untrainable):
    record = run_cell(plan(kimg=0.06), data=data, out=runs / "grid_attention/seed0", name="twin")
    assert record["copied_from"] == "digits/full/seed0" and record["seconds"] > 0
    for name in FILES:
        assert (runs / "grid_attention/seed0" / name).read_bytes() == (runs / "full/seed0" / name).read_bytes()


@pytest.mark.parametrize("worker", [False, True])
def test_a_copy_leaves_the_state_of_its_training_to_the_worker_that_pushes(
    runs, plan, data, untrainable, monkeypatch, worker
):
    """Until the push the state is all there is of a training, should the clone's disk be lost."""
    monkeypatch.setattr(module, "end_with_worker", lambda: None)
    if worker:
        monkeypatch.setenv(WORKER, "its lock")
    key = read_json(runs / "full/seed0/run.json")["key"]
    state = work_root() / key / "step-000000001.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("{}")
    run_cell(plan(kimg=0.06), data=data, out=runs / "grid_attention/seed0", name="twin")
    assert state.exists() == worker


@pytest.mark.parametrize(
    "changes", [{"drift_weight": 0.002}, {"seed": 1}, {"variant": "layer_norm"}, {"kimg": 0.061}, {"ticks": 5}]
)
def test_a_different_setting_is_a_different_training(runs, plan, data, untrainable, changes):
    with pytest.raises(pytest.fail.Exception, match=NEVER):
        run_cell(plan(**{"kimg": 0.06} | changes), data=data, out=runs / "other/seed0", name="other")


def test_different_images_are_a_different_training(runs, plan, images, tmp_path, untrainable):
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 1
    write_dataset(tmp_path / "data/digits", changed, None, {"split": "all"})
    with pytest.raises(pytest.fail.Exception, match=NEVER):
        run_cell(plan(kimg=0.06), data=tmp_path / "data/digits", out=runs / "other/seed0", name="other")


def test_the_key_depends_on_plan_code_images_and_device_and_on_nothing_else(plan):
    original = plan()
    key = run_key(original, "images", torch.device("cpu"))
    assert run_key(plan(), "images", torch.device("cpu")) == key
    assert run_key(plan(seed=1), "images", torch.device("cpu")) != key
    assert run_key(original, "other images", torch.device("cpu")) != key
    for name, digest in original.code.items():
        edited = original.model_copy(update={"code": original.code | {name: digest[::-1] + "0"}})
        assert run_key(edited, "images", torch.device("cpu")) != key


@pytest.mark.parametrize("change", ["another digest", "a module more", "a module less"])
def test_a_plan_made_for_other_code_is_refused_before_any_work(plan, data, tmp_path, untrainable, change):
    code = dict(plan().code)
    if change == "another digest":
        code["pipeline.training.step"] = "0" * 16
    elif change == "a module more":
        code["pipeline.training.stepper"] = "0" * 16
    else:
        del code["pipeline.training.step"]
    stale = plan().model_copy(update={"code": code})
    with pytest.raises(UserError, match=r"pipeline\.training\.step.* has changed since the plan was made") as error:
        run_cell(stale, data=data, out=tmp_path / "runs/digits/full/seed0", name="digits/full/seed0")
    message = str(error.value)
    assert "\n" not in message and message.startswith("plan/train/digits/full/seed0.yaml: ") and "dvc repro" in message
    assert not (tmp_path / "runs").exists()


def test_a_cell_is_not_its_own_twin_and_other_datasets_have_none(runs):
    key = read_json(runs / "full/seed0/run.json")["key"]
    assert find_twin(runs / "full/seed0", key) is None
    assert find_twin(runs / "grid_attention/seed0", key) == runs / "full/seed0"
    assert find_twin(runs / "full/seed1", key) == runs / "full/seed0"
    assert find_twin(runs.parent / "cifar10/full/seed0", key) is None


def test_a_run_of_another_machine_is_a_twin_and_no_state_to_go_on_from(runs, plan, monkeypatch):
    original = plan()
    here = run_key(original, "images", torch.device("cpu"))
    monkeypatch.setattr(job, "processor", lambda: "Another Processor, 2 cores")
    there = run_key(original, "images", torch.device("cpu"))
    assert here != there and here[: job.TRAINING] == there[: job.TRAINING] and len(there) == 64
    key = read_json(runs / "full/seed0/run.json")["key"]
    assert find_twin(runs / "grid_attention/seed0", key[: job.TRAINING] + "0" * 32) == runs / "full/seed0"
    assert find_twin(runs / "grid_attention/seed0", "0" * 32 + key[job.TRAINING :]) is None


def test_a_folder_without_a_record_is_no_finished_run(runs, tmp_path):
    key = read_json(runs / "full/seed0/run.json")["key"]
    (runs / "full/seed0/run.json").unlink()
    assert find_twin(runs / "grid_attention/seed0", key) is None


def test_a_copy_that_failed_halfway_is_no_finished_run(runs, plan, data, monkeypatch):
    copy = shutil.copyfile

    def full_disk(source, target, **options):
        if str(source).endswith(".safetensors"):
            raise OSError("no space left on device")
        return copy(source, target, **options)

    monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises(UserError, match="could not be copied from .*no space left on device"):
        run_cell(plan(kimg=0.06), data=data, out=runs / "grid_attention/seed0", name="twin")
    key = read_json(runs / "full/seed0/run.json")["key"]
    shutil.rmtree(runs / "full/seed0")
    assert find_twin(runs / "full/seed0", key) is None


def test_cuda_graphs_are_refused_without_a_gpu(plan, data, tmp_path, monkeypatch):
    monkeypatch.setattr(job.torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        UserError, match=r"train\.execution: given 'compiled_graphs', which needs a GPU; allowed .*: eager"
    ):
        run_cell(plan(execution="compiled_graphs"), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
