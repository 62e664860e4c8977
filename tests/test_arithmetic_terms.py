"""Terms kept as columns of numbers are the same terms."""

from __future__ import annotations

import numpy as np
import pytest

import convscope
from convscope.tracing.arithmetic.terms import Terms

torch = pytest.importorskip("torch")


def test_terms_of_a_convolution_behave_as_the_tuple_of_them() -> None:
    net = torch.nn.Conv2d(6, 2, 3, padding=1)
    found = convscope.trace(net, torch.randn(1, 6, 5, 5)).value_of("conv2d", 1, (0, 4))
    plain = tuple(found.terms)
    assert isinstance(found.terms, Terms)
    assert found.terms == plain
    assert (len(found.terms), hash(found.terms)) == (6, hash(plain))
    assert repr(found.terms) == repr(plain)
    assert found.terms[-1] == plain[-1]
    assert found.terms[1:4] == plain[1:4]
    assert found.terms[::-2] == plain[::-2]
    assert plain[2] in found.terms
    assert found.terms != plain[:5]
    with pytest.raises(IndexError, match="out of range"):
        found.terms[6]


def test_the_cell_of_a_term_is_the_one_of_its_largest_product() -> None:
    net = torch.nn.Conv2d(4, 3, 3, padding=1, stride=2)
    image = torch.randn(2, 4, 6, 7)
    trace = convscope.trace(net, image)
    found = trace.value_of("conv2d", 2, (0, 3), batch=1)
    weight = net.weight.detach()[2]
    for term in found.terms:
        channel = int(term.label.removeprefix("channel "))
        products = {}
        for row in range(3):
            for column in range(3):
                at = (row - 1, 6 - 1 + column)
                if 0 <= at[0] < 6 and 0 <= at[1] < 7:
                    products[at] = float(image[1, channel, at[0], at[1]] * weight[channel, row, column])
        assert term.value == pytest.approx(sum(products.values()), abs=1e-6)
        assert term.cell == convscope.tracing.arithmetic.Cell(
            "input", channel, max(products, key=lambda at: abs(products[at])), 1
        )


def test_terms_that_are_not_numbers_come_first() -> None:
    values = np.array([1.0, np.nan, -3.0, 2.0])
    assert [t.label for t in Terms("input", np.arange(4), values).ordered()] == [
        "input 1",
        "input 2",
        "input 3",
        "input 0",
    ]
