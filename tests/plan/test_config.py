"""params.yaml and conf/: what is merged into what, and every refusal one line with file, key, given and allowed."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.base.errors import ConfigError, UserError
from pipeline.plan.config import load, overridden, resolve_cell
from pipeline.plan.planning import write_plan
from settings_files import GONE, ROOT, copy_settings, edit_settings

DIGITS, CIFAR10, FULL = "conf/dataset/digits.yaml:", "conf/dataset/cifar10.yaml:", "conf/variant/full.yaml:"
DEMO, EITHER = "conf/profile/demo.yaml:", "params.yaml or conf/dataset/digits.yaml:"
# What the cases below count on, whatever the repository's own numbers are.
FIXED = {
    "profile": "demo",
    "matrix": {
        "datasets": ["digits"],
        "variants": ["standard_attention", "nystrom_attention", "grid_attention", "multiscale", "full"],
        "seeds": [0],
    },
    DEMO: {"train": {"kimg": 192.0}, "evaluate": {"n_gen": 1797, "subsets": 100, "subset_size": 500}},
    f"{DIGITS}train": {"lr": 0.001},
    f"{DIGITS}evaluate.curve": [],
    f"{DIGITS}data.channels": 3,
    f"{DIGITS}model": {
        "attention_from": 8,
        "window": 4,
        "landmarks": 16,
        "heads": 2,
        "generator": {
            "transgan": {
                "latent_dim": 64,
                "base_side": 2,
                "stages": [
                    {"upsample": "none", "width": 128, "depth": 2},
                    {"upsample": "bicubic", "width": 128, "depth": 1},
                    {"upsample": "pixel_shuffle", "width": 32, "depth": 1},
                ],
            }
        },
        "discriminator": {
            "transgan": {
                "patch": 2,
                "cls_depth": 1,
                "stages": [{"width": 48, "depth": 1}, {"width": 64, "depth": 1}],
            }
        },
    },
}
ABLATION = ["standard_attention", "nystrom_attention", "axis_attention", "grid_attention", "multiscale", "token_norm"]
KEPT = {"dataset": {"digits", "cifar10"}, "variant": {*ABLATION, "full", "no_norm", "wgan_gp", "wgan_gp_augment"}}


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A folder with FIXED laid over the repository's settings, and few data sets and variants."""
    folder = tmp_path_factory.mktemp("settings")
    copy_settings(folder, FIXED, KEPT)
    for path in folder.glob("conf/profile/*/dataset/*.yaml"):
        path.unlink()
    return folder


