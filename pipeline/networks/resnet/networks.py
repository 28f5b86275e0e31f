"""Both networks: spectral norm, the blocks in the published order of their operations, first weights.

Generator: noise -> linear -> feature map -> up-blocks -> batch norm, ReLU, 3 x 3 to RGB, tanh.
Discriminator: residual blocks with average pooling -> ReLU -> mean or sum over the pixels -> linear score.
Augmentation is not part of it.

Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value sigma. A weight is taken as
a matrix W (outputs, inputs x kernel x kernel); power iteration tracks its leading singular vectors u and v:

    v <- W^T u / ||W^T u||,   u <- W v / ||W v||,   sigma = u^T W v

The iteration moves once per training step, not once per forward pass: all passes of a step, its parts and activations
computed again see one weight. sigma is differentiated with u and v held fixed, as published.

Entries of the state dicts that do not explain themselves (I = cell or block from 0, J = skip):

    to_map.weight (C0 S0 S0, Z)                     latent -> first map; output index = (channel, row, column)
    ... .u (out,), .v (in k k,)                     beside every weight of D, with spectral norm: `weight` is the one
                                                    that is learned, before division

In AutoGAN's program these are l1, cellI.c1, .c2, .c_sc, .skip_in_ops.J (cells there from 1), to_rgb.0 and to_rgb.2; in
SNGAN as mimicry has it l1, blockI.c1, .c2, .b1, .b2, .c_sc (blocks there from 2), b5 and c5. D's are blockI.c1, .c2,
.c_sc (blocks from 1) and l5 in both; with PyTorch's spectral norm, weight_orig, weight_u and weight_v. The shapes are
the same.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.distributed import batch_norm
from pipeline.networks.interface import Linear, StepConstant, full_precision, run_block
from pipeline.networks.resnet import spec as settings
from pipeline.networks.resnet.spec import DiscriminatorSpec, GeneratorSpec
from pipeline.networks.spec import NetworkSpec

FIRST_ITERATIONS = 15  # for new weights, so that their very first scores are near to normalised
RESIDUAL = (".conv1", ".conv2")  # 3 x 3 convolutions inside blocks


class Spectral(StepConstant):
    """A layer whose weight is spectrally normalised; `weight` is the one that is learned, before division."""

    weight: Tensor
    u: Tensor
    v: Tensor

    def add_vectors(self) -> None:
        """Random unit vectors from torch's global generator."""
        for name, size in zip("uv", self.weight.flatten(1).shape, strict=True):
            vector = torch.randn(size, device=self.weight.device, dtype=self.weight.dtype)
            self.register_buffer(name, F.normalize(vector, dim=0))

    def compute(self) -> Tensor:
        """weight / sigma, shaped as the weight, in the weight's own precision."""
        with full_precision(self.weight):
            # Clones: an iteration moves the buffers in place, perhaps before a derivative asks for them.
            sigma = torch.dot(self.u.clone(), torch.mv(self.weight.flatten(1), self.v.clone()))
            return self.weight / sigma


class SpectralConv2d(nn.Conv2d, Spectral):
    """(B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding: int):
        super().__init__(inputs, outputs, kernel, padding=padding)
        self.add_vectors()

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # StepConstant's own takes nothing
        return self._conv_forward(x, StepConstant.forward(self), self.bias)


class SpectralLinear(nn.Linear, Spectral):
    """(B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, outputs: int, bias: bool):
        super().__init__(inputs, outputs, bias)
        self.add_vectors()

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.linear(x, StepConstant.forward(self), self.bias)


@torch.no_grad()
def iterate(network: nn.Module, count: int = 1) -> None:
    """`count` power iterations of every spectrally normalised weight of `network`, u and v in place."""
    for layer in (module for module in network.modules() if isinstance(module, Spectral)):
        matrix = layer.weight.detach().flatten(1)
        for _ in range(count):
            layer.v.copy_(F.normalize(torch.mv(matrix.t(), layer.u), dim=0))
            layer.u.copy_(F.normalize(torch.mv(matrix, layer.v), dim=0))


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics are the whole batch's, over however many processes it is divided."""

    def forward(self, x: Tensor) -> Tensor:
        return batch_norm(self, x, super().forward)


class Cell(nn.Module):
    """An up-block: x, skips -> its first feature map (for later cells), its output, both `side` pixels a side.

    norm, ReLU, upsample, 3 x 3 -> h; h + the upsampled skips, each through a 1 x 1; norm, ReLU, 3 x 3; + shortcut. What
    later cells get is h with the skips added, as AutoGAN's released program has it (there `h += ...` changes the
    tensor that was kept), where its figure shows h alone.
    """

    def __init__(self, spec: settings.Cell, inputs: int, side: int, norm: str, skip_widths: Sequence[int]):
        super().__init__()
        self.side, self.upsample = side, spec.upsample
        self.norm1 = BatchNorm2d(inputs) if norm == "batch" else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, spec.width, 3, padding=1)
        self.norm2 = BatchNorm2d(spec.width) if norm == "batch" else nn.Identity()
        self.conv2 = nn.Conv2d(spec.width, spec.width, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, spec.width, 1) if spec.shortcut else None
        self.skips = nn.ModuleList(nn.Conv2d(width, spec.width, 1) for width in skip_widths)

    def enlarged(self, x: Tensor) -> Tensor:
        """x at this cell's side."""
        return F.interpolate(x, size=(self.side, self.side), mode=self.upsample)

    def forward(self, x: Tensor, *skips: Tensor) -> tuple[Tensor, Tensor]:
        first = self.conv1(self.enlarged(F.relu(self.norm1(x))))
        for convolve, skip in zip(self.skips, skips, strict=True):
            first = first + convolve(self.enlarged(skip))
        out = self.conv2(F.relu(self.norm2(first)))
        if self.shortcut is not None:
            out = out + self.shortcut(self.enlarged(x))
        return first, out


