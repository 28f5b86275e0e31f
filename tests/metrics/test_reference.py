"""The real side: built once, known by its hashes, with the answers that every metric must give where they are known."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, sha256, write_json
from pipeline.base.schema import bind
from pipeline.data.array import read_manifest, write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.readers import read_digits, split_digits
from pipeline.metrics import reference, suite
from pipeline.metrics.config import MeasurePlan, ReferencePlan
from pipeline.metrics.extractors import extractor as extracting
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import Features, load_reference
from pipeline.metrics.extractors.registry import ClassifierConfig
from pipeline.metrics.measure import protocols
from pipeline.metrics.reference import build_reference
from pipeline.metrics.registry import CASES
from small_extractor import small

METRICS = ["fd_digits", "is_digits", "kd_digits", "pr_digits"]
COUNT, HELD_OUT = 401, 200
PLAN = ReferencePlan(
    metrics=METRICS,
    splits=5,
    subsets=10,
    subset_size=100,
    threads=1,
    weights=None,
    digits_classifier=ClassifierConfig(seed=0, epochs=12),
)
FILES = [
    "digits_classifier.safetensors",
    "digits_classifier_test.npy",
    "digits_classifier_train.npy",
]


def build(folder, plan=PLAN):
    return build_reference(plan, data=str(folder / "data"), out=str(folder / "reference"))


@pytest.fixture(scope="module")
def digits():
    """Training and held-out images, training and held-out labels, facts."""
    images, labels, facts = read_digits(DataConfig(source="digits", resolution=8, channels=1))
    train, test = split_digits(COUNT + HELD_OUT)
    assert (len(train), len(test)) == (COUNT, HELD_OUT) and not set(train) & set(test)
    return images[train], images[test], labels[train], labels[test], facts


@pytest.fixture(scope="module")
def built(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("reference")
    train, test, labels, test_labels, facts = digits
    write_dataset(folder / "data", train, labels, facts, test=test, test_labels=test_labels)
    build(folder)
    return folder


@pytest.fixture
def copy(built, tmp_path):
    """The built reference in a folder that may be spoiled."""
    for path in (built / "reference").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_what_is_loaded_is_what_was_built(built, digits):
    known = load_reference(built / "reference")
    extractor, real = known.extractors["digits_classifier"], known.real["digits_classifier", "test"]
    assert not extractor.network.training and real.features.shape == (HELD_OUT, 64)
    assert isinstance(real.features, np.memmap)
    np.testing.assert_allclose(extractor.extract(digits[1], 77).features, real.features, rtol=1e-4, atol=1e-5)
    assert np.array_equal(real.gaussian["sigma"], Features(np.array(real.features)).gaussian["sigma"])
    assert (known.manifest["n_real"], len(real)) == (COUNT, HELD_OUT)


def test_held_out_images_have_no_part_in_the_classifier(built, digits, tmp_path):
    train, test, labels, test_labels, facts = digits
    write_dataset(tmp_path / "data", train, labels, facts, test=255 - test, test_labels=(test_labels + 1) % 10)
    known = build(tmp_path)
    assert sha256(tmp_path / "reference" / FILES[0]) == sha256(built / "reference" / FILES[0])
    assert known["accuracy"] < 0.5 < read_json(built / "reference/known_answers.json")["accuracy"]


def test_a_plan_without_the_settings_of_the_classifier_is_refused_in_one_line():
    content = PLAN.model_dump() | {"digits_classifier": None}
    with pytest.raises(UserError) as error:
        bind(ReferencePlan, content, file="plan/reference/digits.yaml")
    assert str(error.value) == (
        "plan/reference/digits.yaml: digits_classifier: given None; allowed: seed and epochs: the metrics need it"
    )


def test_the_manifest_names_the_files_it_stands_for(built):
    manifest, data = read_json(built / "reference" / "manifest.json"), read_json(built / "data" / "manifest.json")
    assert sorted(path.name for path in (built / "reference").iterdir()) == sorted(
        [*FILES, "manifest.json", "known_answers.json"]
    )
    assert manifest["files"] == {name: sha256(built / "reference" / name) for name in FILES}
    assert manifest["extractors"]["digits_classifier"]["sha256"] == manifest["files"]["digits_classifier.safetensors"]
    assert manifest["images_sha256"] == data["images_sha256"] == sha256(built / "data" / "images.npy")
    assert (manifest["split"], manifest["resize"]) == (data["split"], data["resize"])


def test_known_answers_are_what_the_metrics_must_say(built):
    known = read_json(built / "reference/known_answers.json")
    names = ["fd_digits", "is_digits", "kd_digits", "precision_digits", "recall_digits"]
    cases = ("halves", "train", "memorised", "round_trip", "blurred", "one_image", "constant", "noise")
    assert set(known) == {"accuracy", "n_real"} | {f"{name}_{case}" for name in ("n", *names) for case in cases}
    assert set(cases) < set(CASES)
    assert (known["n_halves"], known["n_train"], known["n_real"]) == (HELD_OUT // 2, HELD_OUT, COUNT)
    assert 0.5 < known["accuracy"] <= 1
    # Fresh real images, training images learnt by heart, a hundred of them over and over, blur, noise, one image.
    assert 0 < known["fd_digits_train"] < known["fd_digits_memorised"] < known["fd_digits_blurred"]
    assert known["fd_digits_halves"] < 0.2 * min(known["fd_digits_one_image"], known["fd_digits_noise"])
    assert abs(known["kd_digits_halves"]) < 0.1 * min(known["kd_digits_one_image"], known["kd_digits_noise"])
    assert known["precision_digits_halves"] > 0.5 and known["recall_digits_halves"] > 0.5
    assert known["recall_digits_memorised"] < known["recall_digits_train"]
    assert known["precision_digits_one_image"] == 1 and known["recall_digits_one_image"] < 0.05
    assert known["precision_digits_noise"] < 0.6 * known["precision_digits_halves"]
    assert known["is_digits_one_image"] == pytest.approx(1) and known["is_digits_halves"] > 1.3
    assert known["fd_digits_round_trip"] == pytest.approx(0, abs=1e-4)
    assert known["precision_digits_round_trip"] == known["recall_digits_round_trip"] == 1
    assert known["fd_digits_constant"] > 10 * known["fd_digits_halves"] and known["recall_digits_constant"] == 0


def test_the_same_plan_and_data_give_the_same_bytes(built, tmp_path):
    (tmp_path / "data").symlink_to(built / "data")
    build(tmp_path)
    for name in ("reference/known_answers.json", "reference/manifest.json", *(f"reference/{name}" for name in FILES)):
        assert sha256(tmp_path / name) == sha256(built / name), name


@pytest.mark.parametrize("name", FILES)
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


def test_weights_are_the_evaluators(built):
    extractor = load_reference(built / "reference").extractors["digits_classifier"]
    stored, network = load_file(built / "reference" / FILES[0]), extractor.network
    assert set(stored) == set(network.state_dict()) and extractor.sha256 == sha256(built / "reference" / FILES[0])
    assert all((stored[name] == value).all() for name, value in network.state_dict().items())


INCEPTION = ["fid_train_legacy", "fid_train_clean", "fid_test_clean", "is", "kid", "pr3_inception"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """(logits, test split) -> folder with a dataset of 60 images; the Inception networks are the small one."""
    file = tmp_path / "weights.pt"
    file.write_bytes(b"weights")

    def make(logits=True, test=True):
        random = np.random.default_rng(0)
        write_dataset(
            tmp_path / "data",
            random.integers(0, 256, (60, 3, 9, 9), dtype=np.uint8),
            None,
            {"split": "train", "resize": "cropped"},
        )
        if test:
            np.save(tmp_path / "data/test.npy", random.integers(0, 256, (40, 3, 9, 9), dtype=np.uint8))
            more = {"test_sha256": sha256(tmp_path / "data/test.npy"), "test_split": "test", "test_count": 40}
            write_json(tmp_path / "data/manifest.json", read_manifest(tmp_path / "data") | more)
        monkeypatch.setattr(
            weights,
            "find",
            lambda name, configured: file,
        )
        for module in (reference, extracting):
            monkeypatch.setattr(module, "load_extractor", lambda name, path: small(name, logits=logits))
        return tmp_path

    return make


def plan(*metrics):
    return PLAN.model_copy(update={"metrics": list(metrics), "digits_classifier": None, "splits": 3, "subset_size": 20})


def test_two_networks_share_weights_and_keep_the_features_of_every_split(project):
    folder = project()
    build(folder, plan(*INCEPTION))
    known = load_reference(folder / "reference")
    assert list(known.extractors) == ["inception_legacy", "inception_clean"]
    shapes = {side: features.features.shape for side, features in known.real.items()}
    assert shapes == {
        (name, split): (count, 12) for name in known.extractors for split, count in (("train", 60), ("test", 40))
    }
    assert sum(path.name == "weights.pt" for path in (folder / "reference").iterdir()) == 1 and not list(
        (folder / "reference").glob("tmp*")
    )


def test_known_answers_have_the_test_split_and_no_counts(project):
    folder = project()
    known = build(folder, plan(*INCEPTION))
    assert known["n_test"] == 40 and known["n_halves"] == 30 and known["n_memorised"] == 30
    assert (
        abs(known["fid_train_legacy_round_trip"])
        < 1e-6
        < known["fid_train_clean_test"]
        < known["fid_train_legacy_constant"]
    )
    assert known["precision3_inception_one_image"] == 1 and known["recall3_inception_one_image"] < 0.1
    assert not [name for name in known if "fid_test" in name] and known["is_constant"] == pytest.approx(1)


def test_without_logits_the_inception_score_is_a_reason_and_no_number(project):
    folder = project(logits=False)
    known = build(folder, plan("fid_train_legacy", "is"))
    assert known["is_halves"] == known["is_noise"] == "not available: these weights have no logits"
    assert json.loads((folder / "reference/known_answers.json").read_text()) == known


def test_what_the_dataset_lacks_is_said_in_one_line(project):
    with pytest.raises(
        UserError, match=r"^fid_test_clean: .*data has no test split; take it out of evaluate\.metrics$"
    ):
        build(project(test=False), plan("fid_test_clean"))


def test_too_few_real_images_are_refused_by_metric(project):
    with pytest.raises(UserError, match=r"^pr40: needs at least 82 real images, .*data has 60$"):
        build(project(), plan("pr40"))


def test_a_kernel_distance_of_larger_subsets_than_there_are_images_is_refused(project):
    with pytest.raises(UserError, match=r"^kid: needs at least 61, evaluate\.subset_size, real images, .*data has 60$"):
        build(project(), plan("kid").model_copy(update={"subset_size": 61}))


def test_a_full_disk_is_one_line(project, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    folder = project()
    monkeypatch.setattr(reference.np, "save", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*reference/[a-z_0-9]+\.npy'"):
        build(folder, plan("fid_train_clean"))


def test_thousand_against_the_rest_where_there_are_more_than_two_thousand(project, monkeypatch):
    monkeypatch.setattr(suite, "MOST", 20)
    known = build(project(), plan("fid_train_clean", "kid"))
    assert known["n_rest"] == 20 and known["n_halves"] == 30 and known["n_noise"] == 20
    assert 0 < known["fid_train_clean_rest"] < known["fid_train_clean_blurred"] and "kid_rest" in known


def test_every_value_carries_its_protocol(project):
    folder = project()
    build(folder, plan(*INCEPTION))
    names = ["fid50_train_legacy", "fid20_test_clean", "is50", "kid50", "pr50_3_inception"]
    sizes = {"n_gen": 50, "splits": 3, "subsets": 10, "subset_size": 20}
    evaluate = MeasurePlan(metrics=names, curve=[], seed=7, batch=8, threads=1, **sizes)
    found = protocols(evaluate, load_reference(folder / "reference"))
    assert list(found) == [
        "fid50_train_legacy",
        "fid20_test_clean",
        "is50",
        "kid50",
        "precision50_3_inception",
        "recall50_3_inception",
    ]
    assert found["fid20_test_clean"] == {
        "extractor": "inception_clean", "extractor_sha256": "cd" * 32, "dtype": "float32 features, float64 statistics",
        "split": "test", "resize": "cropped", "n_real": 40, "n_gen": 20, "seed": 7,
    }  # fmt: skip
    assert (
        found["fid50_train_legacy"]["split"] == "train"
        and found["kid50"]["extractor"] == "inception_clean"
        and found["recall50_3_inception"]["n_real"] == 60
    )
