"""Queue and results: rows as cards, videos in pieces, posters, and what a notebook keeps."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

import luma_widgets as lw
from luma_widgets.log import OUTCOME_UNKNOWN, State, request_of
from luma_widgets.widgets.cards import options_in_words, result_card, task_card
from luma_widgets.widgets.posters import MAX_CHARACTERS, poster
from luma_widgets.widgets.results import PIECE

from .widgetpage import Page


def row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a row as the log gives it."""
    values = lw.Ray2Request(prompt=f"A cat, take {number}").values()
    return {
        **values,
        "id": f"{number:020x}",
        "state": "stored",
        "created_at": 1_795_000_000_000_000 + number,
        "sent_at": 1_795_000_001_000_000,
        "elapsed": 41.5,
        "estimated_time": 42,
        "files": [],
        "error": None,
        "base_url": "simulator",
        **changes,
    }


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a real video of two seconds and noisy pictures."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=12)
        stream.width, stream.height = 320, 180
        stream.pix_fmt = "yuv420p"
        for _ in range(24):
            picture = Image.effect_noise((320, 180), 90).convert("RGB")
            video.mux(stream.encode(av.VideoFrame.from_image(picture)))
        video.mux(stream.encode())
    return path


def test_the_queue_shows_what_runs_and_forgets_what_is_done() -> None:
    """Open rows are lines, oldest first; a row that ends disappears."""
    queue = lw.QueueView()
    states = ["queued", "prepared", "sending", "processing", "stalled", "completed"]
    queue.update([row(9 - n, state=state) for n, state in enumerate(states)] + [row(20)])
    assert [task["state"] for task in queue.tasks] == states[::-1]
    assert [task["cancel"] for task in queue.tasks] == [False] * 4 + [True] * 2
    queue.update([row(9 - n, state="failed") for n in range(6)])
    assert queue.tasks == []


def test_progress_needs_no_messages() -> None:
    """A line holds start and estimate; the kernel says its time only when the page asks."""
    queue = lw.QueueView(estimate=lambda _row: 30.0)
    page = Page(queue)
    queue.update([row(1, state="processing")])
    task = queue.tasks[0]
    assert (task["started"], task["estimate"]) == (1_795_000_001_000, 30.0)
    assert page.heard == []
    page.send("hello")
    assert abs(page.heard[0]["now"] / 1000 - time.time()) < 5


def test_cancel_reaches_only_what_is_shown_and_says_when_it_was_too_late() -> None:
    """A cancel that came too late is told; an unknown id does nothing."""
    asked: list[str] = []
    queue = lw.QueueView(cancel=lambda row_id: bool(asked.append(row_id)))
    page = Page(queue)
    queue.update([row(1, state="prepared")])
    page.send("cancel", id="somebody else's")
    page.send("cancel", id=row(1)["id"])
    assert asked == [row(1)["id"]]
    assert "too late" in page.texts("message")[0]


def test_a_long_queue_is_cut() -> None:
    """Fifty lines are shown and the others counted, so that a big sweep stays small."""
    queue = lw.QueueView()
    queue.update([row(n, state="queued") for n in range(200)])
    assert (len(queue.tasks), queue.more) == (50, 150)


def test_results_are_the_newest_twenty() -> None:
    """The state holds 20 cards, newest first; older ones come by the page."""
    results = lw.ResultsView()
    results.update([row(n) for n in range(45)])
    assert [card["id"] for card in results.cards] == [row(n)["id"] for n in range(44, 24, -1)]
    Page(results).send("page", first=40)
    assert [card["id"] for card in results.cards] == [row(n)["id"] for n in range(4, -1, -1)]
    results.close()


def test_a_saved_result_is_small() -> None:
    """Without its poster a result costs at most 2.5 KB of the notebook, however long its texts."""
    results = lw.ResultsView()
    empty = len(json.dumps(results.get_state()))
    long = {"prompt": "é" * 5000, "error": "ü" * 5000, "base_url": "https://" + "x" * 500}
    results.update([row(n, state="failed", **long) for n in range(20)])
    full = len(json.dumps(results.get_state(), ensure_ascii=False).encode())
    assert (full - empty) / 20 <= 2500
    results.update([row(n, state="unknown", credits_before=1e9, **long) for n in range(20)])
    full = len(json.dumps(results.get_state(), ensure_ascii=False).encode())
    assert (full - empty) / 20 <= 2500
    results.close()


