"""What ops and modules are called, and every shape of model, input and output."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import convscope
from convscope.errors import ModelError, UnknownLayerError
from tracing_oracles import Fingerprint, check_graph, check_leaves, clone_hooks, fill, flat, replay, same


class Plain(nn.Module):
    """A model whose forward is the given function."""

    def __init__(self, function: Callable[..., Any], **children: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*(shape or (2, 3, 8, 8)), generator=torch.Generator().manual_seed(seed))


def full_check(model: nn.Module, *args: Any) -> convscope.Trace:
    """Trace and hold leaves, output, graph and replay against independent runs."""
    plain, calls = clone_hooks(model, *args)
    before = Fingerprint(model)
    trace = convscope.trace(model, args)
    before.check()
    for mine, theirs in zip(flat(trace.output), flat(plain), strict=True):
        assert same(mine, theirs)
    check_leaves(trace, calls)
    check_graph(trace)
    replay(trace)
    return trace


# -- names -----------------------------------------------------------------------------------


def test_a_shared_module_is_numbered_by_its_calls() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3):
                x = self.relu(self.conv(x))
            return x

    net = Net().eval()
    trace = full_check(net, batch())
    assert [op.name for op in trace] == ["input", "conv", "relu", "conv_1", "relu_1", "conv_2", "relu_2"]
    assert [c.number for c in trace.calls if c.path == "relu"] == [0, 1, 2]
    with torch.no_grad():
        first = net.conv(batch())
        assert same(trace["conv"].value, first)
        assert same(trace["conv_1"].value, net.conv(first.relu()))


def test_a_module_under_two_paths_keeps_its_first() -> None:
    shared = nn.Conv2d(3, 3, 1)
    trace = full_check(nn.Sequential(OrderedDict(first=shared, mid=nn.ReLU(), second=shared)), batch())
    assert [op.name for op in trace] == ["input", "first", "mid", "first_1"]
    assert trace["first_1"].parameters == trace["first"].parameters == {"first.weight": 9, "first.bias": 3}


def test_a_second_call_never_takes_the_name_of_another_module() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.relu(self.relu_1(self.relu(x) - 1))

    trace = full_check(Plain(forward, relu=nn.ReLU(), relu_1=nn.Tanh()), batch())
    x = batch()
    assert same(trace["relu"].value, x.relu())
    assert same(trace["relu_1"].value, (x.relu() - 1).tanh())
    assert trace["relu_2"].kind == "relu"


@pytest.mark.parametrize("child", ["add", "input", "relu", "output", "add_1", "conv2d", "input.0"])
def test_a_child_called_like_an_op_keeps_its_name_for_itself(child: str) -> None:
    child = child.replace(".", "_")

    def forward(self: Any, x: Tensor) -> Tensor:
        y = F.relu(x + 1) + 1
        return getattr(self, child)(y) + x

    trace = full_check(Plain(forward, **{child: nn.Tanh()}), batch())
    x = batch()
    assert same(trace.op(child).value, ((x + 1).relu() + 1).tanh())
    assert trace.op(child).kind == "tanh"
    assert [op.kind for op in trace] == ["input", "add", "relu", "add", "tanh", "add"]


def test_a_leaf_module_of_several_ops_is_found_by_its_own_name() -> None:
    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)

    trace = full_check(nn.Sequential(nn.Conv2d(3, 3, 1), Swish(), nn.ReLU()), batch())
    assert [op.name for op in trace] == ["input", "0", "1.sigmoid", "1", "2"]
    assert trace.op("1").kind == "mul"


def test_a_leaf_that_returns_its_input_points_at_where_it_came_from() -> None:
    trace = full_check(
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.Dropout(), nn.Tanh()).eval(), batch()
    )
    assert trace.op("1").name == "0"
    assert same(trace["1"].value, trace["0"].value)
    assert trace.output.shape == (2, 3, 8, 8)


def test_a_module_that_gives_back_an_older_value_is_not_given_the_newer_one() -> None:
    class Early(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x.mul(2)
            return x

    model = nn.Sequential(nn.Tanh(), Early(), nn.ReLU())
    trace = full_check(model, batch())
    assert same(trace["1"].value, batch().tanh())
    assert trace["2"].inputs == (trace["0"].index,)


def test_an_identity_of_an_in_place_chain_shows_the_value_it_passed_on() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.ReLU(inplace=True), nn.Identity())
    trace = full_check(model, batch())
    assert same(trace["1"].value, trace["0"].value)
    assert same(trace["3"].value, trace["2"].value)
    assert bool((trace["1"].value < 0).any())


def test_unknown_names_are_answered_with_the_nearest() -> None:
    trace = convscope.trace(torchvision.models.resnet18().eval(), batch(1, 3, 32, 32))
    with pytest.raises(UnknownLayerError, match=r"no layer `layer1\.0\.conv3`") as caught:
        trace["layer1.0.conv3"]
    assert {"layer1.0.conv1", "layer1.0.conv2"} <= set(caught.value.nearest)
    with pytest.raises(UnknownLayerError, match=r"no layer `layer9\.\*`"):
        trace.select("layer9.*")
    with pytest.raises(IndexError, match="range"):
        trace[10_000]


def test_patterns_select_in_call_order() -> None:
    trace = convscope.trace(torchvision.models.resnet18().eval(), batch(1, 3, 32, 32))
    names = [op.name for op in trace.select("layer*.conv?")]
    assert names == [f"layer{i}.{j}.conv{k}" for i in (1, 2, 3, 4) for j in (0, 1) for k in (1, 2)]
    assert [op.name for op in trace.select(["fc", "conv1"])] == ["conv1", "fc"]
    assert [op.name for op in trace.select("layer[12].0.add")] == ["layer1.0.add", "layer2.0.add"]
    assert [op.name for op in trace.select("layer1.0")] == ["layer1.0.relu_1"]


def test_printing_shows_every_op_in_order_with_its_shape() -> None:
    trace = convscope.trace(torchvision.models.resnet18().eval(), batch(1, 3, 32, 32))
    lines = str(trace).splitlines()
    assert "11,689,512 parameters" in lines[0]
    assert len(lines) == len(trace) + 1
    assert list(trace) == list(trace.ops)
    assert [line.split()[1] for line in lines[1:]] == [op.name for op in trace]
    assert lines[-1].split()[-1] == "1×1000"
    assert repr(trace) == f"<Trace of ResNet: {len(trace)} ops>"


def test_names_are_the_same_in_every_run() -> None:
    model = torchvision.models.googlenet(init_weights=False).eval()
    first, second = (convscope.trace(model, batch(1, 3, 64, 64, seed=s)) for s in (0, 1))
    assert first.names == second.names


# -- inputs and outputs ----------------------------------------------------------------------

Pair = namedtuple("Pair", ["left", "right"])


@dataclasses.dataclass
class Answer:
    scores: Tensor
    extra: dict[str, Tensor]
    note: str = "x"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a, b: {"a": a, "b": [b]},
        lambda a, b: [a, (b,)],
        lambda a, b: (a, b),
        lambda a, b: Pair(a, b),
        lambda a, b: Answer(a, {"b": b}),
        lambda a, b: OrderedDict(a=a, b=b),
        lambda a, b: (a, None, "text", 3, b),
    ],
)
def test_outputs_and_arguments_of_any_shape_are_followed(wrap: Callable[[Tensor, Tensor], Any]) -> None:
    class Ends(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return wrap(x + 1, x.tanh())

    class Takes(nn.Module):
        def forward(self, both: Any) -> Tensor:
            a, b = flat(both)
            return a * b

    model = nn.Sequential(Ends(), Takes())
    trace = full_check(model, batch())
    assert trace["1"].inputs == (1, 2)
    assert trace.calls[1].outputs == ((1, 0), (2, 0))
    whole = full_check(Ends(), batch())
    assert [v.shape for v in whole.calls[0].values] == [(2, 3, 8, 8)] * 2


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((batch(), batch(seed=1)), ["input.0", "input.1"]),
        ({"x": batch(), "y": batch(seed=1)}, ["input.x", "input.y"]),
        (({"x": batch(), "y": batch(seed=1)},), ["input.0.0", "input.0.1"]),
        ([batch(), batch(seed=1)], ["input.0.0", "input.0.1"]),
        ((Pair(batch(), batch(seed=1)),), ["input.0.0", "input.0.1"]),
        ((Answer(batch(), {"y": batch(seed=1)}),), ["input.0.0", "input.0.1"]),
    ],
)
def test_inputs_of_any_shape_are_named(given: Any, names: list[str]) -> None:
    def forward(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        a, b = flat([args, kwargs])
        return a - b

    trace = convscope.trace(Plain(forward), given)
    assert [op.name for op in trace if op.kind == "input"] == names
    assert trace["sub"].inputs == (0, 1)
    assert same(trace.output, batch() - batch(seed=1))


def test_a_larger_batch_gives_every_picture() -> None:
    model = torchvision.models.resnet18().eval()
    x = batch(3, 3, 32, 32)
    trace = full_check(model, x)
    assert trace["layer2.0.conv1"].value.shape[0] == 3
    assert trace.logits is not None
    assert trace.logits.shape == (3, 1000)


# -- control flow and functions --------------------------------------------------------------


def test_the_branch_a_picture_takes_is_the_one_recorded() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        if x.mean() > 0:
            return self.bright(x).relu()
        while x.abs().max() > 0.5:
            x = x / 2
        return torch.tanh(self.dark(x))

    model = Plain(forward, bright=nn.Conv2d(3, 2, 1), dark=nn.Conv2d(3, 2, 3))
    bright = full_check(model, torch.ones(1, 3, 8, 8))
    dark = full_check(model, -torch.ones(1, 3, 8, 8))
    kinds = [op.kind for op in bright if op.kind not in {"mean", "gt", "abs", "max"}]
    assert kinds == ["input", "conv2d", "relu"]
    assert [op.name for op in dark if op.kind in {"div", "conv2d", "tanh"}] == ["div", "dark", "tanh"]


def test_a_net_of_plain_functions_shows_every_op() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
            self.conv2 = nn.Conv2d(16, 8, 3, padding=1)
            self.fc1 = nn.Linear(8 * 8 * 8, 32)
            self.fc2 = nn.Linear(32, 2)

        def forward(self, x: Tensor) -> Tensor:
            out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
            out = F.max_pool2d(torch.tanh(self.conv2(out)), 2)
            out = out.view(-1, 8 * 8 * 8)
            return self.fc2(torch.tanh(self.fc1(out)))

    model = Functional()
    trace = full_check(model, batch(2, 3, 32, 32))
    assert [op.name for op in trace] == [
        "input", "conv1", "tanh", "max_pool2d", "conv2", "tanh_1", "max_pool2d_1", "view",
        "fc1", "tanh_2", "fc2",
    ]  # fmt: skip
    assert trace["max_pool2d"].attributes["kernel_size"] == (2, 2)
    assert trace["max_pool2d"].attributes["stride"] == (2, 2)
    assert trace.parameters == 18_090


def test_generators_and_unpacking_in_a_forward_are_followed() -> None:
    def parts(x: Tensor) -> Iterator[Tensor]:
        for row in x:
            yield row.relu()

    def forward(self: Any, x: Tensor) -> Tensor:
        first, *others = x.unbind(1)
        return torch.stack(list(parts(x))).sum() + sum(o.mean() for o in others) + first.sum()

    full_check(Plain(forward), batch())


def test_a_submodules_exception_that_the_model_catches_is_no_failure() -> None:
    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(5, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.relu())

    def forward(self: Any, x: Tensor) -> Tensor:
        try:
            return self.fragile(x)
        except RuntimeError:
            return self.plan_b(x) + 1

    model = Plain(forward, fragile=Fragile(), plan_b=nn.Conv2d(3, 4, 1))
    trace = convscope.trace(model, batch())
    assert [op.name for op in trace] == ["input", "fragile.relu", "plan_b", "add"]
    assert trace["add"].path == ""
    with torch.no_grad():
        assert same(trace.output, model.plan_b(batch()) + 1)


def test_a_model_called_without_being_a_child_is_recorded_by_its_functions() -> None:
    hidden = [nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())]

    def forward(self: Any, x: Tensor) -> Tensor:
        return hidden[0](x) * 2

    trace = convscope.trace(Plain(forward), batch())
    assert [op.kind for op in trace] == ["input", "conv2d", "relu", "mul"]
    weight = next(o for o in trace["conv2d"].operands if o.role == "weight")
    assert weight.constant is not None
    assert same(weight.constant, hidden[0][0].weight.detach())
    replay(trace)


def test_a_forward_called_directly_records_the_ops_under_the_caller() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.conv.forward(x).relu()

    trace = convscope.trace(Plain(forward, conv=nn.Conv2d(3, 4, 1)), batch())
    assert [op.name for op in trace] == ["input", "conv2d", "relu"]
    assert trace["conv2d"].parameters == {"conv.weight": 12, "conv.bias": 4}


def test_a_weight_computed_on_the_fly_has_its_making_in_the_graph() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        weight = self.conv.weight
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.conv.bias)

    trace = full_check_no_leaf(Plain(forward, conv=nn.Conv2d(3, 4, 3)), batch())
    assert trace["conv2d"].inputs == (0, trace["sub"].index)
    assert trace["conv2d"].multiply_adds == 2 * 4 * 36 * 27


def full_check_no_leaf(model: nn.Module, *args: Any) -> convscope.Trace:
    with torch.no_grad():
        plain = model(*args)
    trace = convscope.trace(model, args)
    for mine, theirs in zip(flat(trace.output), flat(plain), strict=True):
        assert same(mine, theirs)
    check_graph(trace)
    replay(trace)
    return trace


@pytest.mark.parametrize(
    "norm", [nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.weight_norm]
)
def test_parametrized_modules_are_recorded_with_their_name(norm: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.ReLU()).eval()
    trace = full_check_no_leaf(model, batch())
    with torch.no_grad():
        assert same(trace["0"].value, model[0](batch()))


# -- user's hooks ----------------------------------------------------------------------------


def test_a_users_hooks_that_change_values_are_part_of_the_network() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    model[0].register_forward_hook(lambda m, a, y: y + 100)
    model[1].register_forward_pre_hook(lambda m, a: (a[0] * -1,))
    model[2].register_forward_hook(lambda m, a, k, y: y * 2, with_kwargs=True)
    trace = full_check_no_leaf(model, batch())
    x = batch()
    with torch.no_grad():
        first = F.conv2d(x, model[0].weight, model[0].bias) + 100
        assert same(trace["0"].value, first)
        assert same(trace["1"].value, (-first).relu())
        assert same(trace["2"].value, F.conv2d((-first).relu(), model[2].weight, model[2].bias) * 2)


def test_a_users_in_place_hook_is_seen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh()).eval()
    model[0].register_forward_hook(lambda m, a, y: y.mul_(0))
    trace = full_check_no_leaf(model, batch())
    assert bool((trace["0"].value == 0).all())
    assert bool((trace.ops[1].value != 0).any())


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
        assert trace["conv"].index in _ancestors(trace, relu.index)


def _ancestors(trace: convscope.Trace, index: int) -> set[int]:
    found: set[int] = set()
    todo = [index]
    while todo:
        for source in trace.ops[todo.pop()].inputs:
            if source not in found:
                found.add(source)
                todo.append(source)
    return found


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
