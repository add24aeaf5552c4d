"""Tasks in the simulator: credits, times, outcomes, faults, and the memory that survives."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from luma_widgets import ConfigurationError, Ray2Request
from luma_widgets.simulator import SimulatorServer, tariff

CAT = Ray2Request(prompt="A cat walking in the garden")


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Iterator[SimulatorServer]:
    with SimulatorServer(clock=clock, spread=0) as server:
        yield server


def call(simulator: SimulatorServer, name: str, body: Any) -> Any:
    headers = {"Api-Key": simulator.api_key}
    url = f"{simulator.url}/api/task/{name}"
    return requests.post(url, json=body, headers=headers, timeout=10).json()


def create(simulator: SimulatorServer, request: Ray2Request = CAT) -> str:
    answer = call(simulator, "create", request.payload())
    assert answer["code"] == 1, answer
    return str(answer["data"]["task_id"])


def state_of(simulator: SimulatorServer, task_id: str) -> Any:
    return call(simulator, "get", {"task_id": task_id})["data"]


def test_a_task_runs_its_time_and_completes(simulator: SimulatorServer, clock: Clock) -> None:
    """A task is processing until its time is over, then completed with an address that works."""
    task_id = create(simulator)
    assert state_of(simulator, task_id) == {"task_id": task_id, "status": 1, "result_urls": []}
    clock.now += 41.9
    assert state_of(simulator, task_id)["status"] == 1
    clock.now += 0.2
    state = state_of(simulator, task_id)
    assert state["status"] == 2
    (url,) = state["result_urls"]
    answer = requests.get(url, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "video/mp4")
    assert answer.content[4:8] == b"ftyp"


def test_results_can_be_read_in_ranges(simulator: SimulatorServer, clock: Clock) -> None:
    """A player may ask for parts of the file, and for its size alone."""
    task_id = create(simulator)
    clock.now += 100
    (url,) = state_of(simulator, task_id)["result_urls"]
    whole = requests.get(url, timeout=10).content
    part = requests.get(url, headers={"Range": "bytes=4-7"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["Content-Range"] == f"bytes 4-7/{len(whole)}"
    beyond = requests.get(url, headers={"Range": f"bytes={len(whole)}-"}, timeout=10)
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")
    head = requests.head(url, timeout=10)
    assert (head.headers["Content-Length"], head.content) == (str(len(whole)), b"")


def test_C7_result_addresses_expire_and_are_renewed(
    simulator: SimulatorServer, clock: Clock
) -> None:
    """An address stops working after an hour; task/get gives a new one of the same clip."""
    task_id = create(simulator)
    clock.now += 100
    (url,) = state_of(simulator, task_id)["result_urls"]
    first = requests.get(url, timeout=10).content
    clock.now += 3601
    assert requests.get(url, timeout=10).status_code == 403
    (again,) = state_of(simulator, task_id)["result_urls"]
    assert again != url
    assert requests.get(again, timeout=10).content == first
    assert len(simulator.creates) == 1


def test_result_addresses_cannot_be_made_up(simulator: SimulatorServer, clock: Clock) -> None:
    """A changed time, signature or task is refused, and so is the API key."""
    task_id, other = create(simulator), create(simulator)
    clock.now += 100
    (url,) = state_of(simulator, task_id)["result_urls"]
    wrong = [
        url[:-1],
        url.partition("?")[0],
        url.replace(task_id, other),
        url.replace("s=1", "s=2"),
    ]
    for address in wrong:
        assert requests.get(address, timeout=10).status_code == 403, address
    headers = {"Api-Key": simulator.api_key}
    assert requests.get(url, headers=headers, timeout=10).status_code == 403


def test_a_clip_is_rendered_once_for_many_readers(
    simulator: SimulatorServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that come at the same time get the same bytes from one rendering."""
    from luma_widgets.simulator import clips

    rendered = []
    real = clips.render_clip
    monkeypatch.setattr(clips, "render_clip", lambda *a, **k: rendered.append(a) or real(*a, **k))
    task_id = create(simulator)
    clock.now += 100
    (url,) = state_of(simulator, task_id)["result_urls"]
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda _: requests.get(url, timeout=20).content, range(8)))
    assert len(set(bodies)) == 1
    assert len(rendered) == 1


