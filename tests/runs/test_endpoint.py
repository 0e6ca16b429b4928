"""Other programs ask a chat's models over OpenAI's protocol, with nothing but what Python brings along."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from pydantic import BaseModel, ConfigDict

from studio.cli import main
from studio.core.command_queue import new_id, send
from studio.core.commands import Stop
from studio.core.events import BASE, THIS_RUN, AnswerEnded, CommandReceived
from studio.core.jobs import Chat
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import JobFolder, RunFolder
from studio.dataset.samples import sample
from studio.runs.command import end_forcefully
from studio.runs.endpoint.server import Endpoint, ServedModel
from studio.runs.project import create_project
from studio.runs.start import start_job
from tests.ui.finished_run import fine_tuned_run, make_model_folder, stand_in_interpreter


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    model = make_model_folder(tmp_path / "base")
    values = {"data.path": str(sample("en")), "model.source": "folder", "model.name": str(model)}
    recipe = with_values(Recipe(), values)
    return fine_tuned_run(create_project("Support"), recipe)


@pytest.fixture
def chat(run: RunFolder) -> Iterator[JobFolder]:
    """A chat's process, which says back what it was asked."""
    folder = run.job("chat")
    process = start_job(folder, Chat(run=run.path))
    yield folder
    send(folder, Stop(id=new_id()))
    process.process.wait(20)


@pytest.fixture
def endpoint(chat: JobFolder) -> Iterator[Endpoint]:
    models = {"mine": ServedModel(THIS_RUN), "base": ServedModel(BASE)}
    made = Endpoint(lambda: chat, lambda: models, port=0)
    yield made
    made.close()


def ask(endpoint: Endpoint, text: str = "Where is it?", **values: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(post(endpoint, question(text, **values)))
    return found


def question(text: str, **values: object) -> bytes:
    return json.dumps({"model": "mine", "messages": [{"role": "user", "content": text}], **values}).encode()


def post(endpoint: Endpoint, body: bytes, path: str = "/chat/completions", **headers: str) -> bytes:
    sent = {"Authorization": f"Bearer {endpoint.token}", "Content-Type": "application/json", **headers}
    with urllib.request.urlopen(urllib.request.Request(endpoint.address + path, body, sent), timeout=30) as answer:
        read: bytes = answer.read()
    return read


def refusal(endpoint: Endpoint, body: bytes, path: str = "/chat/completions", **headers: str) -> tuple[int, str]:
    """The status and OpenAI's code or type of an error."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(endpoint, body, path, **headers)
    told = json.loads(refused.value.read())["error"]
    assert set(told) == {"message", "type", "param", "code"} and told["message"]
    return refused.value.code, told["code"] or told["type"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Message(_Strict):
    role: Literal["assistant"]
    content: str
    refusal: None


class _Choice(_Strict):
    index: Literal[0]
    message: _Message
    logprobs: None
    finish_reason: Literal["stop", "length"]


class _Usage(_Strict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(_Strict):
    """https://platform.openai.com/docs/api-reference/chat/object, as far as it is answered here."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[_Choice]
    usage: _Usage


def test_an_answer_has_the_published_form(endpoint: Endpoint) -> None:
    told = ChatCompletion.model_validate(ask(endpoint))
    (choice,) = told.choices
    assert choice.message.content == "run 1 0 Where is it?"
    assert (told.model, choice.finish_reason) == ("mine", "stop")
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens == 3 + 6


def test_instructions_earlier_messages_and_settings_reach_the_model(endpoint: Endpoint) -> None:
    said = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Yes."},
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Two"}, {"type": "text", "text": " three"}]},
    ]
    told = ask(endpoint, model="base", messages=said, temperature=0.7, seed=-5, max_completion_tokens=5)
    assert told["choices"][0]["message"]["content"] == "base 4 0.7 Two three"
    assert told["choices"][0]["finish_reason"] == "length"


def test_an_answer_can_be_had_piece_by_piece(endpoint: Endpoint) -> None:
    raw = post(endpoint, question("a b c", stream=True, stream_options={"include_usage": True})).decode()
    *events, done, rest = raw.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    pieces = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {piece["object"] for piece in pieces} == {"chat.completion.chunk"}
    assert len({piece["id"] for piece in pieces}) == 1
    *texts, usage = pieces
    assert texts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(piece["choices"][0]["delta"].get("content", "") for piece in texts) == "run 1 0 a b c"
    assert [piece["choices"][0]["finish_reason"] for piece in texts] == [None] * (len(texts) - 1) + ["stop"]
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 6


def test_it_ends_before_a_stop_word_however_the_answer_is_had(endpoint: Endpoint) -> None:
    told = ask(endpoint, "one two three four", stop=["wo th", "four"])
    assert told["choices"][0]["message"]["content"] == "run 1 0 one t"
    raw = post(endpoint, question("one two three four", stop="wo th", stream=True)).decode()
    pieces = [json.loads(event.removeprefix("data: ")) for event in raw.split("\n\n")[:-2]]
    assert "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces) == "run 1 0 one t"


