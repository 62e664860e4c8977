"""Every kind of network: attention, wrapped and compiled models, number formats, detection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import convscope
from convscope.errors import ModelError
from tracing_models import Plain, batch, full_check, full_check_no_leaf
from tracing_oracles import Fingerprint, ancestors, check_graph, check_leaves, clone_hooks, fill, flat, same

# -- kinds of network ------------------------------------------------------------------------


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, enable_nested_tensor=False
        ),
        lambda: nn.TransformerEncoderLayer(16, 2, 32),
        lambda: nn.TransformerDecoderLayer(16, 2, 32, batch_first=True),
    ],
)
def test_attention_gives_the_bits_of_the_path_taken_unwatched(
    make: Callable[[], nn.Module], grad: bool
) -> None:
    torch.manual_seed(0)
    layer = make().eval()
    two = isinstance(layer, nn.TransformerDecoderLayer)

    def forward(self: Any, x: Tensor) -> Tensor:
        y = x.flatten(2).transpose(1, 2)
        return self.layer(y, y) if two else self.layer(y)

    model = Plain(forward, layer=layer)
    x = batch(2, 16, 4, 4)
    with torch.set_grad_enabled(grad):
        expected = model(x).detach()
    trace = convscope.trace(model, x, grad=grad)
    assert same(trace.output.detach(), expected)
    check_graph(trace)
    assert "layer" in trace


@pytest.mark.parametrize("with_weights", [False, True])
def test_multihead_attention_gives_its_output_and_weights(with_weights: bool) -> None:
    attention = nn.MultiheadAttention(16, 4, batch_first=True).eval()

    def forward(self: Any, x: Tensor) -> Any:
        y, weights = self.attention(x, x, x, need_weights=with_weights)
        return y + 1, weights

    model = Plain(forward, attention=attention)
    x = batch(2, 5, 16)
    with torch.no_grad():
        expected = model(x)
    trace = convscope.trace(model, (x,))
    assert same(trace.output[0], expected[0])
    assert (trace.output[1] is None) == (expected[1] is None)
    assert trace["add"].inputs == (trace.op("attention").index,)
    assert same(trace.op("attention").value, expected[0] - 1) or torch.allclose(
        trace.op("attention").value, expected[0] - 1, atol=1e-6
    )


def test_an_lstm_over_features_is_one_op_with_its_parameters() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        rows = self.conv(x).mean(3).transpose(1, 2)
        out, (h, _) = self.lstm(rows)
        return out[:, -1] + h[-1]

    model = Plain(
        forward, conv=nn.Conv2d(3, 4, 1), lstm=nn.LSTM(4, 6, 2, batch_first=True, bidirectional=False)
    )
    trace = full_check(model, batch())
    assert trace["lstm"].kind == "lstm"
    assert len(trace["lstm"].parameters) == 8


def test_an_autograd_function_gives_a_value_with_an_edge_from_its_input() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient * 2

    def forward(self: Any, x: Tensor) -> Tensor:
        return Double.apply(self.conv(x)).relu()

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    for grad in (False, True):
        trace = convscope.trace(model, batch(), grad=grad)
        check_graph(trace)
        relu = trace["relu"]
        assert trace["conv"].index in ancestors(trace, relu.index)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_a_scripted_function_inside_is_seen_as_a_value() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(_scripted)

    def forward(self: Any, x: Tensor) -> Tensor:
        return scripted(self.conv(x)).tanh()

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    with torch.no_grad():
        expected = model(batch())
    trace = convscope.trace(model, batch())
    assert same(trace.output, expected)
    check_graph(trace)
    assert same(trace["tanh"].value, expected)


def _scripted(x: Tensor) -> Tensor:
    return x.relu() + 1


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_checkpointed_modules_are_recorded_once(use_reentrant: bool, grad: bool) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.block, x, use_reentrant=use_reentrant))

    block = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    model = Plain(forward, block=block, head=nn.Conv2d(4, 2, 1)).eval()
    x = batch().requires_grad_(grad)
    trace = convscope.trace(model, x, grad=grad)
    assert [op.name for op in trace if not op.kind.startswith(("unseen", "detach"))][:5] == [
        "input", "block.0", "block.1", "block.2", "head",
    ]  # fmt: skip
    if grad:
        model(x).sum().backward()
        expected = block[0].weight.grad
        block[0].weight.grad = None
        trace.output.sum().backward()
        assert same(block[0].weight.grad, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_number_formats_are_kept_as_they_are(dtype: torch.dtype) -> None:
    model = torchvision.models.resnet18().eval().to(dtype)
    trace = full_check(model, batch(1, 3, 32, 32).to(dtype))
    assert trace["layer1.0.conv1"].dtype == str(dtype).removeprefix("torch.")
    assert trace["layer1.0.conv1"].value.dtype == dtype


def test_channels_last_values_are_the_networks_own() -> None:
    model = torchvision.models.resnet18().eval().to(memory_format=torch.channels_last)
    full_check(model, batch(1, 3, 64, 64).to(memory_format=torch.channels_last))


def test_autocast_values_are_the_networks_own() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x)

    model = Plain(forward, net=torchvision.models.resnet18()).eval()
    x = batch(1, 3, 32, 32)
    _, calls = clone_hooks(model, x)
    trace = convscope.trace(model, x)
    check_leaves(trace, calls)
    assert trace["net.conv1"].value.dtype == torch.bfloat16


def test_sparse_complex_and_empty_tensors_are_no_obstacle() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(x)
        spectrum.mul_(2)
        sparse = x[0, 0].to_sparse()
        product = torch.sparse.mm(sparse, x[0, 1])
        nothing = x[:0].sum()
        scalar = torch.tensor(2.0) * len(x)
        return torch.fft.ifft2(spectrum).real + product + nothing + scalar

    trace = full_check_no_leaf(Plain(forward), batch())
    assert same(trace["fft_fft2"].value, torch.fft.fft2(batch()))


def test_quantities_that_are_not_tensors_pass_by() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        size = x.shape[-1] // 2
        scale = float(x.mean().item())
        return F.interpolate(x, size=(size, size), mode="nearest") * scale

    trace = full_check_no_leaf(Plain(forward), batch())
    assert trace["interpolate"].shape == (2, 3, 4, 4)


def test_numpy_round_trips_give_values_again() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        array = self.conv(x).detach().cpu().numpy()
        array *= 2
        return torch.from_numpy(array + 1).tanh()

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    with torch.no_grad():
        plain = model.conv(batch())
    trace = full_check_no_leaf(model, batch())
    assert same(trace["conv"].value, plain)
    assert same(trace.output, torch.from_numpy(plain.numpy() * 2 + 1).tanh())


# -- wrapped models --------------------------------------------------------------------------


def test_a_compiled_model_is_unwrapped_and_the_card_says_so() -> None:
    net = torchvision.models.resnet18().eval()
    trace = convscope.trace(torch.compile(net), batch(1, 3, 32, 32))
    assert trace["conv1"].kind == "conv2d"
    assert any("torch.compile" in note for note in trace.card.notes)


def test_submodules_compiled_in_place_are_watched_uncompiled() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    with torch.no_grad():
        expected = net(batch())
    net[0].compile()
    net.compile()
    trace = convscope.trace(net, batch())
    assert [op.name for op in trace] == ["input", "0", "1", "2"]
    assert same(trace.output, expected)


def test_a_compiled_function_inside_is_watched_uncompiled() -> None:
    @torch.compile
    def function(x: Tensor) -> Tensor:
        return x.relu() + 1

    def forward(self: Any, x: Tensor) -> Tensor:
        return function(self.conv(x))

    trace = convscope.trace(Plain(forward, conv=nn.Conv2d(3, 4, 1)), batch())
    assert [op.kind for op in trace] == ["input", "conv2d", "relu", "add"]


def test_a_data_parallel_model_is_unwrapped_and_the_card_says_so() -> None:
    net = torchvision.models.resnet18().eval()
    trace = convscope.trace(nn.DataParallel(net), batch(1, 3, 32, 32))
    assert "conv1" in trace
    assert any("DataParallel" in note for note in trace.card.notes)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_a_torchscript_model_gets_a_clear_error() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(nn.Sequential(nn.Conv2d(3, 4, 1)), batch())
    with pytest.raises(ModelError, match="TorchScript"):
        convscope.trace(scripted, batch())


# -- detection, keypoints and segmentation ---------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 96),
        ("ssdlite320_mobilenet_v3_large", 96),
        ("lraspp_mobilenet_v3_large", 64),
        ("deeplabv3_mobilenet_v3_large", 64),
    ],
)
def test_detection_and_segmentation_models_are_recorded_whole(name: str, size: int) -> None:
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    fill(model).eval()
    picture = torch.rand(3, size, size, generator=torch.Generator().manual_seed(0))
    given: Any = (
        picture[None] if "v3_large" in name and "rcnn" not in name and "ssd" not in name else [picture]
    )
    plain, calls = clone_hooks(model, given)
    before = Fingerprint(model)
    trace = convscope.trace(model, given)
    before.check()
    for mine, theirs in zip(flat(trace.output), flat(plain), strict=True):
        assert same(mine, theirs)
    assert check_leaves(trace, calls) > 50
    check_graph(trace)
