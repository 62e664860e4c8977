"""Observers: keep, reduce, stop early and replace, each against a plain run with plain hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

import convscope
from convscope.errors import ForwardError, NotKeptError, TraceError
from convscope.tracing import Keep, Observer, Reduce, Replace, StopAfter, record
from tracing_oracles import Fingerprint, clone_hooks, same


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18().eval()


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def kept(trace: convscope.Trace) -> list[str]:
    return [op.name for op in trace if any(v is not None for v in op.values)]


# -- keep ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("conv1", ["conv1"]),
        (["bn1", "fc"], ["bn1", "fc"]),
        ("layer1.*.conv?", [f"layer1.{i}.conv{j}" for i in (0, 1) for j in (1, 2)]),
        ("layer[34].0.add", ["layer3.0.add", "layer4.0.add"]),
        ("layer1.0.relu_1", ["layer1.0.relu_1"]),
        ((), []),
    ],
)
def test_only_what_the_patterns_name_is_kept(
    resnet: nn.Module, picture: Tensor, patterns: Any, names: list[str]
) -> None:
    whole = convscope.trace(resnet, picture)
    some = convscope.trace(resnet, picture, keep=patterns)
    assert [op.name for op in some] == [op.name for op in whole]
    assert [op.inputs for op in some] == [op.inputs for op in whole]
    assert kept(some) == names
    for name in names:
        assert same(some[name].value, whole[name].value)
    with pytest.raises(NotKeptError, match=r"the value of `layer2\.1\.bn2` was not kept"):
        _ = some["layer2.1.bn2"].value


def test_keeping_a_container_keeps_its_output(resnet: nn.Module, picture: Tensor) -> None:
    _, calls = clone_hooks(resnet, picture)
    last = next(c for path, n, c in calls if path == "layer1.1.relu" and n == 1)[0]
    some = convscope.trace(resnet, picture, keep=["layer1"])
    assert same(some["layer1"].value, last)
    assert next(c for c in some.calls if c.name == "layer1").value.shape == last.shape


def test_values_kept_by_name_survive_the_in_place_ops_after_them(resnet: nn.Module, picture: Tensor) -> None:
    _, calls = clone_hooks(resnet, picture)
    copies = {(path, n): c[0] for path, n, c in calls}
    some = convscope.trace(resnet, picture, keep=["bn1", "layer1.0.bn2"])
    assert same(some["bn1"].value, copies["bn1", 0])
    assert same(some["layer1.0.bn2"].value, copies["layer1.0.bn2", 0])


# -- reduce ----------------------------------------------------------------------------------


def test_reducing_equals_reducing_what_was_kept(resnet: nn.Module, picture: Tensor) -> None:
    def peaks(name: str, value: Tensor) -> Tensor:
        return value.float().flatten(1).amax(1)

    reduce = Reduce(peaks)
    trace = convscope.trace(resnet, picture, observers=[reduce])
    assert len(reduce.results) == len(trace.ops)
    for op, (result,) in zip(trace, reduce.results.values(), strict=True):
        assert same(result, peaks(op.name, op.value)), op.name


def test_reducing_by_name_sees_modules_and_keeps_nothing(resnet: nn.Module, picture: Tensor) -> None:
    means = Reduce(lambda name, value: float(value.mean()), ["layer1", "layer*.0.conv1", "layer2.0.add"])
    trace = convscope.trace(resnet, picture, keep=(), observers=[means])
    whole = convscope.trace(resnet, picture)
    assert kept(trace) == []
    assert set(means.results) == {"layer1", "layer2.0.add", *(f"layer{i}.0.conv1" for i in (1, 2, 3, 4))}
    for name, (value,) in means.results.items():
        assert value == float(whole[name].value.mean())


def test_results_of_several_passes_gather(resnet: nn.Module, picture: Tensor) -> None:
    means = Reduce(lambda name, value: float(value.mean()), ["fc"])
    for factor in (1, 2, 3):
        convscope.trace(resnet, picture * factor, keep=(), observers=[means])
    with torch.no_grad():
        assert means.results["fc"] == [float(resnet(picture * f).mean()) for f in (1, 2, 3)]


def test_ops_run_by_an_observer_are_no_part_of_the_network(resnet: nn.Module, picture: Tensor) -> None:
    plain = convscope.trace(resnet, picture)
    watched = convscope.trace(
        resnet,
        picture,
        observers=[Reduce(lambda n, v: v.relu().sum()), Reduce(lambda n, v: v.sum(), ["layer*"])],
    )
    assert [op.name for op in watched] == [op.name for op in plain]


# -- stop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["layer2.0.conv1", "layer2.0.add", "layer2", "layer2.0.relu_1", "input"])
def test_a_pass_stops_as_soon_as_all_names_were_seen(resnet: nn.Module, picture: Tensor, name: str) -> None:
    ran: Counter[str] = Counter()
    handles = [
        m.register_forward_pre_hook(lambda m, a, path=path: ran.update([path]))
        for path, m in resnet.named_modules()
    ]
    before = Fingerprint(resnet)
    try:
        trace = convscope.trace(resnet, picture, observers=[StopAfter(name)])
        before.check()
    finally:
        for handle in handles:
            handle.remove()
    assert trace.output is None
    assert trace.stopped
    assert ran["layer3"] == ran["fc"] == 0
    whole = convscope.trace(resnet, picture)
    assert same(trace.op(name).value, whole.op(name).value)
    if name == "layer2.0.conv1":
        assert ran["layer2.0.bn1"] == 0
        assert [op.name for op in trace][-1] == name
    with pytest.raises(TraceError, match="no class scores"):
        trace.predictions()


def test_a_pass_goes_on_until_the_last_name(resnet: nn.Module, picture: Tensor) -> None:
    trace = convscope.trace(resnet, picture, observers=[StopAfter(["layer3.0.conv1", "conv1"])])
    assert [op.name for op in trace][-1] == "layer3.0.conv1"


def test_a_pass_runs_through_when_a_name_never_comes(resnet: nn.Module, picture: Tensor) -> None:
    trace = convscope.trace(resnet, picture, observers=[StopAfter(["nothing"])])
    assert not trace.stopped
    assert trace.output.shape == (2, 1000)


# -- replace ---------------------------------------------------------------------------------


def without_first(value: Tensor) -> Tensor:
    value = value.clone()
    value[:, 0] = 0
    return value


@pytest.mark.parametrize("name", ["conv1", "bn1", "relu", "layer2", "layer3.0.downsample"])
@pytest.mark.parametrize("change", [without_first, lambda v: v, lambda v: v[:]])
def test_a_replaced_module_value_changes_everything_after_it(
    resnet: nn.Module, picture: Tensor, name: str, change: Callable[[Tensor], Tensor]
) -> None:
    module = resnet.get_submodule(name)
    handle = module.register_forward_hook(lambda m, a, y: change(y))
    with torch.no_grad():
        expected = resnet(picture)
    handle.remove()
    before = Fingerprint(resnet)
    replace = Replace({name: change})
    trace = convscope.trace(resnet, picture, observers=[replace])
    before.check()
    assert replace.used == {name}
    assert same(trace.output, expected)
    plain = convscope.trace(resnet, picture)
    assert same(trace["fc"].value, expected)
    assert same(plain["layer1.0.conv1"].value, trace["layer1.0.conv1"].value) == (
        name.startswith("layer") or same(change(plain.op(name).value), plain.op(name).value)
    )


class Branches(nn.Module):
    """An addition made three ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv = nn.Conv2d(3, 4, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor, change: Callable[[Tensor], Tensor] = lambda v: v) -> Tensor:
        y = self.conv(x)
        if self.way == "function":
            z = change(y + 1)
        elif self.way == "in place":
            y += 1
            z = change(y)
        else:
            z = torch.empty_like(y)
            torch.add(y, 1, out=z)
            z = change(z)
        return self.head(z.relu())


