"""Reruns: layers switched off or scaled, each against a full pass with the value replaced."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import convscope
from convscope.errors import TraceError, UnknownLayerError, UsageError
from convscope.explain import Edit, EditedTrace, rerun
from convscope.tracing import Keep, Op, Replace, record
from tracing_oracles import Fingerprint, checksum, fill, flat, no_initialisation, same


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*(shape or (2, 3, 6, 6)), generator=torch.Generator().manual_seed(seed))


class Plain(nn.Module):
    """A model whose forward is the given function of itself and its inputs."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def scaled(axis: int, channels: tuple[int, ...] | None, factor: float) -> Callable[[Tensor], Tensor]:
    """What an edit is to do, written plainly with an index."""

    def change(value: Tensor) -> Tensor:
        value = value.clone()
        index = (slice(None),) * axis + ((list(channels),) if channels is not None else ())
        value[index] = value[index] * factor if factor else torch.zeros_like(value[index])
        return value

    return change


def oracle(
    trace: convscope.Trace, inputs: Any, changes: dict[str, Callable[[Tensor], Tensor]]
) -> convscope.Trace:
    """A full pass with `Replace`, every value kept."""
    replacing = Replace(changes)
    recording = record(trace.model.module, inputs, [replacing, Keep()])
    assert replacing.used == set(changes)
    return convscope.Trace(recording, trace.model, inputs, None, None)


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


def build(name: str) -> tuple[nn.Module, Tensor]:
    size = {"inception_v3": 75}.get(name, 64)
    options: dict[str, Any] = {"image_size": size} if name.startswith("vit") else {}
    if name in {"googlenet", "inception_v3"}:
        options["init_weights"] = False
    with no_initialisation():
        model = torchvision.models.get_model(name, weights=None, **options)
    return fill(model).eval(), batch(1, 3, size, size, seed=1)


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
    x = batch()
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


# -- memory written in place, through views, through out= --------------------------------------


