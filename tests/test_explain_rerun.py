"""Reruns: layers switched off or scaled, each against a full pass with the value replaced."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import convscope
from convscope.errors import TraceError, UnknownLayerError, UsageError
from convscope.explain import Edit, EditedTrace, rerun
from convscope.tracing import Op
from explain_oracles import build, oracle, scaled
from tracing_models import Plain, batch
from tracing_oracles import Fingerprint, checksum, fill, flat, same

pytestmark = pytest.mark.usefixtures("one_thread")


def agree(edited: EditedTrace, full: convscope.Trace, name: str = "") -> int:
    """Every value of the rerun is the full pass's, bit for bit; gives how many were compared."""
    for mine, theirs in zip(flat(edited.output), flat(full.output), strict=True):
        assert same(mine, theirs), f"output after editing {name}"
    compared = 0
    for op in edited.ops:
        theirs_op = full[f"{op.name}.replaced"] if f"{op.name}.replaced" in full else full[op.name]
        for mine, theirs in zip(op.values, theirs_op.values, strict=True):
            assert mine is not None
            assert theirs is not None
            assert same(mine, theirs), f"{op.name} after editing {name}"
            compared += 1
    return compared


def editable(trace: convscope.Trace) -> list[Op]:
    """Ops of one output whose name is not also that of a call of several ops."""
    return [op for op in trace.ops if len(op.shapes) == 1 and op.kind not in {"input", "multihead_attention"}]