def test_credits_go_down_by_the_simulators_own_prices(simulator: SimulatorServer) -> None:
    """Each accepted task costs by duration and resolution; free calls cost nothing."""
    balance = simulator.credits
    for options, price in (
        ({}, 30),
        ({"duration": 9}, 60),
        ({"resolution": "720p"}, 60),
        ({"duration": 9, "resolution": "720p"}, 120),
    ):
        create(simulator, CAT.copy(**options))
        balance -= price
        assert simulator.credits == balance
        assert call(simulator, "get_credits", {})["data"] == {"credits": balance}


def test_the_tariff_knows_every_setting() -> None:
    """Every choice of the fields that change a price has a price and a time."""
    choices = {field.name: field.choices for field in Ray2Request.fields()}
    for duration in choices["duration"]:
        for resolution in choices["resolution"]:
            request = Ray2Request(duration=duration, resolution=resolution)
            assert tariff.price(request) > 0
            assert tariff.seconds(request, 42) >= 42


def test_an_empty_account_pays_for_nothing() -> None:
    """A create beyond the balance gets code 0 in the service's words, and charges nothing."""
    with SimulatorServer(credits=50) as simulator:
        create(simulator)
        answer = call(simulator, "create", CAT.payload())
        assert (answer["code"], answer["message"]) == (0, "Credits not enough")
        assert (simulator.credits, len(simulator.creates)) == (20, 1)
        simulator.set_credits(30)
        create(simulator)
        assert simulator.credits == 0


def test_simultaneous_creates_are_charged_exactly() -> None:
    """Threads that create at once never spend more than there is."""
    with SimulatorServer(credits=300) as simulator, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: call(simulator, "create", CAT.payload()), range(40)))
        assert sum(answer["code"] == 1 for answer in answers) == 10
        assert (simulator.credits, len(simulator.creates)) == (0, 10)


@pytest.mark.parametrize(
    ("speed", "options", "estimate"),
    [(1, {}, 42), (6, {}, 7), (60, {}, 1), (1000, {}, 1), (1, {"duration": 9}, 68), (0.5, {}, 84)],
)
def test_estimates_are_divided_by_the_speed(
    speed: float, options: dict[str, Any], estimate: int, clock: Clock
) -> None:
    """The reported estimate is the time the simulator really takes, rounded up, at least 1 s."""
    with SimulatorServer(speed=speed, spread=0, clock=clock) as simulator:
        data = call(simulator, "create", CAT.copy(**options).payload())["data"]
        assert data["estimated_time"] == estimate
        clock.now += estimate + 0.001
        assert state_of(simulator, data["task_id"])["status"] == 2


def test_times_spread_and_can_be_repeated(clock: Clock) -> None:
    """Tasks take different times around the estimate, and the same ones again for a seed."""

    def times() -> list[float]:
        with SimulatorServer(seed=7, clock=clock) as simulator:
            for _ in range(20):
                create(simulator)
            assert simulator._state is not None
            return [task.finish_at - clock.now for task in simulator._state.tasks()]

    first = times()
    assert first == times()
    assert len(set(first)) == 20
    assert 25 < min(first) < 42 < max(first) < 80


def test_a_failed_task_ends_as_failed(simulator: SimulatorServer, clock: Clock) -> None:
    """fail_next("failed"): the task is accepted and ends as failed; the next one is well."""
    simulator.fail_next("failed")
    bad, good = create(simulator), create(simulator)
    assert state_of(simulator, bad)["status"] == 1
    clock.now += 100
    assert state_of(simulator, bad) == {"task_id": bad, "status": 3, "result_urls": []}
    assert state_of(simulator, good)["status"] == 2


def test_E3_a_task_can_run_for_ever(simulator: SimulatorServer, clock: Clock) -> None:
    """fail_next("never_ends"): the task is processing however long one waits."""
    simulator.fail_next("never_ends")
    task_id = create(simulator)
    clock.now += 1e9
    assert state_of(simulator, task_id)["status"] == 1


def test_C10_a_status_can_be_unknown(simulator: SimulatorServer, clock: Clock) -> None:
    """fail_next("unknown_status"): a status outside the contract, until the task completes."""
    simulator.fail_next("unknown_status")
    task_id = create(simulator)
    assert state_of(simulator, task_id)["status"] == 4
    clock.now += 100
    assert state_of(simulator, task_id)["status"] == 2


