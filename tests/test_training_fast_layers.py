"""Layers exchanged for faster ones: the same function, and the module as it was afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.models import load_model
from convscope.models.article_nets import TutorialCnn
from convscope.models.small_nets import cifar10_small
from convscope.tracing import Trace, blank_input, trace
from convscope.training.fast_layers import FastDropout, FastLayers, kept_bytes
from convscope.training.fast_pooling import FastMaxPool, ReluAfterPool

TYPES = [torch.float32, torch.bfloat16, torch.float16]
LAST = torch.channels_last


def traced(module: nn.Module) -> Trace:
    model = load_model(module, input_size=32)
    return trace(model, blank_input(model), keep=[])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_dropout_keeps_its_share_and_the_mean(dtype: torch.dtype, p: float) -> None:
    torch.manual_seed(0)
    values = torch.full((64, 8, 16, 16), 1.0, dtype=dtype).contiguous(memory_format=LAST)
    result = FastDropout(p)(values)
    kept = (result != 0).double().mean().item()
    deviation = (p * (1 - p) / values.numel()) ** 0.5
    assert abs(kept - kept_bytes(p) / 256) < 5 * deviation
    assert abs(kept_bytes(p) / 256 - (1 - p)) <= 1 / 512
    assert result.double().mean().item() == pytest.approx(1, abs=5 * deviation / (1 - p) + 4e-3)
    assert result.is_contiguous(memory_format=LAST)


def test_what_dropout_drops_is_no_pattern() -> None:
    torch.manual_seed(0)
    kept = (FastDropout(0.5)(torch.ones(1 << 18)) != 0).double() - 0.5
    for lag in (1, 2, 3, 4, 7, 8, 64, 256):
        correlation = (kept[lag:] * kept[:-lag]).mean().item() / 0.25
        assert abs(correlation) < 5 / len(kept) ** 0.5, f"values {lag} apart are dropped together"
    again = FastDropout(0.5)(torch.ones(1 << 18))
    assert 0.49 < ((again != 0) == (kept > 0)).double().mean().item() < 0.51


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("relu", [False, True])
def test_dropout_sends_the_gradient_where_the_values_went(dtype: torch.dtype, relu: bool) -> None:
    torch.manual_seed(1)
    values = torch.randn(4, 6, 5, 7).to(dtype).contiguous(memory_format=LAST).requires_grad_()
    result = FastDropout(0.3, relu=relu)(values)
    came = torch.randn(4, 6, 5, 7).to(dtype)
    result.backward(came)
    scale = 256 / kept_bytes(0.3)
    plain = values.detach().relu() if relu else values.detach()
    kept = result.detach() != 0
    assert 0.2 < kept.float().mean().item() < 0.9
    assert torch.equal(result.detach(), (plain.float() * scale * kept).to(dtype))
    assert values.grad is not None
    assert torch.equal(values.grad, (came.float() * scale * kept).to(dtype))


def test_dropout_is_the_identity_in_evaluation_mode() -> None:
    values = torch.randn(3, 4)
    assert FastDropout(0.5).eval()(values) is values
    assert torch.equal(FastDropout(0.5, relu=True).eval()(values), values.relu())


def test_dropout_takes_what_has_gaps_in_memory_and_other_types() -> None:
    torch.manual_seed(0)
    gaps = torch.ones(40, 80)[:, ::2]
    assert set(FastDropout(0.5)(gaps).unique().tolist()) == {0.0, 2.0}
    assert set(FastDropout(0.5)(torch.ones(100, dtype=torch.float64)).unique().tolist()) == {0.0, 2.0}


def passed(pool: Callable[[Tensor], Tensor], values: Tensor, came: Tensor) -> tuple[Tensor, Tensor]:
    """What comes out, and the gradient that arrives."""
    inputs = values.clone().requires_grad_()
    result = pool(inputs)
    result.backward(came)
    assert inputs.grad is not None
    return result.detach(), inputs.grad


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("at_a_time", [1, 6000, 1 << 20])
@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
def test_pool_then_relu_is_relu_then_pool_bit_for_bit(
    dtype: torch.dtype, layout: torch.memory_format, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.training.fast_pooling._CACHED", at_a_time)
    torch.manual_seed(0)
    # Rounded to quarters, so that windows have equal values, zeros and -0.0 in them.
    values = ((torch.randn(4, 8, 6, 10) * 4).round() / 4).to(dtype).contiguous(memory_format=layout)
    came = torch.randn(4, 8, 3, 5).to(dtype)
    expected = passed(lambda maps: functional.max_pool2d(maps.relu(), 2), values, came)
    found = passed(ReluAfterPool(FastMaxPool(nn.MaxPool2d(2))), values, came)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("at_a_time", [1, 1 << 20])
@pytest.mark.parametrize("step", [1, 2])
def test_pool_is_torchs_own_bit_for_bit_and_its_gradient_as_well(
    step: int, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.training.fast_pooling._CACHED", at_a_time)
    torch.manual_seed(0)
    # Rounded to quarters: windows with equals, and gradients whose sums no order of adding changes.
    values = ((torch.randn(4, 8, 6, 10) * 4).round() / 4 + 0.0).contiguous(memory_format=LAST)
    pool = nn.MaxPool2d(2, step)
    came = (torch.randn(pool(values).shape) * 4).round() / 4
    found = passed(FastMaxPool(pool), values, came)
    assert all(map(torch.equal, found, passed(pool, values, came)))
    assert found[1].is_contiguous(memory_format=LAST)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 16, 13, 13), (2, 4, 2, 2), (0, 4, 6, 6)])
def test_overlapping_windows_of_other_sides_agree_to_rounding(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.randn(shape).contiguous(memory_format=LAST)
    pool = nn.MaxPool2d(2, 1)
    came = torch.randn(pool(values).shape)
    (found, gradient), (expected, other) = passed(FastMaxPool(pool), values, came), passed(pool, values, came)
    assert torch.equal(found, expected)
    torch.testing.assert_close(gradient, other)


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d((2, 2))]
)
def test_pools_of_other_shapes_and_odd_sides_do_too(pool: nn.MaxPool2d) -> None:
    values = torch.randn(2, 3, 7, 9).contiguous(memory_format=LAST)
    assert torch.equal(ReluAfterPool(FastMaxPool(pool))(values), pool(values.relu()))
    assert torch.equal(FastMaxPool(pool)(values), pool(values))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_not_a_number_is_not_hidden(sign: float) -> None:
    values = torch.full((1, 1, 2, 2), sign * float("nan")).contiguous(memory_format=LAST)
    assert ReluAfterPool(FastMaxPool(nn.MaxPool2d(2)))(values).isnan().all()
    assert FastMaxPool(nn.MaxPool2d(2))(values).isnan().all()


def test_the_articles_network_is_itself_before_and_after() -> None:
    module = TutorialCnn()
    before = dict(module.named_modules())
    fast = FastLayers(traced(module))
    with fast:
        inside = dict(module.named_children())
    assert dict(module.named_modules()) == before
    changed = {name for name, layer in inside.items() if layer is not before[name]}
    assert changed == {"act1", "drop1", "act2", "pool2", "act3", "drop3"}
    with pytest.raises(RuntimeError, match="on the way"), fast:
        raise RuntimeError("on the way")
    assert dict(module.named_modules()) == before


def test_the_articles_network_computes_the_same_with_them() -> None:
    torch.manual_seed(0)
    module = TutorialCnn().eval()
    fast = FastLayers(traced(module))
    images = torch.rand(4, 3, 32, 32).contiguous(memory_format=LAST)
    plain = module(images)
    with fast:
        assert torch.equal(module(images), plain)
    # Without chance in it, training mode computes the same as well, and the same gradients.
    module.train()
    for name in ("drop1", "drop3"):
        getattr(module, name).p = 0.0
    gradients = []
    for on in (False, True):
        module.zero_grad()
        if on:
            with FastLayers(traced(module)):
                module(images).square().sum().backward()
        else:
            module(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    assert len(gradients[0]) == 8
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_the_projects_own_network_computes_the_same_with_them() -> None:
    torch.manual_seed(0)
    module = cifar10_small().to(memory_format=LAST)
    before = dict(module.named_modules())
    fast = FastLayers(traced(module))
    images = torch.rand(4, 3, 32, 32).contiguous(memory_format=LAST)
    found = []
    for context in (nullcontext(), fast):
        module.zero_grad()
        with context:
            changed = {name for name, layer in before.items() if module.get_submodule(name) is not layer}
            scores = module(images)
            scores.square().sum().backward()
        found.append([scores.detach(), *(p.grad.clone() for p in module.parameters() if p.grad is not None)])
    # The third block's windows of 3 x 3 stay torch's own.
    assert changed == {"layer1.pool", "layer2.pool.0"}
    assert len(found[0]) == 1 + len(list(module.parameters()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class Twice(nn.Module):
    """A ReLU called twice, and one whose values a pool and an addition read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.shared = nn.ReLU()
        self.forked = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.pool2 = nn.MaxPool2d(2)
        self.fc = nn.Linear(3 * 8 * 8, 10)

    def forward(self, image: Tensor) -> Tensor:
        maps = self.pool1(self.shared(self.conv(image)))
        maps = self.forked(self.shared(maps) - 0.1)
        maps = self.pool2(maps) + functional.avg_pool2d(maps, 2)
        return self.fc(maps.flatten(1))


def test_layers_that_others_read_or_that_are_called_twice_stay() -> None:
    module = Twice()
    before = dict(module.named_children())
    with FastLayers(traced(module)):
        changed = {name for name, layer in module.named_children() if layer is not before[name]}
        # Pools are exchanged by themselves, the ReLUs before them stay.
        assert changed == {"pool1", "pool2"}
        assert isinstance(module.pool1, FastMaxPool)
