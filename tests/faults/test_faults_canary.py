"""A canary key goes every way a key can go, and is looked for in everything that was written.

Rows B4, B6 and B7 of the fault table. The programs have a home, a folder for temporary files and a
working folder of their own, so that "everything" can be searched.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from tests import faultserver as fs

from .notebooks import cells_of, write
from .paidserver import PaidServer

KEY = "key_c4nary1c4nary2c4nary3c4nary4c4na"
POLICY = "eyJwb2xpY3kiOiJjNG5hcnktcG9saWN5In0"
SIGNATURE = "c4narysignature0c4narysignature0c4na"
SECRETS = {"the key": KEY, "an upload's policy": POLICY, "an upload's signature": SIGNATURE}


class Leaky(PaidServer):
    """A service that repeats the key it was given wherever it can."""

    def __init__(self) -> None:
        super().__init__(random.Random(7), {"none": 1})
        self.keys: set[str] = set()

    def _charge(self, intent: str, fault: str, ending: str) -> Any:
        return super()._charge(intent, fault, "stored")

    def _create(self, connection: fs.Connection, intent: str) -> None:
        self.keys.add(self.requests[-1].headers.get("api-key", ""))
        if "refuse" in intent:
            self._answer(connection, {"code": 0, "message": f"Nobody may use {KEY} here"})
        elif "page" in intent:
            page = f"<html><h1>500</h1>Api-Key: {KEY}</html>".encode()
            connection.send(fs.head(500, len(page), {"X-Key": KEY}) + page)
        elif "redirect" in intent:
            connection.send(fs.head(302, 0, {"Location": f"http://127.0.0.1:9/?key={KEY}"}))
        elif "drop" in intent:
            connection.reset()
        else:
            super()._create(connection, intent)

    def _other(self, connection: fs.Connection, request: fs.Received) -> None:
        fields = {"key": "cat.png", "policy": POLICY, "x-amz-signature": SIGNATURE}
        target = {"url": f"{self.url}/uploads", "fields": fields}
        answers: dict[str, dict[str, Any]] = {
            "/api/task/get_credits": {"credits": 500},
            "/api/task/pre_url": {"upload_url": target, "image_url": f"{self.url}/cat.png"},
        }
        if request.path == "/uploads":
            connection.send(fs.head(204, 0))
        else:
            data = answers.get(request.path)
            code = 0 if data is None else 1
            self._answer(connection, {"code": code, "message": f"for {KEY}", "data": data})


CELLS = cells_of(r"""
%xmode Verbose
# %%
import http.client, logging, os, pathlib, pickle, traceback
import luma_widgets as lw
logging.basicConfig(level=1, filename='debug.log', force=True)
for name in ('urllib3', 'requests', 'luma_widgets', 'asyncio'):
    logging.getLogger(name).setLevel(1)
http.client.HTTPConnection.debuglevel = 1
client = lw.PixwithClient()
client
# %%
client.create_task(lw.Ray2Request(prompt='refuse'))
# %%
client.create_task(lw.Ray2Request(prompt='page'))
# %%
client.create_task(lw.Ray2Request(prompt='redirect'))
# %%
client.create_task(lw.Ray2Request(prompt='drop'))
# %%
client.get_task('no such task')
# %%
lw.PixwithClient(api_key=os.environ['PIXWITH_API_KEY'] + '\n')
# %%
lw.Experiment(api_key=os.environ['PIXWITH_API_KEY'] + ' \u00fc')
# %%
lw.ApiKeyField(os.environ['PIXWITH_API_KEY'] * 20)
# %%
lw.PixwithClient(os.environ['PIXWITH_API_KEY'], base_url='ftp://a')
# %%
lw.PixwithClient(os.environ['PIXWITH_API_KEY'], timeout=-1)
# %%
lw.Experiment(api_key=os.environ['PIXWITH_API_KEY'], log='no/such/folder/luma.sqlite')
# %%
lw.Simulator(api_key=os.environ['PIXWITH_API_KEY'])
# %%
def deep(inner):
    settings = lw.config.Settings.load()
    given = settings.api_key
    return inner(lw.Ray2Request(prompt='page'))
deep(client.create_task)
# %%
pickle.dumps(client)
# %%
for prompt in ('refuse', 'page', 'redirect', 'drop'):
    try:
        client.create_task(lw.Ray2Request(prompt=prompt))
    except lw.LumaError as error:
        place = pathlib.Path(prompt)
        place.with_suffix('.pickle').write_bytes(pickle.dumps(error))
        place.with_suffix('.txt').write_text(traceback.format_exc() + repr(vars(error)))
        logging.exception('It failed')
