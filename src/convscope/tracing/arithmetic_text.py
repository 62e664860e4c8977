"""The arithmetic of one value as plain text, for the terminal."""

from __future__ import annotations

from convscope.tracing.arithmetic.result import Arithmetic, Term


def format_arithmetic(arithmetic: Arithmetic, *, terms: int = 12) -> str:
    """Text of several lines: what the value is, its largest terms, and the check.

    Parameters
    ----------
    terms
        How many of the largest terms to print; the rest is summed in one line.

    Examples
    --------
    >>> import torch, convscope
    >>> from convscope.tracing.arithmetic import explain_value
    >>> trace = convscope.trace(torch.nn.Sequential(torch.nn.ReLU()), torch.full((1, 1, 1, 1), -2.0))
    >>> print(format_arithmetic(explain_value(trace, "0")))
    0 · relu · channel 0 · row 0, column 0
      max(0, x)
        x = -2
      sum   0
      model 0  ✓ equal
    """
    cell = arithmetic.cell
    lines = [_header(arithmetic), f"  {arithmetic.formula}"]
    shown = [f"{name} = {value:.7g}" for name, value in arithmetic.quantities.items()]
    if shown:
        lines.append("    " + ", ".join(shown))
    lines += [f"    {note}" for note in arithmetic.notes]
    if _is_window(arithmetic):
        lines.append(f"    {_window(arithmetic)}")
    lines += _term_lines(arithmetic, terms)
    if arithmetic.bias is not None:
        lines.append(f"    {arithmetic.bias:+.7g}  bias")
    lines.append(f"  sum   {arithmetic.total:.9g}")
    lines.append(f"  model {arithmetic.value:.9g}  {_verdict(arithmetic)}")
    if cell.batch:
        lines[0] += f" · batch entry {cell.batch}"
    return "\n".join(lines)


def _header(arithmetic: Arithmetic) -> str:
    cell = arithmetic.cell
    place = ""
    if cell.at is not None and len(cell.at) == 2:
        place = f" · row {cell.at[0]}, column {cell.at[1]}"
    elif cell.at is not None:
        place = f" · at {', '.join(map(str, cell.at))}"
    number = f" · output {cell.output}" if cell.output else ""
    return f"{cell.op} · {arithmetic.kind} · channel {cell.channel}{place}{number}"


def _is_window(arithmetic: Arithmetic) -> bool:
    return arithmetic.products is not None and arithmetic.products.ndim > 1


def _window(arithmetic: Arithmetic) -> str:
    assert arithmetic.products is not None
    count, *kernel = arithmetic.products.shape
    size = " × ".join(map(str, kernel))
    first = arithmetic.first_channel
    words = ("rows", "columns") if len(kernel) == 2 else tuple(f"axis {i}" for i in range(len(kernel)))
    spans = " and ".join(f"{w} {_span(p)}" for w, p in zip(words, arithmetic.places, strict=True))
    channels = f"channels {first} to {first + count - 1}" if count > 1 else f"channel {first}"
    total = arithmetic.products.size
    return f"{total} products: {channels} of {arithmetic.source}, {size} cells, {spans}"


def _span(places: tuple[int, ...]) -> str:
    return f"{places[0]}" if len(places) == 1 else f"{places[0]} to {places[-1]}"


def _term_lines(arithmetic: Arithmetic, count: int) -> list[str]:
    terms = arithmetic.terms
    if not terms or (len(terms) == 1 and arithmetic.quantities):
        return []
    size = sum(abs(t.value) for t in terms) or 1.0
    picked = arithmetic.formula.startswith("the ")
    lines = []
    for number, term in enumerate(terms[:count]):
        share = "" if picked else f"  {abs(term.value) / size:6.1%}"
        won = "  ← taken" if picked and number == 0 else ""
        lines.append(f"    {term.value:+.7g}{share}  {_origin(term)}{won}")
    rest = terms[count:]
    if rest and picked:
        lines.append(f"    … {len(rest)} more")
    elif rest:
        value = sum(t.value for t in rest)
        share_of_rest = sum(abs(t.value) for t in rest) / size
        lines.append(f"    {value:+.7g}  {share_of_rest:6.1%}  … {len(rest)} more")
    return lines


def _origin(term: Term) -> str:
    label = term.label
    factors = ""
    if term.input is not None and term.weight is not None and term.weight != 1:
        factors = f" = {term.input:.6g} · {term.weight:.6g}"
    place = ""
    if term.cell is not None:
        at = f" at {', '.join(map(str, term.cell.at))}" if term.cell.at is not None else ""
        place = f"   [{term.cell.op} channel {term.cell.channel}{at}]"
    return f"{label}{factors}{place}"


def _verdict(arithmetic: Arithmetic) -> str:
    if not arithmetic.agrees:
        gap = abs(arithmetic.value - arithmetic.total)
        return f"✗ differs by {gap:.3g}, more than rounding explains ({arithmetic.tolerance:.2g})"
    if arithmetic.value == arithmetic.total or arithmetic.value != arithmetic.value:
        return "✓ equal"
    gap = abs(arithmetic.value - arithmetic.total)
    return f"✓ equal to rounding (off by {gap:.2g}, {arithmetic.tolerance:.2g} allowed in {arithmetic.dtype})"
