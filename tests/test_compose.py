"""docker-compose.yml says what its comments promise: local ports, named volumes, a password that must be given."""

from __future__ import annotations

import os
import shutil
import subprocess
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


def _docker_compose(**environment: str) -> subprocess.CompletedProcess[str]:
    given = {key: value for key, value in os.environ.items() if not key.startswith("NEO4J_")} | environment
    return subprocess.run(["docker", "compose", "--file", FILE, "config"], env=given, capture_output=True, text=True)


def _has_compose() -> bool:
    return bool(shutil.which("docker")) and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="docker compose is not installed: docker-compose.yml was only read as YAML")
def test_docker_accepts_it_with_a_password_and_refuses_it_without() -> None:
    accepted, refused = _docker_compose(NEO4J_PASSWORD="eight characters"), _docker_compose()
    assert accepted.returncode == 0, accepted.stderr
    assert refused.returncode != 0
    assert "at least eight characters" in refused.stderr
