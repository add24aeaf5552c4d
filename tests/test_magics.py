from __future__ import annotations

import pytest
from IPython.core.error import UsageError
from IPython.testing.globalipapp import start_ipython

import luma_widgets as lw
from luma_widgets.magics import LumaMagics

KEY = "sim_" + "7" * 32


@pytest.fixture(scope="module")
def shell():
    """IPython itself, once for the module."""
    return start_ipython()


@pytest.fixture
def magics(shell, tmp_path, monkeypatch):
    """Our magics in a folder of their own, without a key; their experiments end with the test."""
    monkeypatch.chdir(tmp_path)
    made = LumaMagics(shell)
    yield made
    for experiment in made._experiments.values():
        experiment.close()
        experiment.client.close()


def test_load_ext_registers_both_magics(shell):
    """``%load_ext luma_widgets`` is all that is needed."""
    shell.run_line_magic("load_ext", "luma_widgets")
    assert "luma" in shell.magics_manager.magics["line"]
    assert "luma" in shell.magics_manager.magics["cell"]


def test_the_cell_magic_submits_the_prompt_with_its_flags(magics, capsys):
    """The cell is the prompt, flags are the options, and the service is named in the first line."""
    submission = magics.submit("--duration 9 --loop --wait", "\nA cat walking\nin the garden\n")
    assert submission.request.prompt == "A cat walking\nin the garden"
    assert submission.request.duration == 9
    assert submission.request.loop is True
    assert submission.state == "stored"
    assert capsys.readouterr().out.splitlines()[0].startswith("Simulator:")


def test_running_the_cell_again_makes_no_second_video(magics):
    """The same cell twice is one row; another take is asked for with --repeats."""
    first = magics.submit("", "A cat")
    again = magics.submit("", "A cat")
    assert again.id == first.id
    magics.submit("--repeats 2", "A cat")
    assert len(magics._experiments["default", None].df) == 2


@pytest.mark.parametrize(
    ("line", "cell", "named"),
    [
        ("--duration 7", "A cat", "--duration"),
        ("--no-such-flag", "A cat", "--no-such-flag"),
        ("--model-id 3-4", "A cat", "model_id"),
        ("", "  ", "prompt"),
        ('--start-image "unclosed', "A cat", "quotation"),
    ],
)
def test_A14_what_is_wrong_comes_as_one_line(magics, line, cell, named):
    """A wrong flag or request is a UsageError, which IPython shows without a traceback."""
    with pytest.raises(UsageError) as caught:
        magics.submit(line, cell)
    assert named in str(caught.value)


def test_the_magic_pays_for_many_only_with_yes(magics, monkeypatch):
    """With a key, the preflight is printed and a large submission needs --yes."""
    with lw.Simulator(speed=100, api_key=KEY) as service:
        monkeypatch.setenv("PIXWITH_BASE_URL", service.url)
        monkeypatch.setenv("PIXWITH_API_KEY", KEY)
        with pytest.raises(UsageError, match="--yes"):
            magics.submit("--repeats 6", "A cat")
        assert service.requests["create"] == 0


def test_the_line_magic_opens_the_studio(magics):
    """``%luma`` returns the studio over the same experiment as ``%%luma``."""
    studio = magics.luma("")
    try:
        assert studio.experiment is magics._experiments["default", None]
    finally:
        studio.close()
