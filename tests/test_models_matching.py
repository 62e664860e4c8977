"""Weights that do not fit: every difference is listed, nothing is half-loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from convscope.errors import WeightsError
from convscope.models import load_model
from convscope.models.matching import differences, load_state


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def test_missing_unexpected_and_wrong_shapes_are_listed() -> None:
    state = _net().state_dict()
    del state["0.bias"]
    state["3.weight"] = torch.zeros(5, 16)
    state["head.extra"] = torch.zeros(7)
    with pytest.raises(
        WeightsError, match="do not fit the model: 1 wrongly shaped, 1 missing, 1 unexpected"
    ) as e:
        load_state(_net(), state, "mine.pt")
    assert e.value.code == "mismatch"
    assert e.value.hint.splitlines() == [
        "wrong shape: 3.weight is [5, 16], the model needs [2, 16]",
        "missing: 0.bias [4]",
        "unexpected: head.extra [7]",
    ]


def test_at_most_ten_lines_of_every_kind_and_the_count_of_the_rest() -> None:
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(20)])
    state = {f"other.{i}": torch.zeros(1) for i in range(30)} | {"0.weight": torch.zeros(3, 2)}
    with pytest.raises(WeightsError, match="1 wrongly shaped, 39 missing, 30 unexpected") as caught:
        load_state(net, state, "mine.pt")
    lines = caught.value.hint.splitlines()
    assert sum(line.startswith(("wrong", "missing", "unexpected")) for line in lines) == 10
    assert {line.split(":")[0] for line in lines[:10]} == {"wrong shape", "missing", "unexpected"}
    assert lines[10] == "... and 60 more"
    assert "Nothing matches" in lines[11]


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod."])
def test_a_prefix_is_taken_off_only_when_everything_fits_then(prefix: str) -> None:
    source, target = _net(), _net()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    notes = load_state(target, state, "mine.pt")
    assert not differences(target.state_dict(), source.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert notes == (
        f"the prefix `{prefix}` was taken off every name in the weights, and then all of them fit",
    )


def test_a_prefix_that_would_not_help_enough_is_only_mentioned() -> None:
    state = {"module." + key: value for key, value in _net().state_dict().items() if key != "0.bias"}
    target = _net()
    before = target[0].weight.clone()
    with pytest.raises(WeightsError, match="0 of 9 names match") as caught:
        load_state(target, state, "mine.pt")
    assert "Without the prefix `module.` 1 differences would remain." in caught.value.hint
    assert torch.equal(target[0].weight, before)


def test_counters_from_before_they_existed_may_be_missing() -> None:
    state = {k: v for k, v in _net().state_dict().items() if not k.endswith("num_batches_tracked")}
    assert load_state(_net(), state, "old.pt") == ()


def test_weights_of_another_precision_are_converted_and_it_says_so() -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in _net().state_dict().items()}
    target = _net()
    assert load_state(target, state, "half.pt") == ("the weights are stored as float16 and were converted",)
    assert target[0].weight.dtype == torch.float32


def test_a_network_with_other_outputs_is_built_to_fit(tmp_path: Path) -> None:
    from torchvision import models

    torch.save(models.resnet18(num_classes=7).state_dict(), tmp_path / "seven.pt")
    model = load_model("resnet18", weights=str(tmp_path / "seven.pt"))
    assert model.module.fc.out_features == 7
    assert model.card.categories == ()
    assert any("7 outputs instead of 1000" in note for note in model.card.notes)
    with pytest.raises(WeightsError, match="do not fit the model"):
        load_model("resnet34", weights=str(tmp_path / "seven.pt"))


def test_files_of_today_and_of_long_ago_fit_torchvisions_models(tmp_path: Path) -> None:
    from torchvision import models

    dense = models.densenet121()
    old = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value
        for key, value in dense.state_dict().items()
    }
    loaded = load_model("densenet121", weights=old).module
    assert all(torch.equal(a, b) for a, b in zip(dense.parameters(), loaded.parameters(), strict=True))
    google = models.googlenet(init_weights=False, aux_logits=True)
    assert load_model("googlenet", weights=google.state_dict()).card.weights == "given"
