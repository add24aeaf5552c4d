from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import requests

import luma_widgets as lw
from luma_widgets.cli import exit_code, main

KEY = "sim_" + "5" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder of its own, without a key."""
    monkeypatch.chdir(tmp_path)
    for name in ("PIXWITH_API_KEY", "PIXWITH_BASE_URL", "LUMA_WIDGETS_LOG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def service(monkeypatch):
    """Run a fast service with a key, found through the environment as the real one is."""
    with lw.Simulator(speed=200, api_key=KEY) as simulator:
        monkeypatch.setenv("PIXWITH_BASE_URL", simulator.url)
        monkeypatch.setenv("PIXWITH_API_KEY", KEY)
        yield simulator


def test_generate_without_a_key_makes_a_video_on_the_simulator(folder, capsys):
    """The main job: a finished row and an MP4, and the first line says that it is simulated."""
    assert main(["generate", "A cat walking in the garden"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("Simulator:")
    (clip,) = (folder / "luma-files").glob("*.mp4")
    assert str(clip) in out
    assert "stored" in out
    assert clip.read_bytes()[4:8] == b"ftyp"


def test_generate_again_pays_nothing(service, capsys):
    """The same command twice is one task at the service, and both show the video."""
    assert main(["generate", "A cat", "--duration", "9"]) == 0
    assert main(["generate", "A cat", "--duration", "9"]) == 0
    assert len(service.creates) == 1
    assert service.creates[0].payload["options"]["duration"] == 9
    assert "nothing is sent" in capsys.readouterr().out


def test_repeats_are_takes_of_their_own(service):
    """--repeats 3 makes three videos of one request; asking for three again makes none."""
    assert main(["generate", "A cat", "--repeats", "3"]) == 0
    assert main(["generate", "A cat", "--repeats", "3"]) == 0
    assert len(service.creates) == 3


def test_many_paid_videos_are_refused_without_yes(service, capsys):
    """Above the limit nothing is sent, the preflight is shown and --yes is named."""
    assert main(["generate", "A cat", "--repeats", "6"]) == 2
    captured = capsys.readouterr()
    assert "6 videos" in captured.out
    assert "--yes" in captured.err
    assert not service.creates


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["generate", " "], "prompt"),
        (["generate", "A cat", "--duration", "7"], "--duration"),
        (["generate", "A cat", "--model-id", "3-4"], "model_id"),
        (["generate", "A\x00cat"], "U+0000"),
        (["generate", "A cat", "--end-image", "https://a.example/b.png"], "end_image"),
        (["generate"], "prompt"),
        (["no-such-command"], "no-such-command"),
        (["log", "--log", "missing.sqlite"], "missing.sqlite"),
    ],
)
def test_A14_bad_input_is_exit_code_2_and_never_sent(service, capsys, arguments, named):
    """Wrong arguments are named in one line, and the service hears of none of them."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "Traceback" not in error
    assert service.requests["create"] == 0


def test_a_refusal_is_exit_code_3_with_the_services_words(service, capsys):
    """What the service refuses ends with 3 and says why."""
    service.set_credits(0)
    assert main(["generate", "A cat"]) == 3
    assert "Credits not enough" in capsys.readouterr().err


def test_a_failed_task_is_exit_code_4(service):
    """A task that the service reports as failed ends with 4."""
    service.fail_next("failed")
    assert main(["generate", "A cat"]) == 4


def test_the_exit_codes_cover_every_error():
    """Each error has a code, and only errors that are known to send nothing have 2 or 3."""
    assert exit_code(lw.RequestError([])) == 2
    assert exit_code(lw.AuthenticationError("x")) == 3
    assert exit_code(lw.RateLimitedError("x")) == 3
    assert exit_code(lw.OutcomeUnknownError("x")) == 5
    assert exit_code(lw.LogError("x")) == 1


