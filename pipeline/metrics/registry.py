"""Every metric the project knows: names, formulas, networks, and the words of the report. Without torch.

A metric's name is its protocol: it says what two values need to have in common before they may be compared. <n> is the
number of generated images: thousands as `50k`, any other number in full (`fid500_train_clean`). Before <k>, the
neighbour of precision and recall, a number in full ends in `_` (`pr50k3`, `pr500_3`). A name without a number
(`fid_train_legacy`, `is`, `pr3`) takes `evaluate.n_gen`; fid against a test split takes 10,000 at most. Results have
full names alone. legacy: TensorFlow's resize; clean: clean-fid's; digits, glyphs: the data set's own network.
"""

import re
import string
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pkgutil import resolve_name
from typing import Any

from pipeline.metrics.extractors.registry import DIGITS, GLYPHS, NETWORKS, VGG

NEIGHBOURS = 3  # k of pr_digits; the other names say theirs
TEST = 10_000  # images of CIFAR-10's test split: fid10k_test_clean is what others report against it
DEFAULT = ("fid_train_legacy", "fid_train_clean", "is", "kid", "pr3_inception")  # of `transgan measure`
SUBSETS, SUBSET_SIZE, SPLITS = 100, 1000, 10  # of `transgan measure`, as the libraries have them
SPREAD = "_std"  # ends the name of a value that is another value's standard deviation
NO_LOGITS = "not available: these weights have no logits"  # stands in place of a value
SETTINGS = ("splits", "subsets", "subset_size")  # of `evaluate`, that move the values of some metrics

# Name -> formula ("module:attribute"), network, split of the real images. A new metric is one line here. The report has
# its columns in this order, after the main metric: the first of `evaluate.metrics`.
METRICS = {
    "fid<n>_train_legacy": ("pipeline.metrics.distances:FID", "inception_legacy", "train"),
    "fid<n>_train_clean": ("pipeline.metrics.distances:FID", "inception_clean", "train"),
    "fid<n>_test_legacy": ("pipeline.metrics.distances:FID", "inception_legacy", "test"),
    "fid<n>_test_clean": ("pipeline.metrics.distances:FID", "inception_clean", "test"),
    "fd<n>_digits": ("pipeline.metrics.distances:FID", DIGITS, "test"),
    "is<n>": ("pipeline.metrics.distances:INCEPTION_SCORE", "inception_legacy", "train"),
    "is<n>_digits": ("pipeline.metrics.distances:INCEPTION_SCORE", DIGITS, "test"),
    "kid<n>": ("pipeline.metrics.distances:KID", "inception_clean", "train"),
    "kd<n>_digits": ("pipeline.metrics.distances:KID", DIGITS, "test"),
    "kl<n>_glyphs": ("pipeline.metrics.glyphs:KL", GLYPHS, "train"),
    "modes<n>_glyphs": ("pipeline.metrics.glyphs:MODES", GLYPHS, "train"),
    "valid<n>_glyphs": ("pipeline.metrics.glyphs:VALID", GLYPHS, "train"),
    "agree<n>_glyphs": ("pipeline.metrics.glyphs:AGREE", GLYPHS, "train"),
    "memorised<n>_glyphs": ("pipeline.metrics.glyphs:MEMORISED", GLYPHS, "train"),
    "pr<n><k>": ("pipeline.metrics.distances:PRECISION_RECALL", VGG, "train"),
    "pr<n><k>_inception": ("pipeline.metrics.distances:PRECISION_RECALL", "inception_legacy", "train"),
    "pr<n>_digits": ("pipeline.metrics.distances:PRECISION_RECALL", DIGITS, "test"),
}
_NAMES = {key.replace("<n>", "").replace("<k>", str(NEIGHBOURS)): network for key, (_, network, _) in METRICS.items()}
ALLOWED = (
    " | ".join(name for name, network in _NAMES.items() if not NETWORKS[network].own)
    + ", or with a count: fid50k_train_legacy, is500, pr50k3, pr500_3_inception; or "
    + " | ".join(name for name, network in _NAMES.items() if NETWORKS[network].own)
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
    *("n_gen", "n_real", "split", "resize", "extractor", "extractor_sha256", "dtype", "seed"),
    *(*SETTINGS, "neighbours"),
)

# By dataset, protocols whose numbers may stand against the paper's: legacy resize, training split, as many as released.
PAPER_PROTOCOLS = defaultdict(
    lambda: {"FID": "fid50k_train_legacy", "IS": "is50k"}, stl10={"FID": "fid20k_train_legacy", "IS": "is20k"}
)
PAPER_SETTINGS = {"splits": 10}  # of its Inception scores


@dataclass(frozen=True)
class Column:
    """A kind of value in the results: what it is in words, and whether lower is better."""

    label: str
    lower: bool


