"""Multiply-adds, memory and predictions, each held against an independent count."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import convscope
from convscope.errors import TraceError, UsageError
from convscope.models import Card, Model, load_model
from tracing_oracles import (
    Fingerprint,
    check_graph,
    check_leaves,
    clone_hooks,
    fill,
    no_initialisation,
    replay,
    same,
)

FAMILIES = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet",
    "inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_x_400mf", "regnet_y_400mf", "resnet50",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn",
    "wide_resnet50_2",
]  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_multiply_adds_are_half_of_torchs_own_flop_count(name: str) -> None:
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with no_initialisation():
        model = fill(torchvision.models.get_model(name, weights=None, **options)).eval()
    x = torch.zeros(1, 3, *((75, 75) if name == "inception_v3" else (64, 64)))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    assert convscope.trace(model, x, keep=()).multiply_adds * 2 == counter.get_total_flops()


def test_multiply_adds_of_a_vision_transformer_are_those_of_its_matrices() -> None:
    with no_initialisation():
        model = fill(torchvision.models.vit_b_32(image_size=64)).eval()
    tokens, width, depth, hidden = 5, 768, 12, 3072
    attention = 4 * tokens * width * width + 2 * tokens * tokens * width
    block = attention + 2 * tokens * width * hidden
    stem = 4 * width * 3 * 32 * 32
    trace = convscope.trace(model, torch.zeros(1, 3, 64, 64), keep=())
    assert trace.multiply_adds == stem + depth * block + width * 1000


@pytest.mark.parametrize(
    "way", ["einsum", "matmul", "transposed", "conv3d", "baddbmm", "sdpa", "conv1d", "bmm"]
)
def test_multiply_adds_of_single_functions_are_right(way: str) -> None:
    a, b = torch.ones(2, 3, 4), torch.ones(2, 4, 5)
    functions: dict[str, Any] = {
        "einsum": lambda x: torch.einsum("bij,bjk->bik", a, b) + x,
        "matmul": lambda x: (a @ b) + x,
        "bmm": lambda x: torch.bmm(a, b) + x,
        "baddbmm": lambda x: torch.baddbmm(torch.zeros(2, 3, 5), a, b) + x,
        "transposed": lambda x: torch.conv_transpose2d(
            torch.ones(1, 4, 6, 6), torch.ones(4, 2, 3, 3), stride=2, groups=2
        ),
        "conv3d": lambda x: torch.conv3d(torch.ones(1, 2, 5, 5, 5), torch.ones(4, 2, 3, 3, 3), padding=1),
        "conv1d": lambda x: torch.conv1d(torch.ones(1, 4, 9), torch.ones(6, 2, 3), groups=2),
        "sdpa": lambda x: torch.nn.functional.scaled_dot_product_attention(
            torch.ones(1, 2, 6, 8), torch.ones(1, 2, 7, 8), torch.ones(1, 2, 7, 8)
        ),
    }
    expected = {
        "einsum": 2 * 3 * 4 * 5, "matmul": 2 * 3 * 4 * 5, "bmm": 2 * 3 * 4 * 5, "baddbmm": 2 * 3 * 4 * 5,
        "transposed": 4 * 36 * 2 * 9, "conv3d": 4 * 125 * 54, "conv1d": 6 * 7 * 6, "sdpa": 2 * 6 * 7 * 8 * 2,
    }[way]  # fmt: skip

    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functions[way](x)

    assert convscope.trace(Net(), torch.ones(1, 1)).multiply_adds == expected


# -- memory ----------------------------------------------------------------------------------


def storages(trace: convscope.Trace) -> dict[int, int]:
    """Bytes of each piece of memory that the kept values hold on to."""
    found: dict[int, int] = {}
    todo: list[Any] = [s for op in trace.ops for s in op.stored] + [s for c in trace.calls for s in c.stored]
    seen: set[int] = set()
    while todo:
        stored = todo.pop()
        if stored is None or id(stored) in seen:
            continue
        seen.add(id(stored))
        for slot in getattr(type(stored), "__slots__", ()):
            value = getattr(stored, slot, None)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Tensor):
                    memory = item.untyped_storage()
                    found[memory.data_ptr()] = memory.nbytes()
                elif hasattr(type(item), "__slots__") and hasattr(item, "alias"):
                    todo.append(item)
    return found


@pytest.mark.parametrize(
    "name", ["resnet50", "densenet121", "mobilenet_v2", "inception_v3", "shufflenet_v2_x1_0"]
)
def test_a_trace_holds_on_to_little_more_than_its_values(name: str) -> None:
    options = {"init_weights": False} if name == "inception_v3" else {}
    with no_initialisation():
        model = fill(torchvision.models.get_model(name, weights=None, **options)).eval()
    x = torch.randn(1, 3, 96, 96)
    trace = convscope.trace(model, x)
    held = sum(storages(trace).values())
    values = sum(v.numel() * v.element_size() for op in trace for v in op.values if v is not None)
    assert held <= 1.5 * values


def test_a_trace_that_is_let_go_is_freed_at_once() -> None:
    import gc
    import weakref

    trace = convscope.trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)), torch.ones(1, 3, 8, 8))
    value = weakref.ref(trace["0"].value)
    gc.disable()
    try:
        del trace
        gone = value() is None
    finally:
        gc.enable()
    gc.collect()
    assert gone or value() is None


@pytest.mark.slow
def test_the_peak_memory_of_tracing_resnet50_is_that_of_its_values() -> None:
    script = """
        import resource, sys, torch, torchvision, convscope
        torch.set_num_threads(1)
        model = torchvision.models.resnet50(weights=None).eval()
        x = torch.randn(4, 3, 224, 224)
        with torch.no_grad():
            model(x)
        convscope.trace(model, x[:, :, :32, :32])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trace = convscope.trace(model, x)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        values = 4 * sum(sum(torch.Size(s).numel() for s in op.shapes) for op in trace)
        print((after - before) * 1024 / values)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    assert float(done.stdout) <= 1.5