# %%
field = lw.ApiKeyField(environ={})
message = {'type': 'key', 'key': os.environ['PIXWITH_API_KEY']}
field._handle_custom_msg(message, [])
del message
display(field)
field.has_key
# %%
sim = lw.Simulator(speed=60).start()
start = lw.Experiment('studio', client=sim.client(), log='studio.sqlite')
studio = lw.Studio(start)
studio.key._handle_custom_msg({'type': 'key', 'key': os.environ['PIXWITH_API_KEY']}, [])
display(studio)
studio.key.has_key, studio.experiment.simulated
# %%
exp = lw.Experiment('cats')
cat = lw.Ray2Request(prompt='A cat', start_image=exp.upload('cat.png'), model_id='2-4')
exp.submit(cat).wait(60)
for prompt in ('refuse', 'page', 'redirect', 'drop'):
    video = exp.submit(lw.Ray2Request(prompt=prompt))
    try:
        video.wait(60)
    except lw.LumaError as error:
        print(error, vars(error))
display(exp, exp.df, exp.rows(), exp.notice, cat.as_curl(), cat.as_python())
# %%
for kind in ('csv', 'json', 'html', 'pickle', 'string', 'latex'):
    try:
        getattr(exp.df, f'to_{kind}')(f'frame.{kind}')
    except (ImportError, ValueError) as error:
        print(kind, error)
exp.df.to_json('frame.jsonl', orient='records', lines=True)
# %%
%load_ext luma_widgets
# %%
%%luma --wait --yes --duration 9
A magic cat
# %%
%%luma --wait --yes
refuse a magic cat
# %%
%%luma --wait --yes
page of a magic cat
# %%
%luma
# %%
%tb
# %%
from ipywidgets.embed import embed_minimal_html
embed_minimal_html('embed.html', views=[field, studio], title='All')
# %%
for part in (studio, exp, start, sim):
    part.close()
""")


@dataclass
class World:
    """A home, a working folder and a temporary folder, and what programs in them printed."""

    root: Path
    server: Leaky
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.root / "work"

    def run(self, *words: str) -> int:
        """Run a program with a home of its own and the key in its environment."""
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = {
            **keep,
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "temp"),
            "PIXWITH_API_KEY": KEY,
            "PIXWITH_BASE_URL": self.server.url,
            "COLUMNS": "200",
        }
        ran = subprocess.run(
            [sys.executable, *words],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        self.printed[" ".join(words)] = ran.stdout + ran.stderr
        return ran.returncode

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world in which the key went through CLI, notebook, magics, form and exports."""
    root = tmp_path_factory.mktemp("canary")
    for name in ("home", "temp", "work"):
        (root / name).mkdir()
    Image.new("RGB", (64, 36), "teal").save(root / "work" / "cat.png")
    with Leaky() as server:
        made = World(root, server)
        write(made.work / "all.ipynb", CELLS)
        execute = ("-m", "jupyter", "execute", "--allow-errors", "--output=run.ipynb", "all.ipynb")
        assert made.run(*execute) == 0, made.printed
        for prompt, code in (("A cat", 0), ("refuse", 3), ("page", 5), ("drop", 5)):
            words = ("-m", "luma_widgets", "generate", f"{prompt} by command")
            assert made.run(*words, "--log", "cli.sqlite") == code, made.printed
        assert made.run("-m", "luma_widgets", "log", "--json", "--log", "cli.sqlite") == 0
        assert made.run("-m", "luma_widgets", "log", "--log", "luma.sqlite") == 0
        for kind in ("html", "markdown", "script"):
            convert = ("-m", "jupyter", "nbconvert", "--to", kind, "run.ipynb")
            assert made.run(*convert) == 0, made.printed
        yield made


def hidden_in(data: bytes, secret: str) -> bool:
    """Tell whether a file holds a secret: plain, in base64, in UTF-16, or packed."""
    if data[:2] == b"\x1f\x8b":
        return hidden_in(gzip.decompress(data), secret)
    plain = secret.encode()
    forms = [plain, secret.encode("utf-16-le"), plain.hex().encode()]
    # Within base64 a text begins at one of three places.
    forms += [base64.b64encode(b"." * pad + plain)[4 * bool(pad) : -4] for pad in range(3)]
    return any(form in data for form in forms)


def holders(files: list[Path], secret: str) -> list[str]:
    """List the files that hold a secret; zip files (Excel's too) are looked into."""
    found = []
    for path in files:
        pieces = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                pieces += [packed.read(name) for name in packed.namelist()]
        if any(hidden_in(piece, secret) for piece in pieces):
            found.append(path.name)
    return found