def test_log_prints_rows_and_json(service, capsys):
    """The log command shows the newest rows as a table, or every column as JSON lines."""
    main(["generate", "A cat", "--experiment", "one"])
    main(["generate", "A dog", "--experiment", "two"])
    capsys.readouterr()
    assert main(["log", "--experiment", "two"]) == 0
    table = capsys.readouterr().out
    assert "A dog" in table
    assert "A cat" not in table
    assert main(["log", "--json", "-n", "1"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["prompt"] == "A dog"
    assert row["state"] == "stored"
    assert KEY not in json.dumps(row)


def test_log_knows_its_states(service, capsys):
    """A state that does not exist is refused with the ones that do."""
    main(["generate", "A cat"])
    assert main(["log", "--state", "done"]) == 2
    assert "stored" in capsys.readouterr().err


def test_demo_serves_the_quickstart_and_leaves_the_users_copy_alone(folder):
    """The demo serves the notebook from a folder of the user's; an edited copy is not replaced."""
    command = [sys.executable, "-m", "luma_widgets", "demo", "--no-browser", "--port", "0"]
    for edited in (False, True):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            lines = iter(process.stderr.readline, "")
            assert any("/lab/tree/quickstart.ipynb?token=" in line for line in lines)
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
        notebook = folder / "luma-demo" / "quickstart.ipynb"
        assert notebook.exists()
        if not edited:
            notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    assert json.loads(notebook.read_text())["cells"] == []


@pytest.fixture
def doubtful(service, folder):
    """Return the id of a row that was charged without an answer."""
    service.inject("hang_up")
    assert main(["generate", "A cat"]) == 5
    log = lw.ExperimentLog(folder / "luma.sqlite")
    (row,) = log.rows()
    log.close()
    return row["id"]


def test_an_unknown_outcome_is_exit_code_5_each_time(doubtful, service, capsys):
    """Running the command again sends nothing; terminal and log say why, and the way out."""
    sentence = "this video may have started and been charged. Nothing was sent again."
    assert main(["generate", "A cat"]) == 5
    assert len(service.creates) == 1
    assert sentence in capsys.readouterr().err
    assert main(["log"]) == 0
    out = capsys.readouterr().out
    assert sentence in out
    assert f"luma-widgets resolve {doubtful}" in out


def test_resolve_shows_the_balance_and_takes_a_task_id(doubtful, service, capsys):
    """Without a way it shows the credits; with the task's id the video comes, once paid."""
    assert main(["resolve", doubtful[:12]]) == 0
    assert "Balance before 10,000" in capsys.readouterr().out
    assert main(["resolve", doubtful, "--task-id", service.creates[0].task_id]) == 0
    assert ".mp4" in capsys.readouterr().out
    assert len(service.creates) == 1


def test_resolve_submits_again_only_with_yes(doubtful, service, capsys):
    """--submit-again alone sends nothing and names what is missing."""
    assert main(["resolve", doubtful, "--submit-again"]) == 2
    assert "may be charged a second time" in capsys.readouterr().err
    assert len(service.creates) == 1
    assert main(["resolve", doubtful, "--submit-again", "--yes"]) == 0
    assert len(service.creates) == 2


def test_resolve_not_created_frees_the_request(doubtful, service):
    """Marked as not created, the same command makes the video in the same row."""
    assert main(["resolve", doubtful, "--not-created"]) == 0
    assert main(["generate", "A cat"]) == 0
    assert len(service.creates) == 2


def test_resolve_names_an_id_that_is_not_there(doubtful, capsys):
    """An id that no row has is said so."""
    assert main(["resolve", "zz"]) == 2
    assert "zz" in capsys.readouterr().err


def test_D2_log_shows_what_is_readable_of_a_newer_log(service, folder, capsys):
    """A log that this version may not write is shown all the same, with the reason."""
    main(["generate", "A cat"])
    with sqlite3.connect(folder / "luma.sqlite") as connection:
        connection.execute("UPDATE luma_meta SET value = '99' WHERE name = 'schema'")
    connection.close()
    assert main(["generate", "A dog"]) == 1
    assert len(service.creates) == 1
    capsys.readouterr()
    assert main(["log"]) == 0
    captured = capsys.readouterr()
    assert "A cat" in captured.out
    assert "newer luma_widgets" in captured.err


def test_simulate_serves_until_it_is_interrupted():
    """The simulator runs by itself, prints how to reach it, and stops at Ctrl+C within seconds."""
    command = [sys.executable, "-m", "luma_widgets", "simulate", "--speed", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(4)]
        url = lines[1].strip().rpartition("=")[2]
        key = lines[2].strip().rpartition("=")[2]
        call = f"{url}/api/task/get_credits"
        with requests.post(call, headers={"Api-Key": key}, json={}, timeout=10) as got:
            assert got.json()["data"]["credits"] == 10_000
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_A7_an_interrupted_generate_leaves_a_row_that_says_so(folder, service):
    """Ctrl+C while the paid request hangs: the row is unknown, the request is not sent again."""
    service.inject("delay", path="create", seconds=30)
    command = [sys.executable, "-m", "luma_widgets", "generate", "A cat"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        deadline = time.monotonic() + 30
        while service.requests["create"] == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in error
    log = lw.ExperimentLog(folder / "luma.sqlite")
    try:
        (row,) = log.rows()
    finally:
        log.close()
    assert row["state"] == "unknown"
    assert "may have started" in row["error"]
    assert service.requests["create"] == 1
