"""Receptive fields of real networks, against gradients and against published figures."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

import convscope
from convscope.tracing.fields import Box, field_box

pytestmark = pytest.mark.usefixtures("one_thread")


def seen_everywhere(model: nn.Module) -> nn.Module:
    """A model whose gradients cannot vanish: positive weights, and means in the place of maxima."""
    torch.manual_seed(0)
    for name, child in list(model.named_modules()):
        if isinstance(child, nn.MaxPool2d):
            parent = model.get_submodule(name.rpartition(".")[0])
            mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
            setattr(parent, name.rpartition(".")[2], mean)
        elif isinstance(child, nn.Conv2d):
            with torch.no_grad():
                fan = child.weight[0].numel()
                child.weight.uniform_(0.5 / fan, 1.5 / fan)
                if child.bias is not None:
                    child.bias.zero_()
    return model.double().eval()


class Reached(Exception):
    pass


def gradient_boxes(
    model: nn.Module, image: Tensor, layer: str, axes: tuple[int, int], cells: list[tuple[int, int]]
) -> list[Box]:
    def reached(module: nn.Module, args: object, output: Tensor) -> None:
        raise Reached(output)

    handle = model.get_submodule(layer).register_forward_hook(reached)
    image = image.clone().requires_grad_()
    with pytest.raises(Reached, match="tensor") as found:
        model(image)
    handle.remove()
    maps = found.value.args[0].movedim(axes, (-2, -1))
    return [bounding_box(image, maps[..., row, column].sum()) for row, column in cells]


def bounding_box(image: Tensor, value: Tensor) -> Box:
    (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
    rows = gradient.abs().amax(dim=(0, 1, 3)).nonzero().flatten()
    columns = gradient.abs().amax(dim=(0, 1, 2)).nonzero().flatten()
    if not len(rows):
        return Box(0, 0, 0, 0)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


NETS = [
    (
        "resnet18",
        (70, 97),
        ["conv1", "maxpool", "layer1.1.conv2", "layer2.0.downsample.0", "layer2.1.conv2", "layer3.1"],
    ),
    ("resnet50", (64, 64), ["layer1.0.conv3", "layer2.0.conv2", "layer2.1.conv2", "layer3.0"]),
    ("mobilenet_v2", (64, 80), ["features.2.conv.0", "features.4", "features.8.conv.2"]),
    (
        "densenet121",
        (65, 64),
        ["features.denseblock1.denselayer3.conv2", "features.transition1", "features.norm5"],
    ),
    ("googlenet", (64, 90), ["inception3a.branch3.1", "inception3b.branch4.1", "inception4a.branch4.0"]),
    ("alexnet", (90, 131), ["features.2", "features.5", "features.12"]),
    ("vgg16", (64, 48), ["features.9", "features.16", "features.28"]),
    (
        "convnext_tiny",
        (64, 64),
        ["features.1.0.block.0", "features.1.1.block.3", "features.2.1", "features.3.0"],
    ),
    ("shufflenet_v2_x0_5", (64, 64), ["stage2.0.branch2.3", "stage2.2.branch2.5", "stage3.0.branch1.2"]),
    ("squeezenet1_1", (64, 75), ["features.3.expand3x3", "features.6.squeeze", "features.11.expand3x3"]),
    (
        "mobilenet_v3_small",
        (64, 64),
        ["features.0", "features.1", "features.2.block.1", "features.4.block.0"],
    ),
]


@pytest.mark.parametrize(("name", "size", "layers"), NETS, ids=[n[0] for n in NETS])
def test_box_of_a_cell_is_where_its_gradient_is_not_zero(
    name: str, size: tuple[int, int], layers: list[str]
) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    model = seen_everywhere(getattr(torchvision.models, name)(weights=None, **options))
    image = torch.rand(1, 3, *size, dtype=torch.float64) * 1e-3
    trace = convscope.trace(model, image)
    for layer in layers:
        op = trace.op(layer)
        assert op.spatial is not None
        rows, columns = (op.shape[axis] for axis in op.spatial)
        cells = [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2), (rows // 3, 0)]
        expected = gradient_boxes(model, image, layer, op.spatial or (2, 3), cells)
        assert [field_box(trace.ops, op.index, *cell) for cell in cells] == expected, layer


def test_box_in_efficientnet_lite0_is_where_its_gradient_is_not_zero() -> None:
    timm = pytest.importorskip("timm")
    model = seen_everywhere(timm.create_model("tf_efficientnet_lite0"))
    image = torch.rand(1, 3, 72, 64, dtype=torch.float64) * 1e-3
    trace = convscope.trace(model, image)
    for layer in ["conv_stem", "blocks.1.0.conv_dw", "blocks.2.1.conv_pwl", "blocks.3.0.conv_dw"]:
        op = trace.op(layer)
        rows, columns = op.shape[2:]
        cells = [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2), (rows // 2, 0)]
        assert [field_box(trace.ops, op.index, *c) for c in cells] == gradient_boxes(
            model, image, layer, (2, 3), cells
        )


def test_squeeze_and_excitation_makes_every_cell_see_everything() -> None:
    model = torchvision.models.mobilenet_v3_small(weights=None).eval()
    trace = convscope.trace(model, torch.rand(1, 3, 64, 64))
    assert trace["features.0.0"].field is not None
    scaled = trace["features.1.block.1.mul"]
    assert scaled.field is None
    assert scaled.spatial == (2, 3)
    assert field_box(trace.ops, scaled.index, 0, 0) == Box(0, 0, 64, 64)
    assert all(op.field is None for op in trace.ops[scaled.index :])


@pytest.mark.parametrize(
    ("name", "layer", "size", "stride"),
    [
        ("alexnet", "features.12", 195, 32),
        ("vgg16", "features.30", 212, 32),
        ("resnet50", "layer4.2.conv3", 427, 32),
    ],
)
def test_closed_form_has_the_known_size(name: str, layer: str, size: int, stride: int) -> None:
    # ResNet-50 here strides in the 3 × 3 convolution of a stage's first block; 483 below is the
    # original's, which strides in the last.
    model = getattr(torchvision.models, name)(weights=None).eval()
    field = convscope.trace(model, torch.zeros(1, 3, 224, 224)).op(layer).field
    assert field is not None
    assert (field.size, field.stride) == ((size, size), (stride, stride))


def conv(size: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(1, 1, size, stride, padding=size // 2)


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        (
            [conv(7, 2), nn.MaxPool2d(3, 2, 1)]
            + [
                conv(3, s)
                for count, last in ((3, 2), (4, 2), (6, 2), (3, 1))
                for s in [1] * (count - 1) + [last]
            ],
            483,
        ),
        ([conv(3, s) for s in (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)], 315),
    ],
    ids=["resnet_v1_50", "mobilenet_v1"],
)
def test_size_is_that_of_computing_receptive_fields_of_cnns(layers: list[nn.Module], size: int) -> None:
    trace = convscope.trace(nn.Sequential(*layers), torch.zeros(1, 1, 64, 64))
    assert trace.ops[-1].field is not None
    assert trace.ops[-1].field.size == (size, size)


@pytest.mark.parametrize(
    "name", ["resnet18", "densenet121", "mobilenet_v2", "shufflenet_v2_x0_5", "convnext_tiny"]
)
def test_closed_form_and_box_agree_away_from_the_border(name: str) -> None:
    model = getattr(torchvision.models, name)(weights=None).eval()
    trace = convscope.trace(model, torch.zeros(1, 3, 256, 256))
    compared = 0
    for op in trace.ops:
        if op.field is None or op.spatial is None:
            continue
        cell = tuple(op.shape[a] // 2 for a in op.spatial)
        top, left = (op.field.start[i] + op.field.stride[i] * cell[i] for i in (0, 1))
        bottom, right = top + op.field.size[0], left + op.field.size[1]
        if min(top, left) >= 0 and max(bottom, right) <= 256:
            compared += 1
            assert field_box(trace.ops, op.index, *cell) == Box(top, left, bottom, right), op.name
    assert compared > 20


def test_channels_last_blocks_keep_rows_and_columns() -> None:
    model = torchvision.models.convnext_tiny(weights=None).eval()
    trace = convscope.trace(model, torch.zeros(1, 3, 64, 64))
    linear = next(op for op in trace.ops if op.kind == "linear" and op.field is not None)
    assert linear.spatial == (1, 2)
    before = trace.ops[linear.operands[0].op or 0]
    assert linear.field == before.field
