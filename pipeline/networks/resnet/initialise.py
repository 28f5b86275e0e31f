"""Initial weights. Both schemes draw uniformly, with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010).

he      WGAN-GP and SNGAN: gain sqrt(2) for the 3 x 3 convolutions inside blocks (the WGAN-GP program calls that He's,
        with the mean of both fans), 1 for shortcuts, RGB and linear layers; biases 0.
xavier  AutoGAN: gain 1 for every convolution; scales of batch norm N(1, 0.02); linear layers and all biases as
        PyTorch's default.
"""

from torch import nn

RESIDUAL = (".conv1", ".conv2")  # 3 x 3 convolutions inside blocks


def initialise(network: nn.Module, scheme: str, residual_gain: float) -> None:
    """Draw every weight of `network` from torch's global generator."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) or (scheme == "he" and isinstance(module, nn.Linear)):
            nn.init.xavier_uniform_(module.weight, residual_gain if name.endswith(RESIDUAL) else 1.0)
            if scheme == "he" and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif scheme == "xavier" and isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
