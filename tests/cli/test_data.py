"""`studio data` and `studio train --dry-run`: the same answers as the window, as text and as JSON."""

from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from studio import cli


def studio(*words: str) -> CompletedProcess[str]:
    """The command line without a process around it; the worker that it asks is a real one."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        code = cli.main(list(words))
    return CompletedProcess(words, code, out.getvalue(), errors.getvalue())


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Windows Korean with semicolons: sixty good rows, two of them twice, one with a phone number, one unanswered."""
    rows = [(f"{n}번 주문은 언제 도착하나요?", f"{n}번 주문은 {n % 7 + 1}일 안에 도착합니다.") for n in range(60)]
    rows += [rows[3], rows[8], ("어디로 전화하나요?", "010-1234-5678로 전화해 주세요."), ("답이 없는 질문인가요?", "")]
    file = tmp_path / "문의.csv"
    with open(file, "w", encoding="cp949", newline="") as out:
        csv.writer(out, delimiter=";").writerows([("질문", "답변"), *rows])
    return file


def test_check_tells_how_a_file_was_read_and_what_is_wrong_with_it(messy: Path) -> None:
    done = studio("data", "check", str(messy), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rows"], told["encoding"], told["delimiter"], told["format"]) == (64, "cp949", ";", "pair")
    assert told["mapping"] == {"question": "질문", "answer": "답변"}
    assert told["sure"] is True
    assert told["examples"] == 63
    assert told["skipped"] == {"count": 1, "rows": [{"row": 64, "reason": "The answer is empty."}]}
    found = {one["code"]: one for one in told["findings"]}
    assert found["duplicates.exact"]["rows"] == [61, 62]
    assert found["duplicates.exact"]["count"] == 2
    phone = next(one for code, one in found.items() if "phone" in code)
    assert phone["rows"] == [63]
    assert told["grade"] and told["advice"]
    assert "phone numbers" in told["looked_for"] and "names of people" in told["not_looked_for"]
    as_text = studio("data", "check", str(messy))
    assert "Not looked for: names of people" in as_text.stdout
    assert "010-1234-5678" not in as_text.stderr
    assert found["duplicates.exact"]["what"] in as_text.stdout


def test_a_file_that_cannot_be_used_is_a_problem_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("words\nalpha beta\ngamma delta\n", encoding="utf-8")
    done = studio("data", "check", str(tmp_path / "one.csv"), "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)["problem"]
    assert found["code"].startswith("data.") and found["what"] and found["fix"]


def test_fixes_go_to_a_new_file_and_leave_the_old_one_alone(messy: Path, tmp_path: Path) -> None:
    before = messy.read_bytes()
    out = tmp_path / "fixed.jsonl"
    words = ["data", "fix", str(messy), "--do", "duplicates.exact", "mask_phone", "--out", str(out), "--json"]
    done = studio(*words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["before"], told["after"]) == (63, 61)
    assert [(one["changed"], one["dropped"]) for one in told["steps"]] == [(0, 2), (1, 0)]
    assert messy.read_bytes() == before
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 61
    assert "010-1234" not in json.dumps(lines, ensure_ascii=False)
    again = json.loads(studio("data", "check", str(out), "--json").stdout)
    codes = {one["code"] for one in again["findings"]}
    assert "duplicates.exact" not in codes and not any("phone" in code for code in codes)
    assert studio(*words).returncode == 2, "nothing is ever overwritten"


def test_a_fixed_table_opens_in_a_spreadsheet_and_formulas_are_harmless(tmp_path: Path) -> None:
    rows = [(f"What is cell {n}?", f"=SUM(A{n})" if n == 7 else f"Cell {n} holds the sum.") for n in range(30)]
    with open(tmp_path / "in.csv", "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("question", "answer"), *rows, rows[2]])
    done = studio(
        "data", "fix", str(tmp_path / "in.csv"), "--do", "keep_one", "--out", str(tmp_path / "out.csv"), "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["escaped_cells"] == 1
    with open(tmp_path / "out.csv", encoding="utf-8-sig", newline="") as file:
        back = list(csv.DictReader(file))
    assert len(back) == 30
    assert back[7]["answer"] == "'=SUM(A7)"


def test_an_unknown_fix_names_those_that_exist(messy: Path, tmp_path: Path) -> None:
    done = studio("data", "fix", str(messy), "--do", "polish", "--out", str(tmp_path / "x.jsonl"))
    assert done.returncode == 2
    assert "polish" in done.stderr and "keep_one" in done.stderr


def test_the_mapping_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "title,body,reply\n" + "".join(f"T{n},b {n},Reply number {n}.\n" for n in range(12)), encoding="utf-8"
    )
    done = studio(
        "data",
        "check",
        str(tmp_path / "a.csv"),
        "--mapping",
        "question_template={title}: {body}",
        "--mapping",
        "answer=reply",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mapping"] == {"question_template": "{title}: {body}", "answer": "reply"}
    wrong = studio("data", "check", str(tmp_path / "a.csv"), "--mapping", "asks=title")
    assert wrong.returncode == 2 and "question" in wrong.stderr


@pytest.mark.trains
@pytest.mark.timeout(300)
def test_what_is_shown_is_what_the_trainer_makes(tmp_path: Path, home_with_starter: Path) -> None:
    rows = [(f"Where is parcel number {n}?", "It is on its way. " * (1 + n % 40)) for n in range(40)]
    with open(tmp_path / "parcels.csv", "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("question", "answer"), *rows])
    recipe = tmp_path / "parcels.yaml"
    recipe.write_text("data: {path: parcels.csv}\ntraining: {max_length: 96, batch_size: 4}\n", encoding="utf-8")
    done = studio("train", str(recipe), "--dry-run", "--anyway", "--json")
    assert done.returncode == 0, done.stderr
    batch = json.loads(done.stdout)
    assert len(batch["input_ids"]) == 4
    made = zip(batch["example_numbers"], batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True)
    shortest, *_, longest = sorted(made, key=lambda one: sum(one[3]))
    for number, ids, labels, mask in (shortest, longest):
        shown = studio(
            "data", "read", str(tmp_path / "parcels.csv"), "--example", str(number), "--max-length", "96", "--json"
        )
        told = json.loads(shown.stdout)
        length = sum(mask)
        assert told["ids"] == ids[:length]
        assert told["labels"] == labels[:length]
        assert not any(mask[length:])
        assert told["cut"] == ({"at": 96, "truncated_tokens": told["tokens"] - 96} if told["tokens"] > 96 else None)


def test_show_says_what_a_person_should_check(tmp_path: Path) -> None:
    rows = [(f"thing {n}", f"what leans on shed {n}") for n in range(12)]
    lines = "".join(f"{word},{meaning}\n" for word, meaning in rows)
    (tmp_path / "words.csv").write_text("Expression,Description\n" + lines, encoding="utf-8")
    done = studio("data", "show", str(tmp_path / "words.csv"))
    assert (done.returncode, "Please check that this is right" in done.stdout) == (0, True), done.stdout
    assert json.loads(studio("data", "show", str(tmp_path / "words.csv"), "--json").stdout)["sure"] is False
