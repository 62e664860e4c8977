"""Torchvision's classification models without RegNets and transformers, held against independent oracles."""

from __future__ import annotations

import gc

import pytest
import torch

from tracing_zoo import check, marked


@pytest.mark.parametrize("name", marked(large=False))
@pytest.mark.usefixtures("one_thread")
def test_a_trace_of_a_torchvision_model_holds_what_it_really_computed(name: str) -> None:
    check(name)
    gc.collect()


def test_it_does_with_two_threads_too(one_thread: None) -> None:
    # Of two pytest processes on two cores each waits for the other's threads, so one small model has to do.
    torch.set_num_threads(2)
    check("alexnet")
