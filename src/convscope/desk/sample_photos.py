"""Sample photos by name, as files to be decoded like any other."""

from __future__ import annotations

from convscope.data import Limits, samples
from convscope.data.reading import read_file
from convscope.data.sample_files import sample_path
from convscope.desk.answers import unknown


def sample_names() -> tuple[str, ...]:
    """Names of the samples at hand."""
    return samples()


def read_sample(name: str) -> bytes:
    """Bytes of the file of a sample, picked from the list and never looked for by what was asked.

    Raises
    ------
    PageError
        404 if there is no such sample.
    """
    for known in samples():
        if known == name:
            return read_file(sample_path(known), Limits())
    raise unknown("sample")
