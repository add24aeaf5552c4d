"""Looks at what this package stands on: ``python -m tests.supply_chain floors | audit``.

``floors`` needs no network: no dependency may be older than the first version without a known
fault, neither by our declaration nor as installed. ``audit`` asks the advisory service about every
installed package, and fails unless it got an answer for each of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
OWN = "luma-widgets"
# The first version of each that may be used, and why.
FLOORS = {
    "requests": ("2.32.4", "earlier ones send netrc credentials to other hosts"),
    "urllib3": ("2.7", "earlier ones unpack without a limit and keep headers across redirects"),
}
AUDITOR = (sys.executable, "-m", "pip_audit")


def declared(root: Path = ROOT) -> list[str]:
    """Return the requirements of the project: of its pyproject.toml, else as it is installed."""
    path = root / "pyproject.toml"
    if path.exists():
        return list(tomllib.loads(path.read_text("utf-8"))["project"]["dependencies"])
    return list(requires(OWN) or ())


def pinned(root: Path = ROOT) -> list[str]:
    """Return the requirements in the files beside it: binder's and the like."""
    lines = [
        line.partition("#")[0].strip()
        for path in sorted(root.glob("**/requirements*.txt"))
        if not {".venv", "build", "node_modules"} & set(path.relative_to(root).parts)
        for line in path.read_text("utf-8").splitlines()
    ]
    return [line for line in lines if line and not line.startswith("-")]


def installed() -> dict[str, str]:
    """Return name and version of every installed distribution but our own."""
    found = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    return {name: version for name, version in sorted(found.items()) if name != OWN}


def below_floors(
    ours: Iterable[str], pins: Iterable[str], versions: Mapping[str, str]
) -> list[str]:
    """Say in words which requirement or installed version lets an old one in."""
    wanted = {canonicalize_name(r.name): r for r in map(Requirement, ours) if not _extra(r)}
    problems = []
    for name, (floor, why) in FLOORS.items():
        if name not in wanted:
            problems.append(f"{name} is not declared, so nothing keeps it at {floor} ({why})")
        elif _allows_below(wanted[name], floor):
            problems.append(f"{wanted[name]} allows versions below {floor}: {why}")
        if name in versions and Version(versions[name]) < Version(floor):
            problems.append(f"{name} {versions[name]} is installed; {floor} is needed: {why}")
    for pin in map(Requirement, pins):
        floor, why = FLOORS.get(canonicalize_name(pin.name), ("", ""))
        if floor and pin.specifier and _pins_below(pin, floor):
            problems.append(f"{pin} pins a version below {floor}: {why}")
    return problems


def audit(command: Sequence[str] = AUDITOR, versions: Mapping[str, str] | None = None) -> list[str]:
    """Ask the advisory service about every installed package.

    Returns
    -------
    list of str
        Problems in words; empty only when every package was looked at and none has a known fault.
    """
    asked = installed() if versions is None else versions
    if not asked:
        return ["There is nothing to audit."]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        listed.write_text("".join(f"{name}=={version}\n" for name, version in asked.items()))
        flags = ["--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        words = [*command, *flags, "--format", "json", "--requirement", str(listed)]
        try:
            ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
        except (OSError, subprocess.TimeoutExpired) as error:
            return [f"pip-audit cannot be run: {error}"]
    problems = _judge(ran.stdout, asked)
    if ran.returncode and not problems:
        problems.append(f"pip-audit ended with {ran.returncode}")
    if problems and ran.stderr.strip():
        problems.append(f"pip-audit said: {ran.stderr.strip().splitlines()[-1]}")
    return problems


def _judge(text: str, asked: Mapping[str, str]) -> list[str]:
    """Read the report: every package must be in it, looked at, and clean."""
    try:
        report = json.loads(text)
        entries: dict[str, Any] = {
            canonicalize_name(entry["name"]): entry for entry in report["dependencies"]
        }
    except (ValueError, KeyError, TypeError):
        return ["pip-audit gave no report, so nothing was audited."]
    problems = []
    for name, version in asked.items():
        entry = entries.get(canonicalize_name(name), {"skip_reason": "it is not in the report"})
        if "skip_reason" in entry or "vulns" not in entry:
            reason = entry.get("skip_reason", "no answer")
            problems.append(f"{name} {version} was not audited: {reason}")
        elif entry.get("version") != version:
            problems.append(f"{name} {version} was not audited, but {entry.get('version')}")
        problems += [f"{name} {version}: {found['id']}" for found in entry.get("vulns", ())]
    return problems


def _extra(requirement: Requirement) -> bool:
    return requirement.marker is not None and "extra" in str(requirement.marker)


def _allows_below(requirement: Requirement, floor: str) -> bool:
    """Tell that no clause keeps every version below the floor away."""
    return not any(
        clause.operator in (">=", "==", "~=", "===")
        and Version(clause.version.removesuffix(".*")) >= Version(floor)
        for clause in requirement.specifier
    )


def _pins_below(pin: Requirement, floor: str) -> bool:
    return any(
        clause.operator in ("==", "===", "<", "<=", "~=")
        and Version(clause.version.removesuffix(".*")) < Version(floor)
        for clause in pin.specifier
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two checks; 0 only when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.supply_chain", description=__doc__)
    parser.add_argument("check", choices=["floors", "audit"])
    if parser.parse_args(arguments).check == "floors":
        problems = below_floors(declared(), pinned(), installed())
    else:
        problems = audit()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
