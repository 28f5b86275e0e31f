"""Stage `collect@<cell>`: what git keeps of one cell -> results/<cell>.json and results/<cell>/."""

from pipeline.base.cell import Cell
from pipeline.base.errors import ArgumentParser, command_line
from pipeline.matrix.collect import collect_cell


@command_line
def main() -> None:
    parser = ArgumentParser(prog="python -m stages.collect", description=__doc__)
    parser.add_argument("cell")
    cell = Cell.parse(parser.parse_args().cell)
    copied = collect_cell(cell)
    print(f"collect: {cell}: {copied} files -> results/{cell}.json and results/{cell}/", flush=True)


if __name__ == "__main__":
    main()
