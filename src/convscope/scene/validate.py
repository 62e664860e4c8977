"""What a manifest must look like, and which arrays may go with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

#: Type of the numbers of each array, by the part of its name before the slash.
ARRAY_TYPES = {
    "maps": "uint8",
    "stats": "float32",
    "strip": "uint8",
    "filters": "uint8",
    "filter_inputs": "int32",
    "filter_scales": "float32",
    "proof": "float32",
    "proof_terms": "float32",
    "proof_inputs": "float32",
    "proof_weights": "float32",
    "proof_patches": "float32",
    "proof_places": "int32",
    "logits": "float32",
    "photo": "uint8",
    "input": "uint8",
}
_WHOLE = ("logits", "photo", "input")
_NAME = re.compile(r"([a-z_]+)(?:/(0|[1-9][0-9]{0,6}))?")
_VIEWS = ("map", "vector", "none")
_NUMBER = (int, float)
_MAYBE = (int, float, type(None))

_TOP = {
    "made_with": dict, "model": dict, "image": dict, "predictions": list, "softmax_of": (int, type(None)),
    "nodes": list, "groups": list, "layers": dict, "notes": list,
}  # fmt: skip
_MODEL = {
    "name": str, "source": str, "weights": str, "random": bool, "type": str, "parameters": int,
    "multiply_adds": int, "input": list, "mean": list, "std": list, "reference": str, "notes": list,
}  # fmt: skip
_IMAGE = {"name": str, "width": int, "height": int, "scale": list, "offset": list, "notes": list}
_PREDICTION = {"index": int, "label": str, "probability": _NUMBER, "logit": _NUMBER}
_NODE = {
    "id": int, "name": str, "kind": str, "path": str, "type": str, "groups": list, "inputs": list,
    "shape": list, "dtype": str, "attributes": dict, "parameters": int, "multiply_adds": int,
    "milliseconds": _NUMBER, "field": (dict, type(None)), "view": str, "channels": int, "rows": int,
    "columns": int, "statistics": (dict, type(None)), "signed": bool, "strongest": list, "arrays": dict,
    "notes": list,
}  # fmt: skip
_GROUP = {
    "name": str, "path": str, "type": str, "parent": (str, type(None)), "first": int, "last": int,
    "output": (int, type(None)),
}  # fmt: skip
_PROOF = {"rule": str, "formula": str, "columns": list, "reads": str, "operands": list}
_NEEDED: dict[str, tuple[str, ...]] = {
    "given": (), "sum": (), "pick": (), "copy": (), "norm": ("x", "mean", "var"), "function": ("x",),
    "joined": ("x",), "cells": ("0", "1"),
}  # fmt: skip
_PLACED = ("sum", "pick", "copy")
_OPERAND = {"label": str, "node": (int, type(None))}
_STATISTICS = {
    "min": _MAYBE, "max": _MAYBE, "mean": _MAYBE, "std": _MAYBE, "not_finite": int, "silent": int,
    "constant": int,
}  # fmt: skip


def array_type(name: str) -> str | None:
    """The part of an array's name that says what it is; ``None`` for a name no scene has.

    Examples
    --------
    >>> array_type("maps/7"), array_type("photo"), array_type("../photo"), array_type("maps/07")
    ('maps', 'photo', None, None)
    """
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in ARRAY_TYPES or (match[1] in _WHOLE) == (match[2] is not None):
        return None
    return match[1]


def check_manifest(manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """The first thing wrong with a manifest and its arrays, as a sentence; ``""`` where all is well."""
    try:
        return next(_problems(manifest, arrays), "")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        return f"the manifest has the wrong form ({error})"


def _problems(manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    yield from _fields(manifest, _TOP, "the manifest")
    yield from _fields(manifest["model"], _MODEL, "model")
    yield from _fields(manifest["image"], _IMAGE, "image")
    # Scenes of before it was kept were all of softmax.
    if manifest.get("scores_are", "logits") not in ("logits", "softmax", "sigmoid"):
        yield f"the manifest says that the scores are {manifest['scores_are']!r}"
    for entry in manifest["predictions"]:
        yield from _fields(entry, _PREDICTION, "a prediction")
    for place, node in enumerate(manifest["nodes"]):
        yield from _fields(node, _NODE, f"node {place}")
        if node["id"] != place:
            yield f"node {place} calls itself {node['id']}"
        yield from _node(node, place, arrays)
    count = len(manifest["nodes"])
    names: set[Any] = set()
    for group in manifest["groups"]:
        yield from _fields(group, _GROUP, "a group")
        output, parent = group["output"], group["parent"]
        inside = output is None or group["first"] <= output < group["last"]
        if (
            not 0 <= group["first"] < group["last"] <= count
            or not inside
            or not (parent is None or parent in names)
        ):
            yield f"group {group['name']!r} does not fit the nodes"
        names.add(group["name"])
    if any(name not in names for node in manifest["nodes"] for name in node["groups"]):
        yield "a node is in a group that is not there"
    for key in ("photo", "input"):
        if (key in arrays) != (manifest["image"].get(key) == key):
            yield f"the manifest and the arrays disagree about the {key}"
        elif key in arrays and (arrays[key].ndim != 3 or arrays[key].shape[2] != 3):
            yield f"{key} has the shape {arrays[key].shape}"
    if any("/" in name and int(name.split("/")[1]) >= count for name in arrays):
        yield "there is an array of a node that is not there"
    if "logits" in arrays and arrays["logits"].shape != (manifest["softmax_of"],):
        yield f"logits has the shape {arrays['logits'].shape}"


def _node(node: Mapping[str, Any], place: int, arrays: Mapping[str, NDArray[Any]]) -> Any:
    channels, rows, columns = node["channels"], node["rows"], node["columns"]
    if node["view"] not in _VIEWS:
        yield f"node {place} has the view {node['view']!r}"
    if not all(type(other) is int and 0 <= other < place for other in node["inputs"]):
        yield f"node {place} takes something that does not come before it"
    if node["statistics"] is not None:
        yield from _fields(node["statistics"], _STATISTICS, f"the statistics of node {place}")
    elif node["view"] != "none":
        yield f"node {place} has no statistics"
    if node["field"] is not None and not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(number, _NUMBER) for number in pair)
        for pair in (node["field"]["size"], node["field"]["stride"], node["field"]["start"])
    ):
        yield f"node {place} has a damaged field"
    if not all(type(channel) is int and 0 <= channel < channels for channel in node["strongest"]):
        yield f"node {place} has strongest channels it does not have"
    shapes = {"maps": (channels, rows, columns), "stats": (channels, 8)}
    for key, name in node["arrays"].items():
        if name != f"{key}/{place}" or name not in arrays:
            yield f"node {place} lacks its {key}"
            continue
        shape = arrays[name].shape
        if key in shapes:
            fits = shape == shapes[key]
        else:
            fits = key != "strip" or (len(shape) == 3 and shape[0] == len(node["strongest"]))
        if not fits:
            yield f"{name} has the shape {shape}"
        if key == "filters":
            yield from _filters(name, place, arrays)
    if "proof" in node:
        yield from _proof(node, place, arrays)


def _proof(node: Mapping[str, Any], place: int, arrays: Mapping[str, NDArray[Any]]) -> Any:
    proof, channels = node["proof"], node["channels"]
    yield from _fields(proof, _PROOF, f"the proof of node {place}")
    table = arrays.get(f"proof/{place}")
    if table is None or table.shape != (channels, len(proof["columns"])):
        yield f"node {place} lacks its proof"
    needed = {"value", "difference", "tolerance", *_NEEDED.get(proof["rule"], (None,))}
    if not needed <= set(proof["columns"]) or (proof["rule"] in _PLACED) != (
        "proof_places" in node["arrays"]
    ):
        yield f"the proof of node {place} lacks what its rule needs"
    if proof["rule"] == "norm" and not isinstance(proof["quantities"]["eps"], _NUMBER):
        yield f"the proof of node {place} has no eps"
    for operand in proof["operands"]:
        yield from _fields(operand, _OPERAND, f"the proof of node {place}")
        if operand["node"] is not None and not 0 <= operand["node"] < place:
            yield f"the proof of node {place} reads what does not come before it"
    kept = {arrays[name].shape[:2] for name in node["arrays"].values() if name.startswith("proof_")}
    if len(kept) > 1 or any(len(shape) != 2 or shape[0] != channels for shape in kept):
        yield f"the terms of node {place} do not fit together"


def _filters(name: str, place: int, arrays: Mapping[str, NDArray[Any]]) -> Any:
    shape = arrays[name].shape
    scales, inputs = arrays.get(f"filter_scales/{place}"), arrays.get(f"filter_inputs/{place}")
    if len(shape) != 4 or scales is None or scales.shape != shape[:1]:
        yield f"{name} has no scales that fit"
    elif inputs is not None and inputs.shape != shape[:2]:
        yield f"filter_inputs/{place} has the shape {inputs.shape}"


def _fields(entry: Any, wanted: Mapping[str, Any], where: str) -> Any:
    if not isinstance(entry, dict):
        yield f"{where} is not a table of names and values"
        return
    for key, kind in wanted.items():
        value = entry.get(key, _fields)
        exact = isinstance(value, bool) and kind is not bool
        if value is _fields or exact or not isinstance(value, kind):
            yield f"{where} has no proper {key!r}"
