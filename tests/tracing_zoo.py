"""Torchvision's classification models, each traced and held against independent oracles."""

from __future__ import annotations

import pytest
import torch
import torchvision

import convscope
from tracing_oracles import (
    Fingerprint,
    check_graph,
    check_leaves,
    checksum,
    clone_hooks,
    fill,
    flat,
    no_initialisation,
    replay,
    same,
)

SIZES = {"inception_v3": 75, "vit_h_14": 28}
QUICK = {
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50",
    "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_32",
}  # fmt: skip
LARGE = ("regnet", "vit", "swin", "maxvit")
NAMES = torchvision.models.list_models(module=torchvision.models)


def build(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    size = SIZES.get(name, 64)
    options: dict[str, object] = {"image_size": size} if name.startswith("vit") else {}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with no_initialisation():
        if name == "maxvit_t":  # its own builder takes no input smaller than 224
            model = torchvision.models.MaxVit((64, 64), 64, 2, [64, 128, 256, 512], [2, 2, 5, 2], 32, 0.2)
        else:
            model = torchvision.models.get_model(name, weights=None, **options)
    batch = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    return fill(model).eval(), batch


def marked(*, large: bool) -> list[object]:
    """Names for `parametrize`; RegNets and transformers are the ``large`` ones."""
    names = [name for name in NAMES if name.startswith(LARGE) is large]
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def check(name: str) -> None:
    """Trace the network and hold the trace against hooks, replays and its own values after later writes."""
    model, batch = build(name)
    plain, calls = clone_hooks(model, batch)
    before = Fingerprint(model)
    kept = batch.clone()
    trace = convscope.trace(model, batch)
    before.check()

    assert same(batch, kept), "the input is untouched"
    assert not trace._recording.stale
    for mine, theirs in zip(flat(trace.output), flat(plain), strict=True):
        assert torch.isfinite(theirs).all()
        assert same(mine, theirs), "output"
    assert check_leaves(trace, calls) > 10
    del calls
    check_graph(trace)
    assert replay(trace) > 20

    values = [v for op in trace.ops for v in op.values if v is not None]
    values += [v for call in trace.calls for v in call.values if v is not None]
    sums = [checksum(v) for v in values]
    with torch.no_grad():
        batch.fill_(0.5)
        model(batch)
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.fill_(1)
    assert [checksum(v) for v in values] == sums, "a recorded value changed afterwards"
