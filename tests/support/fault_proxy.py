"""A proxy in front of an S3 stand-in that records requests and injects faults.

It also adds two guarantees of S3 that moto lacks: bytes that do not match their announced sha256 are refused, and of
concurrent conditional writes one wins.
"""

import asyncio
import base64
import hashlib
import random
import re
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NamedTuple, Self

Kind = Literal["error", "cut", "stall", "flip", "cut upload", "flip upload", "lose answer"]
MISMATCH = b"<Error><Code>XAmzContentChecksumMismatch</Code><Message>sha256 differs</Message></Error>"


@dataclass
class Fault:
    """A fault in the next `times` matching requests, or in a random `share` of them.

    `error` answers with `status`; `cut` and `stall` end or stop in the middle of the answer's body; `flip` changes a
    bit of it. `cut upload` ends in the middle of the client's body, `flip upload` changes a bit of that; with
    `lose answer` the request is carried out and its answer is dropped.
    """

    kind: Kind
    target: str = ""
    method: str = "GET|PUT|HEAD"
    times: float = 1
    status: int = 500
    share: float = 1.0
    met: int = 0


class Request(NamedTuple):
    method: str
    target: str


@dataclass
class Message:
    """The head and body of a request or an answer."""

    first: str
    headers: dict[str, str]
    body: bytes = b""

    def as_bytes(self) -> bytes:
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    @classmethod
    async def head(cls, reader: asyncio.StreamReader) -> Self:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        return cls(first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)})


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def refusal(status: int, body: bytes = b"") -> Message:
    headers = {"content-length": str(len(body)), "content-type": "application/xml", "connection": "close"}
    return Message(f"HTTP/1.1 {status} Broken", headers, body)


@dataclass
class FaultProxy:
    """Runs in a thread of its own while it is entered; `faults` may change at any time."""

    upstream: tuple[str, int]
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    address: str = ""
    _dice: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - chooses victims

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def methods(self) -> set[str]:
        return {request.method for request in self.requests}

    def count(self, method: str, target: str) -> int:
        return sum(each.method == method and re.search(target, each.target) is not None for each in self.requests)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop, self._writes = asyncio.get_running_loop(), asyncio.Event(), asyncio.Lock()
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await self._answer(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client disconnected
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.address = "http://{}:{}".format(*server.sockets[0].getsockname())
        started.set()
        await self._stop.wait()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            fits = re.fullmatch(fault.method, request.method) and re.search(fault.target, request.target)
            if fault.met < fault.times and fits and self._dice.random() < fault.share:
                fault.met += 1
                return fault
        return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = await Message.head(reader)
        method, target, _ = message.first.split(" ")
        request = Request(method, target)
        self.requests.append(request)
        fault = self._fault(request)
        kind = fault.kind if fault else None
        length = int(message.headers.get("content-length", 0))
        if message.headers.pop("expect", None):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if kind == "cut upload":
            await reader.readexactly(length // 2)
            return
        message.body = await reader.readexactly(length)
        if kind == "flip upload":
            message.body = flipped(message.body)
        if fault and kind == "error":
            answer = refusal(fault.status)
        else:
            answer = await self._carry_out(message)
        if kind != "lose answer":
            await self._send(answer, kind, writer)
        if kind == "stall":
            await reader.read()  # until the client disconnects

    @staticmethod
    async def _send(answer: Message, kind: Kind | None, writer: asyncio.StreamWriter) -> None:
        if kind == "flip":
            answer.body = flipped(answer.body)
        content = answer.as_bytes()
        if kind in ("cut", "stall"):
            content = content[: len(content) - len(answer.body) // 2]
        writer.write(content)
        await writer.drain()

    async def _carry_out(self, message: Message) -> Message:
        """Carry out a request as S3 does."""
        announced = message.headers.get("x-amz-checksum-sha256")
        if announced and announced != base64.b64encode(hashlib.sha256(message.body).digest()).decode():
            return refusal(400, MISMATCH)
        if not message.first.startswith("PUT"):
            return await self._forward(message)
        async with self._writes:
            return await self._forward(message)

    async def _forward(self, message: Message) -> Message:
        reader, writer = await asyncio.open_connection(*self.upstream)
        message.headers["connection"] = "close"
        writer.write(message.as_bytes())
        answer = await Message.head(reader)
        answer.body = await reader.read()
        answer.headers["connection"] = "close"
        writer.close()
        return answer