# -- predictions -----------------------------------------------------------------------------


def answering(output: Any, categories: tuple[str, ...] = ()) -> convscope.Trace:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return output

    loaded = load_model(Net())
    card = Card("net", "module", "given", loaded.card.preprocessing, categories=categories)
    return convscope.trace(Model(loaded.module, card), torch.ones(1, 3, 4, 4))


LOGITS = torch.tensor([[1.0, 3.0, 2.0, 3.0], [9.0, 0.0, 0.0, 0.0]])


def test_no_prediction_of_an_empty_batch_or_fewer_than_one() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(TraceError, match="the batch is empty"):
        convscope.trace(net, torch.zeros(0, 3, 2, 2)).predictions()
    with pytest.raises(UsageError, match="`count` must be at least 1; got -1"):
        convscope.trace(net, torch.zeros(1, 3, 2, 2)).predictions(-1)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: t,
        lambda t: (t, torch.zeros(2, 7)),
        lambda t: {"logits": t, "aux": torch.zeros(2, 9)},
        lambda t: {"out": t},
        lambda t: {"only": t, "map": torch.zeros(2, 3, 4, 4)},
        lambda t: {"logits": (t,)},
    ],
)
def test_predictions_are_the_softmax_of_the_first_picture(wrap: Any) -> None:
    trace = answering(wrap(LOGITS.clone()), ("ant", "bee", "cat"))
    exponentials = LOGITS[0].double().exp()
    expected = exponentials / exponentials.sum()
    answers = trace.predictions(10)
    assert [a.label for a in answers] == ["bee", "class 3", "cat", "ant"], (
        "ties keep their order, unknowns a number"
    )
    assert [a.index for a in answers] == [1, 3, 2, 0]
    assert [a.logit for a in answers] == [3.0, 3.0, 2.0, 1.0]
    assert sum(a.probability for a in answers) == pytest.approx(1)
    for answer in answers:
        assert answer.probability == pytest.approx(float(expected[answer.index]), rel=1e-12)
    assert len(trace.predictions(2)) == 2


