"""A traced model, and the world around it, are left exactly as they were: always, also on errors."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import convscope
from convscope.errors import ForwardError, ModelError
from convscope.tracing import Keep, Observer, StopAfter
from tracing_oracles import Fingerprint, same


class Bomb(nn.Module):
    """Goes off when called."""

    def __init__(self, what: BaseException) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        raise self.what


def deep(what: BaseException, depth: int) -> nn.Module:
    inner: nn.Module = Bomb(what)
    for _ in range(depth):
        inner = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True), inner)
    return inner.train()


def batch(size: int = 8) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("depth", [0, 1, 4])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "what",
    [ValueError("boom"), SystemExit(3), RuntimeError(), MemoryError(), StopIteration(), AssertionError("no")],
)
def test_a_forward_that_raises_leaves_everything_as_found(
    what: BaseException, depth: int, training: bool
) -> None:
    model = deep(what, depth)
    before = Fingerprint(model)
    with pytest.raises(ForwardError, match=r"the model failed( in `|,)") as caught:
        convscope.trace(model, batch(), training=training)
    before.check()
    assert caught.value.__cause__ is what


@pytest.mark.parametrize("what", [KeyboardInterrupt(), GeneratorExit()])
def test_an_interruption_passes_through_and_leaves_everything_as_found(what: BaseException) -> None:
    model = deep(what, 3)
    before = Fingerprint(model)
    with pytest.raises(type(what)):
        convscope.trace(model, batch(), training=True)
    before.check()


def test_a_forward_error_names_the_module_it_happened_in() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(5, 4, 3)))
    with pytest.raises(ForwardError, match=r"failed in `1\.1`, after `1\.0` gave 2×4×6×6"):
        convscope.trace(net, batch())


@pytest.mark.filterwarnings("ignore:global module forward hook.*silenced")
def test_bottomless_recursion_is_one_clear_error() -> None:
    class Endless(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return self(x + 1)

    model = Endless()
    before = Fingerprint(model)
    with pytest.raises(ForwardError, match="RecursionError"):
        convscope.trace(model, batch())
    before.check()


@pytest.mark.parametrize("where", ["start", "on_op", "on_call", "done", "finish"])
def test_an_observer_that_raises_leaves_everything_as_found(where: str) -> None:
    class Faulty(Observer):
        pass

    def fail(*args: Any) -> None:
        raise ZeroDivisionError("observer")

    setattr(Faulty, where, fail)
    model = torchvision.models.resnet18().train()
    before = Fingerprint(model)
    with pytest.raises((ZeroDivisionError, ForwardError), match="observer"):
        convscope.trace(model, batch(32), observers=[Faulty()])
    before.check()


def test_stopping_early_leaves_everything_as_found() -> None:
    model = torchvision.models.resnet18().train()
    before = Fingerprint(model)
    trace = convscope.trace(model, batch(32), observers=[StopAfter("layer2.0.conv1")])
    before.check()
    assert trace.output is None
    assert trace.stopped


def test_a_mixed_train_and_eval_model_gets_each_mode_back() -> None:
    model = torchvision.models.resnet18().train()
    model.layer2.eval()
    model.layer2[1].bn1.train()
    before = Fingerprint(model)
    trace = convscope.trace(model, batch(32))
    before.check()
    model.eval()
    with torch.no_grad():
        assert same(trace.output, model(batch(32)))


def test_a_train_mode_model_may_run_as_it_is_and_gets_its_buffers_back() -> None:
    model = torchvision.models.mobilenet_v3_small().train()
    model.classifier.eval()
    before = Fingerprint(model)
    trace = convscope.trace(model, batch(32), training=True)
    before.check()
    with torch.no_grad():
        assert same(trace.output, model(batch(32)))
    with pytest.raises(AssertionError, match="tensors changed"):
        before.check()  # a plain run does move the running statistics, so the check above can fail


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_given_back(momentum: float | None) -> None:
    model = nn.Sequential(
        nn.BatchNorm2d(3, momentum=momentum), nn.InstanceNorm2d(3, track_running_stats=True)
    )
    before = Fingerprint(model)
    convscope.trace(model, batch(), training=True)
    before.check()


class Busy(nn.Module):
    """Changes itself in every way a forward pass can."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros(1))
        self.register_buffer("unset", None)
        self.steps = 0
        self.cache: list[Tensor] = []
        self.seen: dict[str, Any] = {"a": [1]}
        self.shapes: set[int] = set()
        self.loose = torch.zeros(3)

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.last = x.mean().reshape(1)
        self.unset = x.sum()
        self.steps += 1
        self.cache.append(x)
        self.seen["b"] = x
        self.shapes.add(x.shape[-1])
        self.loose.add_(1)
        self.fresh = x
        self.extra = nn.ReLU()
        self.register_buffer("late", x.clone(), persistent=False)
        self.conv.weight.data.mul_(0.5)
        self.conv.bias.requires_grad_(False)
        self.conv = self.conv.train()
        for module in self.modules():
            module.training = True
        self.register_forward_hook(lambda *a: None)
        self.conv.weight = nn.Parameter(torch.ones(3, 3, 1, 1))
        return self.conv(x)


