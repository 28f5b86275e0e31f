"""Every metric the project knows: names, needs, direction, label, and the settings that move a value. Without torch.

A metric's name is its protocol: it says what two values need to have in common before they may be compared.

    fid<count>_<split>_<resize>     Fréchet distance: split train | test, resize legacy (TensorFlow) | clean (clean-fid)
    is<count>                       Inception score, legacy resize
    kid<count>                      kernel distance to the training split, clean resize
    pr<count><k>                    precision and recall with the k-th neighbour by VGG-16, training split
    pr<count><k>_inception          the same by the Inception network: other values, never comparable with VGG-16's
    fd|is|kd|pr<count>_digits       their formulas in the features of the digits' own classifier, held-out images
    valid|modes|kl|agree|memorised<count>_glyphs    what the decoder of the glyphs reads (pipeline/metrics/glyphs.py)

<count> is the number of generated images: thousands as `50k`, any other number in full (`fid500_train_clean`). Before
the k of precision and recall, a number in full ends in `_` (`pr50k3`, `pr500_3`). A name without a count
(`fid_train_legacy`, `is`, `kid`, `pr3`, `fd_digits`) takes `evaluate.n_gen`; fid against a test split takes 10,000 at
most (`fid10k_test_clean`). Results have full names alone.

A new metric of the data set's own network needs a line in OWN, its columns in COLUMNS, and its computation in suite.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.metrics.extractors.registry import DIGITS, GLYPHS, VGG

OWN = {
    "digits": {"fd": "frechet", "is": "score", "kd": "kernel", "pr": "neighbours"},
    "glyphs": {name: name for name in ("valid", "modes", "kl", "agree", "memorised")},
}
OWN_NETWORKS = {"digits": DIGITS, "glyphs": GLYPHS}
NEIGHBOURS = 3  # k of pr_digits; the other names say theirs
LEVELS = (50, 70, 90)  # per cent of an image's variance that a valid glyph explains
TEST = 10_000  # images of CIFAR-10's test split: fid10k_test_clean is what others report against it
DEFAULT = ("fid_train_legacy", "fid_train_clean", "is", "kid", "pr3_inception")  # of `transgan measure`
SUBSETS, SUBSET_SIZE, SPLITS = 100, 1000, 10  # of `transgan measure`, as the libraries have them
SPREAD = "_std"  # ends the name of a value that is another value's standard deviation
UNAVAILABLE = "not available: "  # begins the text that stands in place of a value, with the reason


@dataclass(frozen=True, kw_only=True)
class Formula:
    """What all metrics of one formula need, and which settings of `evaluate` move their values."""

    reads: str = "features"  # of generated images: features | logits
    keeps: tuple[str, ...] = ()  # splits whose features are kept for it; `own`: the metric's split
    settings: tuple[str, ...] = ()
    spread: bool = False  # whether the value comes with a standard deviation


FORMULAS = {
    "frechet": Formula(),
    "score": Formula(reads="logits", settings=("splits",), spread=True),
    "kernel": Formula(keeps=("own",), settings=("subsets", "subset_size"), spread=True),
    "neighbours": Formula(keeps=("own",)),
    **{name: Formula() for name in ("valid", "modes", "kl", "agree")},
    "memorised": Formula(keeps=("train", "test")),
}
# Every setting that moves some metric's value.
SETTINGS = tuple(dict.fromkeys(setting for formula in FORMULAS.values() for setting in formula.settings))


@dataclass(frozen=True, kw_only=True)
class Column:
    """A kind of value in the results: how its name looks, what it is in words, and which way is better."""

    pattern: str  # of the whole name, as in results/<cell>.json
    label: str
    lower: bool  # lower is better


# In the order of the report's columns; the first one that a dataset has is its main metric.
COLUMNS = tuple(
    Column(pattern=pattern, label=label, lower=lower)
    for pattern, label, lower in (
        (r"fid\w*", "Fréchet Inception distance", True),
        (r"fd[0-9k]*_\w+", "Fréchet distance in the features of the dataset's own classifier (not FID)", True),
        (r"is(\d+k?)?", "Inception score", False),
        (r"is[0-9k]*_\w+", "the Inception score's formula on the dataset's own classifier (not IS)", False),
        (r"kid\w*", "kernel Inception distance", True),
        (r"kd[0-9k]*_\w+", "kernel distance in the features of the dataset's own classifier (not KID)", True),
        (r"kl[0-9k]*_glyphs(_\w+)?", "divergence of the valid samples' factors from uniform, in nats", True),
        (r"modes[0-9k]*_glyphs", "share of all combinations that valid samples show", False),
        (r"valid[0-9k]*_glyphs_\d+", "share of samples that a glyph explains to more than so many per cent", False),
        (r"agree[0-9k]*_glyphs", "share of valid pairs whose two shapes agree", False),
        (
            r"memorised[0-9k]*_glyphs",
            "share of samples nearer to a training than to a held-out image (0.5: none)",
            True,
        ),
        (r"precision\w*", "share of samples inside the real images' manifold", False),
        (r"recall\w*", "share of real images inside the samples' manifold", False),
    )
)

# The known answers of the `reference` stage, `<value>_<case>` and `n_<case>`: what stands in the place of samples.
CASES = {
    "halves": "one half of the real images against the other (the floor)",
    "rest": "a thousand real images, half at most, against all others (the floor at that many samples)",
    "train": "the training images, learnt by heart, against the held-out ones",
    "test": "the test split's images",
    "memorised": "a hundred training images over and over",
    "round_trip": "real images through the networks' number range and back (no distance)",
    "blurred": "real images, every pixel the mean of its 3 x 3 neighbourhood",
    "one_image": "one real image over and over (collapse: precise, no recall)",
    "constant": "a grey area",
    "noise": "uniform noise",
}

# The facts that travel with a value. Two values may stand in one column only where all of them agree.
FACTS = (
    "n_gen",
    "n_real",
    "split",
    "resize",
    "extractor",
    "extractor_sha256",
    "dtype",
    "seed",
    *SETTINGS,
    "neighbours",
)

# The protocols whose numbers may stand against the paper's: legacy resize, training split, as many images as released.
PAPER_PROTOCOLS = {"FID": "fid50k_train_legacy", "IS": "is50k"}
PAPER_PROTOCOLS_OF = {"stl10": {"FID": "fid20k_train_legacy", "IS": "is20k"}}  # the released code: 20,000 images
PAPER_SETTINGS = {"splits": 10}  # of its Inception scores


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What one metric compares, by which network."""

    kind: str  # key of FORMULAS
    extractor: str  # key of NETWORKS
    split: str = "train"  # real images: train (those trained on) | test
    resize: str = ""  # of a Fréchet distance's name: legacy | clean
    k: int | None = None  # of precision and recall
    own: str = ""  # key of OWN for metrics of a data set's own network
    count: int | None = None  # generated images; None: `evaluate.n_gen`

    @property
    def formula(self) -> Formula:
        """What is computed, and what it needs."""
        return FORMULAS[self.kind]

    @property
    def keeps(self) -> set[str]:
        """The splits of real images whose features it reads."""
        return {self.split if split == "own" else split for split in self.formula.keeps}

    @property
    def name(self) -> str:
        """The metric's name, with its count where it has one of its own."""
        count = "" if self.count is None else str(self.count)
        count = f"{count[:-3]}k" if count.endswith("000") else count
        if self.own:
            word = next(word for word, kind in OWN[self.own].items() if kind == self.kind)
            return f"{word}{count}_{self.own}"
        if self.kind == "neighbours":
            suffix = "" if self.extractor == VGG else "_inception"
            return f"pr{count}{'_' if count.isdigit() else ''}{self.k}{suffix}"
        names = {"frechet": f"fid{count}_{self.split}_{self.resize}", "score": f"is{count}", "kernel": f"kid{count}"}
        return names[self.kind]

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the metric's values as they stand in the results."""
        if self.kind == "neighbours":
            return tuple(self.name.replace("pr", word, 1) for word in ("precision", "recall"))
        if self.kind == "valid":
            return tuple(f"{self.name}_{level}" for level in LEVELS)
        if self.kind == "kl":
            return (self.name, *(f"{self.name}_{factor}" for factor in ("shape", "place", "hue", "ground")))
        return (self.name, f"{self.name}{SPREAD}") if self.formula.spread else (self.name,)

    def least(self, splits: int | None, subset_size: int | None) -> int:
        """The fewest samples on a side that give a value. A setting that the metric does not read may be None."""
        if self.kind == "score":
            return splits or 1
        if self.kind == "kernel":
            return max(subset_size or 0, 2)
        return (self.k or 1) + 1

    @property
    def countless(self) -> "Protocol":
        """The same without the number of generated images: its name on the real side."""
        return replace(self, count=None)

    def resolved(self, n_gen: int) -> "Protocol":
        """With its count: its own, or `n_gen`, of fid against a test split at most what the usual ones hold."""
        if self.count:
            return self
        return replace(self, count=min(n_gen, TEST) if self.split == "test" and not self.own else n_gen)


