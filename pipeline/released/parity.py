"""The released training loop and this one, side by side: losses, gradients and weights of six D and two G steps.

    make parity RELEASED=/path/to/a/clone/of/the/released/code     (github.com/VITA-Group/TransGAN)

The clone's own `functions.train` runs with its own networks at the full CIFAR-10 width, in fp64 on the CPU, from this
project's initial weights and on the same random numbers. Only what needs a GPU, or has no part in a number (pictures,
progress, FID), is replaced while it runs. Augmentation is off on both sides; its operations have tests of their own.
Then the same steps are made with D's gradients cleared after each G step, which the released loop does not do: the
difference shows. Needs 6 GB of memory and about three minutes.
"""

import collections.abc
import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from pipeline.base.errors import ArgumentParser, UserError, command_line
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.config import load, resolve_cell
from pipeline.released.names import learned, places, to_released
from pipeline.training.config import TrainConfig
from pipeline.training.state import build
from pipeline.training.step import discriminator_step, generator_step

STEPS = "DGDDDDGD"  # the released order: G's step follows the first of every four D steps
BATCH = 2
TOLERANCE = 1e-10  # largest relative difference that counts as equal in fp64
# exps/cifar_train.py of the released code, without what concerns files, several GPUs and augmentation.
SCRIPT = (
    "--dataset cifar10 --bottom_width 8 --img_size 32 --df_dim 384 --d_heads 4 --d_depth 3 --g_depth 5,4,2 --dropout 0 "
    "--latent_dim 256 --gf_dim 1024 --loss wgangp-eps --phi 1 --n_critic 4 --patch_size 2 --ema_kimg 500 "
    f"--ema_warmup 0.1 --ema 0.9999 --fade_in 0 --diff_aug None --rank 0 -gen_bs {BATCH} -dis_bs {BATCH}"
)


class Draws:
    """Random numbers of all steps, in order; both loops take the same."""

    def __init__(self, latent_dim: int) -> None:
        numbers, critic = torch.Generator().manual_seed(1), STEPS.count("D")
        fp64: dict[str, Any] = {"generator": numbers, "dtype": torch.float64}
        self.real = [torch.rand(BATCH, 3, 32, 32, **fp64) * 2 - 1 for _ in range(critic)]
        self.latents = [torch.randn(BATCH, latent_dim, **fp64) for _ in STEPS]
        self.alpha = [torch.rand(BATCH, 1, 1, 1, **fp64) for _ in range(critic)]  # the real image's share, by penalty


@dataclass
class Record:
    """What a loop did: the loss of each step, the gradients after clipping and the weights after it as one vector."""

    losses: list[float] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)

    def watch(self, optimizer: torch.optim.Optimizer, parameters: list[Tensor]) -> None:
        """Record gradients (0 where there is none) before and weights after every step of `optimizer`."""

        def gradients(*_: Any) -> None:
            found = (torch.zeros_like(one) if one.grad is None else one.grad for one in parameters)
            self.gradients.append(torch.cat([gradient.flatten() for gradient in found]))

        optimizer.register_step_pre_hook(gradients)
        optimizer.register_step_post_hook(lambda *_: self.weights.append(parameters_to_vector(parameters).detach()))


def released_record(folder: Path, spec: NetworkSpec, draws: Draws, config: TrainConfig) -> Record:
    """Run the released loop of the clone in `folder` from the same weights.

    Errors: `UserError` where its networks are not those of the CIFAR-10 script.
    """
    torch.manual_seed(0)
    record, ours = Record(), build(spec, config, torch.device("cpu"))
    with _released_surroundings(folder, draws):
        cfg, functions = importlib.import_module("cfg"), importlib.import_module("functions")
        with mock.patch.object(sys, "argv", ["cfg", *SCRIPT.split()]):
            args = cfg.parse_args()
        args.gpu, args.world_size = 0, 1
        networks = []
        for module, kind, mine in (
            ("ViT_custom_rp", "Generator", ours.generator),
            ("ViT_custom_scale2_rp_noise", "Discriminator", ours.discriminator),
        ):
            network = getattr(importlib.import_module(f"models_search.{module}"), kind)(args=args)
            names = places(spec, discriminator=mine is ours.discriminator)
            missing = network.load_state_dict(to_released(mine.state_dict(), names), strict=False)
            if missing.unexpected_keys or learned(dict.fromkeys(missing.missing_keys)):  # type: ignore[arg-type]
                raise UserError(f"RELEASED: the networks of {folder} are not those of the CIFAR-10 script: {missing}")
            optimizer = torch.optim.Adam(network.parameters(), config.lr, (config.beta1, config.beta2))
            parameters = dict(network.named_parameters())
            record.watch(optimizer, [parameters[names[name].name] for name, _ in mine.named_parameters()])
            networks.append((network, optimizer))
        (generator, optimizer_g), (discriminator, optimizer_d) = networks
        averaged = [parameter.detach().clone() for parameter in generator.parameters()]
        writer, real = mock.Mock(), [(images, None) for images in draws.real]
        both, state = (generator, discriminator, optimizer_g, optimizer_d), {"writer": writer, "train_global_steps": 0}
        functions.train(args, *both, averaged, real, 0, state, None)
    scalars = [call.args for call in writer.add_scalar.call_args_list]
    record.losses = [float(value) for name, value, *_ in scalars if name.endswith("loss")]
    return record


