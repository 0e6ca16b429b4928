"""Tables that were once read wrongly without a word: rows that are none, columns that aren't what they are called, and
what stands around answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.inputs import ASKED, PAIRS, PLACES, TOLD, Files, data, table, text, with_line
from tests.cases.judge import Asked, Right, judge
from tests.dataset.conftest import write_xlsx

ALL = list(enumerate(PAIRS))
QUOTED = '"{q}","{a}"'
FIRST = PAIRS[0]
KINDS = ["boats", "lights", "bees", "boxes"]
MEANINGS = [
    ("slack", "what may be late"),
    ("tare", "what the box weighs"),
    ("yield", "what is left"),
    ("takt", "how fast"),
]
CASES: dict[str, tuple[Files, Right | Asked]] = {
    # Rows that are none
    "a total under questions": (table("question,answer", QUOTED, below="Total questions,12\n"), Right(says="12")),
    "a total of another table of words": (
        table("질문,답변", QUOTED, below="총 문항 수,12\n"),
        Right(says="총 문항 수 12"),
    ),
    "a total with its unit": (table("질문,답변", QUOTED, below="전체 건수,12건\n"), Right(says="was left out")),
    "totals between": (
        text("t.csv", "question,answer\n" + "".join(f'"{q}","{a}"\n' + "Subtotal,1\n" * (n == 5) for n, (q, a) in ALL)),
        Right(says="1 row that adds up"),
    ),
    "a total behind a number": (
        table("no,question,answer", "{n}," + QUOTED, below=",Total questions,12\n"),
        Right(says="Total questions 12"),
    ),
    "a figure under words": (
        table("question,answer", QUOTED, below="Sheds in the yard,12\n"),
        Asked(says="Sheds in the yard 12"),
    ),
    "a date under words": (
        table("question,answer", QUOTED, below="Last updated,2024-03-01\n"),
        Asked(says="Last updated"),
    ),
    "who made the table": (
        table("question,answer", QUOTED, below="Prepared by,Mina Weir\n"),
        Asked(says="Prepared by"),
    ),
    "a question about a number among words": (
        table("question,answer", QUOTED, below="How many sheds are there?,12\n"),
        Right(13),
    ),
    "numbers as answers": (
        table("question,answer", '"{q}",{n}', below="What is their total?,66\n"),
        Right(13, (ASKED[0], "0")),
    ),
    # Columns that aren't what they are called
    "products of kinds": (
        text(
            "p.csv",
            "name,category,price,description\n"
            + "".join(
                f"{thing} no. {n},{KINDS[n % 4]},{n},{TOLD[n]}\n".replace(", by", " by")
                for n, thing in enumerate(PLACES)
            ),
        ),
        Asked(first=("oar no. 0", TOLD[0].replace(",", "")), says="only sorts the rows"),
    ),
    "texts of kinds": (
        text("t.csv", "id,text,category\n" + "".join(f'{n},"{a}",{KINDS[n % 4]}\n' for n, (_, a) in ALL)),
        Right(first=(f"{TOLD[0]}\n\nAnswer with one of: bees, boats, boxes, lights.", "boats")),
    ),
    "tickets of kinds": (
        text(
            "t.csv", "subject,text,topic,state\n" + "".join(f'{q[:8]},"{a}",{KINDS[n % 4]},open\n' for n, (q, a) in ALL)
        ),
        Asked(first=None, says="only sorts the rows"),
    ),
    "recipes": (
        data(
            "r.json",
            [
                {"name": f"soup {n}", "instructions": a, "ingredients": f"salt, {t} {n}, water"}
                for n, (t, a) in enumerate(zip(PLACES, TOLD, strict=True))
            ],
        ),
        Asked(first=None, says="No column is named as an answer"),
    ),
    "a few words that come again beside names": (
        data("r.json", [{"name": f"soup {n}", "steps": a, "served": KINDS[n % 2]} for n, a in enumerate(TOLD)]),
        Asked(first=("soup 0", TOLD[0]), says="only sorts the rows"),
    ),
    "a passage under another name": (
        table("flores_passage,question,words", '"{a} It has stood there since spring.","{q}",{n}'),
        Asked(first=None, says="is something else"),
    ),
    "two answers of a form": (
        table("Surname,Response 1,Response 2", 'Weir,"{a}","{q}"'),
        Asked(first=None, says="Response 1, Response 2"),
    ),
    "two answers with letters": (
        data("a.json", [{"question": q, "response_j": a, "response_k": "So it is."} for q, a in PAIRS]),
        Asked(says="response_k"),
    ),
    "letters that came in": (
        table("Subject,Incoming email,Reply", '"On {n}","{q} I looked for it all morning, and yesterday too.","{a}"'),
        Asked(first=(f"{ASKED[0]} I looked for it all morning, and yesterday too.", TOLD[0]), says="Incoming email"),
    ),
    "the last message of a ticket": (
        table("Ticket ID,Ticket description,Last message,Resolution", '{n},"{q} I looked for it.",Thanks {n}.,"{a}"'),
        Asked(first=None, says="More than one column could be the question"),
    ),
    "questions about pictures": (
        table("image,question,answer", 'yard{n}.jpg,"{q}","{a}"'),
        Asked(says="image names pictures"),
    ),
    "one number of a conversation for all": (
        text("t.csv", "SHOPID,SPEAKER,SENTENCE\n" + "".join(f'A,customer,"{q}"\nA,clerk,"{a}"\n' for q, a in PAIRS)),
        Asked(1, None, says="the whole file would be one conversation"),
    ),
    "comments without those before": (
        data("c.json", [{"id": n, "text": a, "parent": n - 1 if n % 2 else None} for n, (_, a) in ALL]),
        Asked(6, (TOLD[0], TOLD[1]), "6 replies became the answers"),
    ),
    "a test without names": (
        text("mmlu.csv", "".join(f'"{q}",nowhere,"{a}",up,down,B\n' for q, a in PAIRS)),
        Asked(first=(f"{ASKED[0]}\n\nA. nowhere\nB. {TOLD[0]}\nC. up\nD. down", f"B. {TOLD[0]}")),
    ),
    "marks of right and wrong beside answers": (
        table("Question,First,Mark,Second,Mark", '"{q}","{a}",correct,Never.,incorrect'),
        Asked(first=None, says="seems to say whether an answer is good"),
    ),
    "an answer that goes on in the next row": (
        with_line(table("no,question,answer", "{n}," + QUOTED), 5, ',,"Ask again, at the gate."'),
        Asked(11, says="they go on from the row above"),
    ),
    "a row that says what the cells are": (
        table("question,answer,kind\n(required),(required),(optional)", QUOTED + ",faq"),
        Right(says="what kind of cell"),
    ),
    "a legend under a table": (
        table("question,answer,state", QUOTED + ",A", below=",,\nLegend,,\nA,approved,\nB,blocked,\n"),
        Asked(says="begin with: Legend"),
    ),
    "cells that a spreadsheet couldn't count": (
        with_line(table("question,answer", QUOTED), 3, '"When?",#N/A'),
        Right(11),
    ),
    "what people thought of answers": (
        text(
            "t.csv", "question,answer,thumbs\n" + "".join(f'"{q}","{a}",{("up", "down")[n % 2]}\n' for n, (q, a) in ALL)
        ),
        Asked(says="thumbs seems to say"),
    ),
    "two passages below each question": (
        text(
            "t.tsv",
            "question\tanswer\tcontext_search\tcontext_book\n"
            + "".join(
                f"{q}\t{a}\tThe {n}. page that was found says {a}\tThe book says about it: {a}\n" for n, (q, a) in ALL
            ),
        ),
        Asked(
            first=(f"{ASKED[0]}\n\nThe 0. page that was found says {TOLD[0]}", TOLD[0]),
            says="could stand below the question: context_search, context_book",
        ),
    ),
    "answers that were deleted": (
        text("t.csv", "question,answer,is_deleted\n" + "".join(f'"{q}","{a}",{n % 2}\n' for n, (q, a) in ALL)),
        Asked(says="is_deleted seems to say"),
    ),
    "two lists that belong together": (
        data(
            "t.json",
            {
                "answers": [{"qid": n, "text": a} for n, (_, a) in [*ALL, *ALL[:2]]],
                "questions": [{"id": n, "text": q} for n, (q, _) in ALL],
            },
        ),
        Asked(14, None, "left out: questions (12)"),
    ),
    "a label in brackets above questions": (
        text("qa.txt", "".join(f"[상황] 물레방아 {n}.\n[질문] {q}\n[답변] {a}\n\n" for n, (q, a) in ALL)),
        Right(first=(f"{ASKED[0]}\n\n물레방아 0.", TOLD[0])),
    ),
    "headings called question and answer": (
        text("qa.md", "".join(f"## Question\n\n{q}\n\n## Answer\n\n{a}\n\n" for q, a in PAIRS)),
        Right(),
    ),
    "labels that nobody agreed on": (
        data("snli.json", [{"text": a, "gold_label": ("yes", "no", "-")[n % 3]} for n, (_, a) in ALL]),
        Asked(first=None, says="nobody agreed"),
    ),
    "labels of marked things": (
        data(
            "re.json",
            [{"sentence": a, "subject_entity": {"word": PLACES[n]}, "label": KINDS[n % 4]} for n, (_, a) in ALL],
        ),
        Asked(first=None, says="what the labels are about"),
    ),
    "questions without answers": (
        data("q.json", [{"_id": f"q{n}", "text": q} for n, (q, _) in ALL]),
        Asked(first=None),
    ),
    # Conversations written out as texts
    **{
        f"turns as {name} writes them": (
            data("t.json", [{"text": form.replace("{q}", q).replace("{a}", a)} for q, a in PAIRS]),
            wanted,
        )
        for name, form, wanted in (
            ("vicuna", "A chat. USER: {q} ASSISTANT: {a}</s>", Asked()),
            ("a recipe of questions", "Question: {q} Answer: {a}", Asked()),
            ("oasst", "<|prompter|>{q}<|endoftext|><|assistant|>{a}<|endoftext|>", Right()),
            ("exaone", "[|user|]{q}\n[|assistant|]{a}[|endofturn|]", Right()),
            ("deepseek", "<｜begin▁of▁sentence｜><｜User｜>{q}<｜Assistant｜>{a}<｜end▁of▁sentence｜>", Right()),
            ("glm", "[gMASK]<sop><|user|>\n{q}<|assistant|>\n{a}", Right()),
            (
                "harmony",
                "<|start|>user<|message|>{q}<|end|><|start|>assistant<|channel|>final<|message|>{a}<|return|>",
                Right(),
            ),
            ("kullm", "아래는 작업을 설명하는 명령어입니다.\n\n### 명령어:\n{q}\n\n### 응답:\n{a}", Right()),
            ("nobody known", "<question>{q}</question><answer>{a}</answer>", Asked(first=None, says="written out")),
        )
    },
    # Words with meanings
    "meanings that begin as questions do": (
        text("m.csv", "meaning,word\n" + "".join(f"{b},{a}\n" for a, b in MEANINGS * 3)),
        Right(first=MEANINGS[0]),
    ),
    "meanings without names": (
        text("m.tsv", "".join(f"{b} at mill {n}\tthe {a} of {n}\n" for n, (a, b) in enumerate(MEANINGS * 3))),
        Asked(11, None, says="No name says which column asks"),
    ),
    "single words beside texts": (
        text("m.csv", "thing,about\n" + "".join(f"{a}{n},{b} in {n}\n" for n, (a, b) in enumerate(MEANINGS * 3))),
        Asked(first=("slack0", "what may be late in 0"), says="a list of words"),
    ),
    # What stands around answers
    "thoughts of openthoughts": (
        data(
            "a.json",
            [
                {
                    "conversations": [
                        {"from": "user", "value": q},
                        {
                            "from": "assistant",
                            "value": f"<|begin_of_thought|>\n\nHm.\n\n<|end_of_thought|>\n\n"
                            f"<|begin_of_solution|>\n\n{a}\n\n<|end_of_solution|>",
                        },
                    ]
                }
                for q, a in PAIRS
            ],
        ),
        Asked(says="read as thoughts: <|begin_of_thought|>"),
    ),
    "thoughts between other tags": (
        data(
            "a.json",
            [{"prompt": q, "response": f"<reasoning>Hm.</reasoning>\n<answer>\n{a}\n</answer>"} for q, a in PAIRS],
        ),
        Asked(says="read as thoughts: <reasoning>"),
    ),
    "thoughts that the prompt opened": (
        data("a.json", [{"prompt": q, "response": f"Hm.\n</think>\n\n{a}"} for q, a in PAIRS]),
        Asked(says="read as thoughts: </think>"),
    ),
    "thoughts in a few answers": (
        data("a.json", [{"prompt": q, "response": "[THINK]Hm.[/THINK]" * (n == 3) + a} for n, (q, a) in ALL]),
        Asked(says="In 1 of the first 12 answers"),
    ),
    "thoughts as they mostly are": (
        data("a.json", [{"prompt": q, "response": f"<think>\nHm.\n</think>\n\n{a}"} for q, a in PAIRS]),
        Right(),
    ),
    "unknown tags before answers": (
        data("a.json", [{"prompt": q, "response": f"<생각>음.</생각>\n{a}"} for q, a in PAIRS]),
        Asked(first=None, says="begin with <생각>"),
    ),
    "the same heading above each answer": (
        data("a.json", [{"prompt": q, "response": f"## Thinking\n\nHm.\n\n## Final\n\n{a}"} for q, a in PAIRS]),
        Asked(first=None, says="begin with ## Thinking"),
    ),
    "a web page as an answer": (
        data("a.json", [{"prompt": q, "response": f"<p>{a}</p>"} for q, a in PAIRS]),
        Right(first=None),
    ),
    "the same end of all questions and answers": (
        data("a.json", [{"prompt": f"{q}\n\n###\n\n", "completion": f" {a} END"} for q, a in PAIRS]),
        Asked(first=None, says="all end with END"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_no_table_is_read_wrongly_without_a_word(tmp_path: Path, name: str) -> None:
    judge(*CASES[name], tmp_path)


SHEETS: dict[str, tuple[list[tuple[str, ...]], Right | Asked]] = {
    "marks in their cells": ([row for q, a in PAIRS for row in ((f"Q: {q}",), (f"A: {a}",))], Right()),
    "marks before them": ([row for n, (q, a) in ALL for row in ((f"Q{n + 1}", q), (f"A{n + 1}", a))], Right()),
    "question marks alone": ([row for q, a in PAIRS for row in ((q,), (a,))], Asked()),
}


@pytest.mark.parametrize("name", SHEETS)
def test_questions_and_answers_below_each_other_in_a_sheet_are_pairs(tmp_path: Path, name: str) -> None:
    rows, wanted = SHEETS[name]
    judge(lambda folder: write_xlsx(folder / "faq.xlsx", {"FAQ": rows}), wanted, tmp_path)


def test_a_total_in_a_workbook_is_no_example(tmp_path: Path) -> None:
    rows: list[tuple[str, str | int]] = [("Question", "Answer"), *PAIRS, ("Total questions", 12)]
    judge(lambda folder: write_xlsx(folder / "faq.xlsx", {"FAQ": rows}), Right(says="Total questions 12"), tmp_path)
