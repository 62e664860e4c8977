"""Rates, optimizers and precision, each against a plainer second way."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.errors import UsageError
from convscope.training.muon import Muon, orthogonal
from convscope.training.optimizers import make_optimizer
from convscope.training.precision import HalfPrecision, has_bf16, resolve_precision
from convscope.training.recipes import Recipe, recipe
from convscope.training.schedules import rate_at


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3),
        nn.Flatten(),
        nn.Linear(6 * 16, 10),
    )


def loss(module: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(16, 3, 8, 8, generator=generator)
    labels = torch.randint(10, (16,), generator=generator)
    return functional.cross_entropy(module(images), labels)


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("linear", 0.55, 0.1), ("cosine", 0.55, 0.1), ("constant", 1, 1)]
)
def test_the_rate_at_its_corners(schedule: str, middle: float, end: float) -> None:
    how = Recipe(learning_rate=2.0, schedule=schedule, warmup=0.2, initial_rate=0.25, final_rate=0.1)
    assert rate_at(how, 0, 100) == pytest.approx(0.5)
    assert rate_at(how, 10, 100) == pytest.approx(2 * (0.25 + 1) / 2)
    assert rate_at(how, 20, 100) == pytest.approx(2.0)
    assert rate_at(how, 60, 100) == pytest.approx(2 * middle)
    assert rate_at(how, 100, 100) == pytest.approx(2 * end)


def test_the_cosine_is_a_quarter_down_at_a_third() -> None:
    how = Recipe(learning_rate=1.0, schedule="cosine", warmup=0.0, final_rate=0.0)
    assert rate_at(how, 30, 90) == pytest.approx((1 + math.cos(math.pi / 3)) / 2) == pytest.approx(0.75)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_its_definition(nesterov: bool) -> None:
    torch.manual_seed(0)
    module = net()
    plain = {name: p.detach().clone() for name, p in module.named_parameters()}
    speed = {name: torch.zeros_like(p) for name, p in plain.items()}
    made = make_optimizer(
        module, Recipe(learning_rate=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.01, bias_rate=4.0)
    )
    for step in range(3):
        made.zero_grad()
        loss(module, step).backward()
        for group in made.param_groups:
            group["lr"] = 0.1 * group["rate_share"]
        gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        made.step()
        for name, weights in plain.items():
            share = 4.0 if name.endswith("bias") else 1.0
            gradient = gradients[name] + 0.01 / share * weights
            speed[name] = 0.9 * speed[name] + gradient
            weights -= 0.1 * share * (gradient + 0.9 * speed[name] if nesterov else speed[name])
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach(), plain[name], rtol=1e-4, atol=1e-6)


def test_muon_sends_each_weight_to_its_group() -> None:
    module = net()
    how = Recipe(optimizer="muon", bias_rate=64.0, head_rate=0.25, filter_rate=0.16, freeze_scales=True)
    made = make_optimizer(module, how)
    names = {id(p): name for name, p in module.named_parameters()}
    groups = {
        (g["rate_share"], g["orthogonal"]): [names[id(p)] for p in g["params"]] for g in made.param_groups
    }
    assert groups == {
        (1.0, False): ["0.weight"],
        (64.0, False): ["1.bias", "3.bias", "5.bias"],
        (0.16, True): ["3.weight"],
        (0.25, False): ["5.weight"],
    }
    assert not module[1].weight.requires_grad


def test_muon_on_plain_weights_is_torchs_sgd() -> None:
    torch.manual_seed(0)
    one = net()
    other = net()
    other.load_state_dict(one.state_dict())
    muon = Muon([{"params": list(one.parameters()), "momentum": 0.85, "weight_decay": 0.01}], lr=0.05)
    sgd = torch.optim.SGD(other.parameters(), 0.05, momentum=0.85, nesterov=True, weight_decay=0.01)
    for step in range(3):
        for module, made in ((one, muon), (other, sgd)):
            made.zero_grad()
            loss(module, step).backward()
            made.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (12, 12)])
def test_orthogonal_keeps_the_directions_and_evens_their_sizes(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.linspace(1, 4, min(shape))
    found = orthogonal(left @ torch.diag(sizes) @ right)
    # In the singular directions of the matrix the result is diagonal, its entries near 1.
    inside = left.t() @ found @ right.t()
    diagonal = inside.diagonal()
    assert float(diagonal.min()) > 0.3
    assert float(diagonal.max()) < 1.4
    assert float((inside - torch.diag(diagonal)).abs().max()) < 0.1


def test_a_muon_step_has_the_length_of_its_rate() -> None:
    torch.manual_seed(0)
    bank = nn.Parameter(torch.randn(8, 4, 3, 3))
    made = Muon([{"params": [bank], "orthogonal": True, "momentum": 0.6}], lr=0.1)
    bank.grad = torch.randn(8, 4, 3, 3)
    start = bank.detach() * 8**0.5 / bank.detach().norm()
    made.step()
    change = (bank.detach() - start).norm().item()
    assert 0.1 * 8**0.5 * 0.6 < change < 0.1 * 8**0.5 * 1.25


def test_masters_follow_sgd_in_fp32_within_the_rounding_of_bf16() -> None:
    torch.manual_seed(0)
    plain = net()
    masters = net()
    masters.load_state_dict(plain.state_dict())
    begun = [p.detach().clone() for p in plain.parameters()]
    half = HalfPrecision(masters)
    how = Recipe(learning_rate=0.002, momentum=0.9, weight_decay=5e-4)
    optimizers = [make_optimizer(module, how) for module in (plain, masters)]
    for step in range(20):
        for module, forward, made in ((plain, plain, optimizers[0]), (masters, half, optimizers[1])):
            made.zero_grad()
            generator = torch.Generator().manual_seed(step)
            images = torch.randn(16, 3, 8, 8, generator=generator)
            labels = torch.randint(10, (16,), generator=generator)
            scores = forward(images)
            assert isinstance(scores, Tensor)
            assert scores.dtype == (torch.float32 if module is plain else torch.bfloat16)
            functional.cross_entropy(scores.float(), labels).backward()
            if forward is half:
                half.hand_over()
            made.step()
    for (name, a), b, first in zip(plain.named_parameters(), masters.parameters(), begun, strict=True):
        assert b.dtype == torch.float32
        way = (a.detach() - first).norm().item()
        assert (a - b).detach().norm().item() < 0.06 * way + 1e-6, f"{name} went another way"
    # Weights kept in bf16 would stand still at this rate: most steps are below what they can tell apart.
    assert all(not torch.equal(p, p.to(torch.bfloat16).float()) for p in masters.parameters() if p.dim() > 1)


def test_what_is_frozen_gets_no_gradient_and_statistics_stay_fp32() -> None:
    module = net()
    module[3].requires_grad_(False)
    half = HalfPrecision(module)
    before = module[1].running_mean.clone()
    scores = half(torch.randn(4, 3, 8, 8))
    assert isinstance(scores, Tensor)
    scores.float().square().sum().backward()
    half.hand_over()
    assert module[3].weight.grad is None
    assert module[0].weight.grad is not None
    assert module[0].weight.grad.dtype == torch.float32
    assert module[1].running_mean.dtype == torch.float32
    assert not torch.equal(module[1].running_mean, before)


def test_precisions_by_name() -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == ("bf16" if has_bf16(cpu) else "fp32")
    with pytest.raises(UsageError, match="precision must be fp32, bf16 or auto; got 'fp64'"):
        resolve_precision("fp64", cpu)


@pytest.mark.parametrize("network", ["tutorial_cnn", "cifar10_small", "resnet9"])
def test_each_network_with_a_fast_recipe_gives_it_by_name(network: str) -> None:
    found = recipe("fast", network)
    assert found.precision == "auto"
    assert found.epochs <= 20
