"""An example of an objective in one file (CONTRIBUTING.md): the least-squares loss (Mao et al. 2017).

`tests/test_contributing.py` copies this file to pipeline/training/ in a copy of the project.
"""

from pipeline.training.objectives import Loss

# D: E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2. G: E[(D(G(z)) - 1)^2] / 2.
LEAST_SQUARES = Loss(
    lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
    lambda fake, real: (fake - 1).square().mean() / 2,
)
