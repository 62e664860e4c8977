"""The arithmetic of every op of real networks agrees with what they computed."""

from __future__ import annotations

import random

import pytest
import torch
import torchvision
from torch import nn

import convscope
from convscope.tracing.arithmetic import explain_value
from convscope.tracing.arithmetic.locate import cell_of, layout
from convscope.tracing.arithmetic_text import format_arithmetic
from convscope.tracing.fields import spatial_axes

pytestmark = pytest.mark.usefixtures("one_thread")


def net(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    model = getattr(torchvision.models, name)(weights=None, **options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return model


NETS = """resnet18 googlenet densenet121 mobilenet_v3_small squeezenet1_1 shufflenet_v2_x0_5 convnext_tiny
efficientnet_b0 alexnet regnet_y_400mf""".split()


@pytest.mark.parametrize("name", NETS)
def test_every_op_agrees_at_random_cells(name: str) -> None:
    torch.manual_seed(1)
    trace = convscope.trace(net(name), torch.randn(2, 3, 64, 64))
    chance = random.Random(name)
    checked = 0
    for op in trace.ops:
        views = sum(o.role.startswith("memory.") for o in op.operands)
        for output, shape in enumerate(op.shapes[: len(op.shapes) - views]):
            index = tuple(chance.randrange(n) for n in shape)
            where = layout(shape, spatial_axes(trace.ops, op.index, output))
            cell = cell_of(where, op.name, index, output)
            found = explain_value(trace, op.index, cell.channel, cell.at, batch=cell.batch, output=output)
            assert found.cell == cell
            assert found.value == float(op.values[output][index])  # type: ignore[index]
            assert found.agrees, str(found)
            assert found.parents or op.kind == "input"
            checked += 1
    assert checked >= len(trace.ops)


def test_a_person_can_walk_from_the_answer_to_the_photo() -> None:
    trace = convscope.trace(net("resnet18"), torch.randn(1, 3, 64, 64))
    cell = explain_value(trace, "fc", 7).parents[0]
    seen = ["fc"]
    while cell.op != "input":
        seen.append(cell.op)
        found = explain_value(trace, cell.op, cell.channel, cell.at, batch=cell.batch, output=cell.output)
        assert found.agrees
        cell = found.parents[0]
    assert len(seen) > 30
    assert seen[-1] == "conv1"
    assert cell.at is not None


def test_text_adds_up() -> None:
    trace = convscope.trace(net("resnet18"), torch.randn(1, 3, 64, 64))
    found = explain_value(trace, "layer1.0.conv1", 12, (4, 5))
    text = format_arithmetic(found, terms=5)
    lines = text.splitlines()
    assert lines[0] == "layer1.0.conv1 · conv2d · channel 12 · row 4, column 5"
    assert "576 products: channels 0 to 63 of maxpool, 3 × 3 cells, rows 3 to 5 and columns 4 to 6" in text
    numbers = [float(line.split()[0]) for line in lines if line.strip()[:1] in "+-" and "%" in line]
    assert len(numbers) == 6
    assert sum(numbers) == pytest.approx(found.total, abs=1e-5)
    assert lines[-1].split()[0] == "model"
    assert "✓" in lines[-1]
