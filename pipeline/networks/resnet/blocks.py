"""What both networks are made of: spectral norm, the blocks in the published order of their operations, first weights.

Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value sigma.

A weight is taken as a matrix W (outputs, inputs x kernel x kernel). Its leading singular vectors are tracked by power
iteration in the buffers `u` (outputs,) and `v` (inputs x kernel x kernel,), which are part of the state dict:

    v <- W^T u / ||W^T u||,   u <- W v / ||W v||,   sigma = u^T W v

The iteration moves once per training step (`iterate`), not once per forward pass: all passes of a step, its parts and
activations computed again see one weight. sigma is differentiated with u and v held fixed, as published.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.distributed import batch_norm
from pipeline.networks.interface import StepConstant, full_precision
from pipeline.networks.resnet.spec import BlockSpec, CellSpec

FIRST_ITERATIONS = 15  # for new weights, so that their very first scores are near to normalised
RESIDUAL = (".conv1", ".conv2")  # 3 x 3 convolutions inside blocks


class Spectral(StepConstant):
    """A layer whose weight is spectrally normalised; `layer.weight` is the one that is learned, before division."""

    weight: Tensor
    u: Tensor
    v: Tensor

    def add_vectors(self) -> None:
        """Random unit vectors from torch's global generator."""
        for name, size in zip("uv", self.weight.flatten(1).shape, strict=True):
            vector = torch.randn(size, device=self.weight.device, dtype=self.weight.dtype)
            self.register_buffer(name, F.normalize(vector, dim=0))

    @torch.no_grad()
    def iterate(self, count: int) -> None:
        """Move u and v in place."""
        matrix = self.weight.detach().flatten(1)
        for _ in range(count):
            self.v.copy_(F.normalize(torch.mv(matrix.t(), self.u), dim=0))
            self.u.copy_(F.normalize(torch.mv(matrix, self.v), dim=0))

    def compute(self) -> Tensor:
        """weight / sigma, shaped as the weight, in the weight's own precision."""
        with full_precision(self.weight):
            # Clones: an iteration moves the buffers in place, perhaps before a derivative asks for them.
            sigma = torch.dot(self.u.clone(), torch.mv(self.weight.flatten(1), self.v.clone()))
            return self.weight / sigma


class SpectralConv2d(nn.Conv2d, Spectral):
    """(B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
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


def iterate(network: nn.Module, count: int = 1) -> None:
    """`count` power iterations of every spectrally normalised weight of `network`."""
    for module in network.modules():
        if isinstance(module, Spectral):
            module.iterate(count)


def convolution(inputs: int, outputs: int, kernel: int, *, spectral: bool = False) -> nn.Conv2d:
    """Stride 1, sides kept, with a bias."""
    if spectral:
        return SpectralConv2d(inputs, outputs, kernel)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics are the whole batch's, over however many processes it is divided."""

    def forward(self, x: Tensor) -> Tensor:
        return batch_norm(self, x, super().forward)


def make_norm(kind: str, width: int) -> nn.Module:
    """`batch`: with learned scale and shift, and running statistics for sampling; `none`: nothing."""
    return BatchNorm2d(width) if kind == "batch" else nn.Identity()


class Cell(nn.Module):
    """An up-block: x, skips -> its first feature map (for later cells), its output.

    norm, ReLU, upsample, 3 x 3 -> h; h + the upsampled skips, each through a 1 x 1; norm, ReLU, 3 x 3; + shortcut. What
    later cells get is h with the skips added, as AutoGAN's released program has it (there `h += ...` changes the
    tensor that was kept), where its figure shows h alone.
    """

    def __init__(self, spec: CellSpec, skip_widths: Sequence[int]):
        super().__init__()
        self.side, self.upsample = spec.side, spec.upsample
        self.norm1 = make_norm(spec.norm, spec.inputs)
        self.conv1 = convolution(spec.inputs, spec.width, 3)
        self.norm2 = make_norm(spec.norm, spec.width)
        self.conv2 = convolution(spec.width, spec.width, 3)
        self.shortcut = convolution(spec.inputs, spec.width, 1) if spec.shortcut else None
        self.skips = nn.ModuleList(convolution(width, spec.width, 1) for width in skip_widths)

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

    def __init__(self, spec: BlockSpec, *, first: bool, spectral: bool):
        super().__init__()
        self.first, self.downsample = first, spec.downsample
        hidden = spec.width if first else spec.inputs
        self.conv1 = convolution(spec.inputs, hidden, 3, spectral=spectral)
        self.conv2 = convolution(hidden, spec.width, 3, spectral=spectral)
        learned = spec.downsample or spec.inputs != spec.width
        self.shortcut = convolution(spec.inputs, spec.width, 1, spectral=spectral) if learned else None

    def pooled(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2) where the block halves the side, else `x`."""
        return F.avg_pool2d(x, 2) if self.downsample else x

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else F.relu(x))
        out = self.pooled(self.conv2(F.relu(out)))
        if self.shortcut is None:
            return x + out
        return out + (self.shortcut(self.pooled(x)) if self.first else self.pooled(self.shortcut(x)))


def initialise(network: nn.Module, scheme: str, residual_gain: float) -> None:
    """Draw every weight of `network` from torch's global generator.

    Both schemes draw uniformly, with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010).

    he      WGAN-GP and SNGAN: gain sqrt(2) for the 3 x 3 convolutions inside blocks (the WGAN-GP program calls that
            He's, with the mean of both fans), 1 for shortcuts, RGB and linear layers; biases 0.
    xavier  AutoGAN: gain 1 for every convolution; scales of batch norm N(1, 0.02); linear layers and all biases as
            PyTorch's default.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) or (scheme == "he" and isinstance(module, nn.Linear)):
            nn.init.xavier_uniform_(module.weight, residual_gain if name.endswith(RESIDUAL) else 1.0)
            if scheme == "he" and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif scheme == "xavier" and isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