def _slices(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    out = torch.zeros(x.shape[0], 8, 6, 6)
    out[:, :4] = y
    out[:, 4:].copy_(y.abs())
    return out.relu().sum((2, 3))


def _views(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    y = y + 1
    top, bottom = y.chunk(2, dim=1)
    top.relu_()
    bottom[:, 0] += top[:, 1]
    flat_view = y.view(-1)
    flat_view.mul_(1.5)
    return torch.cat([y, top, bottom], 1).exp()


def _outs(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    z = torch.empty_like(y)
    torch.add(y, 1, out=z)
    torch.mul(z, 2, out=y)
    return y + z


def _operators(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    z = y.clone()
    z -= y * 0.5
    z.add_(z).clamp_(min=-1)
    F.elu(z, inplace=True)
    z.masked_fill_(y > 0, 0.25)
    return z.unsqueeze_(0).squeeze_(0) @ z.mT


def _indices(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    y = y[:, [2, 0, 1]] + y[[0] * len(y)][:, :3]
    y[:, 0, ::2] = y[:, 1, ::2]
    return y.permute(0, 2, 3, 1)[..., [0, 2]].contiguous().flatten(1)


def _data(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    y.data.mul_(2)
    z = y * 1
    z.data = y.exp()
    return z + y


@pytest.mark.parametrize("forward", [_slices, _views, _outs, _operators, _indices, _data])
@pytest.mark.parametrize("channels", [(0,), (1, 3), None])
def test_writes_into_memory_reach_all_that_shares_it(forward: Any, channels: tuple[int, ...] | None) -> None:
    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    fill(model)
    x = batch()
    trace = convscope.trace(model, x)
    sums = [checksum(v) for op in trace.ops for v in op.values if v is not None]
    for factor in (0.0, -3.0):
        edited = rerun(trace, [Edit("conv", channels, factor)])
        assert not edited.whole_pass, edited.reason
        assert same(edited.output, oracle(trace, x, {"conv": scaled(1, channels, factor)}).output)
    assert [checksum(v) for op in trace.ops for v in op.values if v is not None] == sums


@pytest.mark.parametrize("forward", [_slices, _views, _outs, _operators, _indices, _data])
def test_an_edit_at_any_op_of_a_model_that_shares_memory_is_right(forward: Any) -> None:
    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    fill(model)
    x = batch()
    trace = convscope.trace(model, x)
    for op in trace.ops[1:]:
        if len(op.shapes) != 1 or not op.dtype.startswith("float"):
            continue
        edited = rerun(trace, [Edit(op.index, None, 2.0)])
        full = oracle(trace, x, {op.name: scaled(0, None, 2.0)})
        assert same(edited.output, full.output), (op.name, edited.reason)


# -- what the recording does not tell ----------------------------------------------------------


def test_a_value_read_in_plain_python_is_read_again_in_a_whole_pass() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y.exp() if y.mean() > 0 else y.tanh()

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    fill(model)
    x = batch()
    trace = convscope.trace(model, x)
    edited = rerun(trace, [Edit("conv", None, -1.0)])
    assert edited.whole_pass
    assert "in plain Python" in edited.reason
    assert {op.kind for op in edited.ops} ^ {op.kind for op in trace.ops} == {"exp", "tanh"}
    assert same(edited.output, oracle(trace, x, {"conv": scaled(0, None, -1)}).output)


def test_a_detour_through_numpy_is_taken_again_in_a_whole_pass() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.from_numpy(y.numpy() * 2) + 1

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch())
    edited = rerun(trace, [Edit("conv", (1,))])
    assert edited.whole_pass
    assert same(edited.output, scaled(1, (1,), 0)(trace["conv"].value) * 2 + 1)


def test_a_scripted_part_is_run_again_in_a_whole_pass() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(lambda v: v * 3 + 1, torch.ones(2))

    model = Plain(lambda self, x: scripted(self.conv(x)).tanh(), conv=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch())
    edited = rerun(trace, [Edit("conv", (0,))])
    assert edited.whole_pass
    assert same(edited.output, (scaled(1, (0,), 0)(trace["conv"].value) * 3 + 1).tanh())


def test_an_identity_whose_input_others_read_is_edited_for_its_own_reader_alone() -> None:
    model = Plain(
        lambda self, x: (y := self.conv(x)) + self.same(y), conv=nn.Conv2d(3, 4, 1), same=nn.Identity()
    )
    trace = convscope.trace(model, batch())
    edited = rerun(trace, [Edit("same")])
    assert edited.whole_pass
    assert same(edited.output, trace["conv"].value)


def test_random_numbers_and_values_not_kept_need_a_whole_pass() -> None:
    model = Plain(lambda self, x: F.dropout(self.conv(x), 0.5, True), conv=nn.Conv2d(3, 4, 1))
    assert "draws random numbers" in rerun(convscope.trace(model, batch()), [Edit("conv", (0,))]).reason
    net, x = build("resnet18")
    some = convscope.trace(net, x, keep="fc")
    edited = rerun(some, [Edit("layer3", (0,))])
    assert "was not kept" in edited.reason
    assert same(edited.output, oracle(some, x, {"layer3": scaled(1, (0,), 0)}).output)


def test_a_whole_pass_counts_its_ops_as_the_trace_does() -> None:
    net, x = build("resnet18")
    some = convscope.trace(net, x, keep=())
    edited = rerun(some, [Edit("layer3.0.conv1", (0,)), Edit("layer1", (0,))])
    assert edited.whole_pass
    assert [op.name for op in edited.ops] == [op.name for op in some.ops]
    assert [op.inputs for op in edited.ops] == [op.inputs for op in some.ops]
    assert [op.index for op in edited.ops] == list(range(len(some.ops)))
    assert bool((edited["layer3.0.conv1"].value[:, 0] == 0).all())
    assert same(rerun(edited, [Edit("fc")]).output, torch.zeros(1, 1000))


def test_a_model_that_writes_into_its_input_is_given_what_it_was_given_before() -> None:
    model = Plain(lambda self, x: self.conv(x.mul_(2)).exp(), conv=nn.Conv2d(3, 4, 1))
    x = batch()
    given_first = x.clone()
    trace = convscope.trace(model, x, keep=["input", "exp"])
    edited = rerun(trace, [Edit("conv", (0,))])
    assert edited.whole_pass
    assert same(edited.output, oracle(trace, given_first, {"conv": scaled(1, (0,), 0)}).output)
    whole = convscope.trace(model, batch())
    assert same(rerun(whole, [Edit("input", (1,))]).output, model(scaled(1, (1,), 0)(batch())).detach())


def test_what_a_model_returns_keeps_its_form() -> None:
    def forward(self: Any, x: Tensor) -> dict[str, Any]:
        y = self.conv(x)
        return {"maps": [y, x], "scores": (y.mean((2, 3)), 3)}

    model = Plain(forward, conv=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch())
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
