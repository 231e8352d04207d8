"""docker-compose.yml says what its comments promise: local ports, named volumes, a password that must be given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).resolve().parent.parent / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def test_one_community_server_listens_on_this_machine_only(compose: dict[str, Any]) -> None:
    (server,) = compose["services"].values()
    assert server["image"] == "${NEO4J_IMAGE:-neo4j:5.26-community}"
    assert server["ports"] == ["127.0.0.1:7474:7474", "127.0.0.1:7687:7687"]


def test_what_the_server_keeps_lies_in_named_volumes(compose: dict[str, Any]) -> None:
    (server,) = compose["services"].values()
    assert dict(line.split(":") for line in server["volumes"]) == {"data": "/data", "logs": "/logs", "import": "/import"}
    assert set(compose["volumes"]) == {"data", "logs", "import"}


def test_the_password_must_come_from_the_environment_and_memory_may(compose: dict[str, Any]) -> None:
    (server,) = compose["services"].values()
    environment = server["environment"]
    assert environment["NEO4J_AUTH"].startswith("neo4j/${NEO4J_PASSWORD:?")
    assert environment["NEO4J_server_memory_heap_max__size"] == "${NEO4J_HEAP:-2G}"
    assert environment["NEO4J_server_memory_pagecache_size"] == "${NEO4J_PAGECACHE:-1G}"


def test_it_is_healthy_when_the_browser_answers(compose: dict[str, Any]) -> None:
    (server,) = compose["services"].values()
    assert server["healthcheck"]["test"][0] == "CMD"
    assert server["healthcheck"]["test"][-1] == "http://localhost:7474"


def _configured(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    given = {key: value for key, value in os.environ.items() if not key.startswith("NEO4J_")} | environment
    return subprocess.run(command, env=given, capture_output=True, text=True)


@pytest.mark.slow
def test_compose_accepts_it_with_a_password_and_refuses_it_without(compose_config: Callable[[Path], list[str]]) -> None:
    command = compose_config(FILE)
    accepted, refused = _configured(command, NEO4J_PASSWORD="eight characters"), _configured(command)
    assert accepted.returncode == 0, accepted.stderr
    (server,) = yaml.safe_load(accepted.stdout)["services"].values()
    assert server["environment"]["NEO4J_AUTH"] == "neo4j/eight characters"
    assert [port["host_ip"] for port in server["ports"]] == ["127.0.0.1", "127.0.0.1"]
    assert refused.returncode != 0
    assert "at least eight characters" in refused.stderr


@pytest.mark.slow
def test_compose_refuses_what_it_does_not_know(compose_config: Callable[[Path], list[str]], tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(FILE.read_text(encoding="utf-8").replace("stop_grace_period:", "stop_grace:"))
    done = _configured(compose_config(tmp_path / "compose.yml"), NEO4J_PASSWORD="eight characters")
    assert done.returncode != 0
    assert "stop_grace" in done.stderr
