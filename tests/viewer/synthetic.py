"""A made-up scene in the shape of a ResNet-50: what the viewer is developed and tested against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOSTILE = "<img src=x onerror=document.title='owned'>"
STAGES = ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7))


@dataclass(frozen=True)
class SyntheticScene:
    """The two attributes of a scene that exhibits read."""

    manifest: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def photo_pixels(height: int = 300, width: int = 451) -> NDArray[np.uint8]:
    """scikit-image's cat where it is installed, else stripes in a warm light."""
    try:
        from skimage import data

        return np.asarray(data.cat()[:height, :width], dtype=np.uint8)
    except ImportError:
        rows, columns = np.mgrid[:height, :width]
        wave = np.sin(columns / 9 + np.sin(rows / 31) * 4) * 0.5 + 0.5
        return (np.stack([wave * 220, wave * 170 + 20, rows / height * 150], axis=-1)).astype(np.uint8)


def resized(plane: NDArray[np.floating[Any]], side: int) -> NDArray[np.floating[Any]]:
    """Nearest-neighbour resize of the last two axes to ``side`` x ``side``."""
    rows = (np.arange(side) + 0.5) * plane.shape[-2] / side
    columns = (np.arange(side) + 0.5) * plane.shape[-1] / side
    return plane[..., rows.astype(int)[:, None], columns.astype(int)[None, :]]


