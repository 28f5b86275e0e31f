"""The pieces of `make gpu-check`: each a generator of (what was measured, values), written as they come.

python -m benchmarks.gpu_pieces kernels --out FOLDER
"""

import argparse
import copy
import itertools
import json
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import matmul_peak, synchronize
from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write
from pipeline.base.images import to_uint8
from pipeline.base.machine import out_of_memory, peak_memory, provenance
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.attention import fused_attention
from pipeline.networks.transgan.blocks import bicubic_matrix, resample, to_map
from pipeline.training.config import TrainConfig
from pipeline.training.data import RealImages
from pipeline.training.execution import set_kernels
from pipeline.training.state import build
from pipeline.training.step import discriminator_gradients, generator_gradients, iteration

CELLS = Path(__file__).parent / "gpu_cells.json"
MODES = {
    "bf16": {"precision": "bf16"},
    "bf16_compiled": {"precision": "bf16", "execution": "compiled"},
    "bf16_graphs": {"precision": "bf16", "execution": "compiled_graphs"},
}
SAMPLES = 8192
SAMPLES_A_FILE = 4096  # of 32 x 32 pixels: 12 MiB
Measured = Iterator[tuple[str, dict[str, Any]]]


def cell(name: str, small: bool, **changes: Any) -> tuple[NetworkSpec, TrainConfig]:
    """A cell of gpu_cells.json with changed settings; the digits in place of any where the check itself is tried."""
    content = json.loads(CELLS.read_text(encoding="utf-8"))["digits" if small else name]
    return NetworkSpec.model_validate(content["network"]), TrainConfig.model_validate(content["train"] | changes)


def noise(spec: NetworkSpec, count: int = 512) -> np.ndarray:
    """Images (N, C, H, W) uint8 that mean nothing."""
    shape = (count, spec.channels, spec.resolution, spec.resolution)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def seconds_of(work: Any, device: torch.device, repeats: int) -> float:
    """The least seconds of a call, after one that does not count."""
    found = []
    for _ in range(repeats + 1):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return min(found[1:])


