from __future__ import annotations

import subprocess
import sys

import pytest

import luma_widgets as lw

from .conftest import MakeExperiment


def paid(simulator: lw.Simulator) -> lw.PixwithClient:
    """Return a client whose rows are not marked as simulated, so that limits apply."""
    return simulator.client(name="https://service.example")


def test_a_session_limit_stops_before_anything_is_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """The third video of a session that may pay for two is a SpendLimitError and no row."""
    limits = lw.SpendLimits(session_videos=2)
    experiment = make_experiment(client=paid(simulator), limits=limits)
    for take in range(2):
        experiment.submit(cat, take=take).wait(30)
    with pytest.raises(lw.SpendLimitError, match="3 videos") as caught:
        experiment.submit(cat, take=2)
    assert "session_videos=" in str(caught.value)
    assert len(simulator.creates) == 2
    assert len(experiment.rows()) == 2
    assert experiment.spent("session").videos == 2


def test_what_is_there_already_passes_every_limit(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """Running a cell again at the limit returns its row, for that pays nothing."""
    limits = lw.SpendLimits(session_videos=1)
    experiment = make_experiment(client=paid(simulator), limits=limits)
    first = experiment.submit(cat)
    assert experiment.submit(cat).id == first.id


def test_a_session_is_the_program_over_all_its_experiments(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """A second experiment of the same program and log shares the session's limit."""
    limits = lw.SpendLimits(session_videos=1)
    one = make_experiment("one", client=paid(simulator), limits=limits)
    two = make_experiment("two", client=paid(simulator), limits=limits)
    one.submit(cat)
    with pytest.raises(lw.SpendLimitError, match="session"):
        two.submit(cat)
    assert two.spent().videos == 0


def test_an_experiment_limit_counts_what_other_programs_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request, tmp_path
) -> None:
    """A program before this one used up the experiment's limit; the session is still empty."""
    code = (
        "import sys, luma_widgets as lw\n"
        "url, key, log = sys.argv[1:]\n"
        "client = lw.PixwithClient(key, base_url=url, name='https://service.example')\n"
        "with lw.Experiment('cats', client=client, log=log) as experiment:\n"
        "    experiment.submit(lw.Ray2Request(prompt='A dog')).wait(60)\n"
    )
    arguments = [simulator.url, simulator.api_key, str(tmp_path / "luma.sqlite")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=120)
    limits = lw.SpendLimits(experiment_videos=1)
    experiment = make_experiment(client=paid(simulator), limits=limits)
    assert experiment.spent("session").videos == 0
    assert experiment.spent("experiment").videos == 1
    with pytest.raises(lw.SpendLimitError, match="experiment"):
        experiment.submit(cat)


def test_refused_videos_do_not_count(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """What the service refused was not paid for, so it uses up no limit."""
    simulator.fail_next("reject:No")
    limits = lw.SpendLimits(session_videos=1)
    experiment = make_experiment(client=paid(simulator), limits=limits)
    with pytest.raises(lw.RejectedError):
        experiment.submit(cat).wait(30)
    assert experiment.spent("session").videos == 0
    experiment.submit(cat).wait(30)


def test_credits_count_where_the_price_is_known(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """After one measured video of 30 credits, a limit of 50 stops the second one."""
    limits = lw.SpendLimits(experiment_credits=50)
    experiment = make_experiment(client=paid(simulator), limits=limits)
    experiment.submit(cat).wait(30)
    assert str(experiment.spent()) == "1 video, 30 credits"
    with pytest.raises(lw.SpendLimitError, match="60 credits"):
        experiment.submit(cat, take=1)
    experiment.submit(cat.copy(duration=9)).wait(30)  # its price is not known: it passes


def test_the_simulator_has_no_limits(make_experiment: MakeExperiment, cat: lw.Ray2Request) -> None:
    """Nothing is paid there, so nothing is stopped; what was given is kept for the service."""
    experiment = make_experiment(limits=lw.SpendLimits(session_videos=0))
    experiment.submit(cat).wait(30)
    assert experiment.limits == lw.SpendLimits(session_videos=0)


def test_limits_read_well() -> None:
    """One is a singular, and no limit is said so."""
    assert str(lw.SpendLimits()) == "no limit"
    assert str(lw.SpendLimits(session_videos=1)) == "1 video a session"


def test_many_threads_together_do_not_pass_a_limit(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """Sixteen submissions at once under a limit of five leave five rows."""
    from concurrent.futures import ThreadPoolExecutor

    limits = lw.SpendLimits(session_videos=5)
    experiment = make_experiment(client=paid(simulator), limits=limits)

    def submit(take: int) -> bool:
        try:
            experiment.submit(cat, take=take)
        except lw.SpendLimitError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(submit, range(16))) == 5
    assert len(experiment.rows()) == 5


@pytest.mark.parametrize("wrong", [-1, 1.5, "5", True, float("nan")])
def test_a_limit_must_be_a_number(wrong) -> None:
    """A limit that is none is refused when it is given, not when it should have held."""
    with pytest.raises(lw.ConfigurationError, match="session_videos"):
        lw.SpendLimits(session_videos=wrong)
