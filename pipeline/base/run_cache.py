"""What DVC's run cache holds although DVC does not look: trainings that another machine's dvc.lock hides.

Where dvc.lock agrees with a stage's command and dependencies, DVC takes the hashes of its outputs from there. If they
were made on another kind of processor, the cache here lacks them, and DVC runs the stage without a look at the run
cache. `forget_absent` takes such entries out of dvc.lock before dvc starts; the stage itself calls `restore`.
Run-cache entries are <cache>/runs/<2 digits>/<key>/<value>, objects <cache>/files/md5/<2 digits>/<rest>.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import UserError
from pipeline.base.files import write_text

ONLY_RESTORE = "TRANSGAN_ONLY_RESTORE"  # environment variable: no stage may train
Entry = dict[str, Any]  # of a stage in dvc.lock, or in the run cache: cmd, deps, params, outs


def forget_absent(root: str | Path = ".") -> list[str]:
    """Take stages out of dvc.lock whose outputs the cache lacks and whose run the run cache has; returns their names.

    DVC then looks these up in the run cache, by the dependencies as they are. Without dvc.lock nothing is done.
    """
    stages, cache = _stages(root), _cache(root)
    hidden = [name for name, entry in stages.items() if _hidden_run(entry, cache)]
    if hidden:
        kept = {name: entry for name, entry in stages.items() if name not in hidden}
        write_text(Path(root) / "dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": kept}, sort_keys=False))
    return hidden


def restore(stage: str, root: str | Path = ".") -> bool:
    """Write the outputs of a recorded run of `stage`, whose dependencies are as they are now; whether there was one.

    Nothing is done where the outputs that dvc.lock names are in the cache: then DVC knows of them, and was told to run.
    Errors: `UserError` where nothing was done, and ONLY_RESTORE forbids to make a run.
    """
    root, cache = Path(root), _cache(root)
    entry = _stages(root).get(stage, {})
    run = _hidden_run(entry, cache)
    if run and all(_digest(root / dep["path"]) == dep.get("md5") for dep in entry.get("deps", [])):
        for out in run["outs"]:
            _copy(cache, out["md5"], root / out["path"])
        return True
    if os.environ.get(ONLY_RESTORE):
        raise UserError(f"{stage}: is not in the remote, and nothing is trained here")
    return False


def _stages(root: str | Path) -> dict[str, Entry]:
    with suppress(FileNotFoundError, yaml.YAMLError):  # dvc refuses a broken one, and says where
        text = (Path(root) / "dvc.lock").read_text(encoding="utf-8")
        # The C loader takes a tenth of safe_load's time.
        return dict((yaml.CSafeLoader(text).get_single_data() or {}).get("stages") or {})
    return {}


def _cache(root: str | Path) -> Path:
    from dvc.config import Config

    folder = Path(root) / ".dvc"
    return Path(Config(str(folder.absolute()))["cache"].get("dir") or folder / "cache")


def _hidden_run(entry: Entry, cache: Path) -> Entry | None:
    """The newest recorded run with the command and dependencies of `entry` whose outputs are all in the cache.

    None where there is no such run, and where the outputs that `entry` names are in the cache themselves.
    """
    sizes = ("size", "nfiles")
    deps = [{name: value for name, value in dep.items() if name not in sizes} for dep in entry.get("deps", [])]
    key = json.dumps(entry | {"deps": deps, "outs": [out["path"] for out in entry.get("outs", [])]}, sort_keys=True)
    folder = cache / "runs" / (name := hashlib.sha256(key.encode()).hexdigest())[:2] / name
    newest = sorted(folder.glob("*"), key=os.path.getmtime, reverse=True)
    if not newest or _complete(entry, cache):
        return None
    runs: Iterator[Entry] = (yaml.CSafeLoader(file.read_text(encoding="utf-8")).get_single_data() for file in newest)
    return next((run for run in runs if _complete(run, cache)), None)


def _complete(entry: Entry, cache: Path) -> bool:
    """Whether the cache has every output of `entry`."""
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
