"""The 1,797 handwritten digits that scikit-learn carries: no network, no folder, nothing to unpack.

Only the file is read: importing scikit-learn takes far longer than reading the digits.
"""

from __future__ import annotations

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from convscope.datasets.classes import choose_classes
from convscope.datasets.dataset import Dataset
from convscope.datasets.fitting import choose_size, fit
from convscope.datasets.settings import Settings
from convscope.datasets.split import Split
from convscope.datasets.splitting import choose_test, split_name
from convscope.errors import DatasetError, MissingExtraError

CLASSES = tuple("0123456789")
_SIDE, _LARGEST = 8, 16


def read_digits(name: str, settings: Settings) -> Dataset:
    """Grey pictures of 8 x 8; the values 0 to 16 of the file are scaled to 0 to 255.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    DatasetError
        ``damaged`` if its file is not as it should be, ``no_such_class``.

    References
    ----------
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998 (the test part, which scikit-learn carries).
    """
    table = _table()
    classes = choose_classes(settings.classes, CLASSES, "digits")
    digits = np.array([CLASSES.index(class_) for class_ in classes])
    known = table[:, -1]
    rows = np.flatnonzero(np.isin(known, digits))
    labels = np.argsort(digits)[np.searchsorted(np.sort(digits), known[rows])]
    images = np.rint(table[rows, :-1] * (255 / _LARGEST)).astype(np.uint8).reshape(-1, _SIDE, _SIDE, 1)
    target, note = choose_size([(_SIDE, _SIDE)], settings.size)
    if note:
        images = np.stack([fit(image, target) for image in images])
    names = [f"{row:04}" for row in rows]
    is_test = np.array(choose_test(names, labels.tolist(), settings.seed))
    train, test = (
        Split(labels[part], [names[i] for i in np.flatnonzero(part)], images=images[part])
        for part in (~is_test, is_test)
    )
    return Dataset(name, classes, train, test, split_name(settings.seed), (note,) if note else ())


def _table() -> np.ndarray:
    try:
        spec = find_spec("sklearn")
    except ValueError:  # a stand-in without a spec lies in sys.modules
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "the digits come with scikit-learn, which is not installed",
            hint="Install it with: pip install 'convscope[train]'",
        )
    path = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetError(f"the digits of scikit-learn cannot be read: {error}", code="damaged") from error
    inside = table.ndim == 2 and table.shape[1] == _SIDE * _SIDE + 1 and table.min() >= 0
    if not inside or table[:, :-1].max() > _LARGEST or table[:, -1].max() > 9:
        raise DatasetError("the digits of scikit-learn are not those that are known", code="damaged")
    return table