def test_a_model_that_changes_itself_in_its_forward_is_put_back() -> None:
    model = Busy()
    before = Fingerprint(model)
    loose = model.loose.clone()
    trace = convscope.trace(model, batch())
    before.check()
    assert model.cache == []
    assert model.seen == {"a": [1]}
    assert model.shapes == set()
    assert same(model.loose, loose)
    assert not hasattr(model, "fresh")
    torch.testing.assert_close(
        trace.output, batch().sum(1, keepdim=True).expand(2, 3, 8, 8) + model.conv.bias.view(3, 1, 1)
    )


def test_random_numbers_drawn_by_the_model_are_given_back_and_the_values_are_of_that_pass() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.dropout(x, 0.5, training=True)
            x = x + torch.rand_like(x) + random.random() + float(np.random.rand())
            return F.dropout2d(x, 0.5, True, True)

    model, x = Noisy(), batch()
    before = Fingerprint(model)
    with torch.no_grad():
        expected = model(x)
    torch.set_rng_state(torch.tensor(before.before["torch random"], dtype=torch.uint8))
    random.setstate(before.before["python random"])
    np.random.set_state(before.before["numpy random"])
    trace = convscope.trace(model, x)
    before.check()
    assert same(trace.output, expected)
    assert same(trace.ops[-1].value, expected)
    zero = trace["dropout"].value == 0
    assert torch.equal(trace["dropout"].value, torch.where(zero, 0.0, x * 2))
    assert bool(zero.any())
    assert not bool(zero.all())


def test_parametrized_weights_and_power_iterations_are_given_back() -> None:
    model = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3)),
    ).train()
    before = Fingerprint(model)
    trace = convscope.trace(model, batch(), training=True)
    before.check()
    with torch.no_grad():
        assert same(trace.output, model(batch()))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_old_hook_made_norms_work_and_are_given_back() -> None:
    model = nn.Sequential(
        nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)), nn.utils.weight_norm(nn.Conv2d(4, 4, 3))
    ).train()
    before = Fingerprint(model)
    trace = convscope.trace(model, batch())
    before.check()
    model.eval()
    with torch.no_grad():
        assert same(trace.output, model(batch()))


def test_lazy_modules_that_have_no_shape_yet_are_refused_and_left_as_they_were() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    with pytest.raises(ModelError, match="lazy and was never run"):
        convscope.trace(model, batch())
    assert isinstance(model[0], nn.LazyConv2d)


def test_gradients_recorded_through_a_trace_equal_plain_ones() -> None:
    model = torchvision.models.resnet18().eval()
    x = batch(32).requires_grad_()
    model(x)[0, 3].backward()
    expected = [x.grad, model.conv1.weight.grad]
    x.grad = None
    model.zero_grad()
    trace = convscope.trace(model, x, grad=True)
    assert torch.is_grad_enabled()
    trace.output[0, 3].backward()
    assert same(x.grad, expected[0])
    assert same(model.conv1.weight.grad, expected[1])


