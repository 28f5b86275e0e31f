"""DVC's remote as the transport between machines: which one, which cells it holds, how results get there.

A run-cache entry says which outputs a stage had for which dependencies. A cell is in the remote when the entries of all
its stages are, each for the outputs of the one before, and the outputs too. DVC pushes a folder's listing after the
folder's files, so a listing that is there means that the files are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from dvc.config import NoRemoteError
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta

from pipeline.base.errors import UserError
from pipeline.matrix.cluster.units import CACHED, address

NO_RUN_CACHE = ("http", "https")


def check_remote(repo: Repo) -> str:
    """The address of the default remote. Errors: `UserError` where there is none, or it keeps no run cache."""
    try:
        remote = repo.cloud.get_remote()
    except (NoRemoteError, DvcException) as error:
        raise UserError(
            f"no DVC remote to carry results between machines ({' '.join(str(error).split())}): "
            "`dvc remote add --default store /shared/folder`, or an address of S3, GS, Azure or ssh"
        ) from None
    if remote.fs.protocol in NO_RUN_CACHE:
        raise UserError(
            f"remote {remote.name}: {remote.fs.protocol} carries no run cache, so a head could not know which cells "
            "are trained; use a folder, S3, GS, Azure or ssh"
        )
    return str(repo.config["remote"][remote.name]["url"])


class RemoteCells:
    """Which cells the default remote holds, for the plan, images and code in the workspace of `repo`.

    The run cache is listed once, when this is made.
    """

    def __init__(self, repo: Repo):
        self.repo = repo
        self.objects = repo.cloud.get_remote_odb(None, "status", hash_name="md5")
        self.entries = repo.cloud.get_remote_odb(None, "status", hash_name="md5-dos2unix")
        self.stages = {stage.name: stage for stage in repo.index.stages}
        self.hashes: dict[str, HashInfo] = {}  # of dependencies, by path
        self.listed: dict[str, list[str]] = {}
        runs = f"{self.entries.path}/runs"
        if self.entries.fs.exists(runs):
            for file in self.entries.fs.find(runs):
                self.listed.setdefault(Path(file).parent.name, []).append(str(file))

    def holds(self, cell: str, upto: str = CACHED[-1]) -> bool:
        """Whether the outputs of the cell's stages, up to and including `upto`, are all there."""
        wanted = CACHED[: CACHED.index(upto) + 1]
        if not self._objects_there(found := self._values(address(wanted[0], cell), {})):
            return False
        return any(
            all(self._objects_there(self._values(address(stage, cell), trained)) for stage in wanted[1:])
            for trained in found
        )

    def record_of(self, cell: str) -> str | None:
        """The listing's hash of the trained run of `cell`; None where it is not there."""
        found = self._values(address("train", cell), {})
        return next((hashed.value for outs in found for hashed in outs.values()), None)

    def _values(self, name: str, upstream: dict[str, HashInfo]) -> list[dict[str, HashInfo]]:
        """The outputs ({path: hash}) of each recorded run of a stage; `upstream` has those of the stage before."""
        stage = self.stages.get(name)
        if stage is None:
            return []
        for dep in stage.deps:
            dep.meta, dep.hash_info = Meta(), upstream.get(dep.def_path) or self._hash(dep)
        if not all(dep.hash_info for dep in stage.deps):
            return []
        found = []
        key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
        for file in self.listed.get(key, []):
            with self.entries.fs.open(file, "rb") as stream:
                outs = (yaml.safe_load(stream) or {}).get("outs", [])
            found.append({out["path"]: HashInfo(out.get("hash", "md5"), out["md5"]) for out in outs if "md5" in out})
        return found

    def _hash(self, dep: Any) -> HashInfo:
        """Of a dependency in the workspace; empty where it is missing."""
        if dep.def_path not in self.hashes:
            self.hashes[dep.def_path] = dep.get_hash() if dep.exists else HashInfo()
        return self.hashes[dep.def_path]

    def _objects_there(self, values: list[dict[str, HashInfo]]) -> bool:
        return any(all(self.objects.exists(hashed.value) for hashed in outs.values()) for outs in values)


@contextmanager
def opened(root: str | Path = ".") -> Iterator[Repo]:
    """DVC's repository at `root`. Errors: `UserError` for what its remote refuses, in one line."""
    with Repo(str(root)) as repo:
        try:
            yield repo
        except UserError:
            raise
        except Exception as error:  # the clients of S3, GS, Azure and ssh have errors of their own
            raise UserError(f"the DVC remote cannot be read ({' '.join(str(error).split())})") from error


def copy_remotes(source: str | Path, clone: str | Path) -> None:
    """Give `clone` the remotes that `source` knows, those that no commit has too. Relative folders become absolute."""
    with Repo(str(source)) as known, Repo(str(clone)) as repo, repo.config.edit("local") as local:
        for name, settings in known.config["remote"].items():
            local["remote"][name] = dict(settings)
        if known.config["core"].get("remote"):
            local["core"]["remote"] = known.config["core"]["remote"]
