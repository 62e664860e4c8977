"""Training article C's network: the article's own program against ours, in CPU seconds with one thread.

The article's program is written here as the article writes it: torchvision's ToTensor on single pictures, a
DataLoader, SGD, batches of 32. Stretches of it and of ours are timed in turn in one process; ratios are taken
turn by turn and their median printed. Then ours is trained until its test accuracy, the article's program as
well with ``--full`` (most of an hour); otherwise its 20 epochs are reckoned from the stretches.

    python benchmarks/bench_train.py path/to/cifar10.zip [--turns 7] [--seeds 3] [--full]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from convscope.datasets import Dataset, Split, load_dataset
from convscope.models.article_nets import TutorialCnn
from convscope.training.engine import Engine, Hooks
from convscope.training.plan import Wish, prepare
from convscope.training.recipes import Recipe, recipe

CLOCK = time.process_time
ARTICLE_EPOCHS = 20
# The heap is put into larger pages after sixteen steps, which is done once in a training.
_WARM = 20


class AsTorchvision(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """As torchvision's CIFAR10 hands them out: one PIL picture at a time."""

    def __init__(self, split: Split) -> None:
        self.images, self.labels = split.images, split.labels
        self.transform = ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def article(train: AsTorchvision) -> tuple[nn.Module, torch.optim.Optimizer, Iterator[int]]:
    """The article's network, and its loop as an iterator of the images of each step."""
    torch.manual_seed(0)
    model = TutorialCnn().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def steps() -> Iterator[int]:
        while True:
            for inputs, labels in DataLoader(train, batch_size=32, shuffle=True):
                loss = functional.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield len(labels)

    return model, optimizer, steps()


def engine(data: Dataset, chosen: Recipe, seed: int = 0, images: int = 0) -> Engine:
    """Our loop, as ``convscope train`` runs it, on the first so many pictures, or on all."""
    plan = prepare(Wish("tutorial_cnn", data, chosen, seed))
    train, test = plan.train, plan.test
    if images:
        train = train.subset(range(images))
        test = test.subset(range(16))
    torch.manual_seed(seed)
    return Engine(plan.network.model, train, test, plan.classes, plan.recipe, seed=seed)


def our_speed(data: Dataset, chosen: Recipe, images: int) -> float:
    """Images a CPU second of our loop, its first steps left out."""
    marks: list[float] = []

    def clock(step: int, _: nn.Module) -> None:
        if step >= _WARM:
            marks.append(CLOCK())

    made = engine(data, chosen.replace(epochs=1), images=images + _WARM * chosen.batch)
    made.run(Hooks(on_step=clock))
    return (len(marks) - 1) * chosen.batch / (marks[-1] - marks[0])


def speeds(data: Dataset, turns: int, images: int) -> float:
    """Print images a second of each loop; CPU seconds of an epoch of the article's."""
    plain = recipe("article", "tutorial_cnn")
    same = plain.replace(precision="auto", channels_last=True, fast_layers=True)
    fast = recipe("fast", "tutorial_cnn")
    _, _, steps = article(AsTorchvision(data.train))

    def articles() -> float:
        began, done = CLOCK(), 0
        while done < images:
            done += next(steps)
        return done / (CLOCK() - began)

    loops: dict[str, Callable[[], float]] = {
        "the article's program, batch 32": articles,
        "ours, its batch and rate": lambda: our_speed(data, same, images),
        f"ours, recipe `fast`, batch {fast.batch}": lambda: our_speed(data, fast, images),
    }
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(turns + 1):
        for name, speed in loops.items():
            found = speed()
            if turn:
                taken[name].append(found)
    base = next(iter(loops))
    print(f"images a CPU second, one thread; {turns} turns of about {images} images each")
    print(f"{'what':<36}{'images/s':>10}{'an epoch s':>12}{'ratio':>8}{'goal':>9}")
    for name, goal in zip(loops, ("", ">= 2", ">= 3.4"), strict=True):
        ratio = statistics.median(a / b for a, b in zip(taken[name], taken[base], strict=True))
        middle = statistics.median(taken[name])
        print(f"{name:<36}{middle:>10.0f}{50_000 / middle:>12.1f}{ratio:>8.2f}{goal:>9}")
    return 50_000 / statistics.median(taken[base])


def trained(data: Dataset, seed: int, kept: Path | None) -> tuple[float, float]:
    """Test accuracy and CPU seconds of our recipe, the preparation of the pictures included."""
    chosen = recipe("fast", "tutorial_cnn").replace(evaluate_every=1000)
    path = kept / f"ours-{seed}.json" if kept else None
    if path and path.is_file():
        found = json.loads(path.read_text())
        if found["recipe"] == chosen.to_json():
            return found["accuracy"], found["seconds"]
    began = CLOCK()
    made = engine(data, chosen, seed)
    made.run()
    seconds = CLOCK() - began
    assert made.evaluation is not None
    accuracy = made.evaluation.accuracy
    if path:
        path.write_text(json.dumps({"accuracy": accuracy, "seconds": seconds, "recipe": chosen.to_json()}))
    return accuracy, seconds


def article_trained(data: Dataset, kept: Path | None) -> tuple[float, float]:
    """Of the article's program after its 20 epochs, measured rightly: on the test pictures."""
    model, optimizer, steps = article(AsTorchvision(data.train))
    path = kept / "article.pt" if kept else None
    done, seconds = 0, 0.0
    if path and path.is_file():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        done, seconds = state["epoch"], state["seconds"]
    for epoch in range(done + 1, ARTICLE_EPOCHS + 1):
        began = CLOCK()
        for _ in range(-(-len(data.train) // 32)):
            next(steps)
        seconds += CLOCK() - began
        print(f"the article's program: epoch {epoch} of {ARTICLE_EPOCHS}, {seconds:.0f} s", flush=True)
        if path:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            state |= {"random": torch.get_rng_state(), "epoch": epoch, "seconds": seconds}
            torch.save(state, path)
    model.eval()
    right = 0
    with torch.no_grad():
        for inputs, labels in DataLoader(AsTorchvision(data.test), batch_size=256):
            right += int((model(inputs).argmax(1) == labels).sum())
    return right / len(data.test), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="CIFAR-10, a folder or zip; without it nothing is timed")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="train the article's 20 epochs, too")
    parser.add_argument("--kept", type=Path, help="a folder, to go on after a break")
    arguments = parser.parse_args()
    if arguments.data is None:
        print(f"left out, needs CIFAR-10: {parser.prog} path/to/cifar10.zip")
        return
    kept = arguments.kept
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = load_dataset(arguments.data)
    epoch = speeds(data, arguments.turns, arguments.images) if arguments.turns else 0.0
    runs = []
    for seed in range(arguments.seeds):
        runs.append(trained(data, seed, kept))
        print(f"ours, seed {seed}: {runs[-1][0]:.2%} after {runs[-1][1]:.1f} CPU seconds", flush=True)
    cost = ARTICLE_EPOCHS * epoch
    how = "reckoned from the stretches above"
    if arguments.full:
        accuracy, cost = article_trained(data, kept)
        how = f"{accuracy:.2%} on the test pictures"
    if cost:
        print(f"the article's 20 epochs: {cost:.0f} CPU seconds ({how})")
    if runs:
        mean = statistics.mean(accuracy for accuracy, _ in runs)
        seconds = statistics.mean(seconds for _, seconds in runs)
        print(f"ours: {mean:.2%}, mean of {len(runs)} seeds (goal >= 70 %), {seconds:.1f} CPU seconds")
        if cost:
            print(f"ratio {cost / seconds:.1f} (goal >= 15)")


if __name__ == "__main__":
    main()
