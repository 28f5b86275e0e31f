"""The metrics by name: a name says everything that two values need to have in common before they may be compared.

    fid<count>_<split>_<resize>     Fréchet distance: split train | test, resize legacy (TensorFlow 1) | clean (clean-fid)
    is<count>                       Inception score, legacy resize
    kid<count>                      kernel distance to the training split, clean resize
    pr<count><k>                    precision and recall with the k-th neighbour, training split, legacy resize

<count> is the number of generated images: thousands as `50k`, any other number in full (`fid500_train_clean`); before the
k of precision and recall the latter ends in `_` (`pr50k3`, `pr500_3`). Without it (`fid_train_legacy`, `is`, `kid`, `pr3`) the count
is `evaluate.n_gen`, against a test split 10,000 at most (`fid10k_test_clean`). The digits' own metrics (`fd_digits`, ...) always
take `evaluate.n_gen` and say so beside the value.
"""

import re
from dataclasses import dataclass, replace

DIGITS = "digits_classifier"
OWN = {"fd_digits": "frechet", "is_digits": "score", "kd_digits": "kernel", "pr_digits": "neighbours"}
TEST = 10_000       # images of CIFAR-10's test split: fid10k_test_clean is what others report against it
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


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What one metric compares, by which network."""

    kind: str                   # frechet | score | kernel | neighbours
    extractor: str              # name of the network
    split: str = "train"        # real images: train (those trained on) | test
    resize: str = ""            # of a Fréchet distance's name: legacy | clean
    k: int | None = None        # of precision and recall; None: the setting `neighbours`
    count: int | None = None    # generated images; None: `evaluate.n_gen`

    @property
    def name(self) -> str:
        """The metric's name, with its count where it has one of its own."""
        if self.extractor == DIGITS:
            return next(name for name, kind in OWN.items() if kind == self.kind)
        if self.kind == "neighbours":
            return f"pr{self._count}{'_' if self._count.isdigit() else ''}{self.k}"
        return {"frechet": f"fid{self._count}_{self.split}_{self.resize}", "score": f"is{self._count}", "kernel": f"kid{self._count}"}[self.kind]

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the metric's values as they stand in the results."""
        if self.kind == "neighbours":
            return tuple(self.name.replace("pr", word, 1) for word in ("precision", "recall"))
        return (self.name,) if self.kind == "frechet" else (self.name, f"{self.name}_std")

    @property
    def _count(self) -> str:
        if self.count is None:
            return ""
        return f"{self.count // 1000}k" if self.count % 1000 == 0 else str(self.count)

    def least(self, splits: int, neighbours: int) -> int:
        """The fewest samples on a side that give a value."""
        return {"score": splits, "neighbours": (self.k or neighbours) + 1}.get(self.kind, 2)

    @property
    def countless(self) -> "Protocol":
        return replace(self, count=None)

    def resolved(self, n_gen: int) -> "Protocol":
        """With its count: its own, or `n_gen`, against a test split at most what the usual ones hold."""
        if self.count or self.extractor == DIGITS:
            return self
        return replace(self, count=min(n_gen, TEST) if self.split == "test" else n_gen)


def parse(name: str) -> Protocol:
    """Errors: `ValueError` saying what is allowed."""
    if name in OWN:
        return Protocol(kind=OWN[name], extractor=DIGITS)
    match = PATTERN.fullmatch(name)
    if not match:
        raise ValueError(ALLOWED)
    if match["fid"]:
        found = Protocol(kind="frechet", extractor=f"inception_{match['resize']}", split=match["split"], resize=match["resize"], count=_number(match["fid_count"]))
    elif match["score"]:
        found = Protocol(kind="score", extractor="inception_legacy", count=_number(match["score_count"]))
    elif match["kernel"]:
        found = Protocol(kind="kernel", extractor="inception_clean", count=_number(match["kernel_count"]))
    else:
        found = Protocol(kind="neighbours", extractor="inception_legacy", k=int(match["k"]), count=_number(match["pr_count"]))
    if found.name != name:
        raise ValueError(f"{found.name}: one protocol has one name")
    return found


def check(name: str) -> str:
    """The name, if it is one: pydantic's validator of names in params.yaml and plan files."""
    parse(name)
    return name


def extractors(names: list[str]) -> list[str]:
    """The networks that the metrics use, in the order of the metrics; the first is the one whose neighbours are shown."""
    return list(dict.fromkeys(parse(name).extractor for name in names))


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text.removesuffix("_"))
