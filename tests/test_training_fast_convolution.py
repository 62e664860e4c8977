"""Convolutions in 8-bit whole numbers, held against whole numbers in numpy, and where they give way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from convscope.models import load_model
from convscope.models.small_nets import cifar10_small
from convscope.tracing import blank_input, trace
from convscope.training import Recipe, fast_convolution, train
from convscope.training.fast_convolution import FastConv2d, fits
from convscope.training.fast_layers import FastLayers
from convscope.training.int8 import has_int8

LAST = torch.channels_last
TYPES = {torch.float32: 1e-5, torch.bfloat16: 2**-8}
needs_int8 = pytest.mark.skipif(not has_int8(), reason="this processor, or this torch, multiplies no bytes")


def layer(channels: int = 16, filters: int = 24, kernel: int = 3, padding: int = 1) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, filters, kernel, padding=padding, bias=False)


def maps_of(count: int, channels: int, rows: int, columns: int) -> Tensor:
    return torch.randn(count, channels, rows, columns).contiguous(memory_format=LAST)


def by_hand(maps: Tensor, weight: Tensor, padding: int) -> NDArray[np.float64]:
    """The convolution of rounded maps and filters, in whole numbers, by a loop over places."""
    values, filters = maps.double().numpy(), weight.double().numpy()
    low, high = min(values.min(), 0), max(values.max(), 0)
    scale = (high - low) / (255 if low == 0 else 252)
    # As the maps' own type holds the product: bfloat16 is as coarse as the bytes are.
    rounded = np.round((maps * (1 / scale)).double().numpy()).astype(np.int64)
    scales = np.abs(filters).max((1, 2, 3)) / 127
    counted = np.round(filters / scales[:, None, None, None]).astype(np.int64)
    rounded = np.pad(rounded, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    side = counted.shape[2]
    rows, columns = rounded.shape[2] - side + 1, rounded.shape[3] - side + 1
    result = np.zeros((len(rounded), len(counted), rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = rounded[:, :, row : row + side, column : column + side]
            result[:, :, row, column] = np.einsum("nchw,fchw->nf", window, counted)
    return result * scale * scales[None, :, None, None]


@needs_int8
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (3, 0), (5, 2), (1, 0)])
def test_the_result_is_that_of_whole_numbers(
    dtype: torch.dtype, positive: bool, kernel: int, padding: int
) -> None:
    conv = layer(kernel=kernel, padding=padding).to(dtype)
    maps = maps_of(3, 16, 9, 7).to(dtype)
    maps = maps.relu() if positive else maps - 0.5
    found = FastConv2d(conv)(maps)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=LAST)
    expected = by_hand(maps, conv.weight.detach(), padding)
    near = np.abs(expected).max() * TYPES[dtype]
    assert np.abs(found.detach().double().numpy() - expected).max() <= near
    exact = conv(maps).detach().double().numpy()
    assert 0 < np.abs(expected - exact).max() < 0.05 * np.abs(exact).max()


@needs_int8
@pytest.mark.parametrize("dtype", TYPES)
def test_no_byte_goes_round_wherever_zero_lies(dtype: torch.dtype) -> None:
    conv = nn.Conv2d(16, 16, 1, bias=False).to(dtype)
    nn.init.dirac_(conv.weight)
    fast = FastConv2d(conv)
    for low in np.linspace(-3, 0, 211):
        ends = torch.tensor([low, low / 2, 0, 1, 0.37, 2.5]).to(dtype)
        maps = ends.repeat(1, 16, 1, 1).contiguous(memory_format=LAST)
        step = (2.5 - low) / 252
        assert float((fast(maps).detach().float() - maps.float()).abs().max()) <= 1.3 * step


@needs_int8
def test_a_bias_is_added() -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    maps = torch.zeros(1, 16, 4, 4).contiguous(memory_format=LAST)
    maps[0, 0, 0, 0] = 1
    assert torch.allclose(FastConv2d(conv)(maps), conv(maps), atol=0.01)


@needs_int8
@pytest.mark.parametrize("dtype", TYPES)
def test_the_weights_gradient_is_not_rounded(dtype: torch.dtype) -> None:
    conv = layer().to(dtype)
    maps, came = maps_of(4, 16, 6, 6).to(dtype), maps_of(4, 24, 6, 6).to(dtype)
    FastConv2d(conv)(maps).backward(came)
    rounded = conv.weight.grad
    conv.weight.grad = None
    conv(maps).backward(came)
    assert rounded is not None
    assert conv.weight.grad is not None
    assert torch.equal(rounded, conv.weight.grad)


@needs_int8
def test_the_maps_gradient_is_right_on_average() -> None:
    conv = layer()
    maps = maps_of(4, 16, 6, 6).requires_grad_()
    # Most values are far below what a byte can tell apart, all of one sign: to the nearest they would be 0.
    came = maps_of(4, 24, 6, 6).abs() * 1e-4
    came[0, 0, 0, 0] = 1.0
    fast = FastConv2d(conv)
    # Weights are rounded to the nearest, with one scale for each map that a gradient is sent to.
    scales = conv.weight.detach().abs().amax((0, 2, 3), keepdim=True) / 127
    rounded = (conv.weight.detach() / scales).round() * scales
    exact = torch.nn.grad.conv2d_input(maps.shape, rounded, came, padding=1)
    torch.manual_seed(1)
    draws = torch.stack([torch.autograd.grad(fast(maps), maps, came)[0] for _ in range(400)])
    deviation = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact).abs() <= 5 * deviation + 1e-6).all()
    nearest = torch.nn.grad.conv2d_input(maps.shape, rounded, (came * 126).round() / 126, padding=1)
    assert ((nearest - exact).abs() > 5 * deviation + 1e-6).any()


@needs_int8
def test_one_seed_gives_one_gradient() -> None:
    conv, maps, came = layer(), maps_of(4, 16, 6, 6).requires_grad_(), maps_of(4, 24, 6, 6)

    def gradient(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.autograd.grad(FastConv2d(conv)(maps), maps, came)[0]

    assert torch.equal(gradient(3), gradient(3))
    assert not torch.equal(gradient(3), gradient(4))


@needs_int8
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(value: float) -> None:
    conv = layer()
    maps = maps_of(2, 16, 5, 5)
    maps[1, 3, 2, 2] = value
    assert torch.equal(FastConv2d(conv)(maps).isfinite(), conv(maps).isfinite())
    with torch.no_grad():
        conv.weight[2, 0, 1, 1] = value
    found = FastConv2d(conv)(maps_of(2, 16, 5, 5))
    assert not found[:, 2].isfinite().any() or not found[:, 2].isfinite().all()
    assert found[:, 3].isfinite().all()


@needs_int8
def test_maps_and_filters_of_zeros_give_zeros_and_gradients() -> None:
    conv = layer()
    with torch.no_grad():
        conv.weight[1] = 0
    maps = torch.zeros(2, 16, 5, 5).contiguous(memory_format=LAST).requires_grad_()
    result = FastConv2d(conv)(maps)
    assert not result.any()
    result.sum().backward()
    assert maps.grad is not None
    assert torch.allclose(maps.grad, torch.autograd.grad(conv(maps).sum(), maps)[0], rtol=0.05, atol=0.05)
    ones = torch.ones(2, 16, 5, 5).contiguous(memory_format=LAST)
    assert not FastConv2d(conv)(ones)[:, 1].any()
    assert FastConv2d(conv)(ones[:0]).shape == (0, 24, 5, 5)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(3, 32, 3),
        nn.Conv2d(32, 8, 3),
        nn.Conv2d(16, 16, 3, stride=2),
        nn.Conv2d(16, 16, 3, dilation=2),
        nn.Conv2d(16, 16, 3, groups=2),
        nn.Conv2d(16, 16, 3, padding="same"),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(16, 16, 3, padding=3),
        nn.ConvTranspose2d(16, 16, 3),
        nn.Linear(16, 16),
        type("Own", (nn.Conv2d,), {})(16, 16, 3),
    ],
    ids=str,
)
def test_other_layers_are_left_as_they_are(other: nn.Module) -> None:
    assert not fits(other)


@pytest.mark.parametrize(
    "maps", [torch.rand(16, 5, 5), torch.rand(2, 16, 5, 5).double()], ids=["one picture", "float64"]
)
def test_maps_it_cannot_take_get_torchs_own(maps: Tensor) -> None:
    conv = layer().to(maps.dtype)
    assert torch.equal(FastConv2d(conv)(maps), conv(maps))


def test_without_such_a_processor_it_is_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_convolution, "has_int8", lambda: False)
    conv, maps = layer(), maps_of(2, 16, 5, 5)
    assert torch.equal(FastConv2d(conv)(maps), conv(maps))


@needs_int8
def test_the_network_is_what_it_was_afterwards() -> None:
    model = load_model(cifar10_small(), input_size=32)
    before = list(model.module.state_dict())
    kinds = {path: type(part) for path, part in model.module.named_modules()}
    fast = FastLayers(trace(model, blank_input(model), keep=[]), same=False, int8=True)
    with fast:
        assert [path for path, part in model.module.named_modules() if isinstance(part, FastConv2d)] == [
            f"layer{block}.conv{place}" for block in (1, 2, 3) for place in (1, 2)
        ]
        assert list(model.module.state_dict()) == before
    assert {path: type(part) for path, part in model.module.named_modules()} == kinds


class Net(nn.Module):
    """Small enough for a test, wide enough for 8 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        maps = functional.max_pool2d(self.conv1(image).relu(), 2)
        return self.fc(self.bn(self.conv2(maps)).relu().mean((2, 3)))


