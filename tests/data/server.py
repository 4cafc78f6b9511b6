"""A web server on this machine that misbehaves as told, and remembers what it sent."""

import contextlib
import email.utils
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Turn:
    """How one request is answered; as it comes, rightly.

    Attributes:
        status: other than that of a right answer.
        headers: besides the right ones, or instead of them; None leaves one out.
        cut: the line drops before this byte of the file.
        stall: before this byte of the file, nothing comes any more.
        deaf: to Range and If-Range; what is asked for is the whole file.
        body: instead of the file's.
    """

    status: int = 0
    headers: dict[str, str | None] = field(default_factory=dict)
    cut: int | None = None
    stall: int | None = None
    deaf: bool = False
    body: bytes | None = None


@dataclass
class Served:
    """A file there, and how the next requests for it are answered; `always` when these are used up."""

    content: bytes
    etag: str = '"one"'
    turns: list[Turn] = field(default_factory=list)
    always: Turn = field(default_factory=Turn)


@dataclass(frozen=True)
class Sent:
    """One answer."""

    path: str
    status: int
    start: int
    size: int


class Site:
    """Files by path, and the answers given so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, Served] = {}
        self.sent: list[Sent] = []
        self.over = threading.Event()

    def serve(self, name: str, content: bytes, *turns: Turn, always: Turn | None = None) -> str:
        """The address of a file with that content."""
        self.files[f"/{name}"] = Served(content, turns=list(turns), always=always or Turn())
        return f"{self.url}/{name}"

    def bytes_sent(self) -> int:
        return sum(sent.size for sent in self.sent)


def date_in(seconds: float) -> str:
    """An HTTP date so far from now."""
    return email.utils.formatdate(email.utils.localtime().timestamp() + seconds, usegmt=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        file = self.site.files.get(self.path)
        if file is None:
            self._answer(b"no such file", 0, 404, {"Content-Type": "text/plain"}, Turn())
            return
        turn = file.turns.pop(0) if file.turns else file.always
        content = file.content if turn.body is None else turn.body
        headers = {"ETag": file.etag, "Content-Type": "application/octet-stream"}
        start, status = 0, 200
        asked = self.headers.get("Range", "")
        if asked and not turn.deaf and self.headers.get("If-Range", file.etag) == file.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if start >= len(content):
                start, status, content = 0, 416, b""
                headers["Content-Range"] = f"bytes */{len(file.content)}"
        self._answer(content, start, turn.status or status, headers, turn)

    def _answer(self, content: bytes, start: int, status: int, headers: dict[str, str], turn: Turn) -> None:
        self.send_response(status)
        every = {
            **headers,
            "Content-Length": str(len(content) - start),
            "Connection": "close",
            **turn.headers,
        }
        for name, value in every.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        end = min(len(content), *(at for at in (turn.cut, turn.stall) if at is not None), len(content))
        size = 0
        with contextlib.suppress(ConnectionError):  # the other side has gone
            for at in range(start, end, 1 << 14):
                size += self.wfile.write(content[at : min(end, at + (1 << 14))])
        self.site.sent.append(Sent(self.path, status, start, size))
        if turn.stall is not None:
            self.site.over.wait(60)


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """A running server."""
    handler = type("Handler", (_Handler,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    found = Site(f"http://127.0.0.1:{server.server_address[1]}")
    handler.site = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