@pytest.mark.parametrize("way", ["function", "in place", "out"])
def test_a_replaced_function_value_changes_everything_after_it(way: str, picture: Tensor) -> None:
    model = Branches(way)
    with torch.no_grad():
        plain, expected = model(picture), model(picture, without_first)
    trace = convscope.trace(model, picture, observers=[Replace({"add": without_first})])
    assert same(trace.output, expected)
    assert not same(plain, expected)
    names = [op.name for op in trace]
    assert "add.replaced" in names
    with torch.no_grad():
        computed = model.conv(picture) + 1
    assert same(trace["add"].value, computed), "what the network computed stays under its name"
    assert same(trace["add.replaced"].value, without_first(computed))
    assert trace["relu"].inputs == (trace["add.replaced"].index,)


def test_a_replacement_of_another_shape_is_refused(resnet: nn.Module, picture: Tensor) -> None:
    with pytest.raises(TraceError, match=r"the replacement for `conv1` must have shape \(2, 64, 8, 8\)"):
        convscope.trace(resnet, picture, observers=[Replace({"conv1": lambda v: v[:, :1]})])


def test_a_replacement_that_is_no_tensor_is_refused(resnet: nn.Module, picture: Tensor) -> None:
    with pytest.raises(TraceError, match=r"must have shape .* got float"):
        convscope.trace(resnet, picture, observers=[Replace({"conv1": lambda v: 0.0})])  # type: ignore[dict-item]


