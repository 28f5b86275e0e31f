"""params.yaml: what is merged into what, and every refusal one line with file, key, given and allowed."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pipeline.base.errors import ConfigError
from pipeline.plan.config import ineffective, load, resolve_cell
from pipeline.plan.layers import Layer
from pipeline.plan.planning import write_plan
from repository import ROOT

GONE = object()  # as a value: take the key out
DIGITS = "datasets.digits"
# What the cases below count on, whatever the repository's own numbers are.
FIXED = {
    "profile": "demo",
    "matrix": {
        "datasets": ["digits"],
        "variants": ["standard_attention", "nystrom_attention", "grid_attention", "multiscale", "full"],
        "seeds": [0],
    },
    "profiles.demo": {"train": {"kimg": 192.0}, "evaluate": {"n_gen": 1797, "subsets": 100, "subset_size": 500}},
    f"{DIGITS}.train": {"lr": 0.001},
    f"{DIGITS}.evaluate.curve": [],
    f"{DIGITS}.model": {
        "attention_from": 8,
        "window": 4,
        "landmarks": 16,
        "heads": 2,
        "generator": {
            "latent_dim": 64,
            "base_side": 2,
            "stages": [
                {"upsample": "none", "width": 128, "depth": 2},
                {"upsample": "bicubic", "width": 128, "depth": 1},
                {"upsample": "pixel_shuffle", "width": 32, "depth": 1},
            ],
        },
        "discriminator": {"patch": 2, "cls_depth": 1, "stages": [{"width": 48, "depth": 1}, {"width": 64, "depth": 1}]},
    },
}


@pytest.fixture(scope="module")
def fixed():
    content = OmegaConf.load(ROOT / "params.yaml")
    for name in set(content.datasets) - {"digits", "cifar10"}:
        content.datasets.pop(name)
    for profile in content.profiles.values():
        profile.pop("datasets", None)
    for key, value in FIXED.items():
        OmegaConf.update(content, key, value, merge=False)
    return content


@pytest.fixture
def write(tmp_path, monkeypatch, fixed):
    """A function that writes params.yaml with edits (key -> value) into a new folder. Edits of later calls add up."""
    monkeypatch.chdir(tmp_path)
    content = deepcopy(fixed)

    def make(edits):
        for key, value in edits.items():
            if value is GONE:
                parent, _, last = key.rpartition(".")
                (OmegaConf.select(content, parent) if parent else content).pop(last)
            else:
                OmegaConf.update(content, key, value, merge=False)
        Path("params.yaml").write_text(OmegaConf.to_yaml(content))

    return make


def case(key, value, allowed, **named):
    """Setting `key` to `value` is refused at the key `at` (default: `key`), which has `given` (default: `value`)."""
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
    case("variants.full.model.nrm", "layer", "(did you mean 'norm'?)"),
    case("variants.full.data", {}, f"{UNKNOWN}model | train | evaluate"),
    case("profiles.paper.train.generator_stepps", 1, "(did you mean 'generator_steps'?)"),
    case(f"{DIGITS}.released.model.nrm", "none", "(did you mean 'norm'?)"),
    case(f"{DIGITS}.data.sorce", "digits", f"{UNKNOWN}source | resolution | channels"),
    case(f"{DIGITS}.model.generator.stages.1.widht", 128, f"{UNKNOWN}upsample | width | depth (did you mean 'width'?)"),
    case(f"{DIGITS}.model.discriminator.stages.0.heads", 2, f"{UNKNOWN}width | depth | full_blocks"),
    # unknown values
    case("model.norm", "layr", NORMS),
    case("variants.full.model.norm", "weird", NORMS),
    case("variants.full.model.generator.norm", "weird", NORMS),
    case(
        "train.augment.policy",
        ["color", "colour"],
        "translation | cutout | color",
        at="train.augment.policy.1",
        given="colour",
    ),
    case(f"{DIGITS}.model.generator.stages.2.upsample", "nearest", "none | bicubic | pixel_shuffle"),
    case(f"{DIGITS}.evaluate.metrics", ["fid"], METRICS, at=f"{DIGITS}.evaluate.metrics.0", given="fid"),
    case(
        f"{DIGITS}.data.source",
        "mnist",
        "digits | cifar10 | stl10 | celeba | celebahq | lsun_church | folder | glyphs | glyphs_pairs",
    ),
    case("datasets.cifar10.data.fit", "stretch", "crop | squash"),
    case("datasets.cifar10.data.convert", "rgb", "refuse | lossless"),
    case(
        f"{DIGITS}.evaluate.metrics",
        ["fid50000_train_clean"],
        "fid50k_train_clean: one protocol has one name",
        at=f"{DIGITS}.evaluate.metrics.0",
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
    case("train.flip", 1, "a valid boolean"),
    case("model.noise", "no", "a valid boolean"),
    case("train.ema_rampup", "off", "a valid number"),
    case("train.augment", None, "a mapping of keys"),
    case("train.loss", ["hinge"], "wgan_gp | hinge | non_saturating"),
    case("profile", 3, "a valid string"),
    case("matrix.seeds", 0, "a valid list"),
    case("matrix.seeds", ["0"], "a valid integer", at="matrix.seeds.0", given="0"),
    case("variants.full", None, "a mapping of keys"),
    case("variants", {}, "a mapping from names to settings"),
    case(f"{DIGITS}.model.generator.stages.0.depth", 2.5, "a valid integer"),
    case("datasets.cifar10.data.path", 3, "a valid string"),
    case("datasets.cifar10.data.source", None, "digits | cifar10"),
    # out of range
    case("train.lr", -1.0, "greater than 0"),
    case("train.lr", float("nan"), "a finite number"),
    case("train.augment.cutout_ratio", 1.5, "less than or equal to 1"),
    case("train.augment.erase_range", [0.7, 0.2], "[smallest, largest]"),
    case("train.augment.erase_range", [0.7], "a list of 2 or more"),
    case("model.scales", 4, "less than or equal to 3"),
    case("matrix.seeds", [-1], "greater than or equal to 0", at="matrix.seeds.0", given=-1),
    case("matrix.variants", [], "a list of 1 or more"),
    case("report.confidence", 95, "less than 1"),
    case("profiles.demo.evaluate.n_gen", 1, "greater than or equal to 2"),
    case("evaluate.splits", 5000, "less than evaluate.n_gen, 1797"),
    case("profiles.demo.evaluate.subset_size", 1797, "less than evaluate.n_gen, 1797"),
    case(f"{DIGITS}.data.channels", 4, "1 | 3"),
    # missing
    case("report", GONE, "required"),
    case("model", GONE, "required"),
    case("datasets", GONE, "a mapping from names to settings", given=None),
    case(f"{DIGITS}.model.heads", GONE, "required"),
    case(f"{DIGITS}.evaluate.metrics", GONE, "required"),
    case("datasets.cifar10.data", GONE, "required"),
    case(f"{DIGITS}.data.source", GONE, "required"),
    case(
        "variants.full.model.generator.stages",
        [{"width": 8, "depth": 1}],
        "required",
        at="variants.full.model.generator.stages.0.upsample",
        given="nothing",
    ),
    # names and the matrix
    case("variants.no-norm", {}, "letters, digits and _ only", at="variants", given="no-norm"),
    case("datasets.a/b", {}, "letters, digits and _ only", at="datasets", given="a/b"),
    case("profiles.a b", {}, "letters, digits and _ only", at="profiles", given="a b"),
    case("matrix.variants", ["no-norm"], "letters, digits and _ only", given="no-norm"),
    case("matrix.variants", ["fulll"], "(did you mean 'full'?)", given="fulll"),
    case("matrix.datasets", ["digit"], "digits | cifar10 (did you mean 'digits'?)", given="digit"),
    case("matrix.variants", ["full", "full"], "every entry once"),
    case("matrix.seeds", [0, 1, 0], "every entry once"),
    case("profile", "papr", "smoke | demo | short | paper (did you mean 'paper'?)"),
    case(f"{DIGITS}.evaluate.metrics", ["fd_digits", "fd_digits"], "every metric at most once"),
    case(f"{DIGITS}.evaluate.metrics", ["is1797", "is"], "every metric at most once"),
    case(f"{DIGITS}.evaluate.metrics", ["is9"], "at least 10 generated images", given="is9"),
    case(f"{DIGITS}.evaluate.metrics", ["pr3_3"], "at least 4 generated images", given="pr3_3"),
    case("train.augment.policy", ["color", "color"], "every operation at most once"),
    # settings that do not fit together
    case("profiles.demo.train.kimg", GONE, ONE_BUDGET, at="train.kimg", given={"kimg": None, "generator_steps": None}),
    case(
        "train.generator_steps",
        10,
        ONE_BUDGET,
        at="profiles.demo.train.kimg",
        given={"kimg": 192.0, "generator_steps": 10},
    ),
    case(f"{DIGITS}.model.window", 3, "a divisor of the generator's 8 x 8 feature map (digits, grid_attention)"),
    case("variants.full.model.window", 3, "a divisor of the generator's 8 x 8 feature map (digits, full)"),
    case(f"{DIGITS}.model.heads", 5, "a divisor of the generator's width 128 (digits, standard_attention)"),
    case("variants.full.model.discriminator.heads", 5, "a divisor of the discriminator's width 48 (digits, full)"),
    case("variants.nystrom_attention.model.landmarks", 7, "a divisor of the generator's 64 tokens at 8 x 8"),
    case("variants.nystrom_attention.model.relative_position", True, "false with attention=nystrom"),
    case(
        "variants.full.model.attention",
        "nystrom",
        "false with attention=nystrom",
        at="model.relative_position",
        given=True,
    ),
    case(f"{DIGITS}.model.generator.stages.2.width", 64, "a quarter of 128: pixel shuffle divides the width by 4"),
    case(f"{DIGITS}.model.generator.stages.1.width", 64, "128: bicubic upsampling keeps the width"),
    case(f"{DIGITS}.model.generator.stages.0.upsample", "bicubic", "none for the first stage"),
    case(f"{DIGITS}.model.generator.stages.1.upsample", "none", "bicubic | pixel_shuffle after it"),
    case(
        f"{DIGITS}.model.generator.base_side",
        4,
        "the resolution, 8 x 8",
        at=f"{DIGITS}.model.generator.stages",
        given="stages that end at 16 x 16",
    ),
    case(f"{DIGITS}.model.discriminator.patch", 3, "3-pixel patches divide 8 pixels"),
    case(f"{DIGITS}.model.discriminator.patch", 8, "16-pixel patches divide 8 pixels"),
    case(f"{DIGITS}.model.discriminator.stages.0.full_blocks", 2, "at most the stage's depth, 1"),
    case(f"{DIGITS}.model.discriminator.stages.1.width", 32, "at least the width of the stage before, 48"),
    case(
        "variants.full.evaluate.splits",
        5,
        "one reference per dataset",
        at="variants.full.evaluate",
        given="real-image settings unlike those of standard_attention",
    ),
]


@pytest.mark.parametrize(("edits", "key", "given", "allowed"), REFUSED)
def test_refused_in_one_line_before_anything_is_written(write, edits, key, given, allowed):
    write(edits)
    with pytest.raises(ConfigError) as refusal:
        write_plan()
    message = str(refusal.value)
    assert message.startswith(f"params.yaml: {key}: given {given!r}; allowed: ")
    assert allowed in message.partition("; allowed: ")[2]
    assert len(message.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]


def test_later_layers_win_and_mappings_merge(write):
    key = "train.drift_weight"
    for layer, value in (("", 1.0), (f"{DIGITS}.", 2.0), ("profiles.demo.", 3.0), ("variants.full.", 4.0)):
        write({layer + key: value})
        cell = resolve_cell(load(), "digits", "full")
        assert cell.train.drift_weight == value
    assert cell.train.penalty_weight == load()["train"]["penalty_weight"] and cell.train.lr == 0.001
    assert resolve_cell(load(), "digits", "no_norm").train.drift_weight == 3.0


def test_lists_are_replaced_whole(write):
    write({"variants.full.train.augment": {"policy": ["cutout"]}})
    augment = resolve_cell(load(), "digits", "full").train.augment
    assert augment.policy == ["cutout"] and augment.cutout_ratio == load()["train"]["augment"]["cutout_ratio"]


def test_released_differences_apply_when_asked_and_below_the_variant(write):
    write({"variants.no_norm.model.discriminator.noise": False})
    plain, released = (resolve_cell(load(), "cifar10", "full", released=flag).network for flag in (False, True))
    assert [n.generator.stages[0].blocks[0].norm for n in (plain, released)] == ["token", "layer"]
    assert [n.discriminator.cls.noise for n in (plain, released)] == [False, True]
    over = resolve_cell(load(), "cifar10", "no_norm", released=True).network
    assert over.generator.stages[0].blocks[0].norm == "none" and not over.discriminator.cls.noise


def test_null_hands_the_budget_over(write):
    write({"variants.full.train": {"kimg": None, "generator_steps": 100}})
    train = resolve_cell(load(), "digits", "full").train
    assert train.kimg is None and train.generator_steps == 100


def test_a_whole_number_will_do_for_a_fraction_and_a_small_one_may_have_an_exponent(write):
    write({"train.beta1": 0, "variants.full.train.lr": 0.125})
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("lr: 0.125", "lr: 1e-05"))
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


def test_ineffective_is_what_every_cell_overrides(write):
    write({})
    full, grid, multiscale = (
        resolve_cell(load(), "digits", variant) for variant in ("full", "grid_attention", "multiscale")
    )
    assert "model.norm" not in ineffective([full, multiscale])
    both = ineffective([grid, multiscale])
    assert both["model.norm"] == ["variants.grid_attention", "variants.multiscale"]
    assert both["train.lr"] == [DIGITS] and "train.beta1" not in both and "model.scales" not in both


def test_a_layer_holds_its_keys_into_lists():
    layer = Layer(origin="x", content={"model": {"stages": [{"width": 8}], "norm": None}})
    assert layer.holds("model.stages.0.width") and layer.holds("model.norm")
    assert not any(
        layer.holds(key)
        for key in ("model.stages.1.width", "model.stages.0.depth", "model.norm.x", "model.stages.width")
    )


@pytest.mark.parametrize(
    ("changes", "key", "allowed"),
    [
        ({"accumulate": 3}, "train.accumulate", "a divisor of train.batch_generator"),
        ({"processes": 3}, "train.processes", "a divisor of 64, which is train.batch_generator"),
        ({"processes": 0}, "train.processes", "1"),
        (
            {"processes": 32, "accumulate": 4},
            "train.processes",
            "a divisor of 16, which is train.batch_generator over train.accumulate, 4",
        ),
        ({"recompute": True, "execution": "compiled"}, "train.recompute", "false with train.execution compiled"),
        ({"execution": "fast"}, "train.execution", "eager | compiled"),
        ({"precision": "fp16"}, "train.precision", "fp32 | bf16"),
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
