"""What DVC's run cache holds although DVC does not look: runs of a stage that another machine's dvc.lock hides.

Where dvc.lock agrees with a stage's command and dependencies, DVC takes the hashes of its outputs from there. If they
were made on another kind of processor, the cache here lacks them, and DVC runs the stage without a look at the run
cache: so the stages that compute for long call `restore` first.
Run-cache entries are <cache>/runs/<2 digits>/<key>/<value>, objects <cache>/files/md5/<2 digits>/<rest>.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import UserError

ONLY_RESTORE = "TRANSGAN_ONLY_RESTORE"  # environment variable: no stage may train


def restore(stage: str, root: str | Path = ".") -> bool:
    """Write the outputs of a recorded run of `stage`, whose dependencies are as they are now; whether there was one.

    Nothing is done where the outputs that dvc.lock names are in the cache: then DVC knows of them, and was told to run.
    Errors: `UserError` where nothing was done, and ONLY_RESTORE forbids the training.
    """
    from dvc.config import Config

    root = Path(root)
    configured = Config(str((root / ".dvc").absolute()))["cache"].get("dir")
    cache, lock, entry = Path(configured or root / ".dvc/cache"), root / "dvc.lock", {}
    if lock.is_file():
        # The C loader takes a tenth of safe_load's time.
        content = yaml.CSafeLoader(lock.read_text(encoding="utf-8")).get_single_data() or {}
        entry = content.get("stages", {}).get(stage, {})
    deps = entry.get("deps", [])
    if not _complete(entry, cache) and all(_digest(root / dep["path"]) == dep.get("md5") for dep in deps):
        bare = [{name: value for name, value in dep.items() if name not in ("size", "nfiles")} for dep in deps]
        key = json.dumps(entry | {"deps": bare, "outs": [out["path"] for out in entry["outs"]]}, sort_keys=True)
        folder = cache / "runs" / (name := hashlib.sha256(key.encode()).hexdigest())[:2] / name
        for file in sorted(folder.glob("*"), key=os.path.getmtime, reverse=True):
            run = yaml.CSafeLoader(file.read_text(encoding="utf-8")).get_single_data()
            if _complete(run, cache):
                for out in run["outs"]:
                    _copy(cache, out["md5"], root / out["path"])
                return True
    if os.environ.get(ONLY_RESTORE) and stage.startswith("train"):
        raise UserError(f"{stage}: is not in the remote, and nothing is trained here")
    return False


def _complete(entry: dict[str, Any], cache: Path) -> bool:
    """Whether the cache has every output of an entry of dvc.lock or the run cache: cmd, deps, params, outs."""
    digests = [out["md5"] for out in entry.get("outs", []) if "md5" in out and out.get("cache", True)]
    return all((cache / "files/md5" / digest[:2] / digest[2:]).is_file() for digest in digests)


def _digest(path: Path) -> str | None:
    """DVC's hash of a file, or of a folder: that of the list of its files. None where nothing is there."""
    if path.is_dir():
        names = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
        listing = [{"md5": _digest(file), "relpath": name} for name, file in names]
        return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _copy(cache: Path, digest: str, target: Path) -> None:
    """Copy a file of the cache, or every file of a folder's list."""
    source = cache / "files/md5" / digest[:2] / digest[2:]
    if digest.endswith(".dir"):
        for file in json.loads(source.read_text(encoding="utf-8")):
            _copy(cache, file["md5"], target / file["relpath"])
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
