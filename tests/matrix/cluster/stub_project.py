"""A project whose stages do next to nothing, driven by the real dvc and the real workers: seconds instead of minutes.

Its training keeps the real locks, work folder and watchdog, and stores its state after every step. `log` has a line for
each step that was trained and stored.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from repository import Repository

ROOT = Path(__file__).parent.parent.parent.parent
DVC = """\
stages:
  plan:
    cmd: python stub.py plan
    deps: [stub.py]
    params: [matrix]
    outs:
    - plan: {cache: false}
  prepare:
    matrix: {dataset: "${matrix.datasets}"}
    cmd: python stub.py prepare ${item.dataset}
    deps: ["plan/prepare/${item.dataset}.yaml"]
    outs:
    - data/${item.dataset}: {push: false}
  reference:
    matrix: {dataset: "${matrix.datasets}"}
    cmd: python stub.py reference ${item.dataset}
    deps: ["data/${item.dataset}"]
    outs: ["reference/${item.dataset}"]
  collect_reference:
    matrix: {dataset: "${matrix.datasets}"}
    cmd: python stub.py collect_reference ${item.dataset}
    deps: ["reference/${item.dataset}"]
    outs: ["answers/${item.dataset}"]
  summary:
    cmd: python stub.py summary
    deps: [plan/index.json]
    outs: [summary]
  report:
    cmd: python stub.py report
    deps: [plan/index.json]
    outs: [reports]
"""
CELL_STAGE = """\
  {stage}:
    matrix: {{dataset: "${{matrix.datasets}}", variant: "${{matrix.variants}}", seed: "${{matrix.seeds}}"}}
    cmd: python stub.py {stage} ${{item.dataset}}/${{item.variant}}/seed${{item.seed}}
    deps: [{deps}]
    outs: ["{out}/${{item.dataset}}/${{item.variant}}/seed${{item.seed}}"]
"""
CELL = "${item.dataset}/${item.variant}/seed${item.seed}"
STAGES = {
    "train": (f"plan/train/{CELL}.yaml", "runs", "data/${item.dataset}"),
    "measure": (f"runs/{CELL}", "measured", "reference/${item.dataset}"),
    "illustrate": (f"runs/{CELL}", "illustrations", "reference/${item.dataset}"),
    "collect": (f"measured/{CELL}", "results", f"illustrations/{CELL}"),
}
STUB = """\
import hashlib, json, os, signal, sys, time
from pathlib import Path

import yaml

stage, cell = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
matrix = yaml.safe_load(open("params.yaml"))["matrix"]
STEPS, SECONDS = matrix["steps"], matrix["seconds"]


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def plan():
    cells = []
    for dataset in matrix["datasets"]:
        write(f"plan/prepare/{dataset}.yaml", f"source: {matrix['source']}\\n")
        for variant in matrix["variants"]:
            for seed in matrix["seeds"]:
                twin = "full" if variant == "again" else None
                cells.append(dict(dataset=dataset, variant=variant, seed=seed, kimg=STEPS, twin_of=twin))
                write(f"plan/train/{dataset}/{variant}/seed{seed}.yaml", f"train: {{seed: {seed}}}\\n")
    write("plan/index.json", json.dumps({"datasets": matrix["datasets"], "cells": cells}))


def train():
    from pipeline.base.files import write_json
    from pipeline.base.run_cache import restore
    from pipeline.runs.processes import end_with_worker
    from pipeline.runs.work_dirs import WORKER
    from pipeline.runs.work_dirs import only_trainer, work_folder

    try:
        restore("train@" + cell.replace("/seed", "-").replace("/", "-"))
    except Exception as error:
        sys.exit(f"error: {error}")
    end_with_worker()
    out, stop = Path("runs") / cell, []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.append(number))
    key = hashlib.sha256(cell.replace("again", "full").encode()).hexdigest()
    twin = Path("runs") / cell.replace("again", "full") / "run.json"
    with only_trainer(out, cell), work_folder(key, cell, print) as work:
        if "again" in cell and twin.is_file():
            write(out / "run.json", json.dumps(json.loads(twin.read_text()) | {"copied_from": "full"}))
            return
        state = work / "step.json"
        stored = json.loads(state.read_text()) if state.is_file() else 0
        logged = open(os.environ["STUB_LOG"]).read().splitlines()
        with open(os.environ["STUB_LOG"], "a") as log:  # a step that was stored, and its process killed before this
            log.writelines(f"{cell} {step}\\n" for step in range(stored) if f"{cell} {step}" not in logged)
        for step in range(stored, STEPS):
            time.sleep(SECONDS)
            write_json(work / "progress.json", dict(cell=cell, kimg=step + 1, planned=STEPS, seconds_per_kimg=SECONDS,
                       seconds_left=(STEPS - step - 1) * SECONDS, updated=time.time()))
            write_json(state, step + 1)
            with open(os.environ["STUB_LOG"], "a") as log:
                log.write(f"{cell} {step}\\n")
            if stop:
                sys.exit("error: stopped, its state is stored")
        write(out / "weights", cell)
        write(out / "run.json", json.dumps({"key": key, "status": "ok", "libraries": {}}))
        if not os.environ.get(WORKER):
            import shutil
            shutil.rmtree(work)


