"""What a lesson's controls take, and the one sentence they say of anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.errors import ControlError, ImageError
from convscope.lesson import LESSONS, convolve
from convscope.lesson.kernels import KERNELS, named_kernel, read_numbers, typed

BAD = [
    ("steps", {"stride": 0}, "stride", "`stride` must be a whole number from 1 to 16; got 0"),
    ("steps", {"stride": "two"}, "stride", "`stride` must be a whole number from 1 to 16; got 'two'"),
    ("steps", {"stride": True}, "stride", "got True"),
    ("steps", {"stride": 1.5}, "stride", "got 1.5"),
    ("steps", {"bias": "nan"}, "bias", "`bias` must be a number from -1,000 to 1,000; got 'nan'"),
    ("steps", {"image": "1 a; 2 3"}, "image", "`image` must be rows of numbers, and 'a' is no number"),
    ("steps", {"image": "1 inf"}, "image", "'inf' is no number"),
    ("steps", {"image": "1 2; 3"}, "image", "all equally long; got rows of 2 and of 1"),
    ("steps", {"image": "  "}, "image", "`image` must be rows of numbers, and is empty"),
    ("steps", {"image": "1/0"}, "image", "'1/0' is no number"),
    ("steps", {"image": " ".join(["1"] * 33)}, "image", "at most 32 x 32 of them; got 1 x 33"),
    ("steps", {"image": "1|2|3|4|5"}, "image", "in at most 4 channels; got 5"),
    ("steps", {"image": "1 2|3"}, "image", "the same rows and columns in every channel"),
    ("steps", {"kernel": "sobel"}, "kernel", "must be a kernel's name or rows of numbers; got 'sobel'"),
    ("steps", {"kernel": ""}, "kernel", "must be a kernel's name or rows of numbers"),
    ("steps", {"kernel": "1 2|3 4|5 6"}, "kernel", "`kernel` has 3 channels and the image 1"),
    ("steps", {"image": "1 2; 3 4"}, "kernel",
     "the kernel of 3 x 3 is larger than the padded image of 2 x 2"),
    ("steps", {"dilation": 3}, "kernel", "3 x 3, dilated to 7 x 7, is larger than the padded image of 5 x 5"),
    ("steps", {"kernel": "cut", "kernel_box": "3,3,3,3"}, "kernel_box",
     "does not lie within the picture of 5 x 5"),
    ("steps", {"source": "photo", "crop": "300,0,32,32"}, "crop",
     "of 32 x 32 at row 300, column 0 does not lie"),
    ("steps", {"source": "photo", "crop": "0,0,33,32"}, "crop", "1 to 32 rows and columns large"),
    ("steps", {"crop": "-1,0,3,3"}, "crop", "`crop` must be inside the picture"),
    ("steps", {"crop": "1,2,3"}, "crop", "four whole numbers; got '1,2,3'"),
    ("steps", {"source": "film"}, "source", "`source` must be one of typed, photo; got 'film'"),
    ("steps", {"padding": -1}, "padding", "none, same or a whole number from 0 to 32; got -1"),
    ("steps", {"padding": 5, "padding_mode": "reflect"}, "padding", "can add at most 4 rows"),
    ("steps", {"colour": "maybe"}, "colour", "`colour` must be on or off; got 'maybe'"),
    ("steps", {"picture": ""}, "picture", "`picture` must be a picture"),
    ("steps", {"nothing": 1}, "nothing", "the lesson `steps` has no control `nothing`"),
    ("flip", {"kernel": "1|2"}, "kernel", "in at most 1 channel; got 2"),
    ("detectors", {"kernel": "1|2"}, "kernel", "1 channel, or 3 for red, green and blue; got 2"),
    ("cut", {"box": "290,0,20,20"}, "box", "does not lie within the picture of 303 x 384"),
    ("stride", {"strides": "1 2 x"}, "strides", "1 to 8 whole numbers from 1 to 64; got '1 2 x'"),
    ("stride", {"strides": "0"}, "strides", "from 1 to 64; got '0'"),
    ("threshold", {"bias": 1e9}, "bias", "from -5,000 to 5,000; got 1000000000.0"),
    ("pooling", {"pools": "3/2/1"}, "pools", "such as 3/2 5/3, each up to 64; got '3/2/1'"),
    ("pooling", {"picture": np.zeros((8, 8, 3), np.uint8)}, "pools",
     "a window of 7 x 7, larger than the map of 6 x 6"),
    ("reach", {"layers": "9/9 9/9"}, "layers", "a window of 9 x 9, larger than the map of 3 x 3"),
    ("reach", {"region": "30,30,9,9"}, "region", "does not lie within the picture of 33 x 33"),
    ("reach", {"row": 30}, "row", "`row` must lie within the last map of 7 x 7; got 30"),
    ("shift", {"picture": np.zeros((4, 4, 3), np.uint8), "down": 3}, "down",
     "too small to be moved by 3 rows"),
    ("grid", {"strides": "1 2 3 4 5 6", "pools": "2/2 3/3 4/4"}, "strides", "are more than 48 maps"),
    ("counting", {"size": 4, "maps": "4 4 4 4"}, "size", "halved 4 times by pooling and nothing is left"),
    ("transposed", {"padding": "same"}, "padding", "must be a whole number, not `same`"),
    ("transposed", {"padding": 9}, "padding", "`padding` cuts off the whole result of 7 x 7; got 9"),
    ("depthwise", {"kernel": "1|2"}, "kernel", "`kernel` has 2 channels and the image 3"),
    ("pointwise", {"weights": "1 2"}, "weights", "a column for each of the image's 3 channels; got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "control", "sentence"), BAD)
def test_a_value_a_control_cannot_take_is_said_in_one_sentence_beside_it(name, values, control, sentence):
    with pytest.raises(ControlError, match=sentence) as raised:
        LESSONS[name].run(**values)
    assert raised.value.control == control
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 200


def test_a_picture_that_cannot_be_had_is_an_image_error():
    with pytest.raises(ImageError, match="there is no sample picture `nobody`"):
        LESSONS["cut"].run(picture="sample:nobody")


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from([";", "\n", " ; "]),
    st.sampled_from([" ", ",", ", ", "\t"]),
)
def test_numbers_come_back_as_they_were_typed(rows, row_end, gap):
    text = row_end.join(gap.join(repr(value) for value in row) for row in rows)
    assert read_numbers(text, "image").tolist() == rows
    # Ten figures are typed back.
    np.testing.assert_allclose(read_numbers(typed(rows), "image"), rows, rtol=1e-9)


def test_channels_stand_apart_by_a_bar():
    assert read_numbers("1 2 | 3 4", "image", channels=2).tolist() == [[[1, 2]], [[3, 4]]]
    assert typed([[[1, 2]], [[3, 4]]]) == "1 2 | 3 4"


def test_the_named_kernels_are_those_of_the_field():
    assert named_kernel("box").sum() == pytest.approx(1)
    assert named_kernel("gaussian").sum() == pytest.approx(1)
    assert named_kernel("sharpen").sum() == 1
    for name in ("edge", "edge-turned", "sobel-x", "sobel-y", "prewitt-x", "prewitt-y", "laplacian"):
        assert named_kernel(name).sum() == 0
    assert named_kernel("edge-turned").tolist() == [[-1, 0, 1]] * 3
    assert named_kernel("sobel-y").tolist() == named_kernel("sobel-x").T.tolist()
    assert {"identity", "emboss"} <= set(KERNELS)
    assert convolve([[5.0] * 3] * 3, named_kernel("identity")).result.tolist() == [[5.0]]
    with pytest.raises(ControlError, match="there is no kernel `blur`"):
        named_kernel("blur")
