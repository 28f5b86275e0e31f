"""Size and arithmetic of every geometry in conf/, for the report's cost table, computed without data or training.

    python -m pipeline.report.geometry         writes pipeline/report/cost_geometry.csv

The report reads the file, so that rendering it needs no torch; a test compares it with the networks.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.errors import ConfigError, command_line
from pipeline.base.files import write_text
from pipeline.generators.describe import describe
from pipeline.plan.compose import names
from pipeline.plan.config import load, resolve_cell
from pipeline.report.paper import HYBRIDS, PLAIN, SCALING

FILE = Path(__file__).with_name("cost_geometry.csv")
ATTENTION = ("standard_attention", "nystrom_attention", "axis_attention", "grid_attention")
# Each pair of networks once: a variant that changes the recipe alone has those of another row.
VARIANTS = tuple(dict.fromkeys((*ATTENTION, "full", *PLAIN, *HYBRIDS, *SCALING)))


def geometries(content: dict[str, Any]) -> pd.DataFrame:
    """A row per dataset and variant: parameters, and FLOPs (2 per multiply-add) of one image forward.

    Variants that conf/ does not have are left out, and so are those that a dataset's geometry does not allow.
    """
    rows = []
    for dataset in names(content, "dataset"):
        for variant in (name for name in VARIANTS if name in names(content, "variant")):
            try:
                found = describe(resolve_cell(content, dataset, variant))
            except ConfigError:
                continue
            row = {"dataset": dataset, "resolution": found["resolution"], "variant": variant}
            for short, network in (("g", found["generator"]), ("d", found["discriminator"])):
                row |= {f"parameters_{short}": network["parameters"], f"flops_{short}": network["forward_flops"]}
            rows.append(row)
    return pd.DataFrame(rows)


@command_line
def main() -> None:
    write_text(FILE, geometries(load()).to_csv(index=False))
    print(f"geometry: {FILE}")


if __name__ == "__main__":
    main()