class Ending(nn.Module):
    """A small classifier that ends as it is told."""

    def __init__(self, end: Any) -> None:
        super().__init__()
        self.scores = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
        self.end = end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.scores(x))


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("softmax", nn.Softmax(1)),
        ("softmax", lambda z: z.softmax(-1).clone().view(-1, 4).double()),
        ("softmax", lambda z: z.exp() / z.exp().sum(1, keepdim=True)),
        ("softmax", lambda z: (z.softmax(1) + (2 * z).softmax(1)) / 2),
        ("softmax", lambda z: {"out": z.softmax(1), "aux": z}),
        ("sigmoid", nn.Sigmoid()),
        ("sigmoid", lambda z: (torch.sigmoid(z)[None][0], z)),
    ],
)
def test_a_network_that_gives_probabilities_is_not_taken_through_softmax_again(kind: str, end: Any) -> None:
    net = Ending(end).eval()
    inputs = torch.rand(2, 3, 2, 2)
    trace = convscope.trace(net, inputs)
    with torch.no_grad():
        given = net(inputs)
    given = given["out"] if isinstance(given, dict) else given[0] if isinstance(given, tuple) else given
    assert trace.scores_are == kind
    for answer in trace.predictions(4):
        assert answer.probability == pytest.approx(float(given[0, answer.index]), abs=1e-7)


@pytest.mark.parametrize(
    "end",
    [
        lambda z: z,
        nn.ReLU(),
        nn.LogSoftmax(1),
        lambda z: z.sigmoid() * z,
        lambda z: z.softmax(1) @ torch.ones(4, 3),
    ],
)
def test_all_other_scores_are_logits(end: Any) -> None:
    net = Ending(end).eval()
    inputs = torch.rand(1, 3, 2, 2)
    trace = convscope.trace(net, inputs)
    assert trace.scores_are == "logits"
    expected = net(inputs)[0].detach().softmax(0)
    for answer in trace.predictions(4):
        assert answer.probability == pytest.approx(float(expected[answer.index]), abs=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_name_no_class(bad: float) -> None:
    logits = LOGITS.clone()
    logits[0, 2] = bad
    with pytest.raises(TraceError, match="1 of the 4 class scores are not finite"):
        answering(logits).predictions()


def test_nan_weights_name_no_class() -> None:
    model = torchvision.models.resnet18().eval()
    with torch.no_grad():
        model.layer4[0].conv1.weight[3] = float("nan")
    trace = convscope.trace(model, torch.ones(1, 3, 32, 32))
    assert bool(trace["layer4.0.conv1"].value.isnan().any())
    with pytest.raises(TraceError, match="not finite"):
        trace.predictions()


@pytest.mark.parametrize(
    "output", [torch.zeros(1, 3, 4, 4), torch.zeros(1, 1), [], {"a": torch.zeros(2, 3, 1, 1)}, 3, None]
)
def test_what_is_no_classifier_predicts_nothing(output: Any) -> None:
    with pytest.raises(TraceError, match="no class scores"):
        answering(output).predictions()


# -- timm ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["convnext_atto", "tf_efficientnet_lite0", "resnet26d", "vit_tiny_patch16_224", "regnety_002"]
)
def test_timm_models_hold_what_they_really_computed(name: str) -> None:
    timm = pytest.importorskip("timm", reason="the timm extra is not installed")
    with no_initialisation():
        model = fill(timm.create_model(name, pretrained=False)).eval()
    x = torch.randn(1, 3, *((224, 224) if name.startswith("vit") else (64, 64)))
    plain, calls = clone_hooks(model, x)
    before = Fingerprint(model)
    trace = convscope.trace(model, x)
    before.check()
    assert same(trace.output, plain)
    assert check_leaves(trace, calls) > 20
    check_graph(trace)
    replay(trace)


def test_the_strongest_cell_is_found_in_channels_last_layers_too() -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1) * 2

    picture = torch.zeros(1, 3, 4, 5)
    picture[0, 2, 1, 3] = -7.0
    trace = convscope.trace(Last(), picture)
    found = trace.value_of("mul", channel=2)
    assert found.cell.at == (1, 3)
    assert found.value == -14.0
    assert found.agrees


@pytest.mark.parametrize(("side", "notes"), [(1, 1), (100, 1), (300, 0)])
def test_a_picture_smaller_than_the_input_says_so(side: int, notes: int) -> None:
    model = convscope.load_model("resnet18", weights="none")
    trace = convscope.trace(model, np.full((side, side, 3), 128, np.uint8), keep=())
    assert trace.picture is not None
    assert len(trace.picture.notes) == notes
    assert ("smaller than the model's input" in " ".join(trace.notes)) is bool(notes)
