"""The real side: built once, known by its hashes, with the answers that every metric must give where they are known."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from pipeline.data.array import write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.readers import read_digits
from pipeline.errors import UserError
from pipeline.files import read_json, sha256, write_json
from pipeline.metrics.classifier import extract
from pipeline.metrics.config import ReferenceConfig, ReferencePlan
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.kernel import kernel_distance
from pipeline.metrics.precision_recall import precision_recall
from pipeline.metrics.reference import build_reference, load_reference
from pipeline.metrics.suite import measure, real_side

METRICS = ["fd_digits", "is_digits", "kd_digits", "pr_digits"]
COUNT = 601
PLAN = ReferencePlan(
    reference=ReferenceConfig(extractor="digits_classifier", extractor_seed=0, extractor_epochs=12, extractor_held_out=0.2, threads=1),
    metrics=METRICS,
    splits=5,
    subsets=10,
    subset_size=100,
    neighbours=3,
)


def build(folder):
    return build_reference(PLAN, data=str(folder / "data"), out=str(folder / "reference"), metrics=str(folder / "known.json"))


@pytest.fixture(scope="module")
def images():
    return read_digits(DataConfig(source="digits", resolution=8, channels=3))[0][:COUNT]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    images, labels, facts = read_digits(DataConfig(source="digits", resolution=8, channels=3))
    write_dataset(folder / "data", images[:COUNT], labels[:COUNT], facts)
    build(folder)
    return folder


@pytest.fixture
def copy(built, tmp_path):
    """The built reference in a folder that may be spoiled."""
    for path in (built / "reference").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_what_is_loaded_is_what_was_built(built, images):
    network, real, manifest = load_reference(built / "reference")
    assert not network.training and real.features.shape == (COUNT, 64)
    np.testing.assert_allclose(extract(network, images, 77)[0], real.features, rtol=1e-4, atol=1e-5)
    fresh = real_side(real.features).gaussian
    for name in ("mean", "covariance", "factor"):
        assert np.array_equal(getattr(real.gaussian, name), getattr(fresh, name)) and getattr(fresh, name).dtype == np.float64
    assert manifest["n_real"] == COUNT and manifest["extractor"] == "digits_classifier"


def test_the_manifest_names_the_files_it_stands_for(built):
    manifest, data = read_json(built / "reference" / "manifest.json"), read_json(built / "data" / "manifest.json")
    assert manifest["extractor_sha256"] == sha256(built / "reference" / "extractor.safetensors")
    assert manifest["real_sha256"] == sha256(built / "reference" / "real.npz")
    assert manifest["images_sha256"] == data["images_sha256"] == sha256(built / "data" / "images.npy")
    assert (manifest["split"], manifest["resize"]) == (data["split"], data["resize"])


def test_known_answers_are_what_the_metrics_must_say(built):
    known = read_json(built / "known.json")
    names = ["fd_digits", "is_digits", "kd_digits", "precision_digits", "recall_digits"]
    assert set(known) == {"accuracy", "n_halves", "n_real"} | {f"{name}_{case}" for name in names for case in ("halves", "one_image", "noise")}
    assert (known["n_halves"], known["n_real"]) == (COUNT // 2, COUNT) and 0.5 < known["accuracy"] <= 1
    assert 0 < known["fd_digits_halves"] < 0.1 * min(known["fd_digits_one_image"], known["fd_digits_noise"])
    assert abs(known["kd_digits_halves"]) < 0.1 * min(known["kd_digits_one_image"], known["kd_digits_noise"])
    assert known["precision_digits_halves"] > 0.6 and known["recall_digits_halves"] > 0.6
    assert known["precision_digits_one_image"] == 1 and known["recall_digits_one_image"] < 0.05
    assert known["precision_digits_noise"] < 0.6 * known["precision_digits_halves"]
    assert known["is_digits_one_image"] == pytest.approx(1) and known["is_digits_halves"] > 1.3


def test_the_same_plan_and_data_give_the_same_bytes(built, tmp_path):
    (tmp_path / "data").symlink_to(built / "data")
    build(tmp_path)
    for name in ("reference/manifest.json", "reference/extractor.safetensors", "reference/real.npz", "known.json"):
        assert sha256(tmp_path / name) == sha256(built / name), name


@pytest.mark.parametrize("name", ["extractor.safetensors", "real.npz"])
def test_damaged_and_missing_files_are_named(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"{name}: sha256 is .*damaged or was replaced"):
        load_reference(copy)
    (copy / name).unlink()
    with pytest.raises(UserError, match=f"{name}: no such file"):
        load_reference(copy)


def test_a_missing_or_truncated_manifest_is_named(copy):
    (copy / "manifest.json").write_text((copy / "manifest.json").read_text()[:-5])
    with pytest.raises(UserError, match=r"manifest\.json: not readable as JSON"):
        load_reference(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json: no such file"):
        load_reference(copy)


def test_statistics_of_another_kind_are_refused(copy):
    np.savez(copy / "real.npz", mean=np.zeros(64))
    write_json(copy / "manifest.json", read_json(copy / "manifest.json") | {"real_sha256": sha256(copy / "real.npz")})
    with pytest.raises(UserError, match=r"real\.npz: holds \['mean'\], expected \['covariance', 'factor', 'features', 'mean'\]"):
        load_reference(copy)


def test_weights_are_the_evaluators(built):
    network, _, _ = load_reference(built / "reference")
    stored = load_file(built / "reference" / "extractor.safetensors")
    assert set(stored) == set(network.state_dict())
    assert all((stored[name] == value).all() for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def sides():
    random = np.random.default_rng(0)
    return random.normal(size=(80, 5)), random.normal(0.3, 1, (60, 5)), random.normal(size=(60, 10))


def test_measure_is_the_metrics_by_name(sides):
    real, generated, logits = sides
    values = measure(PLAN, real_side(real), generated, logits, seed=4)
    assert list(values) == ["fd_digits", "is_digits", "is_digits_std", "kd_digits", "kd_digits_std", "precision_digits", "recall_digits"]
    assert values["fd_digits"] == frechet_distance(real_side(real).gaussian, real_side(generated).gaussian)
    assert (values["is_digits"], values["is_digits_std"]) == inception_score(logits, 5)
    assert (values["kd_digits"], values["kd_digits_std"]) == kernel_distance(real, generated, subsets=10, subset_size=100, seed=4)
    assert (values["precision_digits"], values["recall_digits"]) == precision_recall(real, generated, neighbours=3)
    assert json.loads(json.dumps(values)) == values


def test_measure_does_what_is_asked_and_no_more(sides):
    real, generated, logits = sides
    assert set(measure(PLAN.model_copy(update={"metrics": ["kd_digits"]}), real_side(real), generated, logits)) == {"kd_digits", "kd_digits_std"}


@pytest.mark.parametrize(("metric", "least"), [("fd_digits", 2), ("is_digits", 5), ("kd_digits", 2), ("pr_digits", 4)])
def test_too_few_samples_are_refused_by_metric(sides, metric, least):
    real, generated, logits = sides
    plan = PLAN.model_copy(update={"metrics": [metric]})
    assert measure(plan, real_side(real), generated[:least], logits[:least])
    with pytest.raises(UserError, match=f"{metric}: needs at least {least} samples on each side, has {least - 1} generated and 80 real"):
        measure(plan, real_side(real), generated[: least - 1], logits[: least - 1])


def test_a_broken_generator_is_an_error_not_a_number(sides):
    real, generated, logits = sides
    broken = generated.copy()
    broken[3] = np.nan
    with pytest.raises(UserError, match="generated images: 1 of 60 samples have a non-finite feature"):
        measure(PLAN, real_side(real), broken, logits)
