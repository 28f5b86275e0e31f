"""Stage `prepare@<dataset>`: images read, checked and stored once -> data/<dataset>/."""

from pipeline.data.array import write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.readers import read
from pipeline.errors import command_line
from pipeline.stage import begin


@command_line
def main() -> None:
    plan, at = begin(__doc__, "prepare", DataConfig, cell=False)
    images, labels, facts = read(plan)
    write_dataset(f"data/{at.name}", images, labels, {"dataset": at.name, **facts})
    print(f"prepare: {len(images):,} images of {images.shape[-1]} x {images.shape[-1]} -> data/{at.name}/", flush=True)


if __name__ == "__main__":
    main()
