"""The port on which other programs of this computer ask a chat's models. Nothing listens before an `Endpoint` is made,
and nothing after it is closed.

It is bound to the loopback address alone. A request also has to name that address in its Host header, or a page in a
browser could reach it under a name of its own (DNS rebinding), and to carry the token, which is drawn anew each time
and stands in no file.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from studio.core.command_queue import new_id
from studio.core.commands import Ask
from studio.core.events import AnswerEnded, AnswerFailed, AnswerGrew, ModelUnderTest, PromptSent
from studio.core.problems import problem
from studio.core.run_folder import JobFolder
from studio.core.translatable import N_
from studio.runs.endpoint import protocol
from studio.runs.endpoint.protocol import Completion, CompletionRequest, Refused
from studio.runs.endpoint.relay import AnswerRelay, ProcessGone, Told

LOOPBACK = "127.0.0.1"
PORT = 8377
"""Where nobody says another one; not registered for anything (IANA, November 2026)."""

_LARGEST = 8 << 20
"""Bytes of a request."""

_AT_ONCE, _CONNECTIONS = 8, 32
"""Questions that may wait, and connections that may be open."""


@dataclass(frozen=True)
class ServedModel:
    """What stands behind a model's name; `run` is the folder of another run on the same base."""

    model: ModelUnderTest
    run: Path | None = None


class Endpoint:
    """Listens from now on until `close`. `chat` gives the folder of the process that answers, None where there is none
    now; `models` whom it can answer as, by the names that other programs use. Both are called from other threads."""

    def __init__(
        self,
        chat: Callable[[], JobFolder | None],
        models: Callable[[], Mapping[str, ServedModel]],
        port: int = PORT,
    ) -> None:
        """`port` 0 takes any that is free. Raises `ProblemError` where it can't be had."""
        self.token = secrets.token_urlsafe(32)
        self.models = models
        self.relay = AnswerRelay(chat)
        try:
            self._server = _Server((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise problem(
                "endpoint.port_taken",
                N_("Port {port} can't be used for other programs to ask the model."),
                N_("The computer says: {reason}"),
                N_("Choose another port; 0 takes any that is free."),
                port=port,
                reason=str(error),
            ) from error
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="endpoint", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """What other programs call the base URL."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def example(self) -> str:
        """A line for a terminal that asks the first of the models."""
        body = {"model": next(iter(self.models()), ""), "messages": [{"role": "user", "content": "Hello"}]}
        return (
            f'curl {self.address}/chat/completions -H "Authorization: Bearer {self.token}" '
            f"-H \"Content-Type: application/json\" -d '{json.dumps(body)}'"
        )

    def close(self) -> None:
        """Nothing listens after this, and nobody is answered."""
        self.relay.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _CONNECTIONS
    allow_reuse_address = sys.platform != "win32"  # there it would let two programs have the same port
    endpoint: Endpoint

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._places = threading.BoundedSemaphore(_CONNECTIONS)

    def process_request(self, request: object, client_address: object) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(cast(socket.socket, request))
            return
        super().process_request(cast(socket.socket, request), client_address)

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(cast(socket.socket, request), client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is nothing to tell on the window's terminal."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "studio", ""
    timeout = 60

    @property
    def _endpoint(self) -> Endpoint:
        return cast(_Server, self.server).endpoint

    def log_message(self, *_: object) -> None:
        """What is asked is nobody's business."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self._send(code, Refused(code, message or explain or HTTPStatus(code).phrase).body())

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, work: Callable[[], None]) -> None:
        try:
            self._require_allowed()
            work()
        except Refused as refused:
            self.close_connection = True  # its body may not have been read
            with contextlib.suppress(OSError):
                self._send(refused.status, refused.body())
        except (BrokenPipeError, ConnectionError, TimeoutError):
            self.close_connection = True

    def _require_allowed(self) -> None:
        port = self._endpoint.port
        if self.headers.get("Host", "").lower() not in (f"{LOOPBACK}:{port}", f"localhost:{port}"):
            raise Refused(403, "Only programs on this computer may ask, by its loopback address.", "wrong_host")
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        if kind.lower() != "bearer" or not secrets.compare_digest(given, self._endpoint.token.encode()):
            words = "The token is missing or wrong. The program shows it when the endpoint is switched on."
            raise Refused(401, words, "invalid_api_key", kind="authentication_error")

    def _get(self) -> None:
        names = tuple(self._endpoint.models())
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/v1/models":
            self._send(200, protocol.models(names))
        elif path.startswith("/v1/models/"):
            self._send(200, protocol.model(self._known(path.removeprefix("/v1/models/"), names)))
        else:
            raise Refused(404, f"Unknown address: {self.path}", "unknown_url")

    def _post(self) -> None:
        if self.path.partition("?")[0].rstrip("/") != "/v1/chat/completions":
            raise Refused(404, f"Unknown address: {self.path}", "unknown_url")
        request = protocol.read_request(self._body())
        models = self._endpoint.models()
        served = models[self._known(request.model, tuple(models))]
        if self._endpoint.relay.waiting >= _AT_ONCE:
            raise Refused(429, "Too many questions wait already.", "rate_limit_exceeded", kind="rate_limit_error")
        ask = Ask(
            id=new_id(),
            messages=request.conversation,
            model=served.model,
            run=served.run,
            max_tokens=request.longest,
            temperature=request.temperature or 0.0,
            seed=request.drawn_with,
        )
        answer = _Answer(request, self._told(ask), lambda: self._endpoint.relay.stop(ask))
        completion = Completion(ask.id, request.model)
        if request.stream:
            self._stream(request, answer, completion)
        else:
            text = "".join(answer.pieces())
            self._send(200, completion.whole(text, answer.finish, answer.prompt_tokens, answer.tokens))

    def _stream(self, request: CompletionRequest, answer: _Answer, completion: Completion) -> None:
        """Each piece as an event of its own (server-sent events)."""
        pieces = answer.pieces()
        first = next(pieces, "")  # before the head, as what can't be answered is told with a status of its own
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self._event(completion.begin())
        try:
            for text in chain([first] if first else [], pieces):
                self._event(completion.more(text))
        except Refused as refused:
            self._event(refused.body())
            return
        finally:
            pieces.close()
        self._event(completion.end(answer.finish))
        if request.stream_options is not None and request.stream_options.include_usage:
            self._event(completion.usage(answer.prompt_tokens, answer.tokens))
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, told: Mapping[str, JsonValue]) -> None:
        self.wfile.write(b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n")
        self.wfile.flush()

    def _told(self, ask: Ask) -> Generator[Told]:
        try:
            yield from self._endpoint.relay.answer(ask, self._is_listening)
        except ProcessGone as error:
            words = "The model isn't loaded, or its process ended. Open the chat, or start `studio serve` again."
            raise Refused(503, words, "model_not_loaded", kind="server_error") from error
        except OSError as error:
            raise Refused(500, f"The question can't be passed on: {error}", kind="server_error") from error

    def _is_listening(self) -> bool:
        """Whether who asked is still there: a connection that was closed can be read, and holds nothing."""
        try:
            ready, _, _ = select.select([self.connection], [], [], 0)
            return not ready or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    @staticmethod
    def _known(name: str, names: tuple[str, ...]) -> str:
        if name not in names:
            words = f"There is no model {name!r}. There are: {', '.join(names)}"
            raise Refused(404, words, "model_not_found", param="model")
        return name

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal():
            raise Refused(411, "The request has to say how long it is (Content-Length).")
        if int(length) > _LARGEST:
            raise Refused(413, f"The request is longer than {_LARGEST} bytes.")
        return self.rfile.read(int(length))

    def _send(self, status: int, body: Mapping[str, JsonValue]) -> None:
        raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(raw)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)