@pytest.mark.parametrize("name", SECRETS)
def test_B7_the_canary_is_in_no_file(name: str, world: World) -> None:
    """Nothing below home, temporary and working folder holds the key, a policy or a signature."""
    files = world.files()
    names = {path.name for path in files}
    wanted = {"luma.sqlite", "cli.sqlite", "studio.sqlite", "run.ipynb", "run.html", "run.md"}
    wanted |= {"run.py", "embed.html", "debug.log", "frame.csv", "frame.json", "frame.jsonl"}
    wanted |= {"frame.pickle", "frame.html", "frame.string", "page.pickle", "drop.txt"}
    assert wanted <= names, wanted - names
    assert list(world.work.glob("luma-files/*.mp4"))
    assert holders(files, SECRETS[name]) == []


@pytest.mark.parametrize("name", SECRETS)
def test_B7_the_canary_is_in_nothing_printed(name: str, world: World) -> None:
    """Neither standard output nor standard error of any program shows it."""
    assert len(world.printed) == 10
    assert not [words for words, text in world.printed.items() if SECRETS[name] in text]


def test_B7_the_canary_did_arrive(world: World) -> None:
    """Control: the service was given the key and nothing else, and the upload its policy."""
    assert world.server.keys == {KEY}
    uploads = [r for r in world.server.requests if r.path == "/uploads"]
    assert uploads
    assert all(POLICY.encode() in r.body and SIGNATURE.encode() in r.body for r in uploads)
    assert all("api-key" not in r.headers for r in uploads)
    assert len([v for v in world.server.visits if "cat" in v.intent]) == 3


@pytest.mark.parametrize("how", ["plain", "base64", "utf-16", "gzip", "zip", "sqlite"])
def test_B7_the_search_finds_what_is_planted(how: str, tmp_path: Path) -> None:
    """Positive control: a file with the key in it is found, in each form."""
    text = f'{{"key": "{KEY}"}}'
    path = tmp_path / "planted"
    if how == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("sheet.xml", text)
    elif how == "sqlite":
        import sqlite3

        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE t (a)")
            database.execute("INSERT INTO t VALUES (?)", (text,))
        database.close()
    else:
        data = {
            "plain": text.encode(),
            "base64": base64.b64encode(text.encode()),
            "utf-16": text.encode("utf-16"),
            "gzip": gzip.compress(text.encode()),
        }
        path.write_bytes(data[how])
    assert holders([path], KEY) == ["planted"]
    assert holders([path], KEY[::-1]) == []


def outputs(world: World) -> list[Any]:
    notebook = nbformat.read(world.work / "run.ipynb", as_version=4)
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_B4_verbose_tracebacks_are_shown_without_the_key(world: World) -> None:
    """With %xmode Verbose each error shows its frames with their variables, and no key."""
    errors = [output for output in outputs(world) if output.output_type == "error"]
    names = [error.ename for error in errors]
    assert names.count("RejectedError") >= 1
    assert names.count("OutcomeUnknownError") >= 4
    assert names.count("ConfigurationError") == 6
    assert names.count("LogError") == 1
    assert "TypeError" in names  # pickling a client
    shown = "\n".join("\n".join(error.traceback) for error in errors)
    assert "inner" in shown  # the variables of frames are there
    assert "hidden" in shown  # the key's own masked form among them
    assert [error.evalue for error in errors if hidden_in(str(error).encode(), KEY)] == []
    debug = (world.work / "debug.log").read_text()
    assert "It failed" in debug
    assert not hidden_in(debug.encode(), KEY)


class Scripts(HTMLParser):
    """Collects the texts of scripts by their type."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._kind: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._kind = dict(attrs).get("type") or "" if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._kind = None

    def handle_data(self, data: str) -> None:
        if self._kind is not None:
            self.found.append((self._kind, data))


def test_B6_saved_converted_and_embedded_widgets_hold_no_key(world: World) -> None:
    """The widget state is there, says that there is a key, and does not hold it."""
    state = nbformat.read(world.work / "run.ipynb", as_version=4).metadata["widgets"]
    texts = [json.dumps(state)]
    for name in ("run.html", "embed.html"):
        parser = Scripts()
        parser.feed((world.work / name).read_text())
        kind = "application/vnd.jupyter.widget-state+json"
        texts += [text for found, text in parser.found if found == kind]
    assert len(texts) == 3
    for text in texts:
        models = json.loads(text)
        models = models.get("application/vnd.jupyter.widget-state+json", models)["state"].values()
        keys = [model["state"] for model in models if "has_key" in model["state"]]
        assert keys
        assert all(found["has_key"] is True for found in keys)
        assert not hidden_in(text.encode(), KEY)