def test_an_unknown_outcome_says_so_in_full() -> None:
    """The card says that it may have been charged and that nothing was sent again."""
    assert result_card(row(state="unknown"))["error"] == OUTCOME_UNKNOWN
    assert result_card(row(state="unknown", error=OUTCOME_UNKNOWN))["error"] == OUTCOME_UNKNOWN
    details = result_card(row(state="unknown", error="The answer was cut."))["error"]
    assert details == f"{OUTCOME_UNKNOWN} The answer was cut."


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words_and_a_tone(state: State) -> None:
    """No state is shown by its internal name, nor without a colour that the style sheet knows."""
    card = task_card(row(state=state.value), None)
    assert card["word"][0].isupper()
    assert "_" not in card["word"]
    assert card["tone"] in ("good", "bad", "warn", "busy", "quiet")


def test_options_are_said_briefly() -> None:
    """What is as usual is left out; what differs is named."""
    assert options_in_words(row()) == ["16:9", "540p", "5 s"]
    special = row(
        start_image="https://a.example/1.png", model_id="3-4", prompt_optimization=False, loop=True
    )
    assert options_in_words(special) == [
        "Start image",
        "Model 3-4",
        "No translate to English",
        "16:9",
        "540p",
        "5 s",
        "Loop",
    ]


def test_load_gives_the_row_whose_request_fills_the_form() -> None:
    """The card's button hands over its row; the row makes the same request again."""
    loaded: list[Any] = []
    results = lw.ResultsView(load=loaded.append)
    results.update([row(1, duration=9, end_image=None)])
    page = Page(results)
    page.send("load", id="nobody")
    page.send("load", id=row(1)["id"])
    assert [request_of(found) for found in loaded] == [
        lw.Ray2Request(prompt="A cat, take 1", duration=9)
    ]
    results.close()


def test_a_video_comes_in_pieces_and_never_enters_the_state(tmp_path: Path) -> None:
    """Each piece is asked for, is at most 1 MiB, and together they are the file."""
    path = tmp_path / "big.mp4"
    path.write_bytes(bytes(range(256)) * 10_000)
    results = lw.ResultsView()
    results.update([row(1, files=[str(path)])])
    page = Page(results)
    whole = b""
    while len(whole) < path.stat().st_size:
        page.send("video", id=row(1)["id"], number=0, offset=len(whole))
        answer = page.heard.pop()
        assert (answer["offset"], answer["kind"]) == (len(whole), "video/mp4")
        assert 0 < len(answer["buffers"][0]) <= PIECE
        whole += answer["buffers"][0]
    assert whole == path.read_bytes()
    assert len(json.dumps(results.get_state())) < 40_000
    results.close()


@pytest.mark.parametrize(
    "asked",
    [
        {"id": "nobody", "number": 0, "offset": 0},
        {"id": row(1)["id"], "number": "0", "offset": 0},
        {"id": row(1)["id"], "number": 0, "offset": -1},
        {"id": row(1)["id"], "number": 0},
    ],
)
def test_only_files_of_shown_rows_can_be_asked_for(asked: dict[str, Any], clip: Path) -> None:
    """A message that names no file of a row is not answered."""
    results = lw.ResultsView()
    results.update([row(1, files=[str(clip)])])
    page = Page(results)
    page.send("video", **asked)
    assert page.heard == []
    results.close()


def test_a_file_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    """A deleted video gives a sentence without the path."""
    results = lw.ResultsView()
    results.update([row(1, files=[str(tmp_path / "gone.mp4")])])
    page = Page(results)
    page.send("video", id=row(1)["id"], number=0, offset=0)
    assert "no longer" in page.heard[0]["error"]
    assert str(tmp_path) not in str(page.heard)
    results.close()


def test_posters_are_small_stills(clip: Path) -> None:
    """Even of noise a poster stays within 6,000 characters and 160 pixels."""
    text = poster(clip)
    assert text.startswith("data:image/jpeg;base64,")
    assert len(text) <= MAX_CHARACTERS
    with Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))) as picture:
        assert max(picture.size) == 160


def test_what_is_no_video_has_no_poster(tmp_path: Path) -> None:
    """A missing, empty or foreign file gives no poster and no error."""
    assert poster(tmp_path / "missing.mp4") == ""
    for name, data in (("empty.mp4", b""), ("text.mp4", b"hello" * 100)):
        (tmp_path / name).write_bytes(data)
        assert poster(tmp_path / name) == ""


def test_posters_appear_beside_their_cards(clip: Path) -> None:
    """The poster is made in the background and hung up under the row's id."""
    results = lw.ResultsView()
    results.update([row(1, files=[str(clip)]), row(2)])
    end = time.monotonic() + 10
    while not results.posters and time.monotonic() < end:
        time.sleep(0.02)
    assert results.posters == {row(1)["id"]: poster(clip)}
    results.close()
