"""Iterations of a training on the hollow GPU: kernels launched, attention kernels, waits, peak; a line of JSON.

    python tests/hollow/probe.py cifar10 full precision=bf16 [name=value ...] [--images 50000] [--kernels 20]

Settings are those of `train`. `accumulate=auto` doubles the parts of a batch until an iteration fits, as a training
does. HOLLOW_GIB=24 gives the device another memory, HOLLOW_SM=80 another architecture. Builds the hollow GPU at the
first call, into the folder for temporary files. No number is computed: values on the device mean nothing.
"""

import argparse
import collections
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COUNTS = ("launches", "products", "waits", "to_host", "to_device", "on_device", "memsets")
FUSED = {
    "fused_forward": ("fmha_cutlassF", "flash_fwd"),
    "fused_backward": ("fmha_cutlassB", "flash_bwd_dq_dk_dv_loop"),
    "biased_forward": ("fmha_cutlassF",),
    "biased_backward": ("fmha_cutlassB",),
    "softmax": ("softmax",),
    "upsample": ("upsample",),
}
MOST_PARTS = 64
INITIALISERS = ("trunc_normal_", "kaiming_uniform_", "xavier_uniform_", "uniform_", "normal_", "orthogonal_")


def build() -> Path:
    """Folder of the two libraries, made where it is not there. Errors: `CalledProcessError`, `FileNotFoundError`."""
    sources = [HERE / "runtime.c", HERE / "driver.c"]
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"hollow_gpu_{os.getuid()}_{key}"
    if (folder / "libcuda.so").exists():
        return folder
    folder.mkdir(mode=0o700, exist_ok=True)
    headers = Path(sysconfig.get_paths()["purelib"]) / "triton/backends/nvidia/include"
    plain = ["gcc", "-shared", "-fPIC", "-O1", "-w"]
    runtime, driver = folder / "libhollow.so", folder / "libcuda.so.1"
    subprocess.run([*plain, f"-I{headers}", sources[0], "-o", runtime, "-lpthread"], check=True)
    subprocess.run([*plain, "-Wl,-soname,libcuda.so.1", sources[1], "-o", driver], check=True)
    (folder / "libcuda.so").symlink_to(driver.name)
    return folder


def environment(**changes: str) -> dict[str, str]:
    """Environment variables of a process that sees the hollow GPU."""
    folder = build()
    return {
        **os.environ,
        "HOLLOW": str(folder / "libhollow.so"),
        "LD_PRELOAD": str(folder / "libhollow.so"),
        "LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        "PYTHONPATH": str(ROOT),
        **changes,
    }


def measure(*arguments: str, timeout: float = 600, **changes: str) -> dict[str, Any]:
    """What a process of this script with these arguments found. Errors: `RuntimeError` with what it wrote."""
    command = [sys.executable, "-W", "ignore", str(HERE / "probe.py"), "--inside", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**changes), capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"hollow GPU: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def iterations(dataset: str, variant: str, changes: dict[str, str], images: int, kernels: int) -> dict[str, Any]:
    """Two iterations, the second of which is counted."""
    import numpy as np
    import torch

    for name in INITIALISERS:  # weights mean nothing here, and drawing them takes longest
        setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    from pipeline.base.machine import out_of_memory
    from pipeline.plan.config import load, resolve_cell
    from pipeline.training.config import TrainConfig
    from pipeline.training.data import RealImages
    from pipeline.training.execution import set_kernels
    from pipeline.training.state import build as build_networks
    from pipeline.training.step import iteration

    cell = resolve_cell(load(), dataset, variant)
    settings = cell.train.model_dump()
    for key, value in changes.items():
        *above, name = key.split(".")
        section = settings
        for part in above:
            section = section[part]
        section[name] = json_value(value)
    config = TrainConfig.model_validate(settings)
    hollow, device, side = ctypes.CDLL(os.environ["HOLLOW"]), torch.device("cuda", 0), cell.network.resolution
    driver = ctypes.CDLL("libcuda.so.1")
    set_kernels(config, device)
    torch.backends.cudnn.enabled = False  # it asks for a real device
    array = np.zeros((images, cell.network.channels, side, side), np.uint8)  # of which no page is ever touched
    parts = config.parts
    while True:
        now = config.model_copy(update={"accumulate": parts})
        networks = build_networks(cell.network, now, device)
        data = RealImages(array, seed=0, flip=config.flip, device=device)
        try:
            for step in (1, 2):
                hollow.hollow_reset()
                driver.hollow_driver_reset()
                torch.cuda.reset_peak_memory_stats()
                iteration(networks, data, now, step)
            break
        except RuntimeError as error:
            if not out_of_memory(error) or config.accumulate != "auto" or parts == MOST_PARTS:
                raise
        del networks, data
        torch.cuda.empty_cache()
        parts *= 2
    values = (ctypes.c_long * len(COUNTS))()
    hollow.hollow_counts(values)
    with tempfile.NamedTemporaryFile("r") as file:
        hollow.hollow_kernels(file.name.encode())
        rows = [(int(count), name) for count, name in (line.rstrip("\n").split("\t", 1) for line in file)]
    found: dict[str, Any] = {"dataset": dataset, "variant": variant, "settings": changes, "parts": parts}
    found |= {"peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2), "resident": data.resident}
    found |= dict(zip(COUNTS, values, strict=True))
    found["compiled"] = driver.hollow_driver_launches()
    for kind, names in FUSED.items():
        found[kind] = sum(count for count, kernel in rows if any(name in kernel for name in names))
    if kernels:
        most = collections.Counter({name[:200]: count for count, name in rows}).most_common(kernels)
        print("\n".join(f"{count:6} {name}" for name, count in most))
    return found


def json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("variant")
    parser.add_argument("settings", nargs="*", metavar="name=value")
    parser.add_argument("--images", type=int, default=4096, help="in the data set")
    parser.add_argument("--kernels", type=int, default=0, help="so many kernels by their launches")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_intermixed_args()
    if not given.inside:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-W", "ignore", *sys.argv, "--inside"], environment())
    changes = dict(entry.split("=", 1) for entry in given.settings)
    print(json.dumps(iterations(given.dataset, given.variant, changes, given.images, given.kernels)))
    sys.stdout.flush()
    os._exit(0)  # without the destructors of a device that is not there


if __name__ == "__main__":
    main()
