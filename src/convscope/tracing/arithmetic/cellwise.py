"""Functions of single values: activations, sums, products and choices, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, isfinite, isnan

from convscope.numerics import FUNCTIONS, stored_tolerance, unit_roundoff, working_roundoff
from convscope.numerics.functions import sigmoid
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.result import Cell, Term
from convscope.tracing.arithmetic.tolerances import (
    FUNCTION_STEPS,
    addition_tolerance,
    function_tolerance,
    narrow_roundoff,
)


def function(reader: Reader) -> Draft:
    """One of torch's functions of one number."""
    if any(o.role in {"min", "max"} for o in reader.op.operands):
        raise reader.cannot("its limits are tensors")
    image = reader.main()
    found = FUNCTIONS[reader.kind]
    x, cell = reader.at(image, reader.broadcast(image))
    arguments = _stored(reader) if found.exact else reader.attributes
    total = x if isnan(x) else _safely(lambda: found.apply(x, arguments))
    tolerance = function_tolerance(reader.kind, reader.dtype, x, total)
    shown = {k: float(v) for k, v in reader.attributes.items() if _is_number(v)}
    approximate = reader.attributes.get("approximate")
    formula = "x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))" if approximate == "tanh" else found.formula
    term = Term("x", total, cell, x)
    return Draft(total, [term], formula, tolerance, None, {"x": x, **shown}, {"source": reader.name(image)})


