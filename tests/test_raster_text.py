"""Words are drawn in letters, not in the boxes of a font that lacks them."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.raster import text

BOX = "\uffff"


def drawn(word: str) -> np.ndarray:
    return text._word.__wrapped__(word, 14)


@pytest.mark.parametrize("word", ["Zürich", "São", "Łódź", "Ελλάδα", "Москва", "naïve", "µ"])
def test_letters_that_the_built_in_font_lacks_are_drawn(word):
    if text._wide_font(14) is None:
        pytest.skip("there is no font with more letters")
    boxes = "".join(sign if sign.isascii() else BOX for sign in word)
    assert not np.array_equal(drawn(word), drawn(boxes))
    one_less = drawn(word[:-1] + ("x" if word[-1] != "x" else "y"))
    assert not np.array_equal(drawn(word), one_less)


def test_one_letter_more_does_not_lift_the_rest_off_the_line():
    if text._wide_font(14) is None:
        pytest.skip("there is no font with more letters")
    plain, marked = drawn("nan"), drawn("nañ")
    assert plain.shape[0] == marked.shape[0]
    bottoms = [int(np.flatnonzero(one.max(1) > 128)[-1]) for one in (plain, marked)]
    assert bottoms[0] == bottoms[1]


def test_without_such_a_font_letters_lose_their_marks(monkeypatch):
    monkeypatch.setattr(text, "_wide_font", lambda size: None)
    for word, plain in (
        ("Zürich", "Zurich"),
        ("Łódź", "Lodz"),
        ("Straße", "Strasse"),
        ("cafe\u0301", "cafe"),
    ):
        np.testing.assert_array_equal(drawn(word), drawn(plain))


def test_english_is_drawn_in_the_built_in_font_as_ever(monkeypatch):
    before = drawn("conv1")
    monkeypatch.setattr(text, "_wide_font", lambda size: pytest.fail("another font was asked for"))
    np.testing.assert_array_equal(drawn("conv1"), before)
