"""Joins the viewer's ES modules into one script.

A page opened from disk may not load other files, so the modules are put one after another,
each after those it imports, with their ``import`` lines and ``export`` words removed. All of
them then share one scope; two modules that declare the same name cannot be joined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"\./([\w.-]+)";\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|class|const|let)\b)", re.MULTILINE)
_DECLARED = re.compile(
    r"^(?:export\s+)?(?:async\s+)?(?:function\*?|class|const|let|var)\s+([\w$]+)", re.MULTILINE
)
_EXPORTED = re.compile(r"^export\s+(?:async\s+)?(?:function\*?|class|const|let)\s+([\w$]+)", re.MULTILINE)
_LEFT_OVER = re.compile(r"^\s*(?:import|export)\b.*$", re.MULTILINE)


def join_modules(modules: Mapping[str, str], entry: str) -> str:
    """One script that does what the module ``entry`` does.

    Understood are ``import { a, b } from "./name.js";`` and ``export`` before a function,
    class, ``const`` or ``let``, at the start of a line; anything else is refused.

    Parameters
    ----------
    modules
        Source text of each module by file name.
    entry
        File name of the module to start from; modules it does not reach are left out.

    Raises
    ------
    ValueError
        If a module is missing, imports go round in a circle, a name is imported that is not
        exported or renamed on the way, two modules declare one name, or the text could
        end the script element it is put into.

    Examples
    --------
    >>> print(join_modules({"a.js": 'import { b } from "./b.js";\\nb();\\n',
    ...                     "b.js": "export function b() {}\\n"}, "a.js"))
    // b.js
    function b() {}
    // a.js
    b();
    <BLANKLINE>
    """
    parts: list[str] = []
    owner: dict[str, str] = {}
    for name in _in_order(modules, entry):
        source = modules[name]
        for declared in _DECLARED.findall(source):
            if declared in owner:
                raise ValueError(f"`{declared}` is declared by both {owner[declared]} and {name}")
            owner[declared] = name
        body = _EXPORT.sub("", _IMPORT.sub("", source))
        left = _LEFT_OVER.search(body)
        if left:
            raise ValueError(f"{name} has a line the joiner does not understand: {left.group().strip()}")
        parts.append(f"// {name}\n{body.strip()}\n")
    script = "".join(parts)
    if re.search(r"</script|<script|<!--", script, re.IGNORECASE):
        raise ValueError("the joined modules hold text that would end their script element")
    return script


def _in_order(modules: Mapping[str, str], entry: str) -> list[str]:
    """Names of the modules ``entry`` needs, each after its imports."""
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in open_:
            raise ValueError(f"imports go round in a circle: {' -> '.join([*open_, name])}")
        if name not in modules:
            raise ValueError(f"{open_[-1] if open_ else 'the page'} needs {name}, which does not exist")
        open_.append(name)
        for names, other in _IMPORT.findall(modules[name]):
            visit(other)
            exported = set(_EXPORTED.findall(modules[other]))
            for wanted in filter(None, (part.strip() for part in names.split(","))):
                if wanted not in exported:
                    raise ValueError(f"{name} imports `{wanted}` from {other}, which does not export it")
        open_.pop()
        order.append(name)

    visit(entry)
    return order
