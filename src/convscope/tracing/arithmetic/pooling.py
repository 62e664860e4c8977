"""Pooling, means and sums: many values of one channel become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import fsum, isfinite, isnan, prod

from convscope.numerics import adaptive_rows, stored_tolerance, sum_tolerance, window_rows, working_roundoff
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.result import Term

Window = list[tuple[tuple[int, ...], float]]


def _rank(reader: Reader) -> int:
    return int(reader.kind[-2]) if reader.kind[-2:] in {"1d", "2d", "3d"} else 2


def _sliding(reader: Reader) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    rank = _rank(reader)
    size, stride, padding, dilation = (
        reader.attributes[n] for n in ("kernel_size", "stride", "padding", "dilation")
    )
    place = reader.index[-rank:]
    return [window_rows(place[i], size[i], stride[i], padding[i], dilation[i]) for i in range(rank)], padding


def _window(reader: Reader, places: Sequence[Sequence[int]]) -> Window:
    """Indices into the input and the values there, padding left out."""
    image = reader.main()
    values = reader.tensor(image)
    rank = len(places)
    ahead = reader.index[:-rank]
    sizes = image.shape[-rank:]
    inside = [[p for p in rows if 0 <= p < n] for rows, n in zip(places, sizes, strict=True)]
    return [((*ahead, *spot), float(values[(*ahead, *spot)])) for spot in product(*inside)]


def _terms(reader: Reader, window: Window, scale: float = 1.0) -> list[Term]:
    image = reader.main()
    ahead = len(reader.index) - _rank(reader) if reader.kind not in {"mean", "sum"} else 0
    return [
        Term(f"at {', '.join(map(str, spot[ahead:]))}", value * scale, reader.cell(image, spot), value, scale)
        for spot, value in window
    ]


def max_pool(reader: Reader) -> Draft:
    """The largest value of the window; the first of equals, as torch counts them."""
    return _largest(reader, _window(reader, _sliding(reader)[0]))


def adaptive_max_pool(reader: Reader) -> Draft:
    """The largest value of a window as wide as it takes."""
    return _largest(reader, _window(reader, _stretched(reader)))


def _largest(reader: Reader, window: Window) -> Draft:
    if reader.output:
        raise reader.cannot("this output holds places, not values")
    if not window:
        raise reader.cannot("its window lies in the padding altogether")
    best = max(range(len(window)), key=lambda i: (isnan(window[i][1]), window[i][1], -i))
    terms = _terms(reader, [window[best], *window[:best], *window[best + 1 :]])
    return Draft(
        window[best][1],
        terms,
        f"the largest of {len(window)} values",
        more={"source": reader.name(reader.main())},
    )


def _stretched(reader: Reader) -> list[tuple[int, ...]]:
    rank = _rank(reader)
    given, out = reader.main().shape[-rank:], reader.shape[-rank:]
    return [adaptive_rows(reader.index[-rank + i], given[i], out[i]) for i in range(rank)]


def average_pool(reader: Reader) -> Draft:
    """Sum of the window over the divisor; padding counts in the divisor unless told not to."""
    places, padding = _sliding(reader)
    window = _window(reader, places)
    sizes = reader.main().shape[-len(places) :]
    override = reader.attributes.get("divisor_override")
    if isinstance(override, int) and not isinstance(override, bool):
        divisor = override
    elif reader.attributes.get("count_include_pad", True):
        # Cells that only ceil_mode reaches, beyond the padding, never count.
        divisor = prod(
            sum(p < n + pad for p in rows) for rows, n, pad in zip(places, sizes, padding, strict=True)
        )
    else:
        divisor = len(window)
    return _mean(reader, window, divisor)


def adaptive_average_pool(reader: Reader) -> Draft:
    """Mean of a window as wide as it takes."""
    window = _window(reader, _stretched(reader))
    return _mean(reader, window, len(window))


def _mean(reader: Reader, window: Window, divisor: int, formula: str = "Σ input / divisor") -> Draft:
    terms = _terms(reader, window, 1 / divisor if divisor else float("nan"))
    total = _sum([v for _, v in window]) / divisor if divisor else float("nan")
    magnitude = sum(abs(t.value) for t in terms)
    return Draft(
        total,
        terms,
        formula,
        _tolerance(reader, window, magnitude, total) if isfinite(total) else 0.0,
        quantities={"divisor": float(divisor)},
        more={"source": reader.name(reader.main())},
    )


def _tolerance(reader: Reader, window: Window, magnitude: float, total: float) -> float:
    pooled = "pool" in reader.kind
    return sum_tolerance(len(window) + 2, magnitude, total, reader.dtype, one_by_one=pooled)


def _sum(values: Sequence[float]) -> float:
    return fsum(values) if all(map(isfinite, values)) else float(sum(values))


def lp_pool(reader: Reader) -> Draft:
    """``(Σ x^p) ^ (1/p)`` over the window."""
    window = _window(reader, _sliding(reader)[0])
    power = float(reader.attributes["norm_type"])
    powers = [v**power for _, v in window]
    if any(isinstance(p, complex) for p in powers):
        raise reader.cannot("a negative value is raised to a broken power")
    total_power = _sum(powers)
    total = max(total_power, 0.0) ** (1 / power) if power else float("nan")
    unit = working_roundoff(reader.dtype)
    lost = sum(abs(p) for p in powers) / total_power if total_power > 0 else 1.0
    tolerance = unit * (len(window) + 8 + 2 * power) * abs(total) * lost + stored_tolerance(
        total, reader.dtype
    )
    return Draft(
        total,
        _terms(reader, window),
        "(Σ x ^ p) ^ (1/p)",
        tolerance,
        quantities={"p": power, "Σ x ^ p": total_power},
    )


def reduce(reader: Reader) -> Draft:
    """Mean, sum or extreme along some axes."""
    image = reader.main()
    rank = len(image.shape)
    dims = reader.attributes.get("dim", reader.attributes.get("axis"))
    reduced = (
        sorted({d % rank for d in (dims if isinstance(dims, tuple) else (dims,))})
        if dims is not None and dims != ()
        else list(range(rank))
    )
    kept = iter(
        reader.index
        if len(reader.shape) < rank
        else [i for a, i in enumerate(reader.index) if a not in reduced]
    )
    if len(reader.shape) not in {rank, rank - len(reduced)}:
        raise reader.cannot("the reduced axes were not recorded")
    if len(reader.shape) == rank and any(reader.shape[a] != 1 for a in reduced):
        raise reader.cannot("the reduced axes were not recorded")
    index = [None if a in reduced else next(kept) for a in range(rank)]
    values = reader.tensor(image)
    spots = product(*(range(n) if i is None else (i,) for i, n in zip(index, image.shape, strict=True)))
    found = values[tuple(slice(None) if i is None else i for i in index)].double().flatten().tolist()
    window: Window = list(zip(spots, found, strict=True))
    draft: dict[str, Callable[[], Draft]] = {
        "mean": lambda: _mean(reader, window, len(window)),
        "sum": lambda: _mean(reader, window, 1, "Σ input"),
    }
    if reader.kind in draft:
        return draft[reader.kind]()
    if reader.output:
        raise reader.cannot("this output holds places, not values")
    if reader.kind in {"min", "amin"}:
        best = min(range(len(window)), key=lambda i: (not isnan(window[i][1]), window[i][1], i))
        order = [window[best], *window[:best], *window[best + 1 :]]
        terms = [Term(f"at {', '.join(map(str, s))}", v, reader.cell(image, s), v) for s, v in order]
        return Draft(window[best][1], terms, f"the smallest of {len(window)} values")
    best = max(range(len(window)), key=lambda i: (isnan(window[i][1]), window[i][1], -i))
    order = [window[best], *window[:best], *window[best + 1 :]]
    terms = [Term(f"at {', '.join(map(str, s))}", v, reader.cell(image, s), v) for s, v in order]
    return Draft(window[best][1], terms, f"the largest of {len(window)} values")