def kernels(device: torch.device, small: bool, given: argparse.Namespace) -> Measured:
    """Names of attention kernels, bicubic backward, one iteration of three data sets with its peak."""
    for size in (16, 6):
        inputs = [torch.randn(8, 4, 64, size, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in "qkv"]
        bias = torch.randn(4, 64, 64, device=device, dtype=torch.bfloat16, requires_grad=True)
        with torch.profiler.profile() as profile:
            fused_attention(*inputs, bias).float().sum().backward()
            synchronize(device)
        names = sorted({event.key for event in profile.key_averages() if "fmha" in event.key or "flash" in event.key})
        if device.type == "cuda":
            assert any("fmha_cutlassF" in name for name in names), f"no fused forward kernel: {names}"
            assert any("fmha_cutlassB" in name for name in names), f"no fused backward kernel: {names}"
        yield f"attention with a bias, heads of {size}", {"kernels": [name[:60] for name in names]}
    x = torch.randn(2 if small else 128, 64, 256, device=device, requires_grad=True)
    matrix = bicubic_matrix(8, 2).to(device)
    products = seconds_of(lambda: torch.autograd.grad(resample(x, matrix).sum(), x), device, 5)
    plain = seconds_of(
        lambda: torch.autograd.grad(F.interpolate(to_map(x, 8), scale_factor=2, mode="bicubic").sum(), x), device, 5
    )
    yield "bicubic, forward and backward, 8 to 16 pixels", {"products_ms": 1e3 * products, "torch_ms": 1e3 * plain}
    expected = json.loads(CELLS.read_text(encoding="utf-8"))["peak_gib"]
    for name, parts in (("cifar10", 1), ("celeba64", 1), ("church256", 2)):
        spec, config = cell(name, small, precision="bf16", accumulate=1 if small else parts)
        try:
            networks = build(spec, config, device)
            data = RealImages(noise(spec), seed=0, flip=True, device=device)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            values = {"seconds": seconds_of(partial(iteration, networks, data, config, 1), device, 1)}
            values |= {"parts": parts, "peak_gib": peak_memory(device) / 1024, "hollow_gib": expected[name]}
            del networks, data
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            values = {"out_of_memory": str(error).splitlines()[0]}
        yield f"an iteration of {name}, bf16", values


def step(device: torch.device, small: bool, given: argparse.Namespace) -> Measured:
    """Every mode in a process of its own, nothing else resident; the compiler's cache is kept."""
    for mode in ["bf16"] if small else MODES:
        command = [sys.executable, "-m", "benchmarks.gpu_pieces", "step", "--mode", mode, "--out", str(given.out)]
        subprocess.run([*command, *(["--small"] if small else [])], check=False)
    return
    yield


def step_mode(device: torch.device, small: bool, given: argparse.Namespace) -> Measured:
    """Seconds of iterations of CIFAR-10 `full` in one mode."""
    spec, config = cell("cifar10", small, **MODES[given.mode])
    networks, data = build(spec, config, device), RealImages(noise(spec), seed=0, flip=True, device=device)
    began = time.perf_counter()
    iteration(networks, data, config, 1)
    synchronize(device)
    first, numbers = time.perf_counter() - began, itertools.count(2)
    seconds = seconds_of(lambda: iteration(networks, data, config, next(numbers)), device, 2 if small else 20)
    images = config.critic_steps * config.batch_discriminator
    values = {"seconds": seconds, "images_per_s": images / seconds, "first_s": first}
    yield given.mode, values | {"peak_gib": peak_memory(device) / 1024}


def gradients(
    spec: NetworkSpec, config: TrainConfig, device: torch.device, times: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of D's loss without its penalty's noise and of G's, at weights and numbers drawn on the CPU."""
    torch.manual_seed(3)
    networks = build(spec, config, device)
    real = torch.rand(config.batch_discriminator, spec.channels, spec.resolution, spec.resolution) * 2 - 1
    original = {name: getattr(torch, name) for name in ("rand", "randn", "randint")}
    for name, function in original.items():
        moved = lambda *a, f=function, device=None, **k: f(*a, **k).to(device or "cpu")  # noqa: E731
        setattr(torch, name, moved)
    try:
        for _ in range(times):
            networks.generator.zero_grad()
            networks.discriminator.zero_grad()
            torch.manual_seed(5)
            discriminator_gradients(networks, real.to(device), config, weight=config.penalty_weight)
            of_d = [weight.grad.flatten().cpu() for weight in networks.discriminator.parameters()]
            generator_gradients(networks, config, real=real.to(device))
    finally:
        for name, function in original.items():
            setattr(torch, name, function)
    return torch.cat(of_d), torch.cat([weight.grad.flatten().cpu() for weight in networks.generator.parameters()])


def equality(device: torch.device, small: bool, given: argparse.Namespace) -> Measured:
    """Gradients of a small network against the CPU's, CUDA graphs against eager, a state put back."""
    strict = {"precision": "fp32", "execution": "eager", "batch_discriminator": 8, "batch_generator": 8}
    spec, config = cell("digits", True, **strict)

    def apart(ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...]) -> float:
        return max(((a - b).norm() / b.norm()).item() for a, b in zip(ours, theirs, strict=True))

    eager = gradients(spec, config, device)
    yield "fp32 gradients against the CPU's", {"apart": apart(eager, gradients(spec, config, torch.device("cpu")))}
    if device.type == "cuda":
        _, graphs = cell("digits", True, **strict | {"execution": "compiled_graphs"})
        yield "CUDA graphs against eager", {"apart": apart(gradients(spec, graphs, device, times=4), eager)}
    data, outcomes = RealImages(noise(spec), seed=0, flip=True, device=device), []
    for cut in (None, 2):
        torch.manual_seed(0)
        networks = build(spec, config, device)
        for number in range(1, 5):
            if number == cut:
                state = State(networks, device).capture(number)
                networks = build(spec, config, device)
                State(networks, device).put_back(state)
            iteration(networks, data, config, number)
        outcomes.append(torch.cat([weight.detach().flatten().cpu() for weight in networks.generator.parameters()]))
    yield "four iterations, with and without a state put back", {"equal": torch.equal(*outcomes)}


class State:
    """All that an interrupted training goes on from."""

    def __init__(self, networks: Any, device: torch.device):
        self.parts = [*networks.modules, networks.optimizer_g, networks.optimizer_d]
        self.device = device

    def capture(self, number: int, **more: Any) -> dict[str, Any]:
        of_device = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        copies = copy.deepcopy([part.state_dict() for part in self.parts])
        return {"number": number, "random": [torch.get_rng_state(), *of_device], "parts": copies, **more}

    def put_back(self, state: dict[str, Any]) -> None:
        for part, content in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(content)
        torch.set_rng_state(state["random"][0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"][1], self.device)


def read_images(folder: Path | None, spec: NetworkSpec) -> np.ndarray:
    """(N, C, H, W) uint8 of a folder: .npy, .npz (first array of images), or CIFAR-10's Python batches.

    Errors: `UserError` where there are none of this shape.
    """
    if folder is None:
        raise UserError("--data: given nothing; allowed: a folder with CIFAR-10")
    shape, found = (spec.channels, spec.resolution, spec.resolution), []
    for path in sorted(folder.rglob("*.np[yz]")):
        loaded = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        found += [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]
    for path in sorted(folder.rglob("data_batch_[1-5]")):
        with open(path, "rb") as file:
            found.append(pickle.load(file, encoding="bytes")[b"data"].reshape(-1, *shape))
    turned = [a.transpose(0, 3, 1, 2) if a.ndim == 4 and a.shape[1:] == (*shape[1:], shape[0]) else a for a in found]
    fitting = [array for array in turned if array.dtype == np.uint8 and array.shape[1:] == shape]
    if not fitting:
        raise UserError(f"--data: given {str(folder)!r}; allowed: a folder with arrays (N, {shape}) of uint8")
    return max(fitting, key=len) if len({len(a) for a in fitting}) > 1 else np.concatenate(fitting)


def training(device: torch.device, small: bool, given: argparse.Namespace) -> Measured:
    """CIFAR-10 `full` in the fastest mode found, --seconds long; it stores its state, and goes on from it."""
    mode = given.mode or fastest(given.out / "gpu.jsonl")
    spec, config = cell("cifar10", small, **(MODES[mode] if device.type == "cuda" else {}))
    images = noise(spec) if small and given.data is None else read_images(given.data, spec)
    torch.manual_seed(0)
    networks = build(spec, config, device)
    state, path, began, stopped = State(networks, device), given.out / "training.pt", time.monotonic(), []
    number, history, before = 0, [], 0.0
    if path.is_file():
        stored = torch.load(path, map_location=device, weights_only=True)
        stored["random"] = [value.cpu() for value in stored["random"]]
        state.put_back(stored)
        number, history, before = stored["number"], stored["history"], stored["seconds"]
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    data, each = RealImages(images, seed=0, flip=config.flip, device=device), 1 if small else 50
    per_step = config.critic_steps * config.batch_discriminator / 1000
    with FlopCounterMode(display=False) as counter:
        iteration(networks, data, config.model_copy(update={"execution": "eager"}), number + 1)
    flops, peak, number = (
        counter.get_total_flops(),
        matmul_peak(device, torch.bfloat16, 256 if small else None),
        number + 1,
    )
    warm, start = None, number
    while not stopped and time.monotonic() - began < given.seconds:
        number += 1
        scalars = iteration(networks, data, config, number)
        if warm is None:
            synchronize(device)
            warm, start = time.monotonic(), number
        if number % each == 0:
            history.append([number * per_step, *(round(float(scalars[name]), 5) for name in ("loss_d", "loss_g"))])
            if not all(map(np.isfinite, history[-1])):
                yield f"diverged at {number * per_step:.1f} kimg", {"mode": mode, "history": history[-5:]}
                return
    synchronize(device)
    now = time.monotonic()
    seconds = before + now - began
    with atomic_write(path) as temporary:
        torch.save(state.capture(number, history=history, seconds=seconds), temporary)
    per_iteration = (now - warm) / max(number - start, 1) if warm else float("nan")
    values = {"mode": mode, "kimg": number * per_step, "seconds": seconds, "seconds_per_iteration": per_iteration}
    values |= {"images_per_s": 1000 * per_step / per_iteration, "tflop_per_iteration": flops / 1e12}
    values |= {"flop_utilisation": flops / per_iteration / peak, "matmul_tflop_per_s": peak / 1e12}
    yield "training", values | {"peak_gib": peak_memory(device) / 1024, "stopped_by_signal": bool(stopped)}
    yield "losses by kimg (kimg, D, G)", {"curve": history[:: max(len(history) // 20, 1)]}
    latents = torch.randn(
        8 if small else SAMPLES, spec.generator.latent_dim, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        drawn = torch.cat([to_uint8(networks.ema(part.to(device))).cpu() for part in latents.split(256)]).numpy()
    files = []
    for index, start in enumerate(range(0, len(drawn), SAMPLES_A_FILE)):
        files.append(f"samples_{number * per_step:.0f}kimg_{index}.npy")
        np.save(given.out / files[-1], drawn[start : start + SAMPLES_A_FILE])
    yield "samples of the averaged generator", {"files": files, "images": len(drawn)}


def fastest(path: Path) -> str:
    """The mode of the fewest seconds that `step` has measured here; bf16 eager without any."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines() if path.is_file() else [])
    seconds = {line["measured"]: line["values"]["seconds"] for line in lines if line["piece"] == "step"}
    return min(seconds, key=seconds.__getitem__, default="bf16")


def main() -> None:
    pieces = {"kernels": kernels, "step": step, "equality": equality, "training": training}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("piece", choices=pieces)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    device = torch.device("cpu" if given.small else "cuda")
    set_kernels(cell("cifar10", given.small, threads=1)[1], device)
    known = {"device": provenance(device)["device"], "torch": torch.__version__}
    piece = step_mode if given.piece == "step" and given.mode else pieces[given.piece]
    for measured, values in piece(device, given.small, given):
        line = {"piece": given.piece, "measured": measured, "values": values, **known}
        line["date"] = datetime.now().isoformat(timespec="seconds")
        with open(given.out / "gpu.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
