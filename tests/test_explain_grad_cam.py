"""Grad-CAM against autograd by hand on the two halves of a net, and against captum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import convscope
from convscope.errors import TraceError, UsageError
from convscope.explain import Edit, grad_cam, rerun
from tracing_models import batch
from tracing_oracles import Fingerprint, checksum, fill

pytestmark = pytest.mark.usefixtures("one_thread")


def net(*, inplace: bool = True) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(inplace), nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5),
        nn.ReLU(inplace), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 7),
    ).eval()  # fmt: skip


def by_hand(front: nn.Module, back: nn.Module, x: Tensor, target: int) -> np.ndarray[Any, Any]:
    """The signed map, with plain loops after autograd on the back half alone."""
    with torch.no_grad():
        maps = front(x).clone()
    maps.requires_grad_()
    back(maps.clone())[0, target].backward()
    assert maps.grad is not None
    total = torch.zeros(maps.shape[2:], dtype=torch.float64)
    for channel in range(maps.shape[1]):
        weight = maps.grad[0, channel].double().sum() / maps[0, channel].numel()
        total += weight * maps[0, channel].detach().double()
    return total.numpy()


def near(mine: Any, theirs: Any) -> None:
    theirs = np.asarray(theirs)
    assert mine.shape == theirs.shape
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("layer", range(7))
@pytest.mark.parametrize("target", [0, 6])
def test_any_layer_and_class_is_what_autograd_by_hand_gives(layer: int, target: int) -> None:
    x = batch(1, 3, 16, 16)
    plain = net(inplace=False)
    expected = by_hand(plain[: layer + 1], plain[layer + 1 :], x, target)
    found = grad_cam(net(), x, target, str(layer))
    near(found.signed, expected)
    near(found.map + 1, np.maximum(expected, 0) + 1)
    assert found.map.dtype == np.float32
    assert not found.whole_pass
    with torch.no_grad():
        assert found.score == pytest.approx(float(plain(x)[0, target]), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "layer", "target"),
    [
        ("resnet18", "layer4", 3), ("resnet18", "layer1.1", 999), ("densenet121", "features.denseblock3", 7),
        ("mobilenet_v3_small", "features.6", 4), ("shufflenet_v2_x0_5", "stage3", 5),
        ("vgg11_bn", "features.20", 2),
        ("googlenet", "inception4c", 0), ("efficientnet_b0", "features.4", 1),
    ],
)  # fmt: skip
def test_it_agrees_with_captum(name: str, layer: str, target: int) -> None:
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    options: dict[str, Any] = {"init_weights": False} if name == "googlenet" else {}
    model = fill(torchvision.models.get_model(name, weights=None, **options)).eval()
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # captum's hooks read what in-place ops overwrite
    x = batch(1, 3, 64, 64)
    expected = captum.LayerGradCam(model, model.get_submodule(layer)).attribute(x, target)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
    near(grad_cam(model, x, target, layer).signed, expected[0, 0].detach())


@pytest.mark.parametrize("name", ["convnext_tiny", "swin_t"])
def test_a_channels_last_map_is_read_along_its_own_axes(name: str) -> None:
    model = fill(torchvision.models.get_model(name, weights=None)).eval()
    trace = convscope.trace(model, batch(1, 3, 64, 64))
    op = [op for op in trace.ops if op.kind == "gelu"][2]
    assert op.spatial == (1, 2)
    kept: list[Tensor] = []
    module = model.get_submodule(op.path)

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = module.register_forward_hook(hook)
    model(batch(1, 3, 64, 64))[0, 5].backward()
    handle.remove()
    gradient = kept[0].grad
    assert gradient is not None
    expected = (gradient[0].mean((0, 1)) * kept[0][0]).sum(-1).detach()
    near(grad_cam(trace, None, 5, op.name).signed, expected)


def test_a_model_is_left_as_found_whatever_the_caller_has_switched_off() -> None:
    model = net()
    model[3].weight.requires_grad_(False)
    model[8].weight.grad = torch.ones(7, 20)
    expected = by_hand(net()[:4], net(inplace=False)[4:], batch(1, 3, 16, 16), 1)
    before = Fingerprint(model)
    near(grad_cam(model, batch(1, 3, 16, 16), 1, "3").signed, expected)
    with torch.no_grad():
        near(grad_cam(model, batch(1, 3, 16, 16), 1, "3").signed, expected)
    with torch.inference_mode():
        near(grad_cam(model, batch(1, 3, 16, 16), 1, "3").signed, expected)
        inside = convscope.trace(model, batch(1, 3, 16, 16))
    near(grad_cam(inside, None, 1, "3").signed, expected)
    before.check()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    near(grad_cam(model, batch(1, 3, 16, 16), 1, "3").signed, expected)
    assert not any(p.requires_grad for p in model.parameters())
    model.train()
    near(grad_cam(model, batch(1, 3, 16, 16), 1, "3").signed, expected)
    assert all(m.training for m in model.modules())


def test_a_trace_is_not_changed_by_it() -> None:
    trace = convscope.trace(net(), batch(1, 3, 16, 16))
    sums = [checksum(op.value) for op in trace.ops]
    grad_cam(trace, None, 2, "0")
    assert [checksum(op.value) for op in trace.ops] == sums
    assert not any(op.value.requires_grad for op in trace.ops)


def test_edits_of_a_trace_stay_made() -> None:
    x = batch(1, 3, 16, 16)
    trace = convscope.trace(net(), x)
    edited = rerun(trace, [Edit("2", (0, 1)), Edit("5", (3,), 2.0)])

    class Scale(nn.Module):
        def __init__(self, channels: list[int], factor: float) -> None:
            super().__init__()
            self.channels, self.factor = channels, factor

        def forward(self, value: Tensor) -> Tensor:
            value = value.clone()
            value[:, self.channels] = value[:, self.channels] * self.factor
            return value

    plain = net(inplace=False)
    back = nn.Sequential(plain[3:6], Scale([3], 2.0), plain[6:])
    near(
        grad_cam(edited, None, 4, "2").signed, by_hand(nn.Sequential(plain[:3], Scale([0, 1], 0)), back, x, 4)
    )
    front = nn.Sequential(plain[:3], Scale([0, 1], 0), plain[3:6], Scale([3], 2.0))
    near(grad_cam(edited, None, 4, "5").signed, by_hand(front, plain[6:], x, 4))


def test_a_model_that_cannot_be_replayed_is_run_whole() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = net()

        def forward(self, x: Tensor) -> Tensor:
            y = self.parts[:4](x)
            return self.parts[4:](y * 2 if float(y.detach().abs().max()) > 0 else y)

    plain = net(inplace=False)

    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    model = fill(Reads()).eval()
    plain.load_state_dict(model.parts.state_dict())
    found = grad_cam(model, batch(1, 3, 16, 16), 1, "parts.3")
    assert found.whole_pass
    near(found.signed, by_hand(plain[:4], nn.Sequential(Twice(), plain[4:]), batch(1, 3, 16, 16), 1))


def test_what_is_not_said_is_the_last_map_and_the_most_probable_class() -> None:
    model = net()
    found = grad_cam(model, batch(1, 3, 16, 16))
    with torch.no_grad():
        assert found.target == int(model(batch(1, 3, 16, 16)).argmax())
    assert found.name == "5"
    assert (found.method, found.label) == ("grad_cam", f"class {found.target}")
    assert "Selvaraju" in found.reference
    assert found.map.min() >= 0
    assert np.array_equal(grad_cam(model, batch(1, 3, 16, 16), relu=False).map, found.signed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 7}, "`target` must be between 0 and 6, the last class of the model; got 7"),
        ({"target": -1}, "`target` must be between 0 and 6"),
        ({"node": "7"}, "`7` is not a map"),
        ({"image": 1}, "`image` must be left out with a trace"),
    ],
)
def test_what_makes_no_sense_is_one_clear_sentence(arguments: dict[str, Any], message: str) -> None:
    trace = convscope.trace(net(), batch(1, 3, 16, 16))
    with pytest.raises(UsageError, match=message):
        grad_cam(trace, **arguments)
    with pytest.raises(UsageError, match="`image` must be given with a model"):
        grad_cam(net())


def test_a_layer_the_scores_do_not_depend_on_and_a_net_without_scores_are_errors() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts, self.aside = net(), nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return self.parts(x)

    with pytest.raises(TraceError, match="the class scores do not depend on `aside`"):
        grad_cam(Aside().eval(), batch(1, 3, 16, 16), 0, "aside")
    with pytest.raises(TraceError, match="this model gives no class scores"):
        grad_cam(net()[:3], batch(1, 3, 16, 16), 0, "0")