@dataclass(frozen=True)
class Formula:
    """How a metric is computed, what it reads, and what its values are.

    `compute(*real, generated, **options)` gives a number, or a tuple of as many as `values` has. Each side is what
    `reads` names of `extractors.extractor.Features`: features (n, d), logits (n, classes), or gaussian. `options` are
    settings of `evaluate`, and seed, device, neighbours. `perfect(count, d)`: mean and standard deviation of each
    value of as many perfect samples, where they are known.
    """

    compute: Callable[..., Any]
    values: Mapping[str, str | None]  # name, of {name} and its {rest} without the first word -> label; None: SPREAD
    lower: bool  # whether lower is better
    reads: str = "features"
    real: tuple[str, ...] = ("own",)  # splits of the real images; own: the metric's
    options: tuple[str, ...] = ()
    perfect: Callable[[int, int], tuple[tuple[float, float], ...]] | None = None
    abbreviation: str | None = None  # of the label, where it means the Inception network


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A metric as it is asked for: a key of METRICS with its formula, network and split, and what the name says."""

    key: str
    formula: Formula
    extractor: str
    split: str
    k: int | None  # of precision and recall
    count: int | None  # generated images; None: `evaluate.n_gen`

    @property
    def name(self) -> str:
        """The metric's name, with its count where it has one of its own."""
        count = "" if self.count is None else re.sub("000$", "k", str(self.count))
        separator = "_" if "<k>" in self.key and count.isdigit() else ""
        return self.key.replace("<n>", f"{count}{separator}").replace("<k>", str(self.k))

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the metric's values as they stand in the results."""
        name, rest = self.name, self.name.lstrip(string.ascii_lowercase)
        return tuple(template.format(name=name, rest=rest) for template in self.formula.values)

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings of `evaluate` that move its values."""
        return tuple(name for name in SETTINGS if name in self.formula.options)

    def resolved(self, n_gen: int | None) -> "Protocol":
        """With its count: its own, or `n_gen`, of fid against a test split at most what the usual ones hold.

        None: without the number of generated images, as on the real side.
        """
        if n_gen is None:
            return replace(self, count=None)
        most = min(n_gen, TEST) if self.split == "test" and not NETWORKS[self.extractor].own else n_gen
        return replace(self, count=self.count or most)

    def least(self, splits: int | None, subset_size: int | None) -> int:
        """The fewest samples on a side that give a value. A setting that the metric does not read may be None."""
        if "splits" in self.settings:
            return splits or 1
        return max(subset_size or 0, 2) if "subset_size" in self.settings else (self.k or 1) + 1


def parse(name: str) -> Protocol:
    """The protocol that a name in settings or a plan file stands for. Errors: `ValueError` with the names allowed."""
    for key, (address, extractor, split) in METRICS.items():
        if match := re.fullmatch(_pattern(key), name):
            formula: Formula = resolve_name(address)
            k = int(match["k"]) if "<k>" in key else NEIGHBOURS if "neighbours" in formula.options else None
            text = (match["n"] or "").removesuffix("_").replace("k", "000")
            count = int(text) if text else None
            protocol = Protocol(key=key, formula=formula, extractor=extractor, split=split, k=k, count=count)
            if protocol.name != name:
                raise ValueError(f"{protocol.name}: one protocol has one name")
            return protocol
    raise ValueError(ALLOWED)


def _pattern(key: str) -> str:
    """The expression that the names of a key of METRICS match, with groups n and k."""
    count = r"(?P<n>[1-9]\d*(?:k|_))?" if "<k>" in key else r"(?P<n>[1-9]\d*k?)?"
    return key.replace("<n>", count).replace("<k>", r"(?P<k>[1-9]\d?)")


def extractors(names: Iterable[str]) -> list[str]:
    """The networks of the metrics, in the metrics' order. The first one says which training images are nearest."""
    return list(dict.fromkeys(parse(name).extractor for name in names))


@cache
def columns() -> dict[str, Column | None]:
    """Expression of a value's name -> what it is, in the order of METRICS; None for a standard deviation."""
    kinds: dict[str, Column | None] = {}
    for key, (address, network, _) in METRICS.items():
        formula, name = resolve_name(address), _pattern(key)
        rest = name.lstrip(string.ascii_lowercase)
        for template, label in formula.values.items():
            if label and formula.abbreviation and NETWORKS[network].own:
                label = f"the {label}'s formula on the dataset's own classifier (not {formula.abbreviation})"
            kinds[template.format(name=name, rest=rest)] = Column(label, formula.lower) if label else None
    return kinds


def column(name: str) -> Column | None:
    """What a value of the results is, None where it is no metric. Standard deviations travel with their metric."""
    return next((kind for pattern, kind in columns().items() if re.fullmatch(pattern, name)), None)