def test_gradients_with_respect_to_a_layer_are_within_reach() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    live: dict[str, Tensor] = {}

    class Live(Observer):
        def on_call(self, call: Any, output: int, value: Tensor) -> None:
            live[call.name] = value

    trace = convscope.trace(model, batch(), grad=True, observers=[Live()])
    (gradient,) = torch.autograd.grad(trace.output[0, 1], live["1"])
    assert same(gradient[0].flatten(), model[3].weight[1].detach())


def test_nothing_records_gradients_unless_asked() -> None:
    model = nn.Conv2d(3, 4, 3)
    trace = convscope.trace(model, batch())
    assert not trace.output.requires_grad
    assert all(v is None or not v.requires_grad for op in trace for v in op.values)


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_a_trace_works_inside_any_gradient_mode(context: Callable[[], Any]) -> None:
    model = torchvision.models.resnet18().eval()
    with torch.no_grad():
        expected = model(batch(32))
    with context():
        trace = convscope.trace(model, batch(32))
        assert same(trace["bn1"].value, model.bn1(model.conv1(batch(32))))
    assert same(trace.output, expected)


def test_inference_mode_inside_a_forward_is_no_obstacle() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.inference_mode():
                y = self.conv(x)
                z = y * 1
                y.relu_()
            return y.clone() + z.clone()

    net, x = Net(), batch()
    trace = convscope.trace(net, x)
    with torch.no_grad():
        expected = net.conv(x)
    assert same(trace["conv"].value, expected)
    assert same(trace["relu"].value, expected.relu())


def test_a_no_grad_decorated_forward_is_recorded() -> None:
    class Net(nn.Module):
        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return x.relu() + 1

    trace = convscope.trace(Net(), batch())
    assert [op.kind for op in trace] == ["input", "relu", "add"]


def test_two_models_traced_in_two_threads_at_once_do_not_meet() -> None:
    models = [torchvision.models.resnet18().eval(), torchvision.models.squeezenet1_1().eval()]
    check_threads(models, 64)


def test_one_model_traced_in_two_threads_at_once_gives_each_its_own_values() -> None:
    model = torchvision.models.resnet18().eval()
    check_threads([model, model], 32)


def check_threads(models: list[nn.Module], size: int) -> None:
    befores = [Fingerprint(m) for m in models]
    batches = [torch.randn(1, 3, size, size), torch.randn(1, 3, size, size)]
    befores = [Fingerprint(m) for m in models]
    with torch.no_grad():
        expected = [m(x) for m, x in zip(models, batches, strict=True)]
    results: dict[int, list[Any]] = {0: [], 1: []}
    start = threading.Barrier(2)

    def work(i: int) -> None:
        start.wait()
        try:
            for _ in range(4):
                results[i].append(convscope.trace(models[i], batches[i]))
        except BaseException as error:
            results[i].append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in (0, 1):
        for trace in results[i]:
            assert isinstance(trace, convscope.Trace), repr(trace)
            torch.testing.assert_close(trace.output, expected[i], rtol=1e-4, atol=1e-5)
            alone = convscope.trace(models[i], batches[i])
            assert [op.name for op in trace] == [op.name for op in alone]
    for before in befores:
        before.check()


def test_a_trace_within_a_hook_of_a_traced_model_records_both() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
    nested: list[convscope.Trace] = []
    outer = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1))
    outer[0].register_forward_hook(lambda m, a, y: nested.append(convscope.trace(inner, y.clone())))
    before = Fingerprint(outer)
    trace = convscope.trace(outer, batch())
    before.check()
    assert [op.name for op in nested[0]] == ["input", "0", "1"]
    with torch.no_grad():
        first = nn.functional.conv2d(batch(), outer[0].weight, outer[0].bias)
        assert same(trace["0"].value, first)
        assert same(nested[0]["1"].value, inner(first))
    assert {"0", "1", "2"} <= set(trace.names)


def test_keeping_nothing_still_leaves_everything_as_found() -> None:
    model = torchvision.models.resnet18().train()
    before = Fingerprint(model)
    trace = convscope.trace(model, batch(32), keep=["fc"], observers=[Keep("conv1")])
    before.check()
    assert [op.name for op in trace if any(v is not None for v in op.values)] == ["conv1", "fc"]
