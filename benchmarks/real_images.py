"""Real images through stage prepare, compared pixel by pixel with what they were.

    python -m benchmarks.real_images --cifar slice.npz --faces faces.zip

`slice.npz` holds exact CIFAR-10 pixels (train_images, train_labels, test_images, test_labels; (N, 32, 32, 3) uint8).
They are packed in the layout of the official archive, with that archive's own checksums as the expected ones, and
as PNG files. Both must come back equal. `faces` is a folder or zip of aligned CelebA faces, prepared at 64 and at 128.
"""

import argparse
import hashlib
import io
import pickle
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import CIFAR10

from pipeline.base.download import PublishedFile
from pipeline.base.errors import command_line
from pipeline.data.array import read_array, read_manifest
from pipeline.data.config import DataConfig
from pipeline.data.prepare import prepare
from pipeline.data.sources import OFFICIAL


def official_archive(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Five training batches and a test batch as the authors pickled them; makes their checksums the expected ones."""
    parts = zip(np.array_split(arrays["train_images"], 5), np.array_split(arrays["train_labels"], 5), strict=True)
    batches = {f"data_batch_{number}": part for number, part in enumerate(parts, 1)} | {
        "test_batch": (arrays["test_images"], arrays["test_labels"])
    }
    files = {
        name: pickle.dumps({"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), "labels": labels.tolist()})
        for name, (images, labels) in batches.items()
    }
    files["batches.meta"] = pickle.dumps({"label_names": [str(label) for label in range(10)]})
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    CIFAR10.train_list = [[name, sums[name]] for name in batches if name != "test_batch"]
    CIFAR10.test_list = [["test_batch", sums["test_batch"]]]
    CIFAR10.meta = CIFAR10.meta | {"md5": sums["batches.meta"]}
    with open(path, "rb") as file:
        checksum = hashlib.file_digest(file, "md5").hexdigest()
    OFFICIAL["cifar10"] = PublishedFile(
        file=path.name, address="none", size=path.stat().st_size, checksum=f"md5 {checksum}", published="this script"
    )


def run(source: str, path: Path, resolution: int, folder: Path) -> Path:
    began = time.perf_counter()
    prepare(DataConfig(source=source, resolution=resolution, channels=3, path=str(path)), source, folder)
    manifest = read_manifest(folder)
    print(
        f"  {manifest['count']:,} images of {manifest['shape']} in {time.perf_counter() - began:.1f} s; "
        f"{manifest['resize']}; {manifest.get('images', '')}; sha256 {manifest['images_sha256'][:16]}"
    )
    return folder


def check(what: str, equal: bool) -> None:
    print(f"  {what}: {'equal' if equal else 'DIFFERENT'}")


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_images", description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, np.load(given.cifar) as loaded:
        scratch, arrays = Path(scratch), dict(loaded)
        train, test = (arrays[f"{split}_images"].transpose(0, 3, 1, 2) for split in ("train", "test"))
        official_archive(arrays, scratch / "cifar-10-python.tar.gz")
        out = run("cifar10", scratch / "cifar-10-python.tar.gz", 32, scratch / "official")
        check(
            "official layout, training pixels and labels",
            np.array_equal(read_array(out), train)
            and np.array_equal(read_array(out, "labels"), arrays["train_labels"]),
        )
        check("official layout, test pixels", np.array_equal(read_array(out, "test"), test))
        (scratch / "png").mkdir()
        for index, image in enumerate(arrays["train_images"]):
            Image.fromarray(image).save(scratch / f"png/{index:05}.png")
        check(
            "PNG folder, pixels",
            np.array_equal(read_array(run("folder", scratch / "png", 32, scratch / "files")), train),
        )
        for resolution in (64, 128):
            run("folder", given.faces, resolution, scratch / f"faces{resolution}")


if __name__ == "__main__":
    main()
