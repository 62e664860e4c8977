"""Convolutions of any rank, and transposed ones: input cells times kernel cells, plus bias."""

from __future__ import annotations

from convscope.numerics import gather, sum_tolerance, transposed_rows, window_rows
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.terms import Terms


def convolution(reader: Reader) -> Draft:
    """``Σ input · weight + bias`` over the input channels of the group and the kernel's cells."""
    import numpy as np

    attributes = reader.attributes
    if attributes.get("transposed"):
        raise reader.cannot("it is a transposed convolution called by its low-level name")
    image, weight = reader.main(), reader.operand("weight")
    if weight is None:
        raise reader.cannot("it has no weight")
    backwards = reader.kind.startswith("conv_transpose")
    values, kernel = reader.tensor(image), reader.tensor(weight)
    rank = kernel.ndim - 2
    batched = values.ndim == rank + 2
    channel, place = reader.index[-rank - 1], reader.index[-rank:]
    groups = int(attributes.get("groups", 1))
    size, stride, padding, dilation = (
        attributes[n] for n in ("kernel_size", "stride", "padding", "dilation")
    )
    rows = transposed_rows if backwards else window_rows
    places = [rows(place[i], size[i], stride[i], padding[i], dilation[i]) for i in range(rank)]
    outputs = kernel.shape[1] * groups if backwards else kernel.shape[0]
    inputs_each = kernel.shape[0] // groups if backwards else kernel.shape[1]
    group = channel // (outputs // groups)
    first = group * inputs_each
    picture = values[reader.index[0]] if batched else values
    inputs, inside = gather(picture[first : first + inputs_each], places)
    taken = (
        kernel[first : first + inputs_each, channel % (outputs // groups)] if backwards else kernel[channel]
    )
    weights = taken.detach().double().cpu().numpy()
    # A weight that is infinite meets no input in the padding, so it must not make 0 · inf there.
    with np.errstate(all="ignore"):
        products = np.where(inside, inputs * weights, 0.0)
        sums = products.reshape(inputs_each, -1).sum(axis=1)
    bias = _bias(reader, channel)
    total = float(sums.sum()) + (bias or 0.0)
    magnitude = float(np.abs(products).sum()) + abs(bias or 0.0)
    count = int(inside.sum()) * inputs_each + (bias is not None)
    # Where all products are 0 a real cell is named, not padding.
    flat = np.where(inside, np.abs(products), -1.0).reshape(inputs_each, -1)
    spots = np.unravel_index(flat.argmax(axis=1), inside.shape)
    channels = np.arange(first, first + inputs_each)
    where = [np.asarray(p)[s] for p, s in zip(places, spots, strict=True)]
    batch = [reader.index[0]] if batched else []
    single = products[0].size == 1
    terms = Terms(
        "channel",
        channels,
        sums,
        inputs.reshape(-1) if single else None,
        weights.reshape(-1) if single else None,
        reader.cells(image, [*batch, channels, *where], inside[spots]),
    )
    return Draft(
        total=total,
        terms=terms,
        formula="Σ input · weight" + (" + bias" if bias is not None else ""),
        tolerance=sum_tolerance(count, magnitude, total, reader.dtype),
        bias=bias,
        more={
            "inputs": inputs,
            "weights": weights,
            "products": products,
            "places": tuple(places),
            "first_channel": first,
            "source": reader.name(image),
        },
    )


def _bias(reader: Reader, channel: int) -> float | None:
    bias = reader.numbers("bias")
    return float(bias[channel]) if bias is not None else None
