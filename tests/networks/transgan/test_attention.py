"""The attention kinds against slow, obvious references."""

import pytest
import torch

from pipeline.networks.transgan.attention import KINDS, RelativePosition, attend, pseudo_inverse
from pipeline.networks.transgan.spec import BlockSpec

WIDTH, HEADS, SIDE = 12, 3, 4


def randomise(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def make(attention, *, window=SIDE, landmarks=0, relative_position=True, noise=False):
    """A module of one kind, with weights far from zero."""
    shape = {"depth": 1, "side": SIDE, "width": WIDTH, "heads": HEADS, "mlp_ratio": 4, "norm": "token"}
    own = {"window": window, "landmarks": landmarks, "relative_position": relative_position, "noise": noise}
    return randomise(KINDS[attention](BlockSpec(**shape, **own, attention=attention)))


def slow_attention(module, x, pairs, bias=None):
    """One token, one head at a time: token i attends to the tokens in pairs[i]."""
    batch, tokens, width = x.shape
    d = width // module.heads
    q, k, v = (x @ module.qkv.weight.T).split(width, dim=-1)
    out = torch.zeros_like(x)
    for b in range(batch):
        for head in range(module.heads):
            part = slice(head * d, (head + 1) * d)
            for i in range(tokens):
                scores = torch.stack(
                    [q[b, i, part] @ k[b, j, part] / d**0.5 + (bias(head, i, j) if bias else 0) for j in pairs[i]]
                )
                weights = scores.exp() / scores.exp().sum()
                out[b, i, part] = sum(weight * v[b, j, part] for weight, j in zip(weights, pairs[i], strict=True))
    return out @ module.proj.weight.T + module.proj.bias


def table_bias(table, height, width, side):
    """Bias of tokens i, j of the whole map by their offset, from a table of a height x width window."""

    def bias(head, i, j):
        dy, dx = i // side - j // side, i % side - j % side
        return table[(dy + height - 1) * (2 * width - 1) + dx + width - 1, head]

    return bias


@pytest.mark.parametrize("fused", [True, False])
def test_standard_is_every_token_to_every_token_with_position_bias(fused):
    module = make("standard")
    x = torch.randn(2, SIDE * SIDE, WIDTH)
    everyone = [list(range(SIDE * SIDE))] * SIDE * SIDE
    expected = slow_attention(module, x, everyone, table_bias(module.relative_position.table, SIDE, SIDE, SIDE))
    torch.testing.assert_close(module(x, fused=fused), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_grid_is_standard_attention_in_each_window(fused):
    window = 2
    module = make("grid", window=window)
    x = torch.randn(2, SIDE * SIDE, WIDTH)
    cell_of = [(i // SIDE // window, i % SIDE // window) for i in range(SIDE * SIDE)]
    pairs = [[j for j in range(SIDE * SIDE) if cell_of[j] == cell_of[i]] for i in range(SIDE * SIDE)]
    expected = slow_attention(module, x, pairs, table_bias(module.relative_position.table, window, window, SIDE))
    torch.testing.assert_close(module(x, fused=fused), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_axis_is_rows_then_columns(fused):
    module = make("axis")
    x = torch.randn(2, SIDE * SIDE, WIDTH)
    d = WIDTH // HEADS
    q, k, v = (
        t.unflatten(-1, (HEADS, d)).unflatten(1, (SIDE, SIDE)) for t in (x @ module.qkv.weight.T).split(WIDTH, dim=-1)
    )
    rows, columns = (module.relative_position[axis].table.detach() for axis in ("rows", "columns"))
    mixed = torch.zeros_like(v)
    for y in range(SIDE):
        for head in range(HEADS):
            bias = torch.tensor([[rows[i - j + SIDE - 1, head] for j in range(SIDE)] for i in range(SIDE)])
            scores = torch.einsum("bid,bjd->bij", q[:, y, :, head], k[:, y, :, head]) / d**0.5 + bias
            mixed[:, y, :, head] = scores.softmax(-1) @ v[:, y, :, head]
    out = torch.zeros_like(v)
    for x_place in range(SIDE):
        for head in range(HEADS):
            bias = torch.tensor([[columns[i - j + SIDE - 1, head] for j in range(SIDE)] for i in range(SIDE)])
            scores = torch.einsum("bid,bjd->bij", q[:, :, x_place, head], k[:, :, x_place, head]) / d**0.5 + bias
            out[:, :, x_place, head] = scores.softmax(-1) @ mixed[:, :, x_place, head]
    expected = out.flatten(3).flatten(1, 2) @ module.proj.weight.T + module.proj.bias
    torch.testing.assert_close(module(x, fused=fused), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_nystrom_is_three_softmax_factors(fused):
    module = make("nystrom", landmarks=4, relative_position=False).double()
    x = torch.randn(2, SIDE * SIDE, WIDTH, dtype=torch.float64)
    d = WIDTH // HEADS
    q, k, v = (t.unflatten(-1, (HEADS, d)).transpose(1, 2) for t in (x @ module.qkv.weight.T).split(WIDTH, dim=-1))
    q_marks, k_marks = (torch.stack([t[:, :, 4 * m : 4 * m + 4].mean(2) for m in range(4)], dim=2) for t in (q, k))
    f, a, b = (
        torch.softmax(torch.einsum("bhid,bhjd->bhij", left, right) / d**0.5, -1)
        for left, right in ((q, k_marks), (q_marks, k_marks), (q_marks, k))
    )
    z = a.transpose(-1, -2) / (a.sum(-1).amax(-1) * a.sum(-2).amax(-1))[..., None, None]
    eye = torch.eye(4, dtype=torch.float64)
    for _ in range(6):
        z = z @ (13 * eye - a @ z @ (15 * eye - a @ z @ (7 * eye - a @ z))) / 4
    expected = (f @ z @ b @ v).transpose(1, 2).flatten(2) @ module.proj.weight.T + module.proj.bias
    torch.testing.assert_close(module(x, fused=fused), expected)


def test_pseudo_inverse_converges_to_the_inverse():
    a = (torch.randn(3, 8, 8, dtype=torch.float64) * 2).softmax(dim=-1) + torch.eye(8)
    torch.testing.assert_close(pseudo_inverse(a, 12), torch.linalg.inv(a))


def test_no_image_depends_on_its_batch():
    for module in every_kind():
        x = torch.randn(4, SIDE * SIDE, WIDTH)
        torch.testing.assert_close(module(x)[2:3], module(x[2:3]))
        torch.testing.assert_close(module(x[[3, 1, 0, 2]]), module(x)[[3, 1, 0, 2]])


def test_fused_equals_explicit_on_gradients():
    for module in every_kind():
        module = module.double()
        x = torch.randn(2, SIDE * SIDE, WIDTH, dtype=torch.float64, requires_grad=True)
        wanted = [x, *module.parameters()]
        gradients = [torch.autograd.grad((module(x, fused=fused) ** 2).sum(), wanted) for fused in (True, False)]
        for ours, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_explicit_path_has_a_second_derivative():
    for module in every_kind():
        module = module.double()
        x = torch.randn(1, SIDE * SIDE, WIDTH, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(lambda x, module=module: module(x, fused=False)[:, ::5, ::4], (x,))


def test_shifting_by_a_window_shifts_grid_attention():
    module = make("grid", window=2)
    x = torch.randn(1, SIDE, SIDE, WIDTH)
    shifted = module(x.roll(2, dims=1).reshape(1, -1, WIDTH)).view(1, SIDE, SIDE, WIDTH)
    torch.testing.assert_close(shifted, module(x.reshape(1, -1, WIDTH)).view(1, SIDE, SIDE, WIDTH).roll(2, dims=1))


def test_relative_position_depends_on_the_offset_alone():
    position = randomise(RelativePosition(3, 5, 2))
    bias = position().view(2, 3, 5, 3, 5)
    torch.testing.assert_close(bias[:, 0, 1, 1, 3], bias[:, 1, 2, 2, 4])
    assert len(bias[0].unique()) == position.table.shape[0]


def test_noise_is_one_draw_per_token():
    module = make("standard", relative_position=False, noise=True)
    torch.nn.init.zeros_(module.noise_strength)
    x = torch.randn(2, SIDE * SIDE, WIDTH)
    torch.testing.assert_close(module(x), module(x))
    torch.nn.init.constant_(module.noise_strength, 2.0)
    torch.manual_seed(1)
    ours = module(x)
    torch.manual_seed(1)
    by_hand = x + 2.0 * torch.randn(2, SIDE * SIDE, 1)
    torch.nn.init.zeros_(module.noise_strength)
    torch.testing.assert_close(ours, module(by_hand))


def test_attend_equals_pytorch():
    q, k, v = torch.randn(3, 2, 4, 6, 5).unbind(0)
    bias = torch.randn(4, 6, 6)
    torch.testing.assert_close(attend(q, k, v, bias, fused=False), attend(q, k, v, bias, fused=True))


def every_kind():
    nystrom = make("nystrom", landmarks=4, relative_position=False)
    return [make("standard"), make("grid", window=2), make("axis"), nystrom]


@pytest.mark.parametrize("variant", ["grid_attention", "axis_attention", "standard_attention"])
def test_attention_without_a_learned_bias_takes_the_fused_kernel_windows_or_not(cell, variant):
    """PyTorch has fused kernels for four dimensions alone, and takes the explicit path for five without a word."""
    block = next(stage.blocks[-1] for stage in cell("digits", variant).network.generator.stages[::-1])
    module = KINDS[block.attention](block)
    seen = []
    out = module(torch.randn(2, block.side**2, block.width, requires_grad=True))
    waiting = [out.grad_fn]
    while waiting:
        node = waiting.pop()
        seen.append(node.name())
        waiting += [parent for parent, _ in node.next_functions if parent is not None]
    assert any("FlashAttention" in name for name in seen) and not any("Softmax" in name for name in seen)