@needs_int8
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_learns_with_them_and_is_saved_with_its_own_layers(tmp_path: Path, precision: str) -> None:
    recipe = Recipe(epochs=6, batch=64, learning_rate=0.1, precision=precision)
    accuracy = {}
    for int8_layers in (False, True):
        torch.manual_seed(0)
        net, folder = Net(), tmp_path / str(int8_layers)
        run = train(net, "digits", recipe.replace(int8=int8_layers), run=folder, threads=1, size=16)
        assert run.evaluation is not None
        accuracy[int8_layers] = run.evaluation.accuracy
        assert type(net.conv2) is nn.Conv2d
    assert accuracy[True] > 0.85
    assert abs(accuracy[True] - accuracy[False]) < 0.08
    assert (tmp_path / "True/model.safetensors").read_bytes() != (
        tmp_path / "False/model.safetensors"
    ).read_bytes()


@needs_int8
def test_a_network_whose_convolutions_go_by_the_mode_learns_with_them_too(tmp_path: Path) -> None:
    model = load_model("cifar10_small", weights="none")  # as all that are loaded, in evaluation mode
    last, found = model.module.layer3, set()
    assert isinstance(last, nn.Module)
    last.register_forward_pre_hook(
        lambda block, inputs: found.add(
            (model.module.training, type(block.conv1), tuple(inputs[0].shape[2:]))
        )
    )
    recipe = Recipe(epochs=1, batch=512, int8=True, settle=True)
    train(model, "digits", recipe, run=tmp_path / "run", threads=1, size=32)
    assert found == {(True, FastConv2d, (6, 6)), (False, nn.Conv2d, (12, 12))}
