"""Putting weights into a network: every name and shape must fit, or the differences are listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from convscope.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIXES = ("module.", "model.", "_orig_mod.", "backbone.", "net.", "network.")
_MOST_LINES = 10


def load_state(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> tuple[str, ...]:
    """Copy ``state`` into ``module`` and say what had to be done for it.

    A prefix that wrappers put before every name (``module.``, ``model.``, ``_orig_mod.``) is
    taken off only if everything matches then. The counters ``num_batches_tracked`` may be
    missing: files from before they existed do not have them, and no answer depends on them.

    Parameters
    ----------
    origin
        Where the weights come from, as shown to people.

    Returns
    -------
    One sentence for each thing that was done, for the card.

    Raises
    ------
    WeightsError
        ``code="mismatch"``: at most ten lines of what is missing, unexpected or wrongly shaped.
    """
    expected = module.state_dict()
    notes: list[str] = []
    fitting: Mapping[str, Tensor] = state
    if differences(expected, state):
        for candidate, note in _without_prefixes(state):
            if not differences(expected, candidate):
                fitting, notes = candidate, [note]
                break
        else:
            raise mismatch(expected, state, origin)
    stored = {
        str(fitting[key].dtype).removeprefix("torch.")
        for key, value in expected.items()
        if key in fitting and value.is_floating_point() and fitting[key].dtype != value.dtype
    }
    if stored:
        notes.append(f"the weights are stored as {', '.join(sorted(stored))} and were converted")
    module.load_state_dict({key: fitting.get(key, expected[key]) for key in expected}, strict=True)
    return tuple(notes)


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """One line for each name or shape that does not fit; empty where everything fits.

    Examples
    --------
    >>> from torch import zeros
    >>> differences({"fc.weight": zeros(2, 3)}, {"fc.weight": zeros(4, 3), "old": zeros(1)})
    ['wrong shape: fc.weight is [4, 3], the model needs [2, 3]', 'unexpected: old [1]']
    """
    lines = []
    for key, value in expected.items():
        if key in found and tuple(found[key].shape) != tuple(value.shape):
            lines.append(
                f"wrong shape: {key} is {list(found[key].shape)}, the model needs {list(value.shape)}"
            )
    for key, value in expected.items():
        if key not in found and not key.endswith("num_batches_tracked"):
            lines.append(f"missing: {key} {list(value.shape)}")
    for key, value in found.items():
        if key not in expected:
            lines.append(f"unexpected: {_printable(key)} {list(value.shape)}")
    return lines


def mismatch(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], origin: str) -> WeightsError:
    """The error for weights that do not fit."""
    lines = differences(expected, found)
    matched = sum(key in found and found[key].shape == value.shape for key, value in expected.items())
    counts = [
        f"{number} {word}"
        for word, number in (
            ("wrongly shaped", sum(line.startswith("wrong shape") for line in lines)),
            ("missing", sum(line.startswith("missing") for line in lines)),
            ("unexpected", sum(line.startswith("unexpected") for line in lines)),
        )
        if number
    ]
    shown = _fair_share(lines)
    if len(lines) > len(shown):
        shown.append(f"... and {len(lines) - len(shown)} more")
    if matched == 0:
        shown.append("Nothing matches: these weights belong to another model.")
    for candidate, _ in _without_prefixes(found):
        remaining = len(differences(expected, candidate))
        if remaining < len(lines):
            prefix = next(p for p in PREFIXES if all(key.startswith(p) for key in found))
            shown.append(f"Without the prefix `{prefix}` {remaining} differences would remain.")
            break
    whose = "the given weights" if origin == "given" else f"the weights of {origin}"
    return WeightsError(
        f"{whose} do not fit the model: {', '.join(counts)}; {matched} of {len(expected)} names match",
        code="mismatch",
        hint="\n".join(shown),
    )


def _fair_share(lines: list[str]) -> list[str]:
    """At most ten of ``lines``, so that no kind of difference crowds out the others."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kinds.setdefault(line.partition(":")[0], []).append(line)
    quota = dict.fromkeys(kinds, 0)
    while sum(quota.values()) < min(_MOST_LINES, len(lines)):
        kind = min((k for k in kinds if quota[k] < len(kinds[k])), key=lambda k: quota[k])
        quota[kind] += 1
    return [line for kind, members in kinds.items() for line in members[: quota[kind]]]


def _without_prefixes(state: Mapping[str, Tensor]) -> list[tuple[dict[str, Tensor], str]]:
    """``state`` with one prefix off all names, then two, and the sentence that says so."""
    results = []
    names = list(state)
    values = list(state.values())
    removed = ""
    for _ in range(3):
        prefix = next((p for p in PREFIXES if names and all(name.startswith(p) for name in names)), None)
        if prefix is None:
            break
        names = [name.removeprefix(prefix) for name in names]
        removed += prefix
        note = f"the prefix `{removed}` was taken off every name in the weights, and then all of them fit"
        results.append((dict(zip(names, values, strict=True)), note))
    return results


def _printable(name: str) -> str:
    """A name from a file, short and without control characters."""
    text = "".join(character if character.isprintable() else "?" for character in name)
    return text if len(text) <= 80 else text[:77] + "..."
