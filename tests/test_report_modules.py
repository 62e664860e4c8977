"""Joining the viewer's modules into one script."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from convscope.exhibits.one_file import viewer_script, viewer_style
from convscope.exhibits.report import ENTRY, STYLES
from convscope.exhibits.report_modules import join_modules


def viewer_files(ending: str) -> dict[str, str]:
    folder = resources.files("convscope") / "viewer"
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(ending)}


def test_a_module_comes_after_those_it_imports_and_only_once() -> None:
    joined = join_modules(
        {
            "main.js": 'import { left } from "./left.js";\nimport {\n  right,\n} from "./right.js";\nleft();',
            "left.js": 'import { shared } from "./shared.js";\nexport function left() { return shared; }\n',
            "right.js": 'import { shared } from "./shared.js";\nexport const right = shared;\n',
            "shared.js": "export const shared = 1;\n",
            "unused.js": "export const unused = 1;\n",
        },
        "main.js",
    )
    assert re.findall(r"// (\w+)\.js", joined) == ["shared", "left", "right", "main"]
    assert "import" not in joined
    assert "export" not in joined
    assert joined.count("const shared = 1;") == 1


def test_one_name_in_two_modules_is_refused() -> None:
    modules = {
        "a.js": 'import { b } from "./b.js";\nconst size = b;\n',
        "b.js": "const size = 2;\nexport class b {}\n",
    }
    with pytest.raises(ValueError, match=r"`size` is declared by both b\.js and a\.js"):
        join_modules(modules, "a.js")


def test_a_circle_of_imports_is_refused() -> None:
    modules = {
        "a.js": 'import { b } from "./b.js";\nexport const a = 1;\n',
        "b.js": 'import { a } from "./a.js";\nexport const b = 1;\n',
    }
    with pytest.raises(ValueError, match=r"circle: a\.js -> b\.js -> a\.js"):
        join_modules(modules, "a.js")


def test_a_missing_module_is_named_with_the_one_that_needs_it() -> None:
    with pytest.raises(ValueError, match=r"a\.js needs b\.js, which does not exist"):
        join_modules({"a.js": 'import { b } from "./b.js";\n'}, "a.js")


@pytest.mark.parametrize("names", ["c", "b as d"])
def test_a_name_that_is_not_exported_as_it_is_imported_is_refused(names: str) -> None:
    modules = {"a.js": f'import {{ {names} }} from "./b.js";\n', "b.js": "export const b = 1;\n"}
    with pytest.raises(ValueError, match=rf"imports `{names}` from b\.js, which does not export it"):
        join_modules(modules, "a.js")


@pytest.mark.parametrize(
    "line",
    ['import all from "./b.js";', "export default 3;", "export { b };", 'import "https://example.com/x.js";'],
)
def test_other_forms_of_import_and_export_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="does not understand"):
        join_modules({"a.js": line + "\n", "b.js": "const b = 1;\n"}, "a.js")


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT >", "<!--", "<script>"])
def test_text_that_would_end_the_script_element_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="would end their script element"):
        join_modules({"a.js": f"const text = '{text}';\n"}, "a.js")


HTML_MAKERS = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    'setAttribute("style',
)


def modules_reached_from(entry: str) -> set[str]:
    script = join_modules(viewer_files(".js"), entry)
    return set(re.findall(r"^// ([\w-]+\.js)$", script, re.MULTILINE))


def test_every_module_of_the_viewer_is_reached_by_one_of_its_hosts() -> None:
    hosts = ("report.js", "live.js", "lessons.js", "widget.js", "patterns.js", "filmpage.js")
    # Types are for the checker alone; the lessons are fetched when their tab is opened.
    expected = set(viewer_files(".js")) - {"types.js"}
    assert set().union(*map(modules_reached_from, hosts)) == expected


def test_lessons_are_of_the_live_page_alone() -> None:
    for host in ("report.js", "widget.js", "filmpage.js"):
        assert not [name for name in modules_reached_from(host) if name.startswith("lesson")], host


def test_a_report_carries_no_style_of_the_live_hosts_and_lacks_no_other() -> None:
    others = {"live.css", "widget.css", "patterns.css", "lessons.css"}
    assert set(STYLES) == set(viewer_files(".css")) - others


def test_no_module_of_the_live_page_makes_html_out_of_text() -> None:
    for name, text in viewer_files(".js").items():
        for word in HTML_MAKERS:
            assert word not in text, name


def test_the_report_never_makes_html_out_of_text_and_never_asks_the_network() -> None:
    script = re.sub(r"/\*\*.*?\*/", "", viewer_script(ENTRY), flags=re.DOTALL)
    for word in HTML_MAKERS:
        assert word not in script
    for word in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon", "localStorage"):
        assert word not in script
    assert set(re.findall(r"\w+://[^\"'\s)]*", script + viewer_style(STYLES))) == {
        "http://www.w3.org/2000/svg"
    }


def test_the_viewers_files_stay_short() -> None:
    lengths = {name: text.count("\n") for name, text in (viewer_files(".js") | viewer_files(".css")).items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