class _Answer:
    """What is told of an answer, as pieces of text that end before the first of the request's stop words; `stop` lets
    the rest of it not be written."""

    def __init__(self, request: CompletionRequest, told: Generator[Told], stop: Callable[[], None]) -> None:
        self._stops = request.stops
        self._told = told
        self._stop = stop
        self.finish = "stop"
        self.prompt_tokens = self.tokens = 0

    def pieces(self) -> Generator[str]:
        """Raises `Refused`."""
        with contextlib.closing(self._told):
            yield from self._cut(self._told)

    def _cut(self, told: Generator[Told]) -> Iterator[str]:
        text, sent, over = "", 0, False
        held = max((len(stop) - 1 for stop in self._stops), default=0)  # the rest of a stop word may still come
        for event in told:
            match event:
                case PromptSent():
                    self.prompt_tokens = event.tokens
                case AnswerGrew():
                    text += event.text
                case AnswerFailed():
                    raise Refused(400, event.problem.english(), event.problem.code)
                case AnswerEnded():
                    text, held, self.tokens = event.text, 0, event.tokens
                    self.finish = "length" if event.cut and not over else "stop"
            if over:
                continue  # how many tokens it was is told at its end
            at = min((place for stop in self._stops if (place := text.find(stop)) >= 0), default=-1)
            until = at if at >= 0 else max(sent, len(text) - held)
            if until > sent:
                yield text[sent:until]
                sent = until
            if at >= 0:
                over, self.finish = True, "stop"
                self._stop()