def test_C7_the_first_address_can_be_expired(simulator: SimulatorServer, clock: Clock) -> None:
    """fail_next("expired_url"): the first address answers 403, the next one works."""
    simulator.fail_next("expired_url")
    task_id = create(simulator)
    clock.now += 100
    codes = []
    for _ in range(2):
        (url,) = state_of(simulator, task_id)["result_urls"]
        codes.append(requests.get(url, timeout=10).status_code)
    assert codes == [403, 200]


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        ("no_credits", 0, "Credits not enough"),
        ("bad_key", 2, "Invalid API KEY"),
        ("reject:Prompt not allowed <b>", 0, "Prompt not allowed <b>"),
    ],
)
def test_a_create_can_be_refused(
    outcome: str, code: int, message: str, simulator: SimulatorServer
) -> None:
    """The outcomes that refuse do so as often as told, with their words, and charge nothing."""
    simulator.fail_next(outcome, times=2)
    for _ in range(2):
        answer = call(simulator, "create", CAT.payload())
        assert (answer["code"], answer["message"]) == (code, message)
    assert simulator.creates == []
    create(simulator)


def test_failures_can_be_given_at_the_beginning() -> None:
    """failures= are the outcomes of the first tasks."""
    with SimulatorServer(failures=["no_credits"]) as simulator:
        assert call(simulator, "create", CAT.payload())["code"] == 0
        create(simulator)


@pytest.mark.parametrize("wrong", ["nonsense", "", "reject:", "reject: "])
def test_unknown_failures_are_refused(wrong: str) -> None:
    """A misspelt outcome, fault or call is said at once, not silently ignored."""
    simulator = SimulatorServer()
    with pytest.raises(ValueError, match=r"none of|needs a message"):
        simulator.fail_next(wrong)
    with pytest.raises(ValueError, match="none of the faults"):
        simulator.inject(wrong)
    with pytest.raises(ValueError, match="none of the calls"):
        simulator.inject("500", path=wrong)


@pytest.mark.parametrize("fault", ["hang_up", "reset", "truncated", "garbage"])
def test_faults_after_acceptance_leave_a_task(fault: str, simulator: SimulatorServer) -> None:
    """The answer is lost or broken, but the task exists and is charged, once."""
    simulator.inject(fault)
    with pytest.raises(requests.RequestException) as caught:
        call(simulator, "create", CAT.payload())
    assert ("reset by peer" in str(caught.value)) == (fault == "reset")
    assert (len(simulator.creates), simulator.credits) == (1, 9970)
    assert simulator.requests["create"] == 1
    create(simulator)


@pytest.mark.parametrize("fault", ["500", "502", "429", "hang_up"])
@pytest.mark.parametrize("accepted", [False, True])
def test_faults_may_or_may_not_leave_a_task(
    fault: str, accepted: bool, simulator: SimulatorServer
) -> None:
    """accepted= decides whether the call was carried out before it went wrong."""
    simulator.inject(fault, accepted=accepted, retry_after="99999999")
    try:
        headers = {"Api-Key": simulator.api_key}
        url = f"{simulator.url}/api/task/create"
        answer = requests.post(url, json=CAT.payload(), headers=headers, timeout=10)
        assert answer.status_code == int(fault)
        assert answer.headers.get("Retry-After") == ("99999999" if fault == "429" else None)
    except requests.ConnectionError:
        assert fault == "hang_up"
    assert len(simulator.creates) == accepted


def test_faults_hit_only_their_call(simulator: SimulatorServer) -> None:
    """A fault of one call waits for that call, as often as told, and others go through."""
    simulator.inject("hang_up", times=2, path="get_credits")
    create(simulator)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            call(simulator, "get_credits", {})
    assert call(simulator, "get_credits", {})["code"] == 1
    assert simulator.requests == {"create": 1, "get_credits": 3}


def test_a_delay_is_only_a_delay(simulator: SimulatorServer) -> None:
    """A delayed answer is the right answer."""
    simulator.inject("delay", seconds=0.3)
    headers = {"Api-Key": simulator.api_key}
    url = f"{simulator.url}/api/task/create"
    answer = requests.post(url, json=CAT.payload(), headers=headers, timeout=10)
    assert answer.elapsed.total_seconds() >= 0.3
    assert answer.json()["code"] == 1


