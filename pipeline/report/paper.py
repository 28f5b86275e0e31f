"""What the paper reports, with source and status of every value, and which variant stands for which of its rows.

Names of variants are listed here and nowhere else in the report. A variant that no list names gets a row in "off full".
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import StringIO

import pandas as pd

MAIN_VARIANT = "full"
# Variants in the paper's order, with the row of its ablation table that each one reproduces.
ABLATION = {
    "standard_attention": "(A) standard self-attention",
    "nystrom_attention": "(B) Nystrom self-attention",
    "axis_attention": "(C) axis self-attention",
    "grid_attention": "(D) grid self-attention",
    "multiscale": "+ multi-scale discriminator",
    "token_norm": "+ modified normalization",
    "full": "+ relative position encoding",
}
CONVERGED = "(E) converge"  # the full model, trained on: its own budget, so no variant of a matrix stands for it
ABLATION_DATASETS = ("celeba64", "celeba128", "church256")
AUGMENTATION_ALONE = ("augment_translation", "augment_cutout", "augment_color")
COMPONENTS = {
    "full": "token-wise scaling, relative position (the paper's choice)",
    "layer_norm": "layer norm",
    "batch_norm": "batch norm",
    "instance_norm": "instance norm",
    "no_norm": "no normalisation",
    "no_position": "no relative position",
}
# Model -> (variant without augmentation, with it), and the model's rows in the paper's augmentation table.
MODELS = {
    "TransGAN": ("no_augment", "full"),
    "WGAN-GP": ("wgan_gp", "wgan_gp_augment"),
    "SN-GAN": ("sngan", "sngan_augment"),
    "AutoGAN": ("autogan", "autogan_augment"),
    "StyleGAN-V2": ("stylegan2", "stylegan2_augment"),
}
AUGMENTATION = {
    variant: f"{model}{' + DiffAug' * with_it}"
    for model, pair in MODELS.items()
    for with_it, variant in enumerate(pair)
    if model != "SN-GAN"
}
# Method of the paper's main table -> the variant that trains it here.
METHODS = {
    "TransGAN": "full",
    "WGAN-GP": "wgan_gp",
    "SN-GAN": "sngan",
    "AutoGAN": "autogan",
    "StyleGAN-V2": "stylegan2",
    "StyleGAN-V2 + DiffAug": "stylegan2_augment",
}
# v1 of the paper, Table 1: transformer and CNN mixed, without augmentation.
HYBRIDS = {
    "autogan": "AutoGAN G + AutoGAN D",
    "transformer_g_autogan_d": "Transformer G + AutoGAN D",
    "autogan_g_transformer_d": "AutoGAN G + Transformer D",
    "no_augment": "Transformer G + Transformer D",
}
MIXED = ("transformer_g_autogan_d", "autogan_g_transformer_d")  # neither transformer nor CNN alone
# v1 of the paper, Table 4.
SCALING = {"scale_s": "TransGAN-S", "scale_m": "TransGAN-M", "scale_l": "TransGAN-L", "scale_xl": "TransGAN-XL"}
BEYOND = {
    "relativistic": "relativistic pairing with R1 and R2",
    "lazy_penalty": "gradient penalty every 16 steps of D",
    "finite_difference_penalty": "gradient penalty by a finite difference",
    "one_critic_step": "one step of D per step of G",
    "long_ema": "longer average of G's weights",
}
MAIN_DATASETS = ("cifar10", "stl10", "celeba128", "celebahq256", "church256")
NAMES = {
    "cifar10": "CIFAR-10",
    "stl10": "STL-10 48",
    "celeba64": "CelebA 64",
    "celeba128": "CelebA 128",
    "celebahq256": "CelebA-HQ 256",
    "church256": "LSUN-Church 256",
    "digits": "Digits 8 (demo)",
    "faces": "Faces 32 (CelebA)",
    "folder": "Images of your own",
}
STATUS = {"checked": "", "quoted": "quoted", "recalled": "recalled", "weak": "weak"}
MEANINGS = {
    "quoted": "*quoted*: read in another work's table or an archive, not in the method's own paper",
    "recalled": "*recalled*: written down from memory, never checked against the paper",
    "weak": "*weak*: from memory or one doubtful source, likely to be wrong",
}
NOTHING = "not reported"


@dataclass(frozen=True, kw_only=True)
class PaperValue:
    """A figure of the paper: `value` None for OOM, `text` as it is shown, `mark` its citation status ('' = checked).

    `protocol`: the metric's name here if it is known, alternatives joined by ` or `; `budget`: kimg and whose.
    """

    value: float | None
    text: str
    mark: str = ""
    source: str = ""
    protocol: str = "not stated"
    budget: str = ""

    def measured_as(self, metric: str) -> bool:
        """Whether a measurement named `metric` follows the protocol of this value."""
        return metric in self.protocol.split(" or ")

    @property
    def kimg(self) -> float | None:
        """The training behind the value, in thousands of images shown to D; None where it is not known."""
        found = re.match(r"[\d.]+", self.budget)
        return float(found.group()) if found else None


@cache
def packaged(name: str) -> pd.DataFrame:
    """A CSV of this folder, as text: paper_results, deviations, claims, cost_geometry, growth."""
    text = resources.files("pipeline.report").joinpath(name).read_text(encoding="utf-8")
    return pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)


def paper_rows(table: str, dataset: str | None = None) -> pd.DataFrame:
    """The lines of one of the paper's tables, of one dataset if it is named."""
    found = packaged("paper_results.csv")
    found = found[found.table == table]
    return found if dataset is None else found[found.dataset == dataset]


