"""Maps in mirrored pairs: one answer for a picture and its mirror image, and half the weights in a file."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convscope.errors import UsageError
from convscope.models.mirrored import Pairs, folded, unfolded


def _network(pool: nn.Module | None = None, width: int = 6, groups: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 5),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        pool or nn.MaxPool2d(2),
        nn.Conv2d(width, 8, 3, padding=1, bias=False, groups=groups),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def _pictures(side: int = 12) -> Tensor:
    return torch.randn(5, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_a_picture_and_its_mirror_image_get_one_answer_and_mirrored_maps() -> None:
    network, pictures = _network(), _pictures()
    Pairs(network).begin()
    network.eval()
    torch.testing.assert_close(network(pictures), network(pictures.flip(3)))
    maps, mirrored = network[:7](pictures), network[:7](pictures.flip(3))
    torch.testing.assert_close(torch.cat([maps[:, 4:], maps[:, :4]], 1).flip(3), mirrored)
    assert not torch.allclose(maps, mirrored)


def test_averaged_gradients_are_those_of_the_pictures_and_their_mirror_images() -> None:
    network, pictures, labels = _network().eval(), _pictures(), torch.tensor([0, 1, 2, 3, 0])
    pairs = Pairs(network)
    pairs.begin()

    def gradients(*batches: Tensor) -> dict[str, Tensor]:
        network.zero_grad()
        for batch in batches:
            nn.functional.cross_entropy(network(batch), labels).div(len(batches)).backward()
        return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}

    both = gradients(pictures, pictures.flip(3))
    one = gradients(pictures)
    assert not torch.allclose(one["0.weight"], both["0.weight"])
    pairs.average_gradients()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, both[name], msg=name)


def test_a_file_holds_the_first_of_each_pair_and_nothing_is_lost() -> None:
    network = _network()
    network.train()(_pictures())
    pairs = Pairs(network)
    pairs.begin()
    halves = folded(network)
    assert halves["4.weight"].shape == (4, 6, 3, 3)
    assert halves["9.weight"].shape == (4, 4)
    assert halves["5.running_mean"].shape == (4,)
    whole = unfolded(_network(), halves)
    assert set(whole) == set(network.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(whole[name], value), name


def test_averaging_ends_what_training_set_apart() -> None:
    network, pictures = _network(), _pictures()
    pairs = Pairs(network)
    pairs.begin()
    network.train()(pictures)
    statistics = network[1].running_mean
    assert isinstance(statistics, Tensor)
    assert not torch.equal(statistics[:3], statistics[3:])
    mean = (statistics[:3] + statistics[3:]) / 2
    pairs.average()
    torch.testing.assert_close(statistics, torch.cat([mean, mean]))


def test_networks_that_tell_left_from_right_are_refused_in_one_sentence() -> None:
    def begun(network: nn.Module, side: int) -> Pairs:
        pairs = Pairs(network)
        pairs.begin()
        pairs.check(_pictures(side))
        return pairs

    begun(_network(nn.MaxPool2d(3, 2)), 13)
    with pytest.raises(UsageError, match="its answers differ for a picture and its mirror image"):
        begun(_network(nn.AvgPool2d(2)), 13)
    with pytest.raises(UsageError, match="`0` has 5 maps, which make no pairs"):
        Pairs(_network(width=5))
    with pytest.raises(UsageError, match="`4` works in groups of maps"):
        Pairs(_network(groups=2))
    with pytest.raises(UsageError, match="`1` is a GroupNorm"):
        Pairs(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)))