ZOO = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "shufflenet_v2_x0_5",
    "squeezenet1_1", "swin_t", "vgg11_bn", "vit_b_32",
]  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_an_edit_anywhere_gives_what_a_full_pass_with_that_value_replaced_gives(name: str) -> None:
    model, x = build(name)
    trace = convscope.trace(model, x)
    sums = [checksum(v) for op in trace.ops for v in op.values if v is not None]
    before = Fingerprint(model)
    ops = editable(trace)
    for number, op in enumerate(ops[1 :: max(1, len(ops) // 5)]):
        axis = 3 if op.spatial == (1, 2) else 2 if len(op.shape) == 3 else 1
        channels = (0, op.shape[axis] - 1)[: 1 + number % 2] if number % 3 else None
        factor = (0.0, 0.0, -1.5)[number % 3]
        edited = rerun(trace, [Edit(op.index, channels, factor)])
        assert not edited.whole_pass, (op.name, edited.reason)
        assert agree(edited, oracle(trace, x, {op.name: scaled(axis, channels, factor)}), op.name) > 20
    before.check()
    assert [checksum(v) for op in trace.ops for v in op.values if v is not None] == sums, "a value changed"


def test_timm_efficientnet_is_rerun_from_its_recording() -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    model = fill(timm.create_model("efficientnet_lite0", pretrained=False)).eval()
    x = batch(1, 3, 64, 64)
    trace = convscope.trace(model, x)
    for name in ("conv_stem", "blocks.2.1", "blocks.4.0.bn2", "conv_head", "global_pool"):
        edited = rerun(trace, [Edit(name, (1, 3), 0.25)])
        assert not edited.whole_pass, (name, edited.reason)
        full = oracle(trace, x, {name: scaled(1, (1, 3), 0.25)})
        assert same(edited.output, full.output)
        assert not same(edited.output, trace.output)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "shufflenet_v2_x0_5"])
def test_several_edits_at_once_are_a_full_pass_with_all_of_them(name: str) -> None:
    model, x = build(name)
    trace = convscope.trace(model, x)
    maps = [
        op for op in editable(trace) if op.spatial == (2, 3) and op.kind in {"conv2d", "relu", "add", "cat"}
    ]
    chosen = [maps[1], maps[len(maps) // 2], maps[-1]]
    edited = rerun(trace, [Edit(op.name, (0,), f) for op, f in zip(chosen, (0, 2, 0.5), strict=True)])
    full = oracle(trace, x, {op.name: scaled(1, (0,), f) for op, f in zip(chosen, (0, 2, 0.5), strict=True)})
    agree(edited, full)


def test_a_module_call_is_edited_where_it_returns() -> None:
    model, x = build("resnet50")
    trace = convscope.trace(model, x)
    for name in ("layer2", "layer3.1", "layer4.0.downsample"):
        edited = rerun(trace, [Edit(name, (2,))])
        assert not edited.whole_pass
        full = oracle(trace, x, {name: scaled(1, (2,), 0)})
        assert same(edited.output, full.output)
        assert same(edited[name].value, scaled(1, (2,), 0)(trace[name].value))
        assert same(edited[name].values[0], edited.op(name).value)


def test_only_what_depends_on_the_edit_is_called_again() -> None:
    model, x = build("resnet18")
    trace = convscope.trace(model, x)
    edited = rerun(trace, [Edit("layer4.1.conv2", (0,))])
    names = [trace.ops[i].name for i in edited.recomputed]
    assert names == ["layer4.1.bn2", "layer4.1.add", "layer4.1.relu_1", "avgpool", "flatten", "fc"]
    for mine, theirs in zip(edited.ops, trace.ops, strict=True):
        if mine.index not in edited.recomputed and mine.name != "layer4.1.conv2":
            assert mine is theirs


def test_a_factor_of_one_changes_nothing_and_calls_nothing() -> None:
    model, x = build("mobilenet_v2")
    trace = convscope.trace(model, x)
    edited = rerun(trace, [Edit("features.3", None, 1.0), Edit(5, (0, 1), 1)])
    assert edited.recomputed == ()
    assert edited.output is trace.output
    assert edited.ops == trace.ops
    assert rerun(trace, []).output is trace.output


def test_the_last_layer_switched_off_leaves_its_bias() -> None:
    model, x = build("resnet18")
    edited = rerun(convscope.trace(model, x), [Edit("flatten")])
    assert same(edited.output[0], model.fc.bias.detach())
    assert edited.predictions(1)[0].index == int(model.fc.bias.argmax())
    edited = rerun(convscope.trace(model, x), [Edit("fc")])
    assert same(edited.output, torch.zeros(1, 1000))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_edits_of_different_channels_commute_and_one_by_one_is_all_at_once(data: st.DataObject) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3, groups=2),
        nn.Hardswish(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    ).eval()  # fmt: skip
    trace = convscope.trace(net, batch(2, 3, 8, 8))
    one = st.builds(
        lambda node, channel, factor: Edit(node, (channel,), factor),
        st.integers(1, 7), st.integers(0, 5), st.sampled_from([0.0, 0.5, -2.0, 4.0]),
    )  # fmt: skip
    edits = data.draw(st.lists(one, min_size=1, max_size=4, unique_by=lambda e: (e.node, e.channels)))
    forward, backward = rerun(trace, edits), rerun(trace, edits[::-1])
    stepwise: convscope.Trace = trace
    for edit in edits:
        stepwise = rerun(stepwise, [edit])
    for a, b, c in zip(forward.ops, backward.ops, stepwise.ops, strict=True):
        assert same(a.value, b.value)
        assert same(a.value, c.value)


def test_a_channels_last_net_is_edited_along_its_last_axis() -> None:
    model, x = build("convnext_tiny")
    trace = convscope.trace(model, x)
    op = next(op for op in trace.ops if op.kind == "gelu")
    assert op.spatial == (1, 2)
    edited = rerun(trace, [Edit(op.index, (op.shape[3] - 1,))])
    assert bool((edited[op.name].value[..., -1] == 0).all())
    assert same(edited[op.name].value[..., :-1], trace[op.name].value[..., :-1])


def test_attention_recorded_as_one_op_is_called_again_as_a_module() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens)[0].mean(1)

    model = Plain(
        forward, conv=nn.Conv2d(3, 8, 1), attention=nn.MultiheadAttention(8, 2, batch_first=True)
    ).eval()
    x = batch(2, 3, 6, 6)
    trace = convscope.trace(model, x)
    edited = rerun(trace, [Edit("conv", (1, 4), 0.0)])
    assert not edited.whole_pass
    assert same(edited.output, oracle(trace, x, {"conv": scaled(1, (1, 4), 0)}).output)

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        return scaled(2, (3,), 0)(output[0]), output[1]

    handle = model.attention.register_forward_hook(hook)
    with torch.no_grad():
        expected = model(x)
    handle.remove()
    assert same(rerun(trace, [Edit("attention", (3,))]).output, expected)


def test_what_a_model_returns_keeps_its_form() -> None:
    def forward(self: Any, x: Tensor) -> dict[str, Any]:
        y = self.conv(x)
        return {"maps": [y, x], "scores": (y.mean((2, 3)), 3)}

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch(2, 3, 6, 6))
    output = rerun(trace, [Edit("conv")]).output
    assert output["maps"][1] is trace.output["maps"][1]
    assert output["scores"][1] == 3
    assert same(output["scores"][0], torch.zeros(2, 4))


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (Edit("layer9"), UnknownLayerError, "there is no layer `layer9`"),
        (Edit(999), UsageError, "`node` must be between 0 and 69, the last op; got 999"),
        (Edit(-1), UsageError, "`node` must be between 0 and 69"),
        (Edit(1.5), UsageError, "`node` must be the index or the name of a layer; got float"),  # type: ignore[arg-type]
        (Edit("conv1", (64,)), UsageError, "`conv1` has channels 0 to 63; got 64"),
        (Edit("fc", (-1,)), UsageError, "`fc` has channels 0 to 999; got -1"),
        (Edit("conv1", (0,), float("nan")), UsageError, "`factor` must be a finite number; got nan"),
    ],
)
def test_an_edit_that_makes_no_sense_is_one_clear_sentence(
    edit: Edit, error: type[Exception], message: str
) -> None:
    model, x = build("resnet18")
    trace = convscope.trace(model, x)
    with pytest.raises(error, match=message.replace("(", r"\(")):
        rerun(trace, [edit])


def test_a_model_trained_since_is_not_rerun_from_an_old_trace() -> None:
    model, x = build("resnet18")
    trace = convscope.trace(model, x)
    with torch.no_grad():
        model.fc.weight.mul_(2)
    with pytest.raises(TraceError, match=r"`fc\.weight` has changed since the trace was made"):
        rerun(trace, [Edit("layer4.1.conv1", (0,))])
