"""Sample pictures under plain names: those that scikit-image carries in its package.

Only the files are read, by convscope's own loader: importing scikit-image takes far longer
than reading a picture.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from convscope.errors import ImageError, MissingExtraError, nearest

PREFIX = "sample:"

# Which of them a package holds has changed from release to release, so the folder is looked at.
_FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cat": "chelsea.png",
    "cell": "cell.png",
    "chessboard": "chessboard_RGB.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "colorwheel": "color.png",
    "eagle": "eagle.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "horse": "horse.png",
    "hubble": "hubble_deep_field.jpg",
    "logo": "logo.png",
    "microaneurysms": "microaneurysms.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "page": "page.png",
    "phantom": "phantom.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "skin": "skin.jpg",
    "text": "text.png",
    "tissue": "ihc.png",
}


def samples() -> tuple[str, ...]:
    """Names of the sample pictures at hand, sorted; empty where scikit-image is not installed.

    Each can be given as ``sample:NAME`` wherever a picture is expected.

    Examples
    --------
    >>> "cat" in samples()
    True
    """
    folder = _folder()
    if folder is None:
        return ()
    return tuple(name for name, file in _FILES.items() if (folder / file).is_file())


def sample_path(name: str) -> Path:
    """File of the sample picture ``name``.

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.
    ImageError
        With the code ``missing``, if there is no such sample, or the installed scikit-image
        does not carry it.
    """
    folder = _folder()
    if folder is None:
        raise MissingExtraError(
            "the sample pictures come with scikit-image, which is not installed",
            hint="Install it with: pip install 'convscope[demo]'",
        )
    known = samples()
    at_hand = f"At hand are {', '.join(known)}." if known else "It carries no pictures at all."
    if name not in _FILES:
        near = nearest(name, known)
        hint = f"Did you mean {', '.join(PREFIX + other for other in near)}?" if near else at_hand
        raise ImageError(f"there is no sample picture `{name}`", code="missing", hint=hint)
    if name not in known:
        raise ImageError(
            f"the installed scikit-image does not carry the picture `{name}`", code="missing", hint=at_hand
        )
    return folder / _FILES[name]


def _folder() -> Path | None:
    try:
        spec = find_spec("skimage")
    except ValueError:  # a stand-in without a spec lies in sys.modules
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "data"