if stage in ("plan", "train"):
    globals()[stage]()
else:
    out = {"prepare": "data", "reference": "reference", "measure": "measured", "illustrate": "illustrations",
           "collect": "results", "collect_reference": "answers", "summary": "summary", "report": "reports"}[stage]
    with open(os.environ["STUB_LOG"], "a") as log:
        log.write(f"{stage} {cell}\\n")
    write(f"{out}/{cell}/{stage}.txt", f"{stage} {cell}")
"""


class Head(Repository):
    """The repository of a head, with a folder as the remote, `store`, and a work folder beside it."""

    work: Path
    store: Path

    def environment(self) -> dict[str, str]:
        return super().environment() | {"TRANSGAN_WORK": str(self.work)}

    def revision(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    def run(self, module: str, *arguments: str, at: Path | None = None) -> tuple[int, str]:
        """`python -m module` in the head, or in another clone: (exit status, output)."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=at or self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=1800,
        )
        return done.returncode, done.stdout + done.stderr

    def clone(self, name: str) -> Path:
        """Another head: a clone at the same revision that knows the same remote."""
        path = self.folder.parent / name
        self.git("clone", "--quiet", str(self.folder), str(path))
        return path


class StubProject(Head):
    """A head whose stages do next to nothing."""

    def __init__(self, folder: Path, *, variants=("full",), seeds=(0,), steps=3, seconds=0.05, source="digits"):
        self.folder, self.work, self.store, self.log = (folder / name for name in ("head", "work", "store", "log"))
        for path in (self.folder, self.work, self.store):
            path.mkdir(parents=True)
        self.log.touch()
        shutil.copytree(ROOT / "pipeline", self.folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
        for name in (".gitignore", ".dvcignore", "requirements.txt"):
            shutil.copyfile(ROOT / name, self.folder / name)
        cells = [
            CELL_STAGE.format(stage=stage, deps=", ".join(f'"{dep}"' for dep in (first, other)), out=out)
            for stage, (first, out, other) in STAGES.items()
        ]
        (self.folder / "dvc.yaml").write_text(DVC + "".join(cells))
        (self.folder / "stub.py").write_text(STUB)
        matrix = {"datasets": ["digits"], "variants": list(variants), "seeds": list(seeds)}
        settings = {"matrix": matrix | {"steps": steps, "seconds": seconds, "source": source}}
        (self.folder / "params.yaml").write_text(json.dumps(settings))
        self.git("init", "--quiet")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.invalid")
        (self.folder / ".dvc").mkdir()
        (self.folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
        (self.folder / ".dvc/config").write_text(
            f"[core]\n    analytics = false\n    check_update = false\n    remote = store\n"
            f"['remote \"store\"']\n    url = {self.store}\n"
        )
        (self.folder / ".gitignore").write_text(
            (self.folder / ".gitignore").read_text() + "/results/\n/answers/\n/reports/\n/summary/\n"
        )
        self.commit("start")

    def environment(self) -> dict[str, str]:
        return super().environment() | {"STUB_LOG": str(self.log)}

    def command(self, cell: str) -> list[str]:
        """A worker of `cell` that makes its clone."""
        module = ["-m", "pipeline.cli", "worker", "--other-libraries"]
        return [sys.executable, *module, "--cell", cell, "--revision", self.revision(), "--source", str(self.folder)]

    def start_worker(self, cell: str) -> subprocess.Popen:
        """That worker, as a process group of its own."""
        with open(self.folder.parent / f"{cell.replace('/', '-')}.log", "a") as log:
            return subprocess.Popen(
                self.command(cell),
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def logged(self) -> list[str]:
        return self.log.read_text().splitlines()