class Maker:
    """Lays nodes down one after another and fills in their maps."""

    def __init__(self, seed: int, width: float, with_maps: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.width, self.with_maps = width, with_maps
        self.nodes: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self.values: dict[int, NDArray[np.float32]] = {}
        self.bases: dict[int, NDArray[np.float32]] = {}
        self.open: list[str] = []
        photo = photo_pixels()
        self.photo = photo
        top = (photo.shape[1] - photo.shape[0]) // 2
        crop = photo[:, top : top + photo.shape[0]]
        self.left = top
        self.input = resized(np.moveaxis(crop, 2, 0).astype(np.float32), 224)

    def base(self, side: int) -> NDArray[np.float32]:
        """Sixteen planes of the picture at this size: colours, edges, blobs, waves."""
        if side not in self.bases:
            grey = resized(self.input, side * 4).reshape(3, side, 4, side, 4).mean(axis=(2, 4)) / 128 - 1
            planes = [grey[0], grey[1], grey[2], grey[0] - grey[2], grey[1] - grey[0]]
            light = grey.mean(axis=0)
            planes += [np.gradient(light, axis=0) * 6, np.gradient(light, axis=1) * 6]
            planes += [planes[5] + planes[6], planes[5] - planes[6], np.abs(planes[5]), np.abs(planes[6])]
            rows, columns = np.mgrid[:side, :side] / side
            for _ in range(5):
                r, c = self.random.uniform(0.1, 0.9, 2)
                planes.append(np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 0.03) * 2)
            self.bases[side] = np.stack(planes).astype(np.float32)
        return self.bases[side]

    def fresh(self, channels: int, side: int) -> NDArray[np.float32]:
        mix = self.random.normal(size=(channels, 16)).astype(np.float32) ** 3 * 0.2
        value = np.tensordot(mix, self.base(side), axes=1)
        value += self.random.normal(0, 0.05, size=(channels, 1, 1)).astype(np.float32)
        return value.astype(np.float32)

    def add(
        self,
        name: str,
        kind: str,
        inputs: list[int],
        value: NDArray[np.float32],
        field: dict[str, list[int]] | None,
        *,
        type_: str = "",
        kernel: int = 0,
        stride: int = 1,
        view: str = "map",
    ) -> int:
        number = len(self.nodes)
        channels, rows, columns = value.shape
        flat = value.reshape(channels, -1)
        finite = np.isfinite(flat)
        safe = np.where(finite, flat, 0)
        peak = np.abs(safe).argmax(axis=1)
        largest = np.abs(safe).max(axis=1)
        per_channel = largest if view == "map" else np.full(channels, largest.max())
        scale = (per_channel / 127).astype(np.float32)
        divisor = np.where(scale == 0, 1, scale)[:, None]
        bytes_ = np.where(finite, np.clip(np.round(safe / divisor), -127, 127) + 128, 0).astype(np.uint8)
        stats = np.stack(
            [
                safe.min(axis=1),
                safe.max(axis=1),
                safe.mean(axis=1),
                safe.std(axis=1),
                (flat == 0).mean(axis=1),
                peak // columns,
                peak % columns,
                scale,
            ],
            axis=1,
        ).astype(np.float32)
        strongest = np.argsort(-largest, kind="stable")[: 8 if view == "map" else 0]
        node: dict[str, Any] = {
            "id": number,
            "name": name,
            "kind": kind,
            "path": name,
            "type": type_,
            "groups": list(self.open),
            "inputs": inputs,
            "shape": [1, channels, rows, columns] if view == "map" else [1, channels],
            "dtype": "float32",
            "attributes": {"kernel_size": [kernel, kernel], "stride": [stride, stride]} if kernel else {},
            "parameters": 0,
            "multiply_adds": 0,
            "milliseconds": round(float(self.random.uniform(0.1, 2.5)), 3),
            "field": field,
            "view": view,
            "channels": channels,
            "rows": rows,
            "columns": columns,
            "statistics": {
                "min": float(safe.min()),
                "max": float(safe.max()),
                "mean": float(safe.mean()),
                "std": float(safe.std()),
                "not_finite": int((~finite).sum()),
                "silent": int((largest == 0).sum()) if view == "map" else 0,
            },
            "signed": bool((safe < 0).any()),
            "strongest": [int(c) for c in strongest],
            "arrays": {},
        }
        if view != "none":
            node["arrays"]["stats"] = f"stats/{number}"
            self.arrays[f"stats/{number}"] = stats
            if self.with_maps:
                node["arrays"]["maps"] = f"maps/{number}"
                self.arrays[f"maps/{number}"] = bytes_.reshape(value.shape)
        if view == "map":
            side = min(28, rows)
            block = max(1, -(-rows // 28))
            chosen = bytes_.reshape(value.shape)[strongest].astype(np.float32)
            if block > 1:
                side = rows // block
                chosen = chosen[:, : side * block, : side * block]
                chosen = chosen.reshape(len(strongest), side, block, side, block).mean(axis=(2, 4))
            node["arrays"]["strip"] = f"strip/{number}"
            self.arrays[f"strip/{number}"] = np.round(chosen).astype(np.uint8)
        if kernel:
            before = self.nodes[inputs[0]]["channels"]
            k = before if before <= 4 else 8
            weights = self.random.normal(size=(channels, k, kernel, kernel)).astype(np.float32)
            if kernel > 3:
                ramp = np.linspace(-2, 2, kernel)
                angle = self.random.uniform(0, np.pi, (channels, 1, 1, 1))
                along = np.cos(angle) * ramp[:, None] + np.sin(angle) * ramp[None, :]
                wave = np.cos(along * 3 + self.random.uniform(0, 6, (channels, k, 1, 1)) * 0.4)
                weights = (wave * np.exp(-(ramp[:, None] ** 2 + ramp[None, :] ** 2) / 2)).astype(np.float32)
            scales = np.abs(weights).reshape(channels, -1).max(axis=1) / 127
            node["arrays"]["filters"] = f"filters/{number}"
            self.arrays[f"filters/{number}"] = (np.round(weights / scales[:, None, None, None]) + 128).astype(
                np.uint8
            )
            self.arrays[f"filter_scales/{number}"] = scales.astype(np.float32)
            if before > 4:
                order = np.argsort(self.random.random((channels, before)), axis=1)[:, :8]
                self.arrays[f"filter_inputs/{number}"] = order.astype(np.int32)
            node["parameters"] = channels * before * kernel * kernel
            node["multiply_adds"] = node["parameters"] * rows * columns
        self.nodes.append(node)
        self.values[number] = value
        return number

    def enter(self, name: str, type_: str) -> None:
        self.groups.append(
            {
                "name": name,
                "path": name,
                "type": type_,
                "parent": self.open[-1] if self.open else None,
                "first": len(self.nodes),
            }
        )
        self.open.append(name)

    def leave(self, repeats: str = "") -> None:
        name = self.open.pop()
        group = next(g for g in self.groups if g["name"] == name)
        group["last"] = len(self.nodes)
        group["output"] = len(self.nodes) - 1
        if repeats:
            group["repeats"] = repeats


def synthetic_scene(
    *, seed: int = 0, width: float = 1.0, with_maps: bool = True, hostile: bool = False, random: bool = False
) -> SyntheticScene:
    """A scene of 177 nodes; ``width`` thins the channels (0.125 is quick enough for a test)."""
    maker = Maker(seed, width, with_maps)

    def wide(channels: int) -> int:
        return max(4, int(channels * width))

    def field(size: int, stride: int, start: int) -> dict[str, list[int]]:
        return {"size": [size] * 2, "stride": [stride] * 2, "start": [start] * 2}

    size, jump, start = 1, 1, 0

    def grow(kernel: int, stride: int, padding: int) -> dict[str, list[int]]:
        nonlocal size, jump, start
        start -= padding * jump
        size += (kernel - 1) * jump
        jump *= stride
        return field(size, jump, start)

    now = maker.add("input", "input", [], (maker.input / 64 - 2).astype(np.float32), field(1, 1, 0))
    channels = wide(64)
    value = maker.fresh(channels, 112)
    now = maker.add("conv1", "conv2d", [now], value, grow(7, 2, 3), type_="Conv2d", kernel=7, stride=2)
    value = value * 1.7 - 0.1
    now = maker.add("bn1", "batch_norm", [now], value, field(size, jump, start), type_="BatchNorm2d")
    value = np.maximum(value, 0)
    value[1] = 0
    now = maker.add("relu", "relu", [now], value, field(size, jump, start), type_="ReLU")
    value = value.reshape(channels, 56, 2, 56, 2).max(axis=(2, 4))
    now = maker.add("maxpool", "max_pool2d", [now], value, grow(3, 2, 1), type_="MaxPool2d")
    for stage, (blocks, planes, side) in enumerate(STAGES, start=1):
        maker.enter(f"layer{stage}", "Sequential")
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            maker.enter(name, "Bottleneck")
            entry, stride = now, 2 if block == 0 and stage > 1 else 1
            first = field(size, jump, start)
            for step, (out, kernel) in enumerate(
                ((wide(planes), 1), (wide(planes), 3), (wide(planes * 4), 1)), start=1
            ):
                shape_side = side if not (stride == 2 and step == 1) else side * 2
                value = maker.fresh(out, shape_side)
                where = grow(kernel, stride if step == 2 else 1, kernel // 2)
                now = maker.add(
                    f"{name}.conv{step}",
                    "conv2d",
                    [now],
                    value,
                    where,
                    type_="Conv2d",
                    kernel=kernel,
                    stride=stride if step == 2 else 1,
                )
                value = value * 1.4 + 0.05
                now = maker.add(f"{name}.bn{step}", "batch_norm", [now], value, where, type_="BatchNorm2d")
                if step < 3:
                    value = np.maximum(value, 0)
                    value[:: max(2, 40 // stage)] = 0
                    suffix = "" if step == 1 else "_1"
                    now = maker.add(f"{name}.relu{suffix}", "relu", [now], value, where, type_="ReLU")
            skip = entry
            if block == 0:
                maker.enter(f"{name}.downsample", "Sequential")
                other = maker.fresh(wide(planes * 4), side)
                skip = maker.add(
                    f"{name}.downsample.0",
                    "conv2d",
                    [entry],
                    other,
                    {**first, "stride": [jump] * 2},
                    type_="Conv2d",
                    kernel=1,
                    stride=stride,
                )
                skip = maker.add(
                    f"{name}.downsample.1",
                    "batch_norm",
                    [skip],
                    other * 1.2,
                    {**first, "stride": [jump] * 2},
                    type_="BatchNorm2d",
                )
                maker.leave()
            value = value + maker.values[skip]
            now = maker.add(
                f"{name}.add", "add", [now, skip], value, field(size, jump, start), type_="Bottleneck"
            )
            value = np.maximum(value, 0)
            now = maker.add(f"{name}.relu_2", "relu", [now], value, field(size, jump, start), type_="ReLU")
            maker.leave()
        maker.leave(f"Bottleneck × {blocks}")
    pooled = value.mean(axis=(1, 2), keepdims=True)
    now = maker.add(
        "avgpool", "adaptive_avg_pool2d", [now], pooled, None, type_="AdaptiveAvgPool2d", view="vector"
    )
    now = maker.add("flatten", "flatten", [now], pooled, None, type_="ResNet", view="none")
    logits = maker.random.normal(0, 1.6, (1000, 1, 1)).astype(np.float32)
    for index, logit in ((282, 12.6), (285, 12.5), (281, 11.7), (287, 9.1), (283, 7.7)):
        logits[index] = logit
    maker.add("fc", "linear", [now], logits, None, type_="Linear", view="vector")
    maker.nodes[-1]["parameters"] = 1000 * channels
    arrays = maker.arrays
    arrays["logits"] = logits[:, 0, 0]
    arrays["photo"] = maker.photo
    arrays["input"] = np.moveaxis(maker.input, 0, 2).astype(np.uint8)
    chance = np.exp(arrays["logits"] - arrays["logits"].max())
    chance = chance / chance.sum()
    names = {282: "tiger cat", 285: "Egyptian cat", 281: "tabby", 287: "lynx", 283: "Persian cat"}
    if hostile:
        names[282] = HOSTILE
        maker.nodes[1]["name"] = HOSTILE
        for group in maker.groups:
            if group["name"] == "layer1":
                group["type"] = HOSTILE
                group["repeats"] = f"{HOSTILE} × 3"
    height, width_ = maker.photo.shape[:2]
    side = min(height, width_)
    manifest = {
        "schema": "convscope.scene/1",
        "made_with": {"convscope": "0.1.0", "torch": "2.14.1", "model_library": "torchvision 0.29.1"},
        "model": {
            "name": HOSTILE if hostile else "resnet50",
            "source": "torchvision",
            "weights": "random" if random else "ResNet50_Weights.IMAGENET1K_V2",
            "random": random,
            "type": "ResNet",
            "parameters": 25557032,
            "multiply_adds": 4089184256,
            "input": [3, 224, 224],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "reference": "",
            "notes": ["random weights: the answers mean nothing"] if random else [],
        },
        "image": {
            "name": f"{HOSTILE}.png" if hostile else "cat",
            "width": width_,
            "height": height,
            "photo": "photo",
            "input": "input",
            "scale": [side / 224, side / 224],
            "offset": [0.0, float(maker.left)],
            "notes": [f"</script><script>{HOSTILE}"] if hostile else ["transparent parts drawn over white"],
        },
        "predictions": [
            {
                "index": i,
                "label": names[i],
                "probability": float(chance[i]),
                "logit": float(arrays["logits"][i]),
            }
            for i in (282, 285, 281, 287, 283)
        ],
        "softmax_of": 1000,
        "nodes": maker.nodes,
        "groups": maker.groups,
        "layers": {"maps": "one scale a channel, 128 = zero"},
    }
    return SyntheticScene(manifest, arrays)