class Block(nn.Module):
    """A block of D: ReLU, 3 x 3, ReLU, 3 x 3, average pooling; + 1 x 1 shortcut, or x itself where shapes agree.

    The first block gets pixels: no ReLU before its first convolution, and its shortcut pools before it convolves. Its
    first convolution takes the output's width, that of a later block keeps the input's. A shortcut gets x as it is, as
    in the authors' program; the mimicry library's ReLU works in place and gives it relu(x).
    """

    def __init__(self, spec: settings.Block, inputs: int, *, first: bool, spectral: bool):
        super().__init__()
        self.first, self.downsample = first, spec.downsample
        hidden, convolution = spec.width if first else inputs, SpectralConv2d if spectral else nn.Conv2d
        self.conv1 = convolution(inputs, hidden, 3, padding=1)
        self.conv2 = convolution(hidden, spec.width, 3, padding=1)
        learned = spec.downsample or inputs != spec.width
        self.shortcut = convolution(inputs, spec.width, 1, padding=0) if learned else None

    def pooled(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2) where the block halves the side, else `x`."""
        return F.avg_pool2d(x, 2) if self.downsample else x

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else F.relu(x))
        out = self.pooled(self.conv2(F.relu(out)))
        if self.shortcut is None:
            return x + out
        return out + (self.shortcut(self.pooled(x)) if self.first else self.pooled(self.shortcut(x)))


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution) in (-1, 1)."""

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        self.shape = (network.width, network.base_side, network.base_side)
        self.sources = [cell.skips for cell in network.cells]
        self.to_map = Linear(self.latent_dim, math.prod(self.shape))
        widths = [cell.width for cell in network.cells]
        self.cells = nn.ModuleList(
            Cell(cell, inputs, network.base_side * 2**number, network.norm, [widths[source] for source in cell.skips])
            for number, (cell, inputs) in enumerate(zip(network.cells, [network.width, *widths], strict=False), 1)
        )
        self.norm = BatchNorm2d(widths[-1])
        self.to_rgb = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)
        initialise(self, network.init)

    def forward(self, z: Tensor) -> Tensor:
        x = self.to_map(z).unflatten(1, self.shape)
        firsts: list[Tensor] = []
        for cell, sources in zip(self.cells, self.sources, strict=True):
            first, x = run_block(cell, x, *(firsts[source] for source in sources), recompute=self.recompute)
            firsts.append(first)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            return torch.tanh(self.to_rgb(F.relu(self.norm(x.to(self.to_rgb.weight.dtype)))))


class Discriminator(interface.Discriminator):
    """Convolutions can be differentiated twice as they are: `twice` changes nothing."""

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        self.pooling = network.pooling
        widths = [spec.channels, *(block.width for block in network.blocks)]
        self.blocks = nn.ModuleList(
            Block(block, inputs, first=index == 0, spectral=network.spectral_norm)
            for index, (block, inputs) in enumerate(zip(network.blocks, widths, strict=False))
        )
        self.head: nn.Linear
        if network.spectral_norm:
            self.head = SpectralLinear(widths[-1], 1, network.head_bias)
        else:
            self.head = Linear(widths[-1], 1, network.head_bias, full_precision=True)
        initialise(self, network.init)
        iterate(self, FIRST_ITERATIONS)

    def start_step(self) -> None:
        iterate(self)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x = images
        for block in self.blocks:
            x = run_block(block, x, recompute=self.recompute)
        with full_precision(x):
            x = F.relu(x.to(self.head.weight.dtype))
            pooled = x.mean(dim=(2, 3)) if self.pooling == "mean" else x.sum(dim=(2, 3))
            return self.head(pooled).flatten()


def initialise(network: nn.Module, scheme: str) -> None:
    """Draw every weight of `network` from torch's global generator.

    Both schemes draw uniformly, with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010).

    he      WGAN-GP and SNGAN: gain sqrt(2) for the 3 x 3 convolutions inside blocks (the WGAN-GP program calls that
            He's, with the mean of both fans), 1 for shortcuts, RGB and linear layers; biases 0.
    xavier  AutoGAN: gain 1 for every convolution; scales of batch norm N(1, 0.02); linear layers and all biases as
            PyTorch's default.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) or (scheme == "he" and isinstance(module, nn.Linear)):
            nn.init.xavier_uniform_(module.weight, math.sqrt(2) if scheme == "he" and name.endswith(RESIDUAL) else 1.0)
            if scheme == "he" and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif scheme == "xavier" and isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
