"""Our operators on the CPU against PyTorch's plain ones: python -m benchmarks.operators [--tokens 1024] [--repeats 7]

Each exists for its speed alone (docs/notes/performance.md). Processor seconds of one thread, ours and plain in turn:
other work on the machine then slows both. Where one of them no longer pays, this benchmark shows it.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.networks.transgan.attention import attend
from pipeline.networks.transgan.blocks import bicubic_matrix, resample, to_map, to_tokens
from pipeline.networks.transgan.derivatives import BiasedAttention, TwiceGelu

Work = Callable[[], object]


def gelu(tokens: int) -> tuple[Work, Work]:
    """GELU and its second derivative."""
    x = torch.randn(tokens, 1536, requires_grad=True)

    def twice(function: Callable[[Tensor], Tensor]) -> Work:
        def work() -> object:
            (slope,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
            return torch.autograd.grad(slope.square().sum(), x)

        return work

    return twice(TwiceGelu.apply), twice(F.gelu)


def bias_attention(tokens: int) -> tuple[Work, Work]:
    """Attention with a learned bias, forward and backward."""
    q, k, v = (torch.randn(4, 4, tokens, 64, requires_grad=True) for _ in range(3))
    bias = torch.randn(4, tokens, tokens, requires_grad=True)

    def once(function: Callable[[], Tensor]) -> Work:
        return lambda: torch.autograd.grad(function().sum(), (q, k, v, bias))

    return once(lambda: BiasedAttention.apply(q, k, v, bias)), once(lambda: attend(q, k, v, bias, fused=False))


def bicubic(tokens: int) -> tuple[Work, Work]:
    """A map of 8 x 8 enlarged by the bicubic filter, forward and backward."""
    x, matrix = torch.randn(max(tokens // 64, 1), 64, 256, requires_grad=True), bicubic_matrix(8, 2)

    def plain() -> Tensor:
        return to_tokens(F.interpolate(to_map(x, 8), scale_factor=2, mode="bicubic", align_corners=False))

    def once(function: Callable[[], Tensor]) -> Work:
        return lambda: torch.autograd.grad(function().square().sum(), x)

    return once(lambda: resample(x, matrix)), once(plain)


PAIRS = {
    "bicubic upsampling": bicubic,
    "GELU and two derivatives": gelu,
    "attention with a learned bias": bias_attention,
}


def timed(work: Work) -> float:
    """Processor seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(tokens: int, repeats: int) -> list[str]:
    """The lines of a table: medians of `repeats` turns, and the plain time over ours."""
    lines = ["| operator | ours ms | plain ms | plain / ours |", "| --- | --- | --- | --- |"]
    for name, make in PAIRS.items():
        ours, plain = make(tokens)
        timed(ours), timed(plain)  # the first call is slower
        turns = [(timed(ours), timed(plain)) for _ in range(repeats)]
        medians = [1000 * statistics.median(column) for column in zip(*turns, strict=True)]
        lines.append(f"| {name} | {medians[0]:.2f} | {medians[1]:.2f} | {medians[1] / max(medians[0], 1e-9):.2f} |")
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operators", description=__doc__)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {options.tokens} tokens, one thread")
    print("\n".join(compare(options.tokens, options.repeats)))


if __name__ == "__main__":
    main()
