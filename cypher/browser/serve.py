"""A folder comes in; its guide and style go out to the Neo4j Browser of this machine, which reads pages of other servers
only if they allow it. Ctrl+C ends it.
"""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["PORT", "server"]

PORT = 8474


class _Shared(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        super().end_headers()

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.end_headers()


def server(port: int = PORT) -> ThreadingHTTPServer:
    """Open the server on loopback; `serve_forever()` runs it."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Shared, directory=Path(__file__).resolve().parent))


if __name__ == "__main__":
    with server() as serving:
        print(f"In Neo4j Browser: :play http://localhost:{PORT}/guide.html")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            print()