def _stored(reader: Reader) -> dict[str, object]:
    """The arguments, numbers as the network's type holds them: a limit of 0.3 is copied as that."""
    return {k: reader.stored(v) if _is_number(v) else v for k, v in reader.attributes.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _safely(apply: Callable[[], float]) -> float:
    try:
        return float(apply())
    except (OverflowError, ValueError):
        return inf


def prelu(reader: Reader) -> Draft:
    """``x`` above zero, ``weight · x`` below."""
    image = reader.main()
    x, cell = reader.at(image, reader.index)
    weights = reader.numbers("weight")
    if weights is None:
        raise reader.cannot("it has no weight")
    weight = float(weights.flatten()[0 if weights.numel() == 1 else reader.index[1]])
    total = x if x > 0 else weight * x
    tolerance = working_roundoff(reader.dtype) * 2 * abs(total) + stored_tolerance(total, reader.dtype)
    return Draft(
        total,
        [Term("x", total, cell, x, 1.0 if x > 0 else weight)],
        "x if x > 0 else weight · x",
        tolerance,
        quantities={"x": x, "weight": weight},
        more={"source": reader.name(image)},
    )


def _side(reader: Reader, role: str, *names: str) -> tuple[float, Cell | None, str]:
    """A number that may be a tensor's or a plain one."""
    operand = reader.operand(role, *names)
    if operand is not None:
        value, cell = reader.at(operand, reader.broadcast(operand))
        return value, cell, reader.name(operand)
    for name in (role, *names):
        given = reader.attributes.get(name)
        if isinstance(given, (int, float)):
            return float(given), None, f"{float(given):g}"
    raise reader.cannot(f"its operand `{role}` was not recorded")


def add(reader: Reader) -> Draft:
    """``input + alpha · other``, ``input − alpha · other`` or ``other − alpha · input``."""
    alpha = float(reader.attributes.get("alpha", 1))
    left, left_cell, left_name = _side(reader, "input", "self")
    right, right_cell, right_name = _side(reader, "other", "1")
    a, b = {"add": (1.0, alpha), "sub": (1.0, -alpha), "rsub": (-alpha, 1.0)}[reader.kind]
    terms = [Term(left_name, a * left, left_cell, left, a), Term(right_name, b * right, right_cell, right, b)]
    total = a * left + b * right
    tolerance = addition_tolerance(reader.dtype, a * left, b * right)
    tolerance += _lost(reader, "other") * abs(b) + _lost(reader, "alpha") * max(abs(left), abs(right))
    sign = "+" if b > 0 else "−"
    times = "" if alpha == 1 else f"{alpha:g} · "
    formula = f"other − {times}input" if reader.kind == "rsub" else f"input {sign} {times}other"
    return Draft(total, terms, formula, tolerance)


def _lost(reader: Reader, *roles: str) -> float:
    """What a plain number loses when torch rounds it to the tensors' type first, as it sometimes does."""
    given = [reader.attributes[r] for r in roles if isinstance(reader.attributes.get(r), float)]
    return sum(abs(reader.stored(v) - v) for v in given) if narrow_roundoff(reader.dtype) else 0.0


def _unit(reader: Reader) -> float:
    return working_roundoff(reader.dtype) if unit_roundoff(reader.dtype) else 0.0


def multiply(reader: Reader) -> Draft:
    """Products, quotients and powers of two numbers."""
    left, left_cell, left_name = _side(reader, "input", "self")
    right, right_cell, right_name = _side(reader, "other", "exponent", "1")
    kind = reader.kind
    if kind == "div" and reader.attributes.get("rounding_mode"):
        raise reader.cannot("the quotient is rounded to whole numbers")
    if kind in {"rdiv", "rpow"}:
        left, left_cell, left_name, right, right_cell, right_name = (
            right,
            right_cell,
            right_name,
            left,
            left_cell,
            left_name,
        )
    if kind == "mul":
        total, formula, steps = left * right, "input · other", 2.0
    elif kind in {"div", "rdiv"}:
        total, formula, steps = (
            _divide(left, right),
            "input / other" if kind == "div" else "other / input",
            3.0,
        )
    else:
        total, formula, steps = _safely(lambda: left**right), "base ^ exponent", 8.0 + 2 * abs(right)
    tolerance = steps * _unit(reader) * abs(total) if isfinite(total) else 0.0
    plain = next(
        (abs(reader.attributes[r]) for r in ("other", "exponent") if _is_number(reader.attributes.get(r))),
        0.0,
    )
    if plain and isfinite(total):
        tolerance += _lost(reader, "other", "exponent") / plain * abs(total) * max(1.0, abs(right))
    terms = [Term(left_name, left, left_cell, left), Term(right_name, right, right_cell, right)]
    return Draft(
        total, terms, formula, tolerance + stored_tolerance(total, reader.dtype) if isfinite(total) else 0.0
    )


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    return float("nan") if left == 0 or isnan(left) else inf * (1 if left > 0 else -1)


def choose(reader: Reader) -> Draft:
    """The larger, the smaller, or the one a condition picks: copied exactly."""
    if reader.kind in {"maximum", "minimum"}:
        sides = [_side(reader, "input"), _side(reader, "other")]
        pick = max if reader.kind == "maximum" else min
        total = pick(s[0] for s in sides)
        word = "larger" if reader.kind == "maximum" else "smaller"
        terms = [Term(n, v, c, v) for v, c, n in sides]
        terms.sort(key=lambda t: t.value != total)
        return Draft(total, terms, f"the {word} of input and other")
    if reader.kind == "masked_fill":
        mask = _side(reader, "mask")[0]
        value, cell, name = _side(reader, "value") if mask else _side(reader, "input")
        return Draft(value, [Term(name, value, cell, value)], "value where the mask is set, else input")
    condition = _side(reader, "condition")[0]
    value, cell, name = _side(reader, "x", "input", "self") if condition else _side(reader, "y", "other")
    formula = f"condition is {'true' if condition else 'false'}: {'first' if condition else 'second'} value"
    return Draft(value, [Term(name, value, cell, value)], formula)


def dropout(reader: Reader) -> Draft:
    """The value itself; while training, 0 or the value scaled up (which one cannot be computed again)."""
    image = reader.main()
    x, cell = reader.at(image, reader.index)
    if not reader.attributes.get("training", False) or not reader.attributes.get("p", 0.5):
        return Draft(x, [Term("x", x, cell, x)], "x (dropout does nothing outside training)")
    recorded = float(reader.op.values[reader.output][reader.index])  # type: ignore[index]
    if recorded == 0 and x != 0:
        return Draft(0.0, [Term("x", 0.0, cell, x, 0.0)], "0 (dropped in this pass)")
    scale = 1 / (1 - float(reader.attributes.get("p", 0.5)))
    tolerance = 4 * working_roundoff(reader.dtype) * abs(x * scale) + stored_tolerance(
        x * scale, reader.dtype
    )
    return Draft(x * scale, [Term("x", x * scale, cell, x, scale)], "x / (1 − p)", tolerance)


def glu(reader: Reader) -> Draft:
    """First half of an axis times the sigmoid of the second half."""
    image = reader.main()
    dim = reader.attributes.get("dim", -1) % len(reader.shape)
    half = reader.shape[dim]
    second = tuple(i + half * (a == dim) for a, i in enumerate(reader.index))
    x, cell = reader.at(image, reader.index)
    gate, gate_cell = reader.at(image, second)
    total = x * sigmoid(gate)
    tolerance = FUNCTION_STEPS * working_roundoff(reader.dtype) * abs(total) + stored_tolerance(
        total, reader.dtype
    )
    return Draft(
        total,
        [Term("x", x, cell, x), Term("gate", gate, gate_cell, gate)],
        "x · 1 / (1 + exp(−gate))",
        tolerance,
    )


def softmax(reader: Reader) -> Draft:
    """``exp(x) / Σ exp`` along one axis, or its logarithm."""
    from math import fsum, log

    image = reader.main()
    dim = reader.attributes.get("dim")
    if not isinstance(dim, int):
        raise reader.cannot("the axis was not given")
    dim %= len(reader.shape)
    line: tuple[int | slice, ...] = (*reader.index[:dim], slice(None), *reader.index[dim + 1 :])
    values = reader.tensor(image)[line].double().tolist()
    place = reader.index[dim]
    top = max(values)
    powers = [exp(v - top) for v in values] if isfinite(top) else [float("nan")] * len(values)
    divisor = fsum(powers)
    share = powers[place] / divisor
    unit = working_roundoff(reader.dtype)
    steps = FUNCTION_STEPS + abs(values[place] - top) + len(values) ** 0.5
    if reader.kind == "log_softmax":
        total = values[place] - top - log(divisor)
        tolerance = steps * unit * (abs(values[place]) + abs(top) + 1) + stored_tolerance(total, reader.dtype)
        formula = "x − log Σ exp(x)"
    else:
        total, formula = share, "exp(x) / Σ exp(x)"
        tolerance = (steps + abs(values[place]) + abs(top)) * unit * total + stored_tolerance(
            total, reader.dtype
        )
    # Along any axis but the last, the narrow types are rounded on the way.
    away = abs(values[place] - top) if reader.kind == "log_softmax" else 0.0
    tolerance += narrow_roundoff(reader.dtype) * 3 * (abs(total) + away)
    terms = [
        Term(
            f"input {i}",
            powers[i] / divisor,
            reader.cell(image, (*reader.index[:dim], i, *reader.index[dim + 1 :])),
            v,
        )
        for i, v in enumerate(values)
    ]
    quantities = {"x": values[place], "largest": top, "Σ exp(x − largest)": divisor}
    return Draft(total, terms, formula, tolerance, None, quantities, {"source": reader.name(image)})


def local_response_norm(reader: Reader) -> Draft:
    """``x / (k + alpha / size · Σ x²) ^ beta`` over the neighbouring channels."""
    image = reader.main()
    size = int(reader.attributes["size"])
    alpha, beta, k = (
        float(reader.attributes.get(n, d)) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("k", 1.0))
    )
    x, cell = reader.at(image, reader.index)
    channel = reader.index[1]
    low, high = max(channel - size // 2, 0), min(channel + (size - 1) // 2 + 1, reader.shape[1])
    band: tuple[int | slice, ...] = (reader.index[0], slice(low, high), *reader.index[2:])
    near = reader.tensor(image)[band].double()
    squares = float((near * near).sum())
    total = x / (k + alpha / size * squares) ** beta
    tolerance = (FUNCTION_STEPS + size) * 2 * working_roundoff(reader.dtype) * abs(total) + stored_tolerance(
        total, reader.dtype
    )
    quantities = {"x": x, "Σ x²": squares, "alpha": alpha, "beta": beta, "k": k, "size": float(size)}
    formula = "x / (k + alpha / size · Σ x²) ^ beta"
    return Draft(
        total,
        [Term("x", total, cell, x)],
        formula,
        tolerance,
        None,
        quantities,
        {"source": reader.name(image)},
    )
