"""From a trace to a scene."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from convscope._version import __version__
from convscope.errors import TraceError, UsageError
from convscope.numerics import one_thread
from convscope.scene.filters import filter_arrays, kernels_of
from convscope.scene.groups import enclosing, make_groups
from convscope.scene.nodes import add_values, describe_op, drawable
from convscope.scene.pictures import describe_image
from convscope.scene.proofs import plan, prove
from convscope.scene.readers import with_axes
from convscope.scene.scene import SCHEMA, Scene
from convscope.tracing.changes import Mark, find_tensor, mark

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace

#: Filters by the name of the weight, the kind of op and its groups, with a mark of the weight they are of.
Kernels = dict[tuple[str, str, int], tuple[Mark, dict[str, NDArray[Any]]]]
#: Called with the arrays of one op after the other, by name.
Told = Callable[[Mapping[str, NDArray[Any]]], None]
#: Does something with each of many things, and gives the results in their order.
Workers = Callable[..., Iterator[Any]]
#: Bytes of maps; ResNet-50 has 38 million, VGG-16 28.
BUDGET = 256e6
_FOLLOWS = frozenset(
    "batch_norm layer_norm group_norm instance_norm relu relu6 hardtanh leaky_relu silu gelu hardswish "
    "sigmoid hardsigmoid tanh elu mish dropout pad contiguous".split()
)
_LIBRARIES = {"torchvision": "torchvision", "timm": "timm", "package": "timm"}


def make_scene(trace: Trace, *, top: int = 5, budget: float = BUDGET, proofs: bool = True) -> Scene:
    """What there is to see in a trace, as a manifest and arrays.

    Shown is the first item of the batch. Filters are the model's as they are now.

    Parameters
    ----------
    top
        How many classes of the answer are named, at least 0.
    budget
        Bytes of maps to keep at most. Beyond it maps are left out, those of batch norm and
        activations first, and the manifest says so; statistics are there in any case.
    proofs
        Whether the largest terms of every channel's peak are kept. Where the trace is at hand,
        :meth:`convscope.Trace.value_of` gives those of any cell, and more.

    Raises
    ------
    UsageError
        If ``top`` or ``budget`` is below 0.

    Examples
    --------
    >>> import convscope, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 5))
    >>> scene = make_scene(convscope.trace(net, torch.rand(1, 3, 8, 8)))
    >>> [(node["name"], node["view"], node["channels"]) for node in scene.manifest["nodes"]]
    [('input', 'map', 3), ('0', 'map', 4), ('1', 'vector', 144), ('2', 'vector', 5)]
    """
    if top < 0:
        raise UsageError(f"`top` must be at least 0; got {top}")
    if not budget >= 0:
        raise UsageError(f"`budget` must be at least 0 bytes; got {budget}")
    return _compose(trace, top, budget, _Effort(proofs=proofs))


def first_sight(trace: Trace, kernels: Kernels) -> Scene:
    """What is seen first of a trace, in a fraction of the time: everything but maps and proofs.

    Of a layer's ``statistics`` mean and deviation are ``None``, and ``stats/ID`` has NaN where it would
    have to look at every value more than once (all but minimum, maximum and scale), unless some value is
    not finite.

    Parameters
    ----------
    kernels
        What is kept of the model's filters from one scene to the next; empty at first.
    """
    return _compose(trace, 5, math.inf, _Effort(proofs=False, maps=False, kernels=kernels))


def scene_in_steps(trace: Trace, kernels: Kernels, told: Told, *, budget: float = BUDGET) -> Scene:
    """:func:`make_scene` without proofs, which tells of each op's arrays as soon as they are there."""
    return _compose(trace, 5, budget, _Effort(proofs=False, kernels=kernels, told=told))


@dataclass(frozen=True)
class _Effort:
    """What is to be made of a trace, and who is told of it op by op."""

    proofs: bool = True
    maps: bool = True
    kernels: Kernels = field(default_factory=dict)
    told: Told | None = None


def _compose(trace: Trace, top: int, budget: float, effort: _Effort) -> Scene:
    groups = make_groups(trace)
    with torch.no_grad(), _one_thread_each(1 if effort.told or not effort.maps else 4) as workers:
        nodes, arrays = _make_nodes(trace, groups, workers, effort)
        image, pictures = describe_image(trace)
    arrays.update(pictures)
    answer, logits = _answer(trace, top)
    arrays.update(logits)
    notes = answer.pop("notes") + _batch_notes(trace) + leave_out(nodes, arrays, budget)
    manifest = {
        "schema": SCHEMA,
        "made_with": _made_with(trace),
        "model": _describe_model(trace),
        "image": image,
        **answer,
        "nodes": nodes,
        "groups": groups,
        "layers": {"maps": "one scale a channel, 128 = zero"},
        "notes": notes,
    }
    return Scene(manifest, arrays)


@contextmanager
def _one_thread_each(most: int) -> Iterator[Workers]:
    """At most so many workers that run torch in one thread each.

    Ops are many and small: shared out whole they need no waiting for one another, which costs
    more than the work itself as soon as another program wants the processor. Where the work on an op is
    little more than Python, one worker does it in half the time of two that wait for each other.
    """
    with one_thread() as threads:
        if most == 1:
            yield map
        else:
            with ThreadPoolExecutor(max(1, min(threads, most))) as pool:
                yield pool.map


