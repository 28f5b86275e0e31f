"""Every metric the project knows: names, needs, direction, label, and the settings that move a value. Without torch.

A metric's name is its protocol: it says what two values need to have in common before they may be compared.

    fid<count>_<split>_<resize>     Fréchet distance: split train | test, resize legacy (TensorFlow) | clean (clean-fid)
    is<count>                       Inception score, legacy resize
    kid<count>                      kernel distance to the training split, clean resize
    pr<count><k>                    precision and recall with the k-th neighbour, training split, legacy resize

<count> is the number of generated images: thousands as `50k`, any other number in full (`fid500_train_clean`). Before
the k of precision and recall, a number in full ends in `_` (`pr50k3`, `pr500_3`). A name without a count
(`fid_train_legacy`, `is`, `kid`, `pr3`) takes `evaluate.n_gen`, against a test split 10,000 at most
(`fid10k_test_clean`). The digits' own metrics (`fd_digits`, ...) always take `evaluate.n_gen`; the number stands beside
the value.

A new metric needs an entry in FORMULAS (or one that fits), its name in `parse`, its columns in COLUMNS, and its
computation in suite.py.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

DIGITS = "digits_classifier"
OWN = {"fd_digits": "frechet", "is_digits": "score", "kd_digits": "kernel", "pr_digits": "neighbours"}
TEST = 10_000  # images of CIFAR-10's test split: fid10k_test_clean is what others report against it
SPREAD = "_std"  # ends the name of a value that is another value's standard deviation
UNAVAILABLE = "not available: "  # begins the text that stands in place of a value, with the reason


@dataclass(frozen=True, kw_only=True)
class Formula:
    """What all metrics of one formula need, and which settings of `evaluate` move their values."""

    reads: str = "features"  # of generated images: features | logits
    real: frozenset[str] = frozenset()  # of real images: gaussian, features, radii
    settings: tuple[str, ...] = ()
    spread: bool = False  # whether the value comes with a standard deviation


FORMULAS = {
    "frechet": Formula(real=frozenset({"gaussian"})),
    "score": Formula(reads="logits", settings=("splits",), spread=True),
    "kernel": Formula(real=frozenset({"features"}), settings=("subsets", "subset_size"), spread=True),
    "neighbours": Formula(real=frozenset({"features", "radii"}), settings=("neighbours",)),
}
# Every setting that moves some metric's value.
SETTINGS = tuple(dict.fromkeys(setting for formula in FORMULAS.values() for setting in formula.settings))


@dataclass(frozen=True, kw_only=True)
class Network:
    """What the images must be so that an evaluating network can read them; None: anything."""

    title: str
    resolution: int | None = None
    channels: int | None = None


INCEPTION = Network(title="the Inception network", channels=3)
NETWORKS = {
    DIGITS: Network(title="the digits' classifier", resolution=8),
    "inception_legacy": INCEPTION,
    "inception_clean": INCEPTION,
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A kind of value in the results: how its name looks, what it is in words, and which way is better."""

    pattern: str  # of the whole name, as in results/<cell>.json
    label: str
    lower: bool  # lower is better


# In the order of the report's columns; the first one that a dataset has is its main metric.
COLUMNS = (
    Column(pattern=r"fid\w*", label="Fréchet Inception distance", lower=True),
    Column(
        pattern=r"fd_\w+",
        label="Fréchet distance in the features of the dataset's own classifier (not FID)",
        lower=True,
    ),
    Column(pattern=r"is(\d+\w*)?", label="Inception score", lower=False),
    Column(
        pattern=r"is_\w+", label="the Inception score's formula on the dataset's own classifier (not IS)", lower=False
    ),
    Column(pattern=r"kid\w*", label="kernel Inception distance", lower=True),
    Column(
        pattern=r"kd_\w+", label="kernel distance in the features of the dataset's own classifier (not KID)", lower=True
    ),
    Column(pattern=r"precision\w*", label="share of samples inside the real images' manifold", lower=False),
    Column(pattern=r"recall\w*", label="share of real images inside the samples' manifold", lower=False),
)

# The facts that travel with a value. Two values may stand in one column only where all of them agree.
FACTS = ("n_gen", "n_real", "split", "resize", "extractor", "extractor_sha256", "dtype", "seed", *SETTINGS)

