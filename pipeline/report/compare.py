"""The command `transgan compare A B`: writes compare/README.md and compare/index.html (pipeline.report.revisions)."""

import tempfile
from pathlib import Path

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.base.files import user_path


@command_line
def main() -> None:
    parser = ArgumentParser(prog="transgan compare", description="Two revisions or experiments side by side.")
    parser.add_argument("first", help="A: commit, branch, experiment, or workspace")
    parser.add_argument("second", help="B: the same")
    parser.add_argument("--out", type=user_path, default=Path("compare"), help="folder to write (compare)")
    given = parser.parse_args()

    from pipeline.report.revisions import compare, snapshot  # imports matplotlib

    with tempfile.TemporaryDirectory() as scratch:
        first, second = (snapshot(name, Path(scratch)) for name in (given.first, given.second))
        path = compare(first, second, given.out)
    print(f"compare: {path}, {path.with_name('index.html')}", flush=True)
