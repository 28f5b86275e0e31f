"""Names of metrics: what they mean, that each protocol has one name, and what is refused."""

import pytest

from pipeline.metrics.registry import column, extractors, parse

FULL = [
    "fid50k_train_legacy",
    "fid50k_train_clean",
    "fid10k_test_clean",
    "fid1797_test_legacy",
    "is50k",
    "is500",
    "kid50k",
    "kid1k",
    "pr50k3",
    "pr500_3",
    "pr10k10",
    "pr50k3_inception",
    "pr500_3_inception",
    "fd2k_digits",
    "is200_digits",
    "kd1797_digits",
    "pr2k_digits",
    "modes2k_glyphs",
]


@pytest.mark.parametrize("name", FULL)
def test_a_full_name_is_kept_whatever_n_gen_is(name):
    assert parse(name).name == name and parse(name).resolved(7).name == name


@pytest.mark.parametrize(
    ("name", "n_gen", "full"),
    [
        ("fid_train_legacy", 50_000, "fid50k_train_legacy"),
        ("fid_test_clean", 200, "fid200_test_clean"),
        ("is", 10_000, "is10k"),
        ("kid", 1797, "kid1797"),
        ("pr3", 50_000, "pr50k3"),
        ("pr3", 200, "pr200_3"),
        ("pr3_inception", 200, "pr200_3_inception"),
        ("fd_digits", 200, "fd200_digits"),
        ("kl_glyphs", 2000, "kl2k_glyphs"),
    ],
)
def test_without_a_count_it_takes_n_gen(name, n_gen, full):
    assert parse(name).resolved(n_gen).name == full
    assert parse(full).resolved(None).name == name


def test_what_a_name_says():
    fid = parse("fid10k_test_clean")
    assert (fid.formula.reads, fid.extractor, fid.split) == ("gaussian", "inception_clean", "test")
    assert fid.count == 10_000 and not fid.settings and parse("kid").settings == ("subsets", "subset_size")
    assert parse("fid_train_legacy").extractor == parse("is").extractor == "inception_legacy"
    assert parse("pr3").extractor == "vgg16" and parse("pr3_inception").extractor == "inception_legacy"
    assert (parse("fd_digits").split, parse("kid").split, parse("pr_digits").k) == ("test", "train", 3)
    assert parse("kid").extractor == "inception_clean" and parse("pr50k3").k == 3 and parse("pr500_10").k == 10
    assert extractors(["kid", "is", "fd_digits", "fid_train_clean"]) == [
        "inception_clean",
        "inception_legacy",
        "digits_classifier",
    ]


def test_names_of_values():
    names = {
        name: parse(name).values
        for name in (
            "fid10k_train_legacy",
            "is10k",
            "kid500",
            "pr10k3",
            "pr500_3",
            "pr10k3_inception",
            "pr2k_digits",
            "fd2k_digits",
            "is2k_digits",
            "valid2k_glyphs",
            "kl2k_glyphs",
        )
    }
    assert names == {
        "fid10k_train_legacy": ("fid10k_train_legacy",),
        "is10k": ("is10k", "is10k_std"),
        "kid500": ("kid500", "kid500_std"),
        "pr10k3": ("precision10k3", "recall10k3"),
        "pr500_3": ("precision500_3", "recall500_3"),
        "pr10k3_inception": ("precision10k3_inception", "recall10k3_inception"),
        "pr2k_digits": ("precision2k_digits", "recall2k_digits"),
        "fd2k_digits": ("fd2k_digits",),
        "is2k_digits": ("is2k_digits", "is2k_digits_std"),
        "valid2k_glyphs": ("valid2k_glyphs_50", "valid2k_glyphs_70", "valid2k_glyphs_90"),
        "kl2k_glyphs": ("kl2k_glyphs", *(f"kl2k_glyphs_{name}" for name in ("shape", "place", "hue", "ground"))),
    }


@pytest.mark.parametrize(
    "name",
    [
        "fid",
        "fid50k",
        "fid_train",
        "fid50k_val_clean",
        "fid0_train_clean",
        "fid50K_train_clean",
        "is_",
        "isk",
        "pr",
        "pr50k",
        "pr500",
        "pr5003",
        "pr0",
        "kid-1",
        "FID_train_clean",
        "",
        "fd",
        "valid_digits",
        "fd_glyphs",
        "pr3_vgg",
    ],
)
def test_ill_formed_names_are_refused_with_those_allowed(name):
    with pytest.raises(ValueError, match=r"^fid_train_legacy \| .*pr500_3_inception; or fd_digits"):
        parse(name)


@pytest.mark.parametrize(
    ("name", "right"), [("fid50000_train_clean", "fid50k_train_clean"), ("is2000", "is2k"), ("pr5000_3", "pr5k3")]
)
def test_thousands_have_one_spelling(name, right):
    with pytest.raises(ValueError, match=f"^{right}: one protocol has one name"):
        parse(name)


def test_the_fewest_samples():
    names = ("fid_train_clean", "is", "kid", "pr5", "pr_digits")
    assert [parse(name).least(splits=10, subset_size=50) for name in names] == [2, 10, 50, 6, 4]


def test_every_value_has_a_column_and_a_standard_deviation_has_none():
    for name in [*FULL, "valid2k_glyphs", "kl2k_glyphs", "agree2k_glyphs", "memorised2k_glyphs"]:
        for value in parse(name).values:
            assert (column(value) is None) == value.endswith("_std"), value
    words = {name: column(name).label for name in ("is50k", "is2k_digits", "fid50k_train_clean", "fd2k_digits")}
    assert "(not IS)" in words["is2k_digits"] and words["is50k"] == "Inception score"
    assert "(not FID)" in words["fd2k_digits"] and "(not" not in words["fid50k_train_clean"]


def test_a_test_split_is_measured_with_ten_thousand_images_at_most_unless_the_name_says_otherwise():
    names = {
        (name, n_gen): parse(name).resolved(n_gen).name
        for name in ("fid_test_clean", "fid_train_clean", "fid50k_test_clean")
        for n_gen in (500, 50_000)
    }
    assert (
        names["fid_test_clean", 500] == "fid500_test_clean" and names["fid_test_clean", 50_000] == "fid10k_test_clean"
    )
    assert (
        names["fid_train_clean", 50_000] == "fid50k_train_clean"
        and names["fid50k_test_clean", 500] == "fid50k_test_clean"
    )