def test_models_are_listed_by_name(endpoint: Endpoint) -> None:
    def get(path: str) -> Any:
        request = urllib.request.Request(endpoint.address + path, headers={"Authorization": f"Bearer {endpoint.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    assert [one["id"] for one in get("/models")["data"]] == ["mine", "base"]
    assert get("/models/base")["object"] == "model"


def test_what_cannot_be_answered_is_refused_in_the_protocols_words(endpoint: Endpoint) -> None:
    good = question("Hello")
    assert refusal(endpoint, good, Authorization="") == (401, "invalid_api_key")
    assert refusal(endpoint, good, Authorization=f"Bearer {endpoint.token}x") == (401, "invalid_api_key")
    assert refusal(endpoint, good, Host="studio.example:80") == (403, "wrong_host")
    assert refusal(endpoint, good, Host=f"127.0.0.1.evil.example:{endpoint.port}") == (403, "wrong_host")
    assert refusal(endpoint, good, "/completions") == (404, "unknown_url")
    assert refusal(endpoint, question("Hello", model="gpt-4")) == (404, "model_not_found")
    assert refusal(endpoint, b"{") == (400, "invalid_request_error")
    assert refusal(endpoint, question("Hello", n=2)) == (400, "unsupported_parameter")
    assert refusal(endpoint, question("Hello", tools=[{"type": "function"}])) == (400, "unsupported_parameter")
    assert refusal(endpoint, question("Hello", temperature=3)) == (400, "invalid_request_error")
    assert refusal(endpoint, question("Hello", messages=[])) == (400, "invalid_request_error")
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    assert refusal(endpoint, question("Hello", messages=picture)) == (400, "invalid_request_error")
    assert ask(endpoint, n=1, tools=None, user="me", top_p=1)["choices"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["POST /v1/chat/completions HTTP/1.1", "Content-Length: 99999999"], 413),
        (["POST /v1/chat/completions HTTP/1.1", "Content-Length: -1"], 411),
        (["PUT /v1/models HTTP/1.1"], 501),
        (["GET /v1/models HTTP/1.1"], 200),
    ],
)
def test_odd_requests_are_answered_in_json(endpoint: Endpoint, lines: list[str], status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    connection.connect()
    head = [*lines, f"Host: 127.0.0.1:{endpoint.port}", f"Authorization: Bearer {endpoint.token}", "", ""]
    connection.sock.sendall("\r\n".join(head).encode())
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    assert answer.status == status
    assert ("error" in json.loads(answer.read())) == (status != 200)
    connection.close()


def test_nothing_but_the_loopback_address_listens_and_nothing_after_it_is_closed(chat: JobFolder) -> None:
    before = listening()
    made = Endpoint(lambda: chat, dict, port=0)
    assert listening() - before == {("127.0.0.1", made.port)}
    with pytest.raises(ProblemError) as taken:
        Endpoint(lambda: chat, dict, port=made.port)
    assert taken.value.problem.code == "endpoint.port_taken"
    made.close()
    assert listening() == before


def listening() -> set[tuple[str, int]]:
    found = psutil.Process().net_connections("inet")
    return {(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN}


def test_each_endpoint_has_a_token_of_its_own_that_stands_in_no_file(endpoint: Endpoint, home: Path) -> None:
    other = Endpoint(lambda: None, dict, port=0)
    other.close()
    assert len(endpoint.token) >= 40 and other.token != endpoint.token
    ask(endpoint)
    assert not [p for p in home.rglob("*") if p.is_file() and endpoint.token.encode() in p.read_bytes()]


def test_who_hangs_up_lets_the_answer_end(
    run: RunFolder, endpoint: Endpoint, chat: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: chat.events.exists())
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    headers = {"Authorization": f"Bearer {endpoint.token}"}
    connection.request("POST", "/v1/chat/completions", question("word " * 3000, stream=True), headers)
    answer = connection.getresponse()
    answer.read(200)
    answer.close()
    connection.close()
    wait_until(lambda: ended(chat) is not None)
    found = ended(chat)
    assert found is not None and found.stopped


def ended(chat: JobFolder) -> AnswerEnded | None:
    return next((event for event in chat.reader().read_new() if isinstance(event, AnswerEnded)), None)


def wait_until(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_process_that_dies_in_the_middle_of_an_answer_is_told(endpoint: Endpoint, chat: JobFolder) -> None:
    told: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: told.append(refusal(endpoint, question("word " * 5000))))
    asking.start()
    wait_until(lambda: any(isinstance(event, CommandReceived) for event in chat.reader().read_new()))
    end_forcefully(chat)
    asking.join(60)
    assert told == [(503, "model_not_loaded")]


def test_without_a_process_it_says_so(home: Path) -> None:
    made = Endpoint(lambda: None, lambda: {"mine": ServedModel(THIS_RUN)}, port=0)
    assert refusal(made, question("Hello")) == (503, "model_not_loaded")
    made.close()


def test_the_command_line_serves_a_run_until_its_process_ends(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_codes: list[int] = []
    words = ["serve", run.path.name, "--port", "0", "--json"]
    serving = threading.Thread(target=lambda: exit_codes.append(main(words)))
    serving.start()
    printed = ""

    def told() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return printed.endswith("}\n")

    wait_until(told)
    about = json.loads(printed)
    assert about["models"] == [run.path.name, "base"]
    body = question("Hello", model=run.path.name)
    headers = {"Authorization": f"Bearer {about['token']}"}
    request = urllib.request.Request(about["address"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.loads(answer.read())["choices"][0]["message"]["content"] == "run 1 0 Hello"
    (folder,) = run.jobs("chat")
    send(folder, Stop(id=new_id()))
    serving.join(60)
    assert exit_codes == [0]