def _make_nodes(
    trace: Trace, groups: list[dict[str, Any]], workers: Workers, effort: _Effort
) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    around = enclosing(groups, len(trace.ops))
    most, patched = plan(trace.ops)

    def work(op: Op) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        with torch.no_grad():  # is a thread's own
            node = describe_op(op, around[op.index])
            view, values, note = drawable(op)
            found: dict[str, NDArray[Any]] = {}
            if values is None:
                node["notes"].append(note)
            else:
                found = add_values(node, view, values, maps=effort.maps)
                proof = None
                if effort.proofs:
                    proof = prove(trace, op, found[f"stats/{op.index}"], most, op.index in patched)
                if proof is not None:
                    node["proof"] = proof[0]
                    found.update(proof[1])
                    node["arrays"].update({name.split("/")[0]: name for name in proof[1]})
            kernels = _filters(trace, op, effort.kernels)
            if kernels is not None:
                found.update({f"{name}/{op.index}": array for name, array in kernels.items()})
                node["arrays"]["filters"] = f"filters/{op.index}"
            return node, found

    nodes: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for node, found in workers(work, with_axes(trace.ops)):
        nodes.append(node)
        arrays.update(found)
        if effort.told is not None:
            effort.told(found)
    return nodes, arrays


def _filters(trace: Trace, op: Op, kept: Kernels) -> dict[str, NDArray[Any]] | None:
    name = next((o.parameter for o in op.operands if o.role == "weight"), None)
    groups = int(op.attributes.get("groups", 1))
    key = (name or "", op.kind, groups)
    own = find_tensor(trace.model.module, name) if name is not None else None
    now = mark(own) if own is not None else None
    if now is not None and key in kept and kept[key][0] == now:
        return kept[key][1]
    weight = kernels_of(trace, op, own)
    if weight is None:
        return None
    found = filter_arrays(weight, groups)
    if now is not None:
        kept[key] = now, found
    return found


def leave_out(nodes: list[dict[str, Any]], arrays: dict[str, NDArray[Any]], budget: float) -> list[str]:
    """Take maps out until the rest fits ``budget`` bytes; what was done, in sentences.

    Those that follow from other maps go first (batch norm, activations), then all but the input;
    each time the largest first.
    """
    sizes = {node["id"]: arrays[f"maps/{node['id']}"].nbytes for node in nodes if "maps" in node["arrays"]}
    spent = sum(sizes.values())
    order = sorted(sizes, key=lambda index: (nodes[index]["kind"] not in _FOLLOWS, -sizes[index]))
    gone = 0
    for index in order:
        if spent <= budget:
            break
        if nodes[index]["kind"] == "input":
            continue
        del arrays[nodes[index]["arrays"].pop("maps")]
        nodes[index]["notes"].append("its maps are left out: all together they are too large")
        spent -= sizes[index]
        gone += 1
    return [f"the maps of {gone} ops are left out: all together they are too large"] if gone else []


def _answer(trace: Trace, top: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    logits = trace.logits
    if logits is None or not len(logits):
        return {"predictions": [], "softmax_of": None, "scores_are": "logits", "notes": []}, {}
    row = logits[0].detach().to("cpu", torch.float32)
    notes: list[str] = []
    try:
        found = trace.predictions(top)
    except TraceError:
        found = []
        bad = int((~torch.isfinite(row)).sum())
        notes.append(f"no class can be named: {bad} of the {len(row)} class scores are not finite")
    predictions = [
        {"index": p.index, "label": p.label, "probability": p.probability, "logit": p.logit} for p in found
    ]
    answer = {
        "predictions": predictions,
        "softmax_of": len(row),
        "scores_are": trace.scores_are,
        "notes": notes,
    }
    return answer, {"logits": row.contiguous().numpy()}


def _batch_notes(trace: Trace) -> list[str]:
    sizes = [op.shape[0] for op in trace.ops if op.kind == "input" and len(op.shape) in (2, 4)]
    if sizes and sizes[0] > 1:
        return [f"a batch of {sizes[0]}: the first item is shown"]
    return []


def _made_with(trace: Trace) -> dict[str, str]:
    library = _LIBRARIES.get(trace.card.source, "")
    try:
        library = f"{library} {version(library)}" if library else ""
    except PackageNotFoundError:
        library = ""
    return {"convscope": __version__, "torch": str(torch.__version__), "model_library": library}


def _describe_model(trace: Trace) -> dict[str, Any]:
    card = trace.card
    first = next((op for op in trace.ops if op.kind == "input"), None)
    shape = list(first.shape) if first is not None else []
    return {
        "name": card.name,
        "source": card.source,
        "weights": card.weights,
        "random": card.random,
        "type": type(trace.model.module).__name__,
        "parameters": trace.parameters,
        "multiply_adds": trace.multiply_adds,
        "input": shape[-3:],
        "mean": list(card.preprocessing.mean),
        "std": list(card.preprocessing.std),
        "reference": card.reference,
        "notes": list(card.notes),
    }
