"""Preprocessing equals the model libraries' own transforms bit for bit, and knows where the input lies."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from convscope.errors import ImageError, UsageError
from convscope.models import Geometry, Preprocessing
from convscope.models.timm_models import timm_preprocessing
from convscope.models.torchvision_models import _preprocessing

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def cat() -> Pixels:
    data = pytest.importorskip("skimage.data", reason="the cat comes with scikit-image")
    picture: Pixels = data.chelsea()
    return picture


def _classification_presets() -> list[tuple[str, object]]:
    from torchvision import models

    seen = {}
    for name in models.list_models():
        for entry in models.get_model_weights(name):
            preset = entry.transforms()
            if type(preset).__name__ in ("ImageClassification", "SemanticSegmentation", "ObjectDetection"):
                seen.setdefault(str(preset), (name, entry))
    return list(seen.values())


def test_every_picture_preset_of_torchvision_is_matched_bit_for_bit(cat: Pixels) -> None:
    presets = _classification_presets()
    assert len(presets) >= 25
    for pixels in (cat, np.ascontiguousarray(cat[:, 100:260])):
        for name, entry in presets:
            ours = _preprocessing(name, entry)[0].apply(pixels).tensor
            theirs = entry.transforms()(Image.fromarray(pixels))  # type: ignore[attr-defined]
            assert ours.dtype == torch.float32
            assert torch.equal(ours[0], theirs), name


def test_video_presets_of_torchvision_are_matched_frame_by_frame(cat: Pixels) -> None:
    from torchvision import models

    for name in ("r3d_18", "mvit_v2_s", "s3d", "swin3d_t"):
        entry = models.get_model_weights(name).DEFAULT
        ours = _preprocessing(name, entry)[0].apply(cat).tensor
        frames = torch.from_numpy(cat).permute(2, 0, 1).repeat(16, 1, 1, 1)
        theirs = entry.transforms()(frames)
        assert ours.shape == (1, *theirs.shape), name
        assert torch.equal(ours[0], theirs), name


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0",
        "resnet50",
        "convnext_tiny",
        "efficientnet_b3",
        "inception_v3",
        "vit_base_patch16_384",
        "mobilenetv3_small_100",
        "eva02_base_patch14_448",
        "xcit_tiny_12_p8_224",
        "vit_base_patch16_siglip_224",
    ],
)
def test_timm_transforms_are_matched_bit_for_bit(name: str, cat: Pixels) -> None:
    timm = pytest.importorskip("timm")
    from timm.data import create_transform, resolve_data_config

    config = timm.get_pretrained_cfg(name).to_dict()
    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=config))(Image.fromarray(cat))
    assert torch.equal(timm_preprocessing(config).apply(cat).tensor[0], theirs)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(3, 224, 224), (3, 160, 256)])
@pytest.mark.parametrize("share", [0.875, 0.95, 1.0])
def test_timm_crop_modes_are_matched_bit_for_bit(
    mode: str, size: tuple[int, int, int], share: float, cat: Pixels
) -> None:
    pytest.importorskip("timm")
    from timm.data import create_transform, resolve_data_config

    config = {
        "input_size": size,
        "crop_pct": share,
        "crop_mode": mode,
        "interpolation": "bilinear",
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.3, 0.1),
    }
    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=config))(Image.fromarray(cat))
    assert torch.equal(timm_preprocessing(config).apply(cat).tensor[0], theirs)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    resize=st.one_of(st.none(), st.integers(1, 40), st.tuples(st.integers(1, 40), st.integers(1, 40))),
    crop=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
@settings(max_examples=60, deadline=None)
def test_any_size_is_resized_cropped_and_padded_as_torchvision_does(
    height: int, width: int, resize: int | tuple[int, int] | None, crop: tuple[int, int]
) -> None:
    from torchvision.transforms import v2

    pixels = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), np.uint8)
    steps = [v2.Resize(resize)] if resize is not None else []
    theirs = v2.Compose([*steps, v2.CenterCrop(crop), v2.PILToTensor()])(Image.fromarray(pixels))
    mine = Preprocessing(resize=resize, crop=crop, mean=(0.0,) * 3, std=(1.0,) * 3).apply(pixels)
    assert torch.equal(mine.tensor[0], theirs.float() / 255)
    assert mine.geometry.input_size == crop


@given(row=st.integers(0, 11), column=st.integers(0, 19))
@settings(max_examples=40, deadline=None)
def test_a_square_painted_on_the_photo_is_found_where_the_geometry_says(row: int, column: int) -> None:
    photo = np.zeros((480, 800, 3), np.uint8)
    photo[row * 40 : row * 40 + 40, column * 40 : column * 40 + 40] = 255
    steps = Preprocessing(resize=120, crop=(100, 160), mean=(0.0,) * 3, std=(1.0,) * 3)
    prepared = steps.apply(photo)
    rows, columns = np.nonzero(prepared.tensor[0, 0].numpy() > 0.5)
    inside = prepared.geometry.to_photo((0, 0, 100, 160))
    assert inside == (40.0, 80.0, 440.0, 720.0)
    if rows.size:
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        found = prepared.geometry.to_photo(box)
        true = (row * 40, column * 40, row * 40 + 40, column * 40 + 40)
        clipped = (max(true[0], 40), max(true[1], 80), min(true[2], 440), min(true[3], 720))
        assert found == pytest.approx(clipped, abs=4.01)


def test_padding_puts_the_input_outside_the_photo() -> None:
    steps = Preprocessing(resize=None, crop=(20, 20), mean=(0.0,) * 3, std=(1.0,) * 3, fill=(255, 0, 0))
    prepared = steps.apply(np.zeros((10, 16, 3), np.uint8))
    assert prepared.geometry == Geometry((1.0, 1.0), (-5.0, -2.0), (20, 20))
    assert prepared.tensor[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert prepared.tensor[0, :, 5, 2].tolist() == [0.0, 0.0, 0.0]


def test_stretching_has_a_scale_for_each_axis() -> None:
    geometry = Preprocessing(resize=(10, 40), crop=None).apply(np.zeros((20, 20, 3), np.uint8)).geometry
    assert geometry == Geometry((2.0, 0.5), (0.0, 0.0), (10, 40))


def test_grey_models_get_one_channel_of_luma() -> None:
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[..., 1] = 200
    steps = Preprocessing(resize=8, crop=(8, 8), mean=(0.0,), std=(1.0,), channels=1)
    tensor = steps.apply(photo).tensor
    assert tensor.shape == (1, 1, 8, 8)
    assert tensor.mean().item() == pytest.approx(0.587 * 200 / 255, abs=0.005)
    assert steps.invert(tensor[0]).shape == (8, 8, 3)


@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
@settings(max_examples=30, deadline=None)
def test_inverting_gives_back_the_pixels_the_model_saw(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (12, 12, 3), np.uint8)
    if channels == 1:
        photo = np.repeat(photo[..., :1], 3, axis=2)
    mean, std = tuple(rng.random(channels)), tuple(rng.random(channels) + 0.05)
    steps = Preprocessing(resize=12, crop=(12, 12), mean=mean, std=std, channels=channels)
    assert np.array_equal(steps.invert(steps.apply(photo).tensor[0]), photo)


def test_inverting_clips_and_shows_numbers_that_are_not_finite_as_black() -> None:
    tensor = torch.tensor([float("nan"), float("inf"), 99.0, -99.0]).view(1, 2, 2).repeat(3, 1, 1)
    assert Preprocessing().invert(tensor)[..., 0].tolist() == [[0, 0], [255, 0]]


def test_without_normalization_ends_at_zero_to_one_and_says_what_changes() -> None:
    plain = Preprocessing().without_normalization()
    tensor = plain.apply(np.full((300, 300, 3), 51, np.uint8)).tensor
    assert tensor.unique().tolist() == [pytest.approx(0.2)]
    assert "0.485, 0.456, 0.406" in plain.note
    assert "probabilities differ" in plain.note
    assert plain.resize == 256


@pytest.mark.parametrize(
    ("steps", "size", "expected"),
    [
        (Preprocessing(), 112, (128, (112, 112))),
        (Preprocessing(resize=32, crop=(32, 32)), 64, (64, (64, 64))),
        (Preprocessing(), (112, 224), ((128, 256), (112, 224))),
        (Preprocessing(resize=520, crop=None), 64, ((64, 64), None)),
    ],
)
def test_another_input_size_keeps_the_margin(
    steps: Preprocessing, size: int | tuple[int, int], expected: tuple[object, object]
) -> None:
    changed = steps.with_input_size(size)
    assert (changed.resize, changed.crop) == expected
    tensor = changed.apply(np.zeros((100, 150, 3), np.uint8)).tensor
    assert tuple(tensor.shape[2:]) == ((size, size) if isinstance(size, int) else size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 4}, "`channels` must be 1 or 3; got 4"),
        ({"std": (0.1, 0.0, 0.1)}, "`std` must be above 0"),
        ({"mean": (0.5,)}, "`mean` and `std` need 3 numbers; got 1 and 3"),
        ({"interpolation": "cubic"}, "`interpolation` must be one of"),
        ({"crop": (0, 3)}, "at least 1 pixel"),
        ({"fit": "tile"}, "`fit` must be one of"),
    ],
)
def test_impossible_steps_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Preprocessing(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3), (3, 4, 4)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="must be a uint8 array of shape"):
        Preprocessing().apply(np.zeros(shape, np.uint8))


def test_a_strip_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ImageError, match="would become 7680000 x 256 pixels") as caught:
        Preprocessing().apply(np.zeros((1, 30_000, 3), np.uint8))
    assert caught.value.code == "too_many_pixels"
