"""The numbers of every lesson, each by a second, plainer way."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

import convscope
from convscope.lesson import KERNELS, LESSONS, Tools, find_lesson, named_kernel
from convscope.lesson.counting import convolutional, fully_connected

NAMES = tuple(LESSONS)


@pytest.fixture(scope="module")
def results() -> dict[str, convscope.lesson.LessonResult]:
    return {name: lesson.run() for name, lesson in LESSONS.items()}


def grey(name: str) -> np.ndarray:
    pixels = convscope.load_image(f"sample:{name}").pixels.astype(np.float64)
    return pixels @ [0.299, 0.587, 0.114]


# All lessons


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_says_everything_in_english_and_in_chinese(name, results):
    lesson, result = LESSONS[name], results[name]
    texts = [lesson.title, lesson.text, *(control.label for control in lesson.controls)]
    texts += [option for control in lesson.controls for option in getattr(control, "options", {}).values()]
    texts += [one.caption for one in (*result.charts.values(), *result.tables.values())]
    for text in texts:
        assert set(text) == {"en", "zh"}
        assert text["en"]
        assert text["zh"]
        assert not re.search("[\u4e00-\u9fff]", text["en"])
    for language in ("en", "zh"):
        assert len(result.sentences[language]) >= 2
    assert len(result.sentences["en"]) == len(result.sentences["zh"])
    assert all(re.search("[\u4e00-\u9fff]", line) for line in result.sentences["zh"])
    assert not re.search("[\u4e00-\u9fff]", " ".join(result.sentences["en"]))
    assert 1 <= len(re.findall(r"[.:?] ", lesson.text["en"] + " ")) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_lays_out_what_it_has_and_is_plain_json(name, results):
    result = results[name]
    laid = [part for row in result.layout for part in row]
    assert sorted(laid) == sorted({*result.maps, *result.charts, *result.tables})
    data = json.loads(json.dumps(result.to_json(arrays=name == "steps"), allow_nan=False))
    assert data["lesson"] == name
    assert set(data["values"]) == {control.name for control in LESSONS[name].controls}
    again = LESSONS[name].run(**data["values"])
    assert again.values == result.values
    for part, one in result.maps.items():
        assert data["maps"][part]["shape"] == list(one.values.shape)
        assert one.role in ("signed", "sequential", "grey", "rgb")
    told = json.loads(json.dumps(LESSONS[name].to_json(), allow_nan=False))
    assert [control["default"] for control in told["controls"]] == list(data["values"].values())


def test_an_unknown_lesson_is_named_with_those_that_look_like_it():
    with pytest.raises(convscope.errors.UsageError, match="there is no lesson `step`\nDid you mean"):
        find_lesson("step")


# Step by step, and the flip


def test_step_by_step_is_the_correlation_of_the_typed_numbers(results):
    image = [[0, 9, 9, 9, 0], [0, 0, 0, 9, 0], [0, 0, 9, 0, 0], [0, 9, 0, 0, 0], [0, 9, 0, 0, 0]]
    expected = correlate2d(image, [[1, 0, -1]] * 3, "valid")
    assert results["steps"].numbers["output"] == expected.tolist()
    assert results["steps"].numbers["largest_difference"] == 0


def test_step_by_step_on_part_of_a_photo_in_colour_adds_up_the_channels():
    lesson = LESSONS["steps"]
    pixels = convscope.load_image("sample:cat").pixels[60:72, 150:162].astype(float)
    run = lesson.run(source="photo", picture="sample:cat", crop="60,150,12,12", colour=True, kernel="sobel-x")
    expected = sum(correlate2d(pixels[..., c], named_kernel("sobel-x"), "valid") for c in range(3))
    np.testing.assert_allclose(run.numbers["output"], [expected])
    apart = lesson.run(
        source="photo",
        picture="sample:cat",
        crop="60,150,12,12",
        colour=True,
        kernel="sobel-x",
        groups="each",
    )
    np.testing.assert_allclose(np.sum(apart.numbers["output"], axis=0), expected)
    cut = lesson.run(
        source="photo", picture="sample:cat", crop="60,150,12,12", kernel="cut", kernel_box="2,3,4,5"
    )
    part = np.rint(grey("cat")[60:72, 150:162])
    np.testing.assert_allclose(cut.numbers["output"], correlate2d(part, part[2:6, 3:8], "valid"), atol=1)


def test_two_groups_see_only_their_own_channels():
    run = LESSONS["steps"].run(image="1 2|3 4|5 6|7 8", kernel="1 0|0 1|1 1|2 0", groups="two")
    assert run.numbers["output"] == [[[1 + 4]], [[5 + 6 + 14]]]
    assert "two groups of 2" in run.sentences["en"][-1]
    with pytest.raises(
        convscope.errors.ControlError, match="`groups` must divide the image's 3 channels; got 2"
    ):
        LESSONS["steps"].run(image="1 2|3 4|5 6", kernel="1", groups="two")


def test_convolution_commutes_and_cross_correlation_does_not(results):
    numbers = results["flip"].numbers
    assert numbers["convolution_commutes"]
    assert not numbers["correlation_commutes"]
    assert numbers["correlation_difference_once_turned"] == 0
    image = np.diag([0, 1, 2, 3, 0])
    kernel = np.arange(1, 10).reshape(3, 3)
    assert numbers["correlation"] == correlate2d(image, kernel, "same").tolist()
    assert numbers["convolution"] == correlate2d(image, kernel[::-1, ::-1], "same").tolist()
    assert LESSONS["flip"].run(kernel="box").numbers["same"]


# Detectors


@pytest.mark.parametrize("name", KERNELS)
def test_a_named_kernel_answers_as_scipy_says(name):
    run = LESSONS["detectors"].run(picture="sample:coins", kernel=name)
    expected = correlate2d(grey("coins"), named_kernel(name), "valid")
    np.testing.assert_allclose(run.maps["response"].values, expected, atol=0.02)
    row, column = run.numbers["largest_at"]
    assert expected[row, column] == pytest.approx(expected.max(), abs=0.02)


def test_the_edge_kernel_answers_bright_to_dark_with_plus_and_dark_to_bright_with_minus():
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 10:30] = 200
    run = LESSONS["detectors"].run(picture=picture, kernel="edge")
    assert run.numbers["largest"] == 600
    assert run.numbers["smallest"] == -600
    assert run.numbers["largest_at"][1] in (28, 29)
    assert run.numbers["smallest_at"][1] in (8, 9)


def test_a_kernel_of_a_networks_first_layer_sees_the_normalised_photo():
    model = convscope.load_model("resnet18", weights="none")
    run = LESSONS["detectors"].run(
        Tools(model=lambda name, weights: model), picture="sample:cat", kernel="resnet18 conv1 12"
    )
    pixels = torch.from_numpy(convscope.load_image("sample:cat").pixels).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(n)[:, None, None] for n in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = model.module.conv1(((pixels - mean) / std)[None])[0, 12].detach().numpy()
    np.testing.assert_allclose(run.maps["response"].values, expected, atol=1e-5)
    assert "Random weights: this kernel has learned nothing." in run.sentences["en"]


def test_a_kernel_of_a_deeper_layer_gets_the_maps_the_network_computed():
    model = convscope.load_model("resnet18", weights="none")
    run = LESSONS["detectors"].run(
        Tools(model=lambda name, weights: model), picture="sample:cat", kernel="resnet18 layer2.0.conv1 7"
    )
    trace = convscope.trace(model, "sample:cat")
    expected = trace["layer2.0.conv1"].value[0, 7].numpy()
    np.testing.assert_allclose(run.maps["response"].values, expected, atol=1e-5)


def test_a_kernel_no_network_has_is_said():
    tools = Tools(model=lambda name, weights: convscope.load_model("tutorial_tanh", weights="none"))
    with pytest.raises(
        convscope.errors.ControlError, match="`n` has no convolution `conv9`\nIt has 0, 3"
    ) as raised:
        LESSONS["detectors"].run(tools, kernel="n conv9 0")
    assert raised.value.control == "kernel"
    with pytest.raises(convscope.errors.ControlError, match="`0` of `n` has channels 0 to 15; got 16"):
        LESSONS["detectors"].run(tools, kernel="n 0 16")


# Counting and softmax


@pytest.mark.parametrize("size", [32, 64])
def test_counting_is_what_the_networks_themselves_have(size):
    mlp = nn.Sequential(
        nn.Linear(3 * size * size, 1024), nn.Linear(1024, 512), nn.Linear(512, 128), nn.Linear(128, 10)
    )
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(16, 8, 3, padding=1), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8 * (size // 4) ** 2, 32), nn.Linear(32, 10),
    )  # fmt: skip
    for module, layers in (
        (mlp, fully_connected(3 * size * size, (1024, 512, 128))),
        (net, convolutional(size, 3, 3)),
    ):
        own = [parameter.numel() for parameter in module.parameters()]
        assert [n for weights, biases, _ in layers for n in (weights, biases)] == own
    trace = convscope.trace(net, torch.zeros(1, 3, size, size))
    cost = sum(op.multiply_adds or 0 for op in trace.ops if op.kind in ("conv2d", "linear"))
    assert sum(multiply for _, _, multiply in convolutional(size, 3, 3)) == cost


def test_counting_gives_the_articles_numbers(results):
    numbers = results["counting"].numbers
    assert numbers["fully_connected"]["parameters"] == 3_738_506
    assert numbers["convolutional"]["parameters"] == 18_354
    assert numbers["growth"]["1024"]["fully_connected"][0] > 3_000_000_000
    assert numbers["without_padding"][:2] == [32, 30]
    assert numbers["with_padding"][:2] == [32, 32]
    for name, module in (("fully_connected", "tutorial_mlp"), ("convolutional", "tutorial_tanh")):
        model = convscope.load_model(module, weights="none").module
        own = [parameter.numel() for parameter in model.parameters()]
        assert [n for layer in numbers[name]["layers"] for n in layer] == own


def test_softmax_cross_entropy_and_their_slopes_are_those_of_the_formulas(results):
    numbers = results["softmax"].numbers
    assert [round(share, 2) for share in numbers["softmax"]] == [0.98, 0.02, 0.0]
    logits = np.array([1.5, -2.0, 3.0])
    numbers = LESSONS["softmax"].run(first=1.5, second=-2, third=3, target="second").numbers

    def losses(z: np.ndarray) -> np.ndarray:
        shares = np.exp(z) / np.exp(z).sum()
        return np.array([-np.log(shares[1]), ((shares - [0, 1, 0]) ** 2).sum()])

    np.testing.assert_allclose([numbers["cross_entropy"], numbers["squared_error"]], losses(logits))
    for i in range(3):
        nudge = np.eye(3)[i] * 1e-6
        slope = (losses(logits + nudge) - losses(logits - nudge)) / 2e-6
        found = numbers["gradient_of_cross_entropy"][i], numbers["gradient_of_squared_error"][i]
        np.testing.assert_allclose(found, slope, atol=1e-8)


# Transposed, dilated, depthwise, 1 x 1


def test_the_variants_are_torchs_own(results):
    def maps(name: str) -> np.ndarray:
        return results[name].player.maps

    def tensor(name: str, control: str) -> torch.Tensor:
        (found,) = (c for c in LESSONS[name].controls if c.name == control)
        array = torch.from_numpy(found.check(found.default))
        return array if array.ndim == 3 else array[None]

    image, kernel = tensor("transposed", "image"), tensor("transposed", "kernel")
    expected = nn.functional.conv_transpose2d(image[None], kernel[None], stride=2)[0]
    np.testing.assert_allclose(maps("transposed"), expected)
    image, kernel = tensor("dilated", "image"), tensor("dilated", "kernel")
    np.testing.assert_allclose(
        maps("dilated"), nn.functional.conv2d(image[None], kernel[None], dilation=2)[0]
    )
    assert results["dilated"].numbers["window"] == [5, 5]
    image, kernel = tensor("depthwise", "image"), tensor("depthwise", "kernel")
    expected = nn.functional.conv2d(image[None], kernel[:, None], groups=3)[0]
    np.testing.assert_allclose(maps("depthwise"), expected)
    assert results["depthwise"].numbers["parameters"] == 27
    image, weights = tensor("pointwise", "image"), tensor("pointwise", "weights")[0]
    np.testing.assert_allclose(maps("pointwise"), torch.einsum("mc,chw->mhw", weights, image))


def test_a_stride_that_does_not_divide_the_kernel_makes_a_checkerboard(results):
    assert results["transposed"].numbers["fewest_products"] == 1
    assert results["transposed"].numbers["most_products"] == 4
    assert any("checkerboard" in line for line in results["transposed"].sentences["en"])
    even = LESSONS["transposed"].run(kernel="1 1; 1 1")
    assert even.numbers["fewest_products"] == even.numbers["most_products"] == 1
    assert not any("checkerboard" in line for line in even.sentences["en"])