@pytest.fixture
def write(tmp_path, monkeypatch, fixed):
    """A function that edits the settings in a new folder (key -> value). Edits of later calls add up."""
    shutil.copytree(fixed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return lambda edits: edit_settings(Path(), edits)


def case(key, value, allowed, **named):
    """Setting `key` to `value` is refused at the place `at` (default: `key`), which has `given` (default: `value`)."""
    at, given = named.get("at", key), named.get("given", "nothing" if value is GONE else value)
    return pytest.param({key: value}, at, given, allowed, id=f"{at}={given}"[:80])


NORMS, METRICS, ONE_BUDGET = (
    "token | layer | batch | instance | none",
    "fid_train_legacy | fid_train_clean | ",
    "exactly one of kimg and generator_steps",
)
UNKNOWN = "no such key here; known keys: "
REFUSED = [
    # unknown keys
    case("modle", {}, "(did you mean 'model'?)"),
    case("model.nrm", "layer", f"{UNKNOWN}attention | "),
    case("train.augment.polcy", [], "(did you mean 'policy'?)"),
    case("matrix.seed", [0], "(did you mean 'seeds'?)"),
    case("report.dpii", 100, "(did you mean 'dpi'?)"),
    case(f"{FULL}model.nrm", "layer", "(did you mean 'norm'?)"),
    case(f"{FULL}data", {}, f"{UNKNOWN}model | train | evaluate"),
    case("conf/profile/paper.yaml:train.generator_stepps", 1, "(did you mean 'generator_steps'?)"),
    case("conf/released/cifar10.yaml:model.nrm", "none", "(did you mean 'norm'?)"),
    case(f"{DIGITS}data.sorce", "digits", f"{UNKNOWN}source | resolution | channels"),
    case(
        f"{DIGITS}model.generator.transgan.stages.1.widht",
        128,
        f"{UNKNOWN}upsample | width | depth | smooth (did you mean 'width'?)",
    ),
    case(f"{DIGITS}model.discriminator.transgan.stages.0.heads", 2, f"{UNKNOWN}width | depth | full_blocks"),
    # unknown values
    case("model.norm", "layr", NORMS),
    case(f"{FULL}model.norm", "weird", NORMS),
    case(f"{FULL}model.generator.transgan.norm", "weird", NORMS),
    case(
        "train.augment.policy",
        ["color", "colour"],
        "translation | cutout | color",
        at="train.augment.policy.1",
        given="colour",
    ),
    case(f"{DIGITS}model.generator.transgan.stages.2.upsample", "nearest", "none | bicubic | pixel_shuffle"),
    case(f"{DIGITS}evaluate.metrics", ["fid"], METRICS, at=f"{DIGITS}evaluate.metrics.0", given="fid"),
    case(
        f"{DIGITS}data.source",
        "mnist",
        "digits | cifar10 | stl10 | celeba | celebahq | lsun_church | folder | glyphs | glyphs_pairs",
    ),
    case(f"{CIFAR10}data.fit", "stretch", "crop | squash"),
    case(
        f"{DIGITS}evaluate.metrics",
        ["fid50000_train_clean"],
        "fid50k_train_clean: one protocol has one name",
        at=f"{DIGITS}evaluate.metrics.0",
        given="fid50000_train_clean",
    ),
    case("evaluate.reference.digits_clasifier", {}, "(did you mean 'digits_classifier'?)"),
    case("evaluate.reference.weights", 3, "a valid string"),
    # wrong types
    case("train.lr", "fast", "a valid number"),
    case("train.lr", True, "a valid number"),
    case("train.lr", None, "a valid number"),
    case("train.ticks", "3", "a valid integer"),
    case("train.ticks", True, "a valid integer"),
    case("train.ticks", 3.0, "a valid integer"),
    case("train.flip", 1, "true or false"),
    case("model.noise", "no", "true or false"),
    case("train.ema_rampup", "off", "a valid number"),
    case("train.augment", None, "a mapping of keys"),
    case("train.loss", ["hinge"], "wgan_gp | hinge | non_saturating"),
    case("profile", 3, "a valid string"),
    case("matrix.seeds", 0, "a list, as [0]"),
    case("matrix.seeds", ["0"], "a valid integer", at="matrix.seeds.0", given="0"),
    case("variants", {"try": None}, "a mapping of keys", at="variants.try", given=None),
    case("variants", {"try": {"model": {"nrm": 1}}}, "(did you mean 'norm'?)", at="variants.try.model.nrm", given=1),
    case("variants", {"try": {"like": "ful"}}, "(did you mean 'full'?)", at="variants.try.like", given="ful"),
    case(f"{DIGITS}model.generator.transgan.stages.0.depth", 2.5, "a valid integer"),
    case(f"{CIFAR10}data.path", 3, "a valid string"),
    case(f"{CIFAR10}data.source", None, "digits | cifar10"),
    # out of range
    case("train.lr", -1.0, "greater than 0"),
    case("train.lr", float("nan"), "a finite number"),
    case("train.augment.cutout_ratio", 1.5, "less than or equal to 1"),
    case("train.augment.erase_range", [0.7, 0.2], "[smallest, largest]"),
    case("train.augment.erase_range", [0.7], "at least 2 item"),
    case("model.scales", 4, "less than or equal to 3"),
    case("matrix.seeds", [-1], "greater than or equal to 0", at="matrix.seeds.0", given=-1),
    case("matrix.variants", [], "at least 1 item"),
    case("matrix.seeds", [2**63], f"less than {2**63}", at="matrix.seeds.0", given=2**63),
    case(f"{DEMO}evaluate.n_gen", 1, "greater than or equal to 2"),
    pytest.param(
        {f"{DIGITS}evaluate.metrics": ["is_digits"], "evaluate.splits": 5000},
        f"{DIGITS}evaluate.metrics",
        "is1797_digits",
        "at least 5000 generated images, evaluate.splits",
        id="splits",
    ),
    pytest.param(
        {f"{DEMO}evaluate.subset_size": 1798},
        f"{DIGITS}evaluate.metrics",
        "kd1797_digits",
        "at least 1798 generated images, evaluate.subset_size",
        id="subset_size",
    ),
    case(f"{DIGITS}data.channels", 4, "1 | 3"),
    # missing
    case("report", GONE, "required"),
    case("model", GONE, "required"),
    case("model.mlp_ratio", GONE, "required", at=f"{EITHER}model.mlp_ratio"),
    case(f"{DIGITS}evaluate.metrics", GONE, "required", at=f"{EITHER}evaluate.metrics"),
    case(f"{DIGITS}data", GONE, "required", at=f"{EITHER}data"),
    case(f"{DIGITS}data.source", GONE, "required", at=f"{EITHER}data.source"),
    case(
        f"{FULL}model.generator.transgan.stages",
        [{"width": 8, "depth": 1}],
        "required",
        at=f"{FULL}model.generator.transgan.stages.0.upsample",
        given="nothing",
    ),
    # names and the matrix
    case("variants", {"no-norm": {}}, "letters, digits and _ only", at="variants.no-norm", given="no-norm"),
    case("conf/variant/no-x.yaml:", {}, "variant/<name>", at="conf/variant/no-x.yaml:path", given="variant/no-x"),
    case("conf/dataset/a b.yaml:", {}, "dataset/<name>", at="conf/dataset/a b.yaml:path", given="dataset/a b"),
    case("conf/variants/mine.yaml:", {}, "dataset/<name> | ", at="conf/variants/mine.yaml:path", given="variants/mine"),
    case(
        "conf/variant/full/dataset/digit.yaml:",
        {},
        "a dataset: cifar10 | digits (did you mean 'digits'?)",
        at="conf/variant/full/dataset/digit.yaml:name",
        given="digit",
    ),
    case(
        "conf/variant/full/dataset/digits.yaml:",
        {},
        "an entry `full/dataset:`, for conf/variant/full/dataset/digits.yaml",
        at=f"{FULL}defaults",
        given="nothing",
    ),
    case(f"{FULL}defaults", ["fll", "_self_"], "another variant: axis_attention | ", given="fll"),
    case(f"{FULL}defaults", ["full", "_self_"], "another variant: axis_attention | ", given="full"),
    case("matrix.variants", ["no-norm"], "(did you mean 'no_norm'?)", given="no-norm"),
    case("matrix.variants", ["fulll"], "(did you mean 'full'?)", given="fulll"),
    case("matrix.datasets", ["digit"], "cifar10 | digits (did you mean 'digits'?)", given="digit"),
    case("matrix.variants", ["full", "full"], "every entry once"),
    case("matrix.seeds", [0, 1, 0], "every entry once"),
    case("profile", "papr", "demo | paper | short | smoke (did you mean 'paper'?)"),
    case(f"{DIGITS}evaluate.metrics", ["fd_digits", "fd_digits"], "every metric at most once"),
    case(f"{DIGITS}evaluate.metrics", ["is1797", "is"], "every metric at most once"),
    case(f"{DIGITS}evaluate.metrics", ["is9"], "at least 10 generated images", given="is9"),
    case(f"{DIGITS}evaluate.metrics", ["pr3_3"], "at least 4 generated images", given="pr3_3"),
    case("train.augment.policy", ["color", "color"], "every operation at most once"),
    # settings that do not fit together
    case(f"{DEMO}train.kimg", GONE, ONE_BUDGET, at=f"{DIGITS}train.kimg", given=None),
    case(
        "train.generator_steps",
        10,
        ONE_BUDGET,
        at=f"{DEMO}train.kimg",
        given=192.0,
    ),
    case(f"{DIGITS}model.window", 3, "a divisor of the generator's 8 x 8 feature map (digits, grid_attention)"),
    case(f"{FULL}model.window", 3, "a divisor of the generator's 8 x 8 feature map (digits, full)"),
    case(f"{DIGITS}model.heads", 5, "a divisor of the generator's width 128 (digits, standard_attention)"),
    case(f"{FULL}model.discriminator.transgan.heads", 5, "a divisor of the discriminator's width 48 (digits, full)"),
    case("conf/variant/nystrom_attention.yaml:model.landmarks", 7, "a divisor of the generator's 64 tokens at 8 x 8"),
    case("conf/variant/nystrom_attention.yaml:model.relative_position", True, "false with attention=nystrom"),
    case(
        f"{FULL}model.attention",
        "nystrom",
        "false with attention=nystrom",
        at="model.relative_position",
        given=True,
    ),
    case(
        f"{DIGITS}model.generator.transgan.stages.2.width", 64, "a quarter of 128: pixel shuffle divides the width by 4"
    ),
    case(f"{DIGITS}model.generator.transgan.stages.1.width", 64, "128: bicubic upsampling keeps the width"),
    case(f"{DIGITS}model.generator.transgan.stages.0.upsample", "bicubic", "none for the first stage"),
    case(f"{DIGITS}model.generator.transgan.stages.1.upsample", "none", "bicubic | pixel_shuffle after it"),
    case(
        f"{DIGITS}model.generator.transgan.base_side",
        4,
        "the resolution, 8 x 8",
        at=f"{DIGITS}model.generator.transgan.stages",
        given="stages that end at 16 x 16",
    ),
    case(f"{DIGITS}model.discriminator.transgan.patch", 3, "3-pixel patches divide 8 pixels"),
    case(f"{DIGITS}model.discriminator.transgan.patch", 8, "16-pixel patches divide 8 pixels"),
    case(f"{DIGITS}model.discriminator.transgan.stages.0.full_blocks", 2, "at most the stage's depth, 1"),
    case(f"{DIGITS}model.discriminator.transgan.stages.1.width", 32, "at least the width of the stage before, 48"),
    case(
        f"{FULL}evaluate.splits",
        5,
        "one reference per dataset",
        at=f"{FULL}evaluate",
        given="real-image settings unlike those of standard_attention",
    ),
]


@pytest.mark.parametrize(("edits", "key", "given", "allowed"), REFUSED)
def test_refused_in_one_line_before_anything_is_written(write, edits, key, given, allowed):
    write(edits)
    with pytest.raises(ConfigError) as refusal:
        write_plan()
    message = str(refusal.value)
    file, _, key = key.rpartition(":")
    assert message.startswith(f"{file or 'params.yaml'}: {key}: given {given!r}; allowed: ")
    assert allowed in message.partition("; allowed: ")[2]
    assert len(message.splitlines()) == 1
    assert {path.name for path in Path().iterdir()} == {"params.yaml", "conf"}


def test_later_layers_win_and_mappings_merge(write):
    key = "train.drift_weight"
    layers = ("", DIGITS, DEMO, "conf/profile/demo/dataset/digits.yaml:", FULL, "variants.full.")
    write({layers[3]: {}})
    for value, layer in enumerate(layers, start=1):
        write({layer + key: float(value)})
        cell = resolve_cell(load(), "digits", "full")
        assert cell.train.drift_weight == value
    assert cell.train.penalty_weight == load()["train"]["penalty_weight"] and cell.train.lr == 0.001
    assert resolve_cell(load(), "digits", "no_norm").train.drift_weight == 4.0


def test_lists_are_replaced_whole(write):
    write({f"{FULL}train.augment": {"policy": ["cutout"]}})
    augment = resolve_cell(load(), "digits", "full").train.augment
    assert augment.policy == ["cutout"] and augment.cutout_ratio == load()["train"]["augment"]["cutout_ratio"]


def test_released_differences_apply_when_asked_and_below_the_variant(write):
    write({"variants.no_norm.model.discriminator.transgan.noise": False})
    plain, released = (resolve_cell(load(), "cifar10", "full", released=flag).network for flag in (False, True))
    assert [n.generator.stages[0].blocks[0].norm for n in (plain, released)] == ["token", "layer"]
    assert [n.discriminator.cls.noise for n in (plain, released)] == [False, True]
    over = resolve_cell(load(), "cifar10", "no_norm", released=True).network
    assert over.generator.stages[0].blocks[0].norm == "none" and not over.discriminator.cls.noise


def test_null_hands_the_budget_over(write):
    write({f"{FULL}train": {"kimg": None, "generator_steps": 100}})
    train = resolve_cell(load(), "digits", "full").train
    assert train.kimg is None and train.generator_steps == 100


def test_a_whole_number_will_do_for_a_fraction_and_a_small_one_may_have_an_exponent(write):
    write({"train.beta1": 0, f"{FULL}train.lr": 0.125})
    text = Path("conf/variant/full.yaml").read_text()
    Path("conf/variant/full.yaml").write_text(text.replace("lr: 0.125", "lr: 1e-05"))
    train = resolve_cell(load(), "digits", "full").train
    assert train.lr == 0.00001 and train.beta1 == 0.0 and isinstance(train.beta1, float)


def test_each_ablation_row_adds_one_thing(write):
    write({})
    params = load()
    rows = [
        "standard_attention",
        "nystrom_attention",
        "axis_attention",
        "grid_attention",
        "multiscale",
        "token_norm",
        "full",
    ]
    cells = [resolve_cell(params, "digits", row) for row in rows]
    networks = [cell.network for cell in cells]
    last = [network.generator.stages[-1].blocks[0] for network in networks]
    assert [block.attention for block in last] == ["standard", "nystrom", "axis", "grid", "grid", "grid", "grid"]
    assert [block.norm for block in last] == ["layer"] * 5 + ["token"] * 2
    assert [block.relative_position for block in last] == [False] * 6 + [True]
    assert [sum(stage.patch > 0 for stage in network.discriminator.stages) for network in networks] == [1] * 4 + [2] * 3
    assert all(cell.train == cells[0].train for cell in cells)


def test_overridden_is_what_every_cell_overrides(write):
    full, grid, multiscale = (
        resolve_cell(load(), "digits", variant) for variant in ("full", "grid_attention", "multiscale")
    )
    assert "model.norm" not in overridden([full, multiscale])
    both = overridden([grid, multiscale])
    assert both["model.norm"] == ["conf/variant/grid_attention.yaml", "conf/variant/multiscale.yaml"]
    assert both["train.lr"] == ["conf/dataset/digits.yaml"] and "train.beta1" not in both and "model.scales" not in both


def test_a_row_of_params_yaml_is_laid_over_the_file_of_its_name_or_another(write):
    write({"variants.full.train.lr": 0.5, "variants.mine": {"like": "wgan_gp", "train": {"beta2": 0.75}}})
    content = load()
    full, mine, model = (resolve_cell(content, "digits", name) for name in ("full", "mine", "wgan_gp"))
    assert full.train.lr == 0.5 and mine.network == model.network != full.network
    assert mine.train == model.train.model_copy(update={"beta2": 0.75})


def test_a_variant_starts_from_another_and_from_what_that_does_on_a_data_set(write):
    """Also where only the data set's file says of which family the other one's network is."""
    narrow = {"family": "resnet", "resnet": {"preset": "sngan", "width": 16}}
    write(
        {
            "conf/variant/base.yaml:": {"defaults": ["_self_", {"base/dataset": None}]},
            "conf/variant/base/dataset/digits.yaml:": {"model": {"generator": narrow}, "train": {"lr": 0.5}},
            "conf/variant/mine.yaml:": {
                "defaults": ["base", "_self_"],
                "model": {"generator": {"resnet": {"width": 32}}},
            },
        }
    )
    content = load()
    mine, elsewhere = (resolve_cell(content, dataset, "mine") for dataset in ("digits", "cifar10"))
    assert mine.network.generator.family == "resnet" and mine.network.generator.width == 32 and mine.train.lr == 0.5
    assert elsewhere.network.generator.family == "transgan" and elsewhere.train.lr == load()["train"]["lr"]


def test_a_file_without_hydras_header_is_refused(write):
    Path("conf/variant/full.yaml").write_text("train:\n  lr: 1.0\n")
    with pytest.raises(ConfigError, match=r"conf/variant/full\.yaml: first line: given 'train:'; allowed: # @package"):
        load()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seeds:\n  - 0", "seeds: 1", "matrix.seeds: given 1; allowed: a list, as [1]"),
        ("datasets:\n  - digits", "datasets: digits", "matrix.datasets: given 'digits'; allowed: a list, as [digits]"),
        ("datasets:\n  - digits", "datasets: []", "matrix.datasets: given []; allowed: at least 1 item"),
        (
            "seeds:\n  - 0",
            "seeds:\n  - 99999999999999999999",
            "matrix.seeds.0: given 99999999999999999999; allowed: less than 9223372036854775808",
        ),
        ("profile: demo", "\tprofile: demo", "not valid YAML"),
        ("profile: demo", "profile: demo\nprofile: demo", "duplicate key profile"),
        ("profile: demo", "<<<<<<< HEAD\nprofile: demo\n=======\nprofile: paper\n>>>>>>> other", "conflict markers"),
        ("profile: demo", "profile: ${oc.env:HOME}", "profile: given '${oc.env:HOME}'; allowed: values; references"),
        ("profile: demo\n", "", "profile: given 'nothing'; allowed: a value: this section is required"),
    ],
)
def test_what_people_do_to_yaml_is_one_line(write, old, new, says):
    text = Path("params.yaml").read_text()
    assert text.count(old) == 1
    Path("params.yaml").write_text(text.replace(old, new))
    with pytest.raises(UserError) as error:
        load()
    assert says in str(error.value) and str(error.value).startswith("params.yaml: ") and "\n" not in str(error.value)