def test_replacing_a_modules_value_twice_is_done_in_turn(resnet: nn.Module, picture: Tensor) -> None:
    double = Replace({"conv1": lambda v: v * 2})
    triple = Replace({"conv1": lambda v: v * 3})
    handle = resnet.conv1.register_forward_hook(lambda m, a, y: y * 2 * 3)
    with torch.no_grad():
        expected = resnet(picture)
    handle.remove()
    trace = convscope.trace(resnet, picture, observers=[double, triple])
    assert same(trace.output, expected)


def test_a_tuple_cannot_be_replaced(picture: Tensor) -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, x + 2

    with pytest.raises(TraceError, match="only a single tensor can be replaced"):
        convscope.trace(nn.Sequential(Two()), picture, observers=[Replace({"0": lambda v: v * 2})])


def test_a_replacement_in_another_number_format_is_converted(resnet: nn.Module, picture: Tensor) -> None:
    trace = convscope.trace(resnet, picture, observers=[Replace({"conv1": lambda v: v.double()})])
    assert trace.output.dtype == torch.float32


def test_a_replacing_function_that_fails_says_so(resnet: nn.Module, picture: Tensor) -> None:
    def fail(value: Tensor) -> Tensor:
        raise ValueError("no idea")

    before = Fingerprint(resnet)
    with pytest.raises(ForwardError, match="no idea"):
        convscope.trace(resnet, picture, observers=[Replace({"conv1": fail})])
    before.check()


# -- the order of things ---------------------------------------------------------------------


def test_an_observer_sees_every_op_once_and_every_call_when_it_returns(
    resnet: nn.Module, picture: Tensor
) -> None:
    class Log(Observer):
        def __init__(self) -> None:
            self.ops: list[int] = []
            self.calls: list[str] = []

        def on_op(self, event: Any, output: int, value: Tensor) -> None:
            self.ops.append(event.index)

        def on_call(self, call: Any, output: int, value: Tensor) -> None:
            self.calls.append(call.path)

    log = Log()
    trace = convscope.trace(resnet, picture, observers=[log])
    assert log.ops == list(range(len(trace)))
    returned: list[str] = []
    handles = [
        m.register_forward_hook(lambda m, a, y, path=path: returned.append(path))
        for path, m in resnet.named_modules()
    ]
    with torch.no_grad():
        resnet(picture)
    for handle in handles:
        handle.remove()
    assert log.calls == returned


def test_record_alone_takes_any_observers(resnet: nn.Module, picture: Tensor) -> None:
    recording = record(resnet, picture, [Keep("fc")])
    with torch.no_grad():
        assert same(recording.output, resnet(picture))
    assert [e.name for e in recording.events if e.values] == ["fc"]
