"""Torchvision's RegNets and transformers, held against independent oracles."""

from __future__ import annotations

import gc

import pytest

from tracing_zoo import check, marked


@pytest.mark.parametrize("name", marked(large=True))
@pytest.mark.usefixtures("one_thread")
def test_a_trace_of_a_torchvision_model_holds_what_it_really_computed(name: str) -> None:
    check(name)
    gc.collect()