# The protocols whose numbers may stand against the paper's: legacy resize, training split, as many images as released.
PAPER_PROTOCOLS = {"FID": "fid50k_train_legacy", "IS": "is50k"}
# The released code evaluates STL-10 with 20,000 images.
PAPER_PROTOCOLS_OF = {"stl10": {"FID": "fid20k_train_legacy", "IS": "is20k"}}
PAPER_SETTINGS = {"splits": 10}  # of its Inception scores


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What one metric compares, by which network."""

    kind: str  # key of FORMULAS
    extractor: str  # key of NETWORKS
    split: str = "train"  # real images: train (those trained on) | test
    resize: str = ""  # of a Fréchet distance's name: legacy | clean
    k: int | None = None  # of precision and recall; None: the setting `neighbours`
    count: int | None = None  # generated images; None: `evaluate.n_gen`

    @property
    def formula(self) -> Formula:
        """What is computed, and what it needs."""
        return FORMULAS[self.kind]

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings of `evaluate` that move the value: those of the formula that are not part of the name."""
        return () if self.k is not None else self.formula.settings

    @property
    def name(self) -> str:
        """The metric's name, with its count where it has one of its own."""
        if self.extractor == DIGITS:
            return next(name for name, kind in OWN.items() if kind == self.kind)
        if self.kind == "neighbours":
            return f"pr{self._count}{'_' if self._count.isdigit() else ''}{self.k}"
        return {
            "frechet": f"fid{self._count}_{self.split}_{self.resize}",
            "score": f"is{self._count}",
            "kernel": f"kid{self._count}",
        }[self.kind]

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the metric's values as they stand in the results."""
        if self.kind == "neighbours":
            return tuple(self.name.replace("pr", word, 1) for word in ("precision", "recall"))
        return (self.name, f"{self.name}{SPREAD}") if self.formula.spread else (self.name,)

    @property
    def _count(self) -> str:
        if self.count is None:
            return ""
        return f"{self.count // 1000}k" if self.count % 1000 == 0 else str(self.count)

    def least(self, splits: int | None, neighbours: int | None) -> int:
        """The fewest samples on a side that give a value. A setting that the metric does not read may be None."""
        if self.kind == "score":
            return splits or 1
        if self.kind == "neighbours":
            return (self.k or neighbours or 1) + 1
        return 2

    @property
    def countless(self) -> "Protocol":
        """The same without the number of generated images: its name on the real side."""
        return replace(self, count=None)

    def resolved(self, n_gen: int) -> "Protocol":
        """With its count: its own, or `n_gen`, against a test split at most what the usual ones hold."""
        if self.count or self.extractor == DIGITS:
            return self
        return replace(self, count=min(n_gen, TEST) if self.split == "test" else n_gen)


COUNT = r"[1-9]\d*k?"
PATTERN = re.compile(
    rf"(?P<fid>fid(?P<fid_count>{COUNT})?_(?P<split>train|test)_(?P<resize>legacy|clean))"
    rf"|(?P<score>is(?P<score_count>{COUNT})?)"
    rf"|(?P<kernel>kid(?P<kernel_count>{COUNT})?)"
    r"|(?P<pr>pr(?:(?P<pr_count>[1-9]\d*(?:k|_)))?(?P<k>[1-9]\d?))"
)
ALLOWED = (
    "fid_train_legacy | fid_train_clean | fid_test_legacy | fid_test_clean | is | kid | pr3, or with a count: "
    f"fid50k_train_legacy, is500, pr50k3, pr500_3; or {' | '.join(OWN)}"
)


def parse(name: str) -> Protocol:
    """The protocol that a name of params.yaml or of a plan file stands for.

    Errors: `ValueError` saying what is allowed.
    """
    if name in OWN:
        return Protocol(kind=OWN[name], extractor=DIGITS)
    match = PATTERN.fullmatch(name)
    if not match:
        raise ValueError(ALLOWED)
    if match["fid"]:
        found = Protocol(
            kind="frechet",
            extractor=f"inception_{match['resize']}",
            split=match["split"],
            resize=match["resize"],
            count=_number(match["fid_count"]),
        )
    elif match["score"]:
        found = Protocol(kind="score", extractor="inception_legacy", count=_number(match["score_count"]))
    elif match["kernel"]:
        found = Protocol(kind="kernel", extractor="inception_clean", count=_number(match["kernel_count"]))
    else:
        found = Protocol(
            kind="neighbours", extractor="inception_legacy", k=int(match["k"]), count=_number(match["pr_count"])
        )
    if found.name != name:
        raise ValueError(f"{found.name}: one protocol has one name")
    return found


def check(name: str) -> str:
    """The name, if it is one: pydantic's validator of names in params.yaml and plan files."""
    parse(name)
    return name


def extractors(names: Iterable[str]) -> list[str]:
    """The networks of the metrics, in the metrics' order. The first one says which training images are nearest."""
    return list(dict.fromkeys(parse(name).extractor for name in names))


def used_settings(names: Iterable[str]) -> set[str]:
    """Settings of `evaluate` that move the value of any of the metrics."""
    return {setting for name in names for setting in parse(name).settings}


def paper_protocols(dataset: str) -> dict[str, str]:
    """The paper's metric (FID, IS) -> the protocol it was measured by on a dataset."""
    return PAPER_PROTOCOLS_OF.get(dataset, PAPER_PROTOCOLS)


def column(name: str) -> Column | None:
    """What a value of the results is, None where it is no metric. Standard deviations travel with their metric."""
    if name.endswith(SPREAD):
        return None
    return next((entry for entry in COLUMNS if re.fullmatch(entry.pattern, name)), None)


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text.removesuffix("_"))