def test_counters_can_be_read_after_the_end(clock: Clock) -> None:
    """What arrived is still known when the simulator is closed."""
    with SimulatorServer(clock=clock) as simulator:
        task_id = create(simulator)
    assert [(c.task_id, c.payload) for c in simulator.creates] == [(task_id, CAT.payload())]
    assert simulator.requests == {"create": 1}
    assert simulator.credits == 9970


def test_E1_state_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    """Tasks keep their time, and key, balance, clips and signatures go on, on another port."""
    file = tmp_path / "luma.sqlite-simulator"
    with SimulatorServer(state=file, clock=clock, spread=0) as simulator:
        old_url, key, task_id = simulator.url, simulator.api_key, create(simulator)
        clock.now += 30
    with SimulatorServer(state=file, clock=clock, spread=0, credits=5) as simulator:
        assert simulator.url != old_url
        assert (simulator.api_key, simulator.credits) == (key, 9970)
        assert state_of(simulator, task_id)["status"] == 1
        clock.now += 13
        (url,) = state_of(simulator, task_id)["result_urls"]
        clip = requests.get(url, timeout=10).content
        assert [c.task_id for c in simulator.creates] == [task_id]
    with SimulatorServer(state=file, clock=clock) as simulator:
        moved = url.replace(old_url, simulator.url).partition("/results")[2]
        assert requests.get(f"{simulator.url}/results{moved}", timeout=10).content == clip


def test_two_simulators_share_a_file(tmp_path: Path) -> None:
    """Two at once on one file take one key, see the same tasks and spend one balance."""
    file = tmp_path / "state"
    with (
        SimulatorServer(state=file, credits=300) as one,
        SimulatorServer(state=file, credits=300) as two,
        ThreadPoolExecutor(8) as pool,
    ):
        assert one.api_key == two.api_key
        both = [one, two] * 10
        answers = list(pool.map(lambda s: call(s, "create", CAT.payload()), both))
        assert sum(answer["code"] == 1 for answer in answers) == 10
        assert one.credits == two.credits == 0
        assert one.creates == two.creates
        task_id = one.creates[0].task_id
        assert state_of(two, task_id)["task_id"] == task_id


def test_two_processes_can_begin_at_the_same_time(tmp_path: Path) -> None:
    """Processes that make the file at the same moment agree on one key."""
    code = (
        "import sys; from luma_widgets.simulator import SimulatorServer as S\n"
        "with S(state=sys.argv[1]) as s: print(s.api_key)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = {process.communicate(timeout=30)[0] for process in started}
    assert len(keys) == 1
    assert keys.pop().startswith("sim_")


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """The file that holds the key, and SQLite's files beside it, have mode 0600."""
    with SimulatorServer(state=tmp_path / "state") as simulator:
        create(simulator)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("kind", ["garbage", "foreign", "folder", "missing"])
def test_files_that_are_not_a_simulators_are_left_alone(kind: str, tmp_path: Path) -> None:
    """Another program's file is refused with its name, and not changed by a byte."""
    file = tmp_path / "state"
    if kind == "garbage":
        file.write_bytes(b"these are notes, not a database" * 100)
    elif kind == "foreign":
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE submissions (id)")
        database.close()
    elif kind == "folder":
        file.mkdir()
    else:
        file = tmp_path / "nowhere" / "state"
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(ConfigurationError, match="state"):
        SimulatorServer(state=file).start()
    assert (file.read_bytes() if file.is_file() else None) == before


def test_an_own_key_can_be_given(tmp_path: Path) -> None:
    """api_key= is taken, together with the key that the file already has."""
    key, file = f"sim_{'ab' * 16}", tmp_path / "state"
    with SimulatorServer(state=file) as simulator:
        old = simulator.api_key
    with SimulatorServer(state=file, api_key=key) as simulator:
        assert simulator.api_key == key
        for good in (key, old):
            answer = requests.post(
                f"{simulator.url}/api/task/get_credits", headers={"Api-Key": good}, timeout=5
            )
            assert answer.json()["code"] == 1


def test_keys_are_random() -> None:
    """Each new simulator makes up its own key and port."""
    with SimulatorServer() as one, SimulatorServer() as two:
        assert one.api_key != two.api_key
        assert one.url != two.url
        assert re.fullmatch("sim_[0-9a-f]{32}", one.api_key)
        assert one.api_key not in repr(one)