def our_record(spec: NetworkSpec, draws: Draws, config: TrainConfig) -> Record:
    """Make the same steps with this project's training code."""
    torch.manual_seed(0)
    record, real, networks = Record(), iter(draws.real), build(spec, config, torch.device("cpu"))
    record.watch(networks.optimizer_g, list(networks.generator.parameters()))
    record.watch(networks.optimizer_d, list(networks.discriminator.parameters()))
    latents, alpha, drawn = iter(draws.latents), iter(draws.alpha), draws.latents[0].shape
    randn = mock.patch.object(torch, "randn", lambda *size, **_: next(latents) if size == drawn else _noise(*size))
    with randn, mock.patch.object(torch, "rand", lambda *_, **__: 1 - next(alpha)):  # here the share of the fake image
        for kind in STEPS:
            if kind == "D":
                scalars = discriminator_step(networks, shown := next(real), config, weight=config.penalty_weight)
            else:
                scalars = generator_step(networks, config, real=shown, ema_beta=0.5)
            record.losses.append(float(scalars[f"loss_{kind.lower()}"]))
    return record


def compare(released: Record, ours: Record) -> list[tuple[str, float]]:
    """A line per step, and the largest relative difference in it."""
    lines = []
    for number, kind in enumerate(STEPS):
        theirs, here = released.losses[number], ours.losses[number]
        differences = {"loss": abs(theirs - here) / max(abs(theirs), 1e-3)}
        for name in ("gradients", "weights"):  # ||a - b|| / ||a||
            one, other = getattr(released, name)[number], getattr(ours, name)[number]
            differences[name] = float((one - other).norm() / one.norm())
        text = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        losses = f"loss {theirs:+.9f} released, {here:+.9f} here"
        line = f"step {number + 1} of {kind}: {losses}; relative differences: {text}"
        lines.append((line, max(differences.values())))
    return lines


@contextlib.contextmanager
def _released_surroundings(folder: Path, draws: Draws) -> Iterator[None]:
    """The clone first on sys.path, stand-ins for what its modules import and the loop's numbers do not need.

    The loop's calls for a GPU stay on the CPU in fp64, and its random numbers are those of `draws`.
    """
    unused = ["cv2", "imageio", "utils.torch_fid_score", "utils.inception_score", "torch_utils.ops.upfirdn2d"]
    stand_ins: dict[str, Any] = {name: mock.MagicMock() for name in unused}
    stand_ins["torch._six"] = types.SimpleNamespace(container_abcs=collections.abc)  # of the torch of 2021
    latents, alpha = iter(draws.latents), iter(draws.alpha)
    with (
        mock.patch.dict(sys.modules, stand_ins),  # modules of the clone leave sys.modules with the patch
        mock.patch.object(sys, "path", [str(folder), *sys.path]),
        mock.patch.object(torch.Tensor, "cuda", lambda self, *_, **__: self),
        mock.patch.object(torch.Tensor, "type", lambda self, *_: self),
        mock.patch.object(torch.Tensor, "get_device", lambda self: self.device),
        mock.patch.object(torch.cuda, "FloatTensor", lambda values: torch.as_tensor(values, dtype=torch.float64)),
        mock.patch.object(np.random, "normal", lambda *_: next(latents).numpy()),
        mock.patch.object(np.random, "random", lambda *_: next(alpha).numpy()),
        mock.patch.object(torch, "randn", _noise),
    ):
        yield


def _noise(*size: Any, **_: Any) -> Tensor:
    """Per-token noise (B, N, 1) that is the same for every image, so that it does not depend on how a batch is cut."""
    batch, *rest = size[0] if isinstance(size[0], (list, tuple, torch.Size)) else size
    values = np.random.default_rng(int(np.prod(rest))).standard_normal(rest)
    return torch.as_tensor(values).expand(batch, *rest)


@command_line
def main() -> None:
    parser = ArgumentParser(prog="make parity", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("released", type=Path, metavar="FOLDER", help="a clone of the released code")
    folder = parser.parse_args().released.absolute()
    if not (folder / "functions.py").is_file() or not (folder / "models_search").is_dir():
        raise UserError(f"RELEASED: given {folder}; allowed: a clone of the released code, with functions.py in it")
    torch.set_default_dtype(torch.float64)
    cell = resolve_cell(load(), "cifar10", "full", released=True)
    augment = cell.train.augment.model_copy(update={"policy": []})
    update = {"batch_discriminator": BATCH, "batch_generator": BATCH, "augment": augment}
    config = cell.train.model_copy(update=update)
    draws = Draws(cell.network.generator.latent_dim)
    print(f"parity: {len(STEPS)} steps of batch {BATCH} in fp64, released and here, about three minutes", flush=True)
    released = released_record(folder, cell.network, draws, config)
    worst = 0.0
    for kept in (True, False):
        ours = our_record(cell.network, draws, config.model_copy(update={"keep_generator_gradients": kept}))
        print(f"keep_generator_gradients: {str(kept).lower()}")
        lines = compare(released, ours)
        print("\n".join(f"  {text}" for text, _ in lines), flush=True)
        worst = max(worst, *(value for _, value in lines)) if kept else worst
    if worst > TOLERANCE:
        raise UserError(f"parity: the loops differ by {worst:.1e}; allowed: {TOLERANCE:.0e}")
    print(f"parity: the loops agree to {worst:.1e}")


if __name__ == "__main__":
    main()