COUNT = r"[1-9]\d*k?"
PATTERN = re.compile(
    rf"fid(?P<fid_count>{COUNT})?_(?P<split>train|test)_(?P<resize>legacy|clean)"
    rf"|(?P<word>[a-z]+)(?P<own_count>{COUNT})?_(?P<own>{'|'.join(OWN)})"
    rf"|is(?P<score_count>{COUNT})?"
    rf"|kid(?P<kernel_count>{COUNT})?"
    r"|pr(?P<pr_count>[1-9]\d*(?:k|_))?(?P<k>[1-9]\d?)(?P<inception>_inception)?"
)
ALLOWED = (
    "fid_train_legacy | fid_train_clean | fid_test_legacy | fid_test_clean | is | kid | pr3 | pr3_inception, or with a "
    "count: fid50k_train_legacy, is500, pr50k3, pr500_3_inception; or "
    + " | ".join(f"{word}_{own}" for own, words in OWN.items() for word in words)
)


def parse(name: str) -> Protocol:
    """The protocol that a name of the settings or of a plan file stands for.

    Errors: `ValueError` saying what is allowed.
    """
    match = PATTERN.fullmatch(name)
    if not match or (match["own"] and match["word"] not in OWN[match["own"]]):
        raise ValueError(ALLOWED)
    count = _number(match["fid_count"] or match["own_count"] or match["score_count"] or match["kernel_count"])
    if match["own"]:
        kind, network = OWN[match["own"]][match["word"]], OWN_NETWORKS[match["own"]]
        split, k = "test" if network == DIGITS else "train", NEIGHBOURS if kind == "neighbours" else None
        protocol = Protocol(kind=kind, extractor=network, split=split, k=k, own=match["own"], count=count)
    elif match["split"]:
        resize, network = match["resize"], f"inception_{match['resize']}"
        protocol = Protocol(kind="frechet", extractor=network, split=match["split"], resize=resize, count=count)
    elif match["k"]:
        network, count = "inception_legacy" if match["inception"] else VGG, _number(match["pr_count"])
        protocol = Protocol(kind="neighbours", extractor=network, k=int(match["k"]), count=count)
    elif name.startswith("is"):
        protocol = Protocol(kind="score", extractor="inception_legacy", count=count)
    else:
        protocol = Protocol(kind="kernel", extractor="inception_clean", count=count)
    if protocol.name != name:
        raise ValueError(f"{protocol.name}: one protocol has one name")
    return protocol


