"""A small Hugging Face Hub on this machine, as far as downloading models and data sets needs one.

It speaks what huggingface_hub and datasets ask for: `GET /api/models/{name}[/revision/{revision}]`, `GET
/api/models/{name}/tree/{revision}[/{folder}]`, `POST /api/models/{name}/paths-info/{revision}`, and `HEAD` and `GET
/{name}/resolve/{revision}/{file}` with ranges; the same with `datasets` for data sets. Errors carry the same status and
`X-Error-Code` as the real one's.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

PIECE = 1 << 16
"""Bytes that are sent at once."""


@dataclass
class HubModel:
    """What the stand-in keeps under one name. `files` by path, with `/` for folders."""

    files: dict[str, bytes]
    gated: bool = False
    """Anybody may read about a gated model; its files are for those who agreed to the terms."""
    gate_status: int = 403
    """403 for somebody who is logged in and hasn't agreed yet, 401 for somebody without a login."""
    revisions: tuple[str, ...] = ("main",)

    @property
    def commit(self) -> str:
        names = "\n".join(f"{name} {hashlib.sha1(data).hexdigest()}" for name, data in sorted(self.files.items()))
        return hashlib.sha1(names.encode()).hexdigest()


@dataclass
class Asked:
    """One request that arrived. `sent` counts the bytes of the body that were sent."""

    method: str
    path: str
    range: str = ""
    file: str = ""
    status: int = 0
    sent: int = 0


@dataclass
class BreakOff:
    """Close the connection when `after` bytes of the file were sent, `times` times (None: every time)."""

    after: int
    times: int | None = None


@dataclass
class FakeHub:
    """`with FakeHub({"owner/model": HubModel(...)}) as hub:` answers at `hub.address` until the block ends.
    `datasets` holds data sets by name, in the same form."""

    models: dict[str, HubModel]
    datasets: dict[str, HubModel] = field(default_factory=dict)
    breaks: dict[str, BreakOff] = field(default_factory=dict)
    """By the name of the file."""
    pause: float = 0.0
    """Seconds between two pieces of a file, to make a download take its time."""
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> FakeHub:
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="hub", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fetched(self) -> list[Asked]:
        """The requests for contents of files that were granted."""
        with self._lock:
            return [a for a in self.asked if a.method == "GET" and a.file and a.status in (200, 206)]

    def note(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)

    def breaks_off_at(self, file: str) -> int | None:
        """How many bytes of this answer are sent before it ends; None for all of them. Uses up one break."""
        with self._lock:
            planned = self.breaks.get(file)
            if planned is None or planned.times == 0:
                return None
            if planned.times is not None:
                planned.times -= 1
            return planned.after


def _handler_for(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `asked` instead."""

    def _answer(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.asked = Asked(self.command, path, self.headers.get("Range", ""))
        self.hub.note(self.asked)
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if about := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/(.+))?", path):
            shelf, name, kind, rest = about.groups()
            kept = self._kept(shelf)
            revision, folder = _apart(rest or "main", kept.get(name))
            if (model := self._model(kept, name, revision)) is None:
                return
            if kind == "tree":
                self._tree_of(model, folder, "recursive=true" in self.path.lower())
            elif kind == "paths-info":
                self._json([entry for entry in _tree(model) if entry["path"] in asked["paths"]])
            else:
                self._json(_about(name, model))
        elif wanted := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kept = self._kept("datasets" if wanted.group(1) else "models")
            if (model := self._model(kept, wanted.group(2), wanted.group(3))) is not None:
                self._file(model, wanted.group(4))
        else:
            self._refuse(404, "", "no such page")

    def _kept(self, shelf: str) -> dict[str, HubModel]:
        return self.hub.datasets if shelf == "datasets" else self.hub.models

    def _tree_of(self, model: HubModel, folder: str, recursive: bool) -> None:
        entries = [entry for entry in _tree(model) if not folder or str(entry["path"]).startswith(folder + "/")]
        if folder and not entries:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        depth = folder.count("/") + 1 if folder else 0
        self._json([entry for entry in entries if recursive or str(entry["path"]).count("/") == depth])

    def _model(self, kept: dict[str, HubModel], name: str, revision: str) -> HubModel | None:
        """None when the refusal has been sent already."""
        model = kept.get(name)
        if model is None:
            # The real one says this to somebody without a login, lest names of private models leak.
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif revision not in (*model.revisions, model.commit):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return model
        return None

    def _file(self, model: HubModel, file: str) -> None:
        data = model.files.get(file)
        if data is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        if model.gated:
            self._refuse(model.gate_status, "GatedRepo", "Access to this model is restricted")
            return
        start = int(found.group(1)) if (found := re.fullmatch(r"bytes=(\d+)-", self.asked.range)) else 0
        self.asked.file, self.asked.status = file, 206 if found else 200
        self.send_response(self.asked.status)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{_etag(file, data)}"')
        self.send_header("X-Repo-Commit", model.commit)
        if _is_large(file):
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Linked-Etag", f'"{_etag(file, data)}"')
        self.end_headers()
        if self.command == "GET":
            self._send(data[start:], self.hub.breaks_off_at(file))

    def _send(self, data: bytes, breaks_off_at: int | None) -> None:
        limit = len(data) if breaks_off_at is None else min(len(data), breaks_off_at)
        try:
            for begin in range(0, limit, PIECE):
                piece = data[begin : min(begin + PIECE, limit)]
                self.wfile.write(piece)
                self.asked.sent += len(piece)
                time.sleep(self.hub.pause)
        except OSError:
            self.close_connection = True  # the other side went away
        if limit < len(data):
            self.close_connection = True

    def _json(self, content: object) -> None:
        self._whole(200, json.dumps(content).encode(), "application/json")

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        self._whole(status, json.dumps({"error": message}).encode(), "application/json", headers)

    def _whole(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.asked.status = status
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _apart(rest: str, model: HubModel | None) -> tuple[str, str]:
    """Revision and folder of the end of an address; a revision may hold slashes itself."""
    known = sorted((*model.revisions, model.commit), key=len, reverse=True) if model is not None else []
    for revision in known:
        if rest == revision or rest.startswith(revision + "/"):
            return revision, rest[len(revision) + 1 :]
    return rest, ""


def _is_large(file: str) -> bool:
    """Whether the Hub keeps such a file outside of git."""
    return file.endswith((".safetensors", ".bin", ".parquet"))


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _etag(file: str, data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if _is_large(file) else _git_id(data)


def _about(name: str, model: HubModel) -> dict[str, object]:
    siblings: list[dict[str, object]] = []
    for file, data in sorted(model.files.items()):
        entry: dict[str, object] = {"rfilename": file, "size": len(data), "blobId": _git_id(data)}
        if _is_large(file):
            entry["lfs"] = {"size": len(data), "sha256": _etag(file, data), "pointerSize": 134}
        siblings.append(entry)
    gated: str | bool = "manual" if model.gated else False
    return {"id": name, "modelId": name, "sha": model.commit, "private": False, "gated": gated, "siblings": siblings}


def _tree(model: HubModel) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for file, data in sorted(model.files.items()):
        entry: dict[str, object] = {"type": "file", "path": file, "size": len(data), "oid": _git_id(data)}
        if _is_large(file):
            entry["lfs"] = {"oid": _etag(file, data), "size": len(data), "pointerSize": 134}
        entries.append(entry)
    folders = sorted({file.rpartition("/")[0] for file in model.files if "/" in file})
    return entries + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders]
