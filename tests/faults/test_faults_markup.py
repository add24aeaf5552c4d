"""HTML and scripts in what comes from outside: row C8 of the fault table.

The real browser's side of it is in ``tests/browser/test_hostile.py``.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import faultserver as fs

from .notebooks import cells_of, write
from .paidserver import PaidServer
from .payloads import PAYLOADS, Page

KEY = "key_00html00html00html00html00html00"
CELLS = cells_of(
    """
import luma_widgets as lw
payloads = PAYLOADS
exp = lw.Experiment(payloads[0], log=payloads[0] + '.sqlite')
exp
# %%
videos = [exp.submit(lw.Ray2Request(prompt=f'{kind} {text}', start_image=f'https://a.b/{n}'))
    for n, text in enumerate(payloads) for kind in ('make', 'refuse', 'page')]
while exp.df['state'].isin(['prepared', 'sending', 'processing', 'completed']).any():
    exp.wait_for_change()
exp.df['state'].value_counts().to_dict()
# %%
videos[1].wait()
# %%
videos[2].wait()
# %%
exp.df
# %%
display(*videos[:3], exp.rows()[:3], *[video.request for video in videos])
# %%
studio = lw.Studio(exp, request=videos[0].request)
studio
# %%
form = lw.RequestForm(videos[3].request)
form
# %%
try:
    lw.Ray2Request(prompt='a', **{payloads[0]: 1})
except lw.RequestError as error:
    print(error)
# %%
lw.Ray2Request(prompt='a', aspect_ratio=payloads[1], start_image=payloads[2])
# %%
print(videos[0].request.as_curl(), videos[0].request.as_python())
# %%
from ipywidgets.embed import embed_minimal_html
embed_minimal_html('embed.html', views=[studio, form], title='All')
# %%
studio.close(); exp.close()
""".replace("PAYLOADS", repr(PAYLOADS))
)


class Scripting(PaidServer):
    """Answers with the prompt it was given, and with addresses and names full of markup."""

    def _charge(self, intent: str, fault: str, ending: str) -> Any:
        return super()._charge(intent, "none", "stored")

    def _create(self, connection: fs.Connection, intent: str) -> None:
        if intent.startswith("refuse"):
            self._answer(connection, {"code": 0, "message": f"No {intent}"})
        elif intent.startswith("page"):
            page = f"<html>{intent}</html>".encode()
            connection.send(fs.head(500, len(page)) + page)
        else:
            super()._create(connection, intent)

    def _progress(self, task_id: str) -> dict[str, Any]:
        found = super()._progress(task_id)
        found["message"] = PAYLOADS[0]
        urls = found["data"].get("result_urls", [])
        found["data"]["result_urls"] = [f"{url}?name={PAYLOADS[0]}" for url in urls]
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a notebook that showed hostile rows: run, converted and embedded."""
    place = tmp_path_factory.mktemp("markup")
    write(place / "all.ipynb", CELLS)
    with Scripting(random.Random(7), {"none": 1}) as server:
        known = {"PIXWITH_API_KEY": KEY, "PIXWITH_BASE_URL": server.url}
        for words in (
            ("execute", "--allow-errors", "--output=run.ipynb", "all.ipynb"),
            ("nbconvert", "--to", "html", "run.ipynb"),
        ):
            ran = subprocess.run(
                [sys.executable, "-m", "jupyter", *words],
                cwd=place,
                env={**os.environ, **known},
                capture_output=True,
                text=True,
                check=False,
                timeout=200,
            )
            assert ran.returncode == 0, ran.stderr
    return place


def test_C8_hostile_rows_were_shown(folder: Path) -> None:
    """Control: the notebook ran, refused what was to be refused, and its widgets hold the texts."""
    notebook = nbformat.read(folder / "run.ipynb", as_version=4)
    names = [o.ename for cell in notebook.cells for o in cell.get("outputs", ()) if "ename" in o]
    assert names == ["RejectedError", "OutcomeUnknownError", "RequestError"]
    assert "'stored': 8" in str(notebook.cells[1].outputs)
    assert "'rejected': 8" in str(notebook.cells[1].outputs)
    assert "'unknown': 8" in str(notebook.cells[1].outputs)
    state = json.dumps(notebook.metadata["widgets"])
    assert "window.pwned" in state


@pytest.mark.parametrize("name", ["run.html", "embed.html"])
def test_C8_converted_and_embedded_pages_run_nothing(folder: Path, name: str) -> None:
    """In nbconvert's page and in an embedded one, every payload is text and none is markup."""
    page = Page((folder / name).read_text())
    assert page.alive == []
    assert "window.pwned" in page.text
    if name == "run.html":
        for payload in PAYLOADS:
            assert payload in page.text or payload.replace("'", "\\'") in page.text, payload


def test_C8_saved_html_outputs_are_escaped(folder: Path) -> None:
    """No output of a cell that is HTML, the DataFrame's for one, holds a payload as markup."""
    notebook = nbformat.read(folder / "run.ipynb", as_version=4)
    pages = [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert pages
    assert [Page(page).alive for page in pages] == [[]] * len(pages)
    assert any("window.pwned" in Page(page).text for page in pages)


def test_C8_file_names_hold_no_markup(folder: Path) -> None:
    """Files of results are named by their task; nothing of an address or a prompt is in them."""
    names = [path.name for path in (folder / "luma-files").iterdir()]
    assert len(names) == 8
    assert not [name for name in names if set("<>\"'&") & set(name)]


@pytest.mark.parametrize("payload", PAYLOADS[:3] + PAYLOADS[5:7])
def test_C8_the_search_finds_what_is_planted(payload: str) -> None:
    """Positive control: each payload that is written without escaping is found."""
    assert Page(f"<p class='x'>{payload}</p>").alive
    data = '<script type="application/json">{}</script>'
    assert Page(data.replace("{}", payload.replace("<", "\\u003c"))).alive == []