def paper_value(table: str, row: str, dataset: str, metric: str) -> PaperValue | None:
    """The paper's figure, None where it reports none."""
    found = paper_rows(table, dataset)
    found = found[(found.row == row) & (found.metric == metric)]
    if found.empty:
        return None
    entry = found.iloc[0]
    mark = STATUS[entry.status]
    spread = f" ± {entry['std']}" if entry["std"] else ""
    if spread and not mark and "std recalled" in entry.source:
        spread += " (± recalled)"
    return PaperValue(
        value=None if entry.value == "OOM" else float(entry.value),
        text=entry.value + spread + (f" ({mark})" if mark else ""),
        mark=mark,
        source=entry.source,
        protocol=entry.protocol,
        budget=entry.paper_budget,
    )


def short_source(source: str) -> str:
    """Where a value was read, without the file's commit and hash: `Table 3`, `TransGAN v1, Table 4`."""
    return source.partition(" (")[0]


def protocols_differ(first: PaperValue, second: PaperValue) -> bool:
    """Whether two values are known to follow different protocols."""
    return "not stated" not in (first.protocol, second.protocol) and first.protocol != second.protocol


def value_text(value: PaperValue | None) -> str:
    """A paper value as a cell shows it."""
    return value.text if value else NOTHING


def sources(values: dict[str, PaperValue | None]) -> str:
    """Where the values of a row were seen: one source if all share it, else one per column."""
    known = {name: short_source(value.source) for name, value in values.items() if value}
    if len(set(known.values())) <= 1:
        return next(iter(known.values()), "-")
    return "; ".join(f"{name}: {source}" for name, source in known.items())


def explained(frame: pd.DataFrame) -> str:
    """What the marks that occur in a table's paper columns mean; '' where all values are unmarked."""
    texts = [str(text) for column in frame if column.startswith("paper") for text in frame[column]]
    used = [meaning for mark, meaning in MEANINGS.items() if any(mark in text for text in texts)]
    return f"Paper values without a mark were read in the paper itself; {'; '.join(used)}." if used else ""


def paper_kimg(dataset: str) -> float | None:
    """TransGAN's own training on a dataset, thousands of real images shown to D; None where no script is known."""
    values = [paper_value("main", "TransGAN", dataset, metric) for metric in ("FID", "IS")]
    return next((value.kimg for value in values if value and value.kimg), None)


def in_paper(dataset: str) -> bool:
    """Whether the paper has results on the dataset."""
    return dataset in set(packaged("paper_results.csv").dataset)


def name_of(dataset: str) -> str:
    """The dataset as the report writes it."""
    return NAMES.get(dataset, dataset)