def test_missing_files_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params\.yaml: no such file$"):
        load()
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    with pytest.raises(UserError, match=r"^conf/: folder: given 'nothing'; allowed: data sets, variants and profiles"):
        load()


@pytest.mark.parametrize(
    ("changes", "key", "allowed"),
    [
        ({"accumulate": 3}, "train.accumulate", "a divisor of train.batch_generator"),
        ({"processes": 3}, "train.processes", "a divisor of 16, which is train.batch_generator"),
        ({"processes": 0}, "train.processes", "1"),
        (
            {"processes": 32, "accumulate": 4},
            "train.processes",
            "a divisor of 4, which is train.batch_generator over train.accumulate, 4",
        ),
        ({"recompute": True, "execution": "compiled"}, "train.recompute", "false with train.execution compiled"),
        ({"execution": "fast"}, "train.execution", "eager | compiled"),
        ({"precision": "fp16"}, "train.precision", "fp32 | tf32 | bf16"),
    ],
)
def test_impossible_ways_to_compute_a_step_are_refused(changes, key, allowed):
    content = load(ROOT / "params.yaml")
    content["train"] |= changes
    with pytest.raises(ConfigError, match=re.escape(allowed)) as error:
        resolve_cell(content, "digits", "full")
    assert error.value.key.endswith(key)


def test_a_batch_with_batch_norm_is_not_divided():
    content = load(ROOT / "params.yaml")
    content["train"]["accumulate"] = 2
    with pytest.raises(ConfigError, match="1 with networks that use batch statistics"):
        resolve_cell(content, "digits", "batch_norm")


def test_a_compiled_batch_statistic_is_not_divided_over_processes():
    content = load(ROOT / "params.yaml")
    content["train"] |= {"processes": 2, "execution": "compiled"}
    with pytest.raises(ConfigError, match="1 with train.execution compiled and networks that use batch statistics"):
        resolve_cell(content, "digits", "batch_norm")
