"""A notebook in JupyterLab: open it, run all its cells as the menu does, read its cells and
outputs, follow a link.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from browser.driver import TOKEN, Page, wait

READY = """(() => {
  const app = window.jupyterapp, panel = app && app.shell.currentWidget;
  return !!(panel && panel.context && panel.context.path == %s && panel.context.isReady
            && panel.content.widgets.length
            && panel.sessionContext.session && panel.sessionContext.session.kernel);
})()"""
RUN = """(() => {
  window.ended = false;
  jupyterapp.shell.collapseLeft();
  jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.ended = true; });
})()"""
ENDED = (
    "window.ended && jupyterapp.shell.currentWidget.sessionContext.session.kernel.status == 'idle'"
)
CELLS = """[...jupyterapp.shell.currentWidget.content.model.cells].map(cell => cell.toJSON())"""
WIDE = """[...document.querySelectorAll(
    '.jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output')]
  .filter(node => node.scrollWidth > node.clientWidth + 2)
  .map(node => node.innerText.slice(0, 80))"""
HEADING_SHOWN = """(() => {
  const place = [...document.querySelectorAll('.jp-NotebookPanel:not(.lm-mod-hidden) h2')]
    .find(node => node.textContent.replace('¶', '').trim() == %s);
  const box = place && place.getBoundingClientRect();
  return !!box && box.top >= 0 && box.bottom <= window.innerHeight;
})()"""
CLICK = """[...document.querySelectorAll('.jp-NotebookPanel:not(.lm-mod-hidden) a')]
  .find(node => node.textContent == %s).click()"""


class Lab:
    """JupyterLab in a page."""

    def __init__(self, page: Page, address: str):
        self.page, self.address = page, address

    def open(self, notebook: str, seconds: float = 120) -> None:
        """Open a notebook, by its path from the server's root, and wait for its kernel."""
        self.page.open(f"{self.address}/lab/tree/{quote(notebook)}?token={TOKEN}&reset")
        wait(
            lambda: self.page.run(READY % json.dumps(notebook)),
            f"{notebook} in JupyterLab",
            seconds,
        )

    def run_all(self, seconds: float = 300) -> list[dict[str, Any]]:
        """Run every cell, wait until the kernel is idle, and give nbformat's cells."""
        self.page.run(RUN)
        wait(lambda: self.page.run(ENDED), "the end of the last cell", seconds)
        return self.page.run(CELLS)

    def too_wide(self) -> list[str]:
        """The beginning of every output that is in view and wider than its place."""
        return self.page.run(WIDE)

    def follow(self, link: str, heading: str, seconds: float = 20) -> None:
        """Click a link of the contents; TimeoutError where the heading it names does not come into
        view.
        """
        self.page.run(CLICK % json.dumps(link))
        wait(
            lambda: self.page.run(HEADING_SHOWN % json.dumps(heading)),
            f"heading {heading!r} in view",
            seconds,
        )

    def pictures(self, folder: Path, name: str, height: int = 1600) -> list[Path]:
        """Screenshots of the whole notebook, one a screenful from top to bottom."""
        self.page.resize(1400, height)
        inner = (
            "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) "
            ".jp-WindowedPanel-outer')"
        )
        found, at = [], 0
        while (
            at <= self.page.run(f"({inner}.scrollTop = {at}, {inner}.scrollHeight - 1)")
            and len(found) < 40
        ):
            self.page.run("new Promise(resolve => setTimeout(resolve, 700))")
            found.append(self.page.screenshot(folder / f"{name}-{len(found):02d}.png"))
            at += height - 150
        return found
