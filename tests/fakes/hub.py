"""A small Hugging Face Hub on this machine, as far as downloading models and data sets and uploading models needs one.

It speaks what huggingface_hub and datasets ask for: `GET /api/models/{name}[/revision/{revision}]`, `GET
/api/models/{name}/tree/{revision}[/{folder}]`, `POST /api/models/{name}/paths-info/{revision}`, and `HEAD` and `GET
/{name}/resolve/{revision}/{file}` with ranges; the same with `datasets` for data sets. Errors carry the same status and
`X-Error-Code` as the real one's.

For uploads: `GET /api/whoami-v2`, `POST /api/repos/create`, `POST /api/validate-yaml`, `POST
/api/models/{name}/preupload/{revision}`, Git LFS's `POST /{name}.git/info/lfs/objects/batch` with `PUT` of whole files
or of parts and its verification, and `POST /api/models/{name}/commit/{revision}` in lines of JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

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
    private: bool = False

    @property
    def commit(self) -> str:
        names = "\n".join(f"{name} {hashlib.sha1(data).hexdigest()}" for name, data in sorted(self.files.items()))
        return hashlib.sha1(names.encode()).hexdigest()


@dataclass(frozen=True)
class Account:
    """Whom an access token belongs to, and what it may do: `role` as the Hub calls it, `owns` the names before the
    slash under which it may write."""

    name: str
    role: str = "write"
    owns: tuple[str, ...] = ()


@dataclass
class Asked:
    """One request that arrived. `sent` counts the bytes of the body that were sent, `received` those of a file that
    arrived; `token` is what it was signed with."""

    method: str
    path: str
    range: str = ""
    file: str = ""
    status: int = 0
    sent: int = 0
    received: int = 0
    token: str = ""


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
    """By the name of the file; that of one which is uploaded by its SHA-256."""
    pause: float = 0.0
    """Seconds between two pieces of a file, to make a download or an upload take its time."""
    accounts: dict[str, Account] = field(default_factory=dict)
    """By their access token."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """What arrived of large files, by SHA-256; it is part of a model once that is said in a commit."""
    largest: int = 1 << 40
    """Bytes of a file that is still taken."""
    part_size: int = 0
    """Bytes of the parts in which large files are to be sent; 0: whole."""
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

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `asked` instead."""

    def _answer(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked = Asked(self.command, path, self.headers.get("Range", ""), token=token)
        self.hub.note(self.asked)
        if self.command == "PUT":
            self._receive(path)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._uploads(path, body):
            return
        asked = json.loads(body or b"{}")
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
        if model is None or (model.private and not self._may_write(name)):
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
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the other side went away

    # Uploads

    def _may_write(self, name: str) -> bool:
        account = self.hub.accounts.get(self.asked.token)
        return account is not None and account.role != "read" and name.partition("/")[0] in account.owns

    def _uploads(self, path: str, body: bytes) -> bool:
        """Whether this was a request of an upload; it is answered then."""
        if path == "/api/whoami-v2":
            self._who_am_i()
        elif path == "/api/validate-yaml":
            content = json.loads(body)["content"]
            wrong = [] if "\nlicense:" in content else [{"message": '"license" is required'}]
            self._whole(
                400 if wrong else 200, json.dumps({"errors": wrong, "warnings": []}).encode(), "application/json"
            )
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path):
            if self._permitted(found.group(1)):
                {"preupload": self._preupload, "commit": self._commit}[found.group(2)](found.group(1), body)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/(batch|verify|complete)", path):
            if found.group(2) == "complete":
                self._join(json.loads(body))
            elif self._permitted(found.group(1)):
                {"batch": self._batch, "verify": self._verify}[found.group(2)](found.group(1), json.loads(body))
        else:
            return False
        return True

    def _permitted(self, name: str) -> bool:
        """False when the refusal has been sent already."""
        if self.asked.token not in self.hub.accounts or name not in self.hub.models:
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif not self._may_write(name):
            self._refuse(403, "", "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
        else:
            return True
        return False

    def _who_am_i(self) -> None:
        account = self.hub.accounts.get(self.asked.token)
        if account is None:
            self._refuse(401, "", "Invalid credentials in Authorization header")
            return
        token = {"displayName": "studio", "role": account.role}
        self._json({"type": "user", "name": account.name, "orgs": [], "auth": {"accessToken": token}})

    def _create(self, wanted: dict[str, str]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if self.asked.token not in self.hub.accounts:
            self._refuse(401, "", "Invalid username or password.")
        elif not self._may_write(name):
            owner = wanted["organization"]
            self._refuse(403, "", f'You don\'t have the rights to create a model under the namespace "{owner}"')
        elif name in self.hub.models:
            self._refuse(409, "", "You already created this model repo")
        else:
            files = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}
            self.hub.models[name] = HubModel(files, private=wanted.get("visibility") == "private")
            self._json({"url": f"{self.hub.address}/{name}"})

    def _preupload(self, name: str, body: bytes) -> None:
        modes = [
            {"path": one["path"], "uploadMode": "lfs" if _is_large(one["path"]) else "regular", "shouldIgnore": False}
            for one in json.loads(body)["files"]
        ]
        self._json({"files": modes})

    def _batch(self, name: str, asked: dict[str, Any]) -> None:
        place = f"{self.hub.address}/{name}.git/info/lfs/objects"
        objects: list[dict[str, object]] = []
        for one in asked["objects"]:
            told: dict[str, object] = {"oid": one["oid"], "size": one["size"]}
            if one["size"] > self.hub.largest:
                told["error"] = {"code": 413, "message": "File size limit exceeded"}
            elif one["oid"] not in self.hub.stored:
                upload: dict[str, object] = {"href": f"{self.hub.address}/lfs/{one['oid']}"}
                if size := self.hub.part_size:
                    parts = range(1, -(-one["size"] // size) + 1)
                    links = {str(n): f"{self.hub.address}/lfs/{one['oid']}/{n}" for n in parts}
                    upload = {"href": f"{place}/complete", "header": {"chunk_size": str(size), **links}}
                told["actions"] = {"upload": upload, "verify": {"href": f"{place}/verify"}}
            objects.append(told)
        self._json({"transfer": "multipart" if self.hub.part_size else "basic", "objects": objects})

    def _receive(self, path: str) -> None:
        """A large file or a part of one, at the address that was given for it: no token is asked for here."""
        oid, _, part = path.removeprefix("/lfs/").partition("/")
        length = int(self.headers["Content-Length"])
        limit = self.hub.breaks_off_at(oid)
        received = bytearray()
        while len(received) < length:
            if limit is not None and len(received) >= limit:
                self.close_connection = True
                return
            piece = self.rfile.read(min(PIECE, length - len(received)))
            if not piece:
                return  # the other side went away
            received += piece
            self.asked.received = len(received)
            time.sleep(self.hub.pause)
        data = bytes(received)
        if part:
            self.hub.stored[f"{oid}/{part}"] = data
        elif hashlib.sha256(data).hexdigest() != oid:
            self._refuse(400, "", "wrong content")
            return
        else:
            self.hub.stored[oid] = data
        self._whole(200, b"", "text/plain", {"ETag": hashlib.md5(data).hexdigest()})

    def _join(self, asked: dict[str, Any]) -> None:
        oid = asked["oid"]
        parts = [self.hub.stored.pop(f"{oid}/{part['partNumber']}") for part in asked["parts"]]
        self.hub.stored[oid] = b"".join(parts)
        self._json({})

    def _verify(self, name: str, asked: dict[str, Any]) -> None:
        data = self.hub.stored.get(asked["oid"], b"")
        if hashlib.sha256(data).hexdigest() == asked["oid"] and len(data) == asked["size"]:
            self._json({})
        else:
            self._refuse(400, "", "not as announced")

    def _commit(self, name: str, body: bytes) -> None:
        model = self.hub.models[name]
        header, *rest = (json.loads(line) for line in body.splitlines())
        if header["value"].get("parentCommit", model.commit) != model.commit:
            self._refuse(412, "", "A commit has happened since. Please refresh and try again.")
            return
        for one in rest:
            value = one["value"]
            content = self.hub.stored[value["oid"]] if one["key"] == "lfsFile" else base64.b64decode(value["content"])
            model.files[value["path"]] = content
        address = f"{self.hub.address}/{name}/commit/{model.commit}"
        self._json({"success": True, "commitOid": model.commit, "commitUrl": address})


def _apart(rest: str, model: HubModel | None) -> tuple[str, str]:
    """Revision and folder of the end of an address; a revision may hold slashes itself."""
    known = sorted((*model.revisions, model.commit), key=len, reverse=True) if model is not None else []
    for revision in known:
        if rest == revision or rest.startswith(revision + "/"):
            return revision, rest[len(revision) + 1 :]
    return rest, ""


def _is_large(file: str) -> bool:
    """Whether the Hub keeps such a file outside of git."""
    return file.endswith((".safetensors", ".bin", ".parquet", ".gguf"))


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
    return {
        "id": name,
        "modelId": name,
        "sha": model.commit,
        "private": model.private,
        "gated": gated,
        "siblings": siblings,
    }


def _tree(model: HubModel) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for file, data in sorted(model.files.items()):
        entry: dict[str, object] = {"type": "file", "path": file, "size": len(data), "oid": _git_id(data)}
        if _is_large(file):
            entry["lfs"] = {"oid": _etag(file, data), "size": len(data), "pointerSize": 134}
        entries.append(entry)
    folders = sorted({file.rpartition("/")[0] for file in model.files if "/" in file})
    return entries + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders]
