"""The list of models is the libraries' own, read without loading them."""

from __future__ import annotations

import time

import pytest

from convscope.models import list_models
from convscope.models.listing import known_names, timm_registry, torchvision_registry


def test_torchvision_names_and_families_are_its_registry() -> None:
    from torchvision import models

    assert list(torchvision_registry()) == sorted(models.list_models())
    for name, family in torchvision_registry().items():
        parts = models.get_model_builder(name).__module__.split(".")
        assert family == (parts[2] if len(parts) > 3 else "classification")


def test_timm_names_are_its_registry() -> None:
    timm = pytest.importorskip("timm")
    assert set(timm.list_models()) <= set(timm_registry())
    assert all(timm.is_model(name) for name in timm_registry())


def test_timm_entries_say_which_have_weights() -> None:
    timm = pytest.importorskip("timm")
    entries = list_models("timm:convnext*")
    assert len(entries) > 20
    for entry in entries:
        assert entry.weights is bool(timm.list_pretrained(entry.name.removeprefix("timm:") + ".*")), entry


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("tutorial", {f"tutorial_{n}" for n in ("cnn", "mlp", "tanh", "tanh_functional", "tanh_modules")}),
        ("ALEXNET", {"alexnet"}),
        (
            "efficientnet_lite0",
            {"efficientnet_lite0", "timm:efficientnet_lite0", "timm:tf_efficientnet_lite0"},
        ),
        ("raft_*", {"raft_large", "raft_small"}),
        ("nothing_like_it", set()),
    ],
)
def test_patterns_find_parts_of_names_and_globs(pattern: str, expected: set[str]) -> None:
    pytest.importorskip("timm")
    assert {entry.name for entry in list_models(pattern)} == expected


def test_everything_is_listed_once() -> None:
    names = [entry.name for entry in list_models()]
    assert len(names) == len(set(names))
    assert names == list(known_names())
    assert names[0] == "efficientnet_lite0"


def test_names_are_found_quickly() -> None:
    torchvision_registry.cache_clear()
    timm_registry.cache_clear()
    start = time.process_time()
    assert len(list(known_names())) > 100
    assert time.process_time() - start < 2
