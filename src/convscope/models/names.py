"""Names that come with models: ImageNet's thousand classes."""

from __future__ import annotations

from functools import cache

from convscope.errors import MissingExtraError


@cache
def imagenet_categories() -> tuple[str, ...]:
    """The 1,000 ImageNet class names in the order of the logits, as torchvision spells them.

    torchvision's table is read without loading torchvision, which takes over a second.

    Examples
    --------
    >>> imagenet_categories()[282]
    'tiger cat'
    """
    import sys
    from importlib.util import find_spec, module_from_spec, spec_from_file_location
    from pathlib import Path

    loaded = sys.modules.get("torchvision.models._meta")
    if loaded is None:
        package = find_spec("torchvision")
        folders = list(package.submodule_search_locations or ()) if package else []
        if not folders:
            raise MissingExtraError(
                "torchvision is not installed", hint="Install it with: pip install torchvision"
            )
        path = Path(folders[0]) / "models" / "_meta.py"
        spec = spec_from_file_location("_convscope_torchvision_meta", path)
        if spec is None or spec.loader is None:
            raise MissingExtraError("torchvision's class names were not found", hint="Reinstall torchvision.")
        loaded = module_from_spec(spec)
        spec.loader.exec_module(loaded)
    return tuple(loaded._IMAGENET_CATEGORIES)
