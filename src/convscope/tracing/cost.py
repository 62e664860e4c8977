"""Multiply-adds of an op, from its shapes: one multiplication and the addition that follows it count one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from convscope.tracing.graph import Operand


def multiply_adds(
    kind: str, operands: Sequence[Operand], attributes: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]
) -> int:
    """Multiply-adds of one call, bias and activations not counted; 0 for ops without.

    Examples
    --------
    AlexNet's first layer: 55 × 55 cells of 64 channels, 11 × 11 × 3 products each.

    >>> image, weight = Operand("input", (1, 3, 224, 224), op=0), Operand("weight", (64, 3, 11, 11))
    >>> multiply_adds("conv2d", [image, weight], {"groups": 1}, [(1, 64, 55, 55)])
    70276800
    """
    by_role = {o.role: o.shape for o in operands}
    out = prod(shapes[0]) if shapes else 0
    weight = by_role.get("weight")
    if kind.startswith("conv_transpose") and weight:
        return prod(by_role["input"]) * prod(weight[1:])
    if kind.startswith("conv") and weight:
        return out * prod(weight[1:])
    if kind == "linear" and weight:
        return out * weight[-1]
    if kind in {"matmul", "mm", "bmm", "mv", "dot", "rmatmul"} and len(operands) >= 2:
        left = operands[1].shape if kind == "rmatmul" else operands[0].shape
        return out * left[-1] if left else 0
    if kind in {"addmm", "addbmm", "baddbmm"} and len(operands) >= 3:
        return out * operands[1].shape[-1]
    if kind == "scaled_dot_product_attention":
        query, key, value = (operands[i].shape for i in range(3))
        return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    if kind == "multihead_attention" and len(operands) >= 3:
        return _attention([o.shape for o in operands[:3]])
    if kind == "einsum":
        return _einsum(attributes, [o.shape for o in operands])
    return 0


def _attention(shapes: Sequence[tuple[int, ...]]) -> int:
    query, key, _ = shapes
    width = query[-1]
    rows = prod(query[:-1])
    keys = key[1] if len(key) == 3 else key[0]
    projections = (2 * rows + 2 * prod(key[:-1])) * width * width
    return projections + 2 * rows * keys * width


def _einsum(attributes: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]) -> int:
    equation = next((v for v in attributes.values() if isinstance(v, str)), "")
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(terms) != len(shapes) or "." in equation or len(terms) < 2:
        return 0
    sizes = {
        letter: size
        for term, shape in zip(terms, shapes, strict=True)
        for letter, size in zip(term, shape, strict=False)
    }
    return prod(sizes.values())
