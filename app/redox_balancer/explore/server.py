"""The server of the page: for this machine alone, and for no page of another site in its browser."""

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from nicegui import app, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from redox_balancer.errors import RedoxError
from redox_balancer.explore.desk import Desk
from redox_balancer.explore.page import ExplorePage
from redox_balancer.explore.state import ExploreState

HOST = "127.0.0.1"
HISTORY, RECONNECT_S = 30, 30.0
"""Messages kept for a browser that was away, of which a map takes 0.15 MB, and how long it is waited for, s."""
NAMES = frozenset({"127.0.0.1", "localhost"})
POLICY = (
    b"default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    b"style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    b"frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""Nothing is loaded from elsewhere, and no other site shows the page in a frame."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LoopbackOnly:
    """Refuse requests under another name than this machine's (DNS rebinding), and those of other sites' pages."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on; for HTTP and WebSockets."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if urlsplit(f"//{host}").hostname not in NAMES or (origin and urlsplit(origin).netloc != host):
            await PlainTextResponse("open this page as http://127.0.0.1", 403)(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", POLICY),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self._app(scope, receive, guarded)


def listen(port: int) -> socket.socket:
    """Listen on a port of this machine, 0 for any free one; a RedoxError where it cannot be had."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason, hint = (
            error.strerror or error,
            "end the program that listens there, or choose another port, 0 for any",
        )
        raise RedoxError(f"port {port} cannot be used: {reason}", hint=hint, settings=("port",)) from error
    return listener


def serve(desk: Desk, listener: socket.socket, *, browser: bool, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C on a socket that listens; `ready` receives its address."""
    port = int(listener.getsockname()[1])

    async def page(request: Request) -> None:
        wrong, start = None, ExploreState(cell=desk.lines[0])
        try:
            state = ExploreState.of_query(request.url.query) if request.url.query else start
            cell, values = await desk.ask(state, lambda cell: (cell, cell.checked_values(state)))
        except RedoxError as error:
            wrong, state = error, start
            cell, values = await desk.ask(start, lambda cell: (cell, cell.values(start)))
        ExplorePage(desk, cell, state).build(values, wrong)

    ui.page("/", title="Explore a cell", response_timeout=600)(page)
    app.add_middleware(LoopbackOnly)
    app.on_startup(lambda: ready(f"http://{HOST}:{port}/"))
    app.on_shutdown(desk.close)
    with suppress(KeyboardInterrupt):  # the server has ended by then
        ui.run(
            host=HOST,
            port=port,
            fd=listener.fileno(),
            show=browser,
            reload=False,
            tailwind=False,
            language="en-US",
            message_history_length=HISTORY,
            reconnect_timeout=RECONNECT_S,
            show_welcome_message=False,
            timeout_graceful_shutdown=1,
        )
