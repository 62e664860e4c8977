"""A person's own network: ``path/to/net.py:Net``, with weights from a file or random ones.

The file is a Python program and is run, as `python net.py` would: only ever look at files you
would run yourself. The weights beside it never run anything.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from convscope.errors import ModelError, WeightsError, nearest
from convscope.models.building import RANDOM_NOTE, seeded
from convscope.models.given_models import describe_input, unwrap
from convscope.models.matching import load_state
from convscope.models.parts import Parts, Request
from convscope.models.weights import requested_state


def load_file_model(spec: str, request: Request) -> Parts:
    """The class, function or object named in ``FILE.py:NAME``, as a network.

    Raises
    ------
    ModelError
        One sentence if the file, the name or the network cannot be used.
    """
    location, _, name = spec.rpartition(":")
    if not location or not name.isidentifier():
        raise ModelError(
            f"`{spec}` does not say which class of the file to use",
            hint=_classes_hint(Path(spec.removesuffix(":"))) or "Write it as path/to/net.py:Net.",
        )
    path = Path(location).expanduser()
    if request.kind == "named":
        raise WeightsError(
            f"there is no weights file `{request.name}`",
            code="missing",
            hint="Give a safetensors file or a state dict, or --weights none.",
        )
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(f"`{path}` {what}; expected a Python file with a class `{name}`")
    with _importable(path.resolve().parent), seeded():
        module = _run(path)
        network = _make(_find(module, name, path), name, path)
    network, notes = unwrap(network)
    label = "random"
    if request.kind in ("file", "given"):
        state, label, file_notes = requested_state(request)
        notes = (*notes, *file_notes, *load_state(network, state, label))
    else:
        notes = (*notes, RANDOM_NOTE)
    preprocessing, categories, more = describe_input(network)
    return Parts(
        network,
        source="file",
        weights=label,
        preprocessing=preprocessing,
        categories=categories,
        notes=(*notes, *more),
        reference=str(path),
    )


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Within, the file may import its neighbours."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _run(path: Path) -> ModuleType:
    """The file as a module under a name of its own, so that it hides no other one."""
    digest = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = f"_convscope_file_{digest}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"`{path}` is not a Python file", hint="Write it as path/to/net.py:Net.")
    module = module_from_spec(spec)
    # Dataclasses and pickles look their own module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        sys.modules.pop(name, None)
        raise
    except BaseException as error:
        # A script that ends in sys.exit() or asserts at import must not end the program.
        sys.modules.pop(name, None)
        raise ModelError(f"`{path}` cannot be imported: {_what(error, path)}") from error
    return module


def _find(module: ModuleType, name: str, path: Path) -> Any:
    found = getattr(module, name, None)
    if found is None:
        networks = _networks(vars(module))
        near = nearest(name, networks) or networks[:4]
        raise ModelError(
            f"`{path}` has no class `{name}`",
            hint=f"Did you mean {', '.join(near)}?" if near else "It defines no torch.nn.Module.",
        )
    return found


def _make(found: Any, name: str, path: Path) -> nn.Module:
    if isinstance(found, nn.Module):
        return found
    if not callable(found) or (isinstance(found, type) and not issubclass(found, nn.Module)):
        raise ModelError(f"`{name}` in `{path}` is not a torch.nn.Module, but {_type_name(found)}")
    try:
        network = found()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        needs_arguments = isinstance(error, TypeError) and "argument" in str(error)
        hint = f"It is called without arguments: give defaults, or name a function that returns {name}(...)."
        raise ModelError(
            f"`{name}()` in `{path}` failed: {_what(error, path)}", hint=hint if needs_arguments else ""
        ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"`{name}()` in `{path}` returned {_type_name(network)}, not a torch.nn.Module")
    return network


def _networks(names: dict[str, Any]) -> list[str]:
    """Classes of networks among ``names`` that the file defines itself."""
    return [
        name
        for name, value in names.items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == names.get("__name__")
    ]


def _classes_hint(path: Path) -> str:
    """The classes a file defines, read from its text without running it."""
    import ast

    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return ""
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    return f"Its classes: {', '.join(f'{path}:{name}' for name in classes[:4])}" if classes else ""


def _type_name(value: Any) -> str:
    return "a class of another kind" if isinstance(value, type) else f"a {type(value).__name__}"


def _what(error: BaseException, path: Path) -> str:
    """Class, first line of the message, and the line of the file it comes from."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)[:200]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    if isinstance(error, SyntaxError):
        return text
    return f"{text} (line {frames[-1].lineno})" if frames else text