def check(name: str) -> str:
    """The name, if it is one: pydantic's validator of names in the settings and plan files."""
    parse(name)
    return name


def extractors(names: Iterable[str]) -> list[str]:
    """The networks of the metrics, in the metrics' order. The first one says which training images are nearest."""
    return list(dict.fromkeys(parse(name).extractor for name in names))


def used_settings(names: Iterable[str]) -> set[str]:
    """Settings of `evaluate` that move the value of any of the metrics."""
    return {setting for name in names for setting in parse(name).formula.settings}


def paper_protocols(dataset: str) -> dict[str, str]:
    """The paper's metric (FID, IS) -> the protocol it was measured by on a dataset."""
    return PAPER_PROTOCOLS_OF.get(dataset, PAPER_PROTOCOLS)


def column(name: str) -> Column | None:
    """What a value of the results is, None where it is no metric. Standard deviations travel with their metric."""
    if name.endswith(SPREAD):
        return None
    return next((entry for entry in COLUMNS if re.fullmatch(entry.pattern, name)), None)


def recorded_name(name: str, facts: Mapping[str, Any] | None) -> str:
    """Today's name of a value that a record has under `name`, with its facts where the record has them.

    Until November 2026 precision and recall by the Inception network were recorded as `precision1k3`, `recall1k3`:
    without facts that say VGG-16, those names in a record mean Inception.
    """
    old = re.fullmatch(r"(precision|recall)[0-9k_]*", name) and (facts or {}).get("extractor") != VGG
    return f"{name}_inception" if old else name


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text.removesuffix("_"))
