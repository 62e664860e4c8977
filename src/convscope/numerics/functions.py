"""Functions of one number as networks use them, in float64, with their formulas.

Each takes the number and the arguments of the torch function of the same name. Written from
the definitions in torch's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import copysign, erf, exp, expm1, inf, isnan, log, log1p, nan, pi, sqrt, tanh
from typing import Any, NamedTuple


class Function(NamedTuple):
    """One function: ``apply(x, arguments)``, its ``formula``; ``exact`` where torch only picks or cuts."""

    apply: Callable[[float, Mapping[str, Any]], float]
    formula: str
    exact: bool = False


def sigmoid(x: float) -> float:
    """``1 / (1 + exp(-x))``, without overflow.

    Examples
    --------
    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    if x >= 0:
        return 1 / (1 + exp(-x))
    return exp(x) / (1 + exp(x))


def clip(x: float, low: float | None, high: float | None) -> float:
    """``x``, but at least ``low`` and at most ``high``; NaN stays NaN.

    Examples
    --------
    >>> clip(7.0, None, 6.0)
    6.0
    """
    if isnan(x):
        return x
    if low is not None and x < low:
        x = float(low)
    return float(high) if high is not None and x > high else x


def softplus(x: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    """``log(1 + exp(beta x)) / beta``; ``x`` itself above the threshold.

    Examples
    --------
    >>> round(softplus(0.0), 4), softplus(30.0)
    (0.6931, 30.0)
    """
    if beta * x > threshold:
        return x
    return (max(beta * x, 0.0) + log1p(exp(-abs(beta * x)))) / beta


def gelu(x: float, approximate: str = "none") -> float:
    """``x`` times the normal distribution function, or its approximation by tanh.

    Examples
    --------
    >>> round(gelu(1.0), 4), round(gelu(1.0, "tanh"), 4)
    (0.8413, 0.8412)
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / sqrt(2)))


def _elu(x: float, alpha: float, scale: float = 1.0, inner: float = 1.0) -> float:
    return scale * x if x > 0 or isnan(x) else scale * alpha * expm1(x * inner)


def _power(x: float, exponent: float) -> float:
    try:
        result = x**exponent
    except ZeroDivisionError:
        return inf
    except OverflowError:
        return inf
    return nan if isinstance(result, complex) else result


def _root(x: float) -> float:
    return sqrt(x) if x >= 0 else nan


def _exp(x: float) -> float:
    try:
        return exp(x)
    except OverflowError:
        return inf


def _log(x: float) -> float:
    return log(x) if x > 0 else (-inf if x == 0 else nan)


_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _get(arguments: Mapping[str, Any], name: str, default: Any) -> Any:
    value = arguments.get(name)
    return default if value is None else value


FUNCTIONS: dict[str, Function] = {
    "relu": Function(lambda x, a: clip(x, 0.0, None), "max(0, x)", exact=True),
    "relu6": Function(lambda x, a: clip(x, 0.0, 6.0), "min(max(0, x), 6)", exact=True),
    "hardtanh": Function(
        lambda x, a: clip(x, _get(a, "min_val", -1.0), _get(a, "max_val", 1.0)),
        "min(max(x, min_val), max_val)",
        exact=True,
    ),
    "clamp": Function(lambda x, a: clip(x, a.get("min"), a.get("max")), "min(max(x, min), max)", exact=True),
    "clamp_min": Function(lambda x, a: clip(x, a["min"], None), "max(x, min)", exact=True),
    "clamp_max": Function(lambda x, a: clip(x, None, a["max"]), "min(x, max)", exact=True),
    "threshold": Function(
        lambda x, a: float(a["value"]) if x <= a["threshold"] else x,
        "x if x > threshold else value",
        exact=True,
    ),
    "neg": Function(lambda x, a: -x, "−x", exact=True),
    "abs": Function(lambda x, a: abs(x), "|x|", exact=True),
    "leaky_relu": Function(
        lambda x, a: x if x > 0 else x * _get(a, "negative_slope", 0.01), "x if x > 0 else negative_slope · x"
    ),
    "elu": Function(lambda x, a: _elu(x, _get(a, "alpha", 1.0)), "x if x > 0 else alpha · (exp(x) − 1)"),
    "celu": Function(
        lambda x, a: _elu(x, _get(a, "alpha", 1.0), inner=1 / _get(a, "alpha", 1.0)),
        "x if x > 0 else alpha · (exp(x / alpha) − 1)",
    ),
    "selu": Function(lambda x, a: _elu(x, *_SELU), "1.0507 · (x if x > 0 else 1.6733 · (exp(x) − 1))"),
    "gelu": Function(lambda x, a: gelu(x, _get(a, "approximate", "none")), "x · Φ(x)"),
    "silu": Function(lambda x, a: x * sigmoid(x), "x / (1 + exp(−x))"),
    "sigmoid": Function(lambda x, a: sigmoid(x), "1 / (1 + exp(−x))"),
    "log_sigmoid": Function(lambda x, a: -softplus(-x, threshold=inf), "log(1 / (1 + exp(−x)))"),
    "tanh": Function(lambda x, a: tanh(x), "tanh(x)"),
    "hardswish": Function(lambda x, a: x * clip(x + 3, 0.0, 6.0) / 6, "x · min(max(0, x + 3), 6) / 6"),
    "hardsigmoid": Function(lambda x, a: clip(x + 3, 0.0, 6.0) / 6, "min(max(0, x + 3), 6) / 6"),
    "softplus": Function(
        lambda x, a: softplus(x, _get(a, "beta", 1.0), _get(a, "threshold", 20.0)),
        "log(1 + exp(beta · x)) / beta",
    ),
    "softsign": Function(lambda x, a: x / (1 + abs(x)), "x / (1 + |x|)"),
    "softshrink": Function(
        lambda x, a: copysign(max(abs(x) - _get(a, "lambd", 0.5), 0.0), x), "x shrunk towards 0 by lambd"
    ),
    "hardshrink": Function(
        lambda x, a: x if abs(x) > _get(a, "lambd", 0.5) else 0.0, "x if |x| > lambd else 0", exact=True
    ),
    "tanhshrink": Function(lambda x, a: x - tanh(x), "x − tanh(x)"),
    "mish": Function(lambda x, a: x * tanh(softplus(x, threshold=inf)), "x · tanh(log(1 + exp(x)))"),
    "square": Function(lambda x, a: x * x, "x²"),
    "sqrt": Function(lambda x, a: _root(x), "√x"),
    "rsqrt": Function(lambda x, a: _power(_root(x), -1.0), "1 / √x"),
    "exp": Function(lambda x, a: _exp(x), "exp(x)"),
    "log": Function(lambda x, a: _log(x), "log(x)"),
    "reciprocal": Function(lambda x, a: _power(x, -1.0), "1 / x"),
}
"""Torch's functions of one number, by the name of their op."""
