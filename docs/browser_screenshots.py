"""A workspace comes in; pictures of its graph in Neo4j Browser go out, to docs/images.

`python docs/browser_screenshots.py WORKSPACE` starts the tests' server, loads the workspace (the packaged demo's, which
`kgbuild demo WORKSPACE` makes), runs every saved query with the style applied, and takes a picture of each that draws nodes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tests")]

import neo4j_browser  # noqa: E402 - on the path since the line above
import neo4j_browser_page as browser  # noqa: E402 - likewise
from neo4j_server import VERSIONS, Neo4jServer, running  # noqa: E402 - likewise

__all__ = ["pictures"]

STYLE = ROOT / "cypher" / "browser" / "style.grass"


def pictures(server: Neo4jServer, folder: Path) -> list[Path]:
    """Run the saved queries in the server's Browser, and take a picture of each result."""
    taken = []
    with browser.opened(server) as page:
        browser.drop(page, STYLE)
        for name, (value, _) in neo4j_browser.EXAMPLE.items():
            browser.run(page, f":param {name} => '{value}'")
        for query in neo4j_browser.queries():
            browser.run(page, query.text)
            taken.append(folder / f"neo4j-{query.number}.png")
            browser.picture(page, taken[-1])
    return taken


def main(workspace: str, folder: Path = ROOT / "docs" / "images") -> None:
    """Load a workspace into a server of its own, and take the pictures."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, running(VERSIONS[0], Path(home)) as server:
        load = [sys.executable, "-m", "kgbuild", "--workspace", workspace, "populate", "--to", server.uri]
        subprocess.run(load, env=os.environ | server.environment, check=True)
        for taken in pictures(server, folder):
            print(taken)


if __name__ == "__main__":
    main(sys.argv[1])
