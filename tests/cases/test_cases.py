"""For each kind of file that people brought and that was once read wrongly: right, asked with the right proposal, or
refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases import inputs as given
from tests.cases.inputs import (
    DAYS,
    PAIRS,
    PLACES,
    TALK,
    Files,
    chat,
    data,
    folder,
    table,
    text,
    with_line,
    word_document,
)
from tests.cases.judge import Asked, Refused, Right, judge

A_CHAT = Asked(5, (TALK[2][1], TALK[3][1]))


def a_chat(says: str) -> Asked:
    return Asked(5, (TALK[2][1], TALK[3][1]), says)


ALL = list(enumerate(PAIRS))
GLOSSARY = list(enumerate(PLACES))
QUOTED = '"{q}","{a}"'
CASES: dict[str, tuple[Files, Right | Asked | Refused]] = {
    # Tables
    "semicolons in a cell": (
        with_line(table("level,question,answer", 'easy,"{q}","{a}"'), 4, 'easy,"in(); out()";,"a();b();c();d()",x,y'),
        Right(says="1 row has more cells"),
    ),
    "semicolons in every cell": (
        table("level,question,choices,correct_answer", 'easy,"{q}","one;two;{a};four","{a}"'),
        Right(first=(f"{PAIRS[0][0]}\n\nA. one\nB. two\nC. {PAIRS[0][1]}\nD. four", f"C. {PAIRS[0][1]}")),
    ),
    "a space after each comma": (table("question, answer", '"{q}", "{a}"'), Right()),
    "a space after each comma under other names": (table("Thema, Text dazu", '"{q}", "{a}"'), Right()),
    "apostrophes as quotation marks": (table("question,answer", "'{q}','{a}'"), Right(says="Apostrophes")),
    "more names than cells": (
        table('"Id","Title","question","answer","Approve","Reject"', '"{n}X","t","{q} Batch:0;x","{a}"'),
        Right(first=(f"{PAIRS[0][0]} Batch:0;x", PAIRS[0][1]), says="fewer cells"),
    ),
    "a separator too many before an empty cell": (
        with_line(table("question,answer,comment", QUOTED + ","), 3, '"When?",,"At dawn, at noon.",'),
        Asked(says="1 row had a column separator too many, the first in line 3"),
    ),
    "a comma without quotation marks behind an empty cell": (
        with_line(table("question,context,answer", '"{q}","In shed {n}.","{a}"'), 3, '"When?",,At dawn, at noon.'),
        Right(first=(f"{PAIRS[0][0]}\n\nIn shed 0.", PAIRS[0][1]), says="1 row has more cells"),
    ),
    "a comma without quotation marks where a cell may be empty": (
        with_line(
            with_line(table("question,context,answer", '"{q}",,"{a}"'), 5, '"Why, so?","It rains.","Rain, it says."'),
            3,
            '"When?",,At dawn, at noon.',
        ),
        Right(says="1 row has more cells"),
    ),
    "a separator missing before a quotation mark": (
        with_line(table("id,question,answer", "{n}," + QUOTED), 3, '1,When?"At dawn, at noon."'),
        Asked(says="In 1 row the column separator before a quotation mark was missing, the first in line 3"),
    ),
    "a separator missing between two names": (
        table("id,questionanswer,kind", "{n}," + QUOTED + ",faq"),
        Asked(says="only 3 columns are named"),
    ),
    "a separator in every line of a single column": (
        text("list.csv", "".join(f"A line, {n}, with{', more' * (n % 3)} words\n" for n in range(12))),
        Asked(0, None, "one column, though every row holds a comma"),
    ),
    "a novel with questions in quotation marks": (
        text("novel.txt", 'The wheel turned at dawn. "Who turns it?" said he, and went out.\n\n' * 12),
        Right(1, None, "plain text"),
    ),
    "song lines with times": (text("a.lrc", "".join(f"[00:{n + 10}.00]round {n}\n" for n in range(9))), Asked(1, None)),
    "another table above": (
        table("name,town\n" + "Ada,Bonn\n" * 6 + "question,answer,kind", QUOTED + ",x"),
        Asked(says="7 rows above"),
    ),
    "another table below": (
        table("question,answer,kind", QUOTED + ",x", below="\nname,phone\nAda,1\nBen,2\n"),
        Asked(says="3 rows from line 15 on look like another table"),
    ),
    "another table of the same width below": (
        table("question,answer", QUOTED, below="\nname,phone\nAda,1\nBen,2\n"),
        Asked(15, says="3 rows below a blank one"),
    ),
    "names for all columns but the one that counts": (
        table("question,answer", "{n}," + QUOTED),
        Asked(says="only 2 columns are named"),
    ),
    "a table of markdown": (table("| question | answer |\n|---|---|", "| {q} | {a} |"), Right()),
    "quotation marks behind backslashes": (
        table("question,answer", r'"{q}","So \"they\" say, {a}"'),
        Right(first=(PAIRS[0][0], f'So "they" say, {PAIRS[0][1]}')),
    ),
    "separators too many in most rows": (
        text("t.csv", "question,answer,note\n" + "".join(f'{q},{"," * (n % 3 > 0)}"{a}",\n' for n, (q, a) in ALL)),
        Asked(says="8 rows had a column separator too many"),
    ),
    "prose with commas": (
        text(
            "story.txt",
            "The mill, by the weir, turned.\nAnd, so they say, it sang, at noon.\n\nNobody knew, why.\n" * 3,
        ),
        Right(1, None, "plain text"),
    ),
    "json with a line that isn't json": (
        text("list.json", "// exported\n[\n" + ",\n".join(f'{{"question": "{q}", "answer": "{a}"}}' for q, a in PAIRS)),
        Refused("data.broken_json", "line 1"),
    ),
    "the same columns in another order": (
        folder(
            data("a.json", [{"question": q, "answer": a} for q, a in PAIRS[:6]]),
            data("b.json", [{"answer": a, "question": q} for q, a in PAIRS[6:]]),
        ),
        Right(says="2 files with the same columns"),
    ),
    "a page of questions among notes": (
        folder(*given.NOTES, given.FAQ),
        Asked(4, says="6 other files were left out"),
    ),
    # Columns
    "names of people beside texts": (
        table("date,user,text", '2024-01-01,u{n},"{a}"'),
        Asked(first=("u0", PAIRS[0][1]), says="single words"),
    ),
    "rows that aren't to be learned": (
        data("a.json", [{"instruction": q, "output": a, "train": n % 2 == 0} for n, (q, a) in ALL]),
        Right(6, says="train says which answers are good"),
    ),
    "a mark at wrong answers only": (
        data(
            "a.jsonl",
            [{"prompt": q, "completion": a, **({"is_correct": False} if n % 2 else {})} for n, (q, a) in ALL],
        ),
        Asked(says="is_correct seems to say"),
    ),
    "a weight beside each answer": (
        data("a.json", [{"question": q, "answer": a, "weight": n % 2} for n, (q, a) in ALL]),
        Asked(says="weight seems to say"),
    ),
    "the winner of two answers": (
        data(
            "a.json",
            [{"question": q, "answer_a": a, "answer_b": a[4:], "winner": "ab"[n % 2]} for n, (q, a) in ALL],
        ),
        Asked(first=None, says="which is the better answer"),
    ),
    "one label for all": (table("text,label", '"{a}",n.'), Asked(first=None, says="same label")),
    "several lists": (
        data("a.json", {"meta": [{"k": n} for n in range(40)], "faq": [{"q": q, "a": a} for q, a in PAIRS]}),
        Right(says="left out: meta (40)"),
    ),
    # Texts that are something
    "blocks of two lines": (
        text("blocks.txt", "\n\n\n".join(f"{q},I live in lane {n}.\n{a}" for n, (q, a) in enumerate(PAIRS)), "gb18030"),
        Asked(first=(f"{PAIRS[0][0]},I live in lane 0.", PAIRS[0][1]), says="Only question marks"),
    ),
    "questions without headings in a document": (
        word_document(*(part for q, a in PAIRS for part in (q, a, "More is told at the gate."))),
        Asked(first=(PAIRS[0][0], f"{PAIRS[0][1]}\nMore is told at the gate.")),
    ),
    "labels behind texts": (
        text("labels.txt", "".join(f"The gate {n} stood open. @{'good' if n % 2 else 'bad'}\n" for n in range(30))),
        Asked(30, ("The gate 0 stood open.\n\nAnswer with one of: bad, good.", "bad"), "a text and a label"),
    ),
    "labels before texts": (
        text("labels.txt", "".join(f"{'PLACE:town' if n % 2 else 'TIME:day'} What is {n} ?\n" for n in range(30))),
        Asked(30, ("What is 0 ?\n\nAnswer with one of: PLACE:town, TIME:day.", "TIME:day")),
    ),
    "fasttext": (
        text("train.txt", "".join(f"__label__{'up' if n % 2 else 'down'} gate {n} moved\n" for n in range(30))),
        Asked(30, ("gate 0 moved\n\nAnswer with one of: down, up.", "down")),
    ),
    "bold questions": (text("faq.md", "".join(f"**{q}**\n\n{a}\n\n" for q, a in PAIRS)), Asked()),
    "questions and answers in one line": (
        text("a.txt", "".join(f"{q} -> {a}\n" for q, a in PAIRS)),
        Asked(says="signs in the lines"),
    ),
    "a glossary": (text("a.txt", "".join(f"{thing} {n}: it leans.\n" for n, thing in GLOSSARY)), Asked(1, None)),
    "columns of blanks": (text("a.txt", "".join(f"{q}     {a}\n" for q, a in PAIRS)), Asked(1, None)),
    "a log": (text("a.txt", "".join(f"2025-03-0{n} 10:00 The gate opened.\n" for n in DAYS) * 3), Asked(1, None)),
    "subtitles": (text("film.srt", given.CUES.replace(".", ",")), Asked(1, None, "Subtitles")),
    "web subtitles": (text("film.vtt", "WEBVTT\nKind: captions\n\n" + given.CUES), Asked(1, None, "Subtitles")),
    # Files of other programs
    "settings": (text("a.toml", '[mill]\nweir = "old"\n'), Refused("data.not_a_table", "settings")),
    "chatterbot": (
        text("talk.yml", "categories:\n- mill\nconversations:\n" + "".join(f"- - {q}\n  - {a}\n" for q, a in PAIRS)),
        Refused("data.not_a_table", "YAML"),
    ),
    "rasa under another name": (
        text(
            "nlu.txt", 'version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n    - good day\n    - hello there\n' * 3
        ),
        Refused("data.not_a_table", "YAML"),
    ),
    "gift": (text("quiz.txt", given.QUIZ), Refused("data.not_a_table", "GIFT")),
    "latex": (
        text("a.tex", "\\documentclass{article}\n\\begin{document}\nText."),
        Refused("data.not_a_table", "PDF"),
    ),
    "a copy of a database": (
        text("dump.txt", "-- dump\nCREATE TABLE a (b);\nINSERT INTO a VALUES (1);\n"),
        Refused("data.not_a_table", "SQL"),
    ),
    "xml": (text("faq.xml", f'<?xml version="1.0"?><Faq><Pairs>{given.XML}</Pairs></Faq>'), Right(says="called Pair")),
    "xml with text beside": (
        text("faq.xml", f"<Faq><Preface>{'A long preface. ' * 20}</Preface><Pairs>{given.XML}</Pairs></Faq>"),
        Asked(says="called Pair"),
    ),
    "xml without records": (
        text("one.xml", "<?xml version='1.0'?><a>c</a>"),
        Refused("data.not_a_table", "XML"),
    ),
    "xml that declares entities": (
        text("bomb.xml", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        Refused("data.not_a_table", "XML"),
    ),
    "a web page called doc": (text("exam.doc", f"<html><body>{given.PAGE}</body></html>"), Right()),
    "a web page called xls": (
        text(
            "faq.xls", f"<html><body><table><tr><th>question</th><th>answer</th></tr>{given.ROWS}</table></body></html>"
        ),
        Right(),
    ),
    "a piece of a web page": (
        text("faq.html", "<dl>" + "".join(f"<dt>{q}</dt><dd>{a}</dd>" for q, a in PAIRS) + "</dl>"),
        Right(),
    ),
    "a web page with a text": (
        text("mill.html", "<html><nav>Home</nav><h1>Mill</h1>" + "<p>It turns at dawn.</p>" * 5 + "</html>"),
        Asked(1, None, "web page"),
    ),
    "a page that came instead of a table": (
        text("table.csv", "<!DOCTYPE html><html><body>Please log in</body></html>"),
        Refused("data.not_a_table", "password"),
    ),
    "a notebook": (
        data("steps.ipynb", {"nbformat": 4, "cells": [{"cell_type": "markdown", "source": ["# A\n", "It turns.\n"]}]}),
        Asked(1, None, "notebook"),
    ),
    "a database": (given.database, Asked(says="its table faq")),
    "packed as gz": (given.packed("table.csv.gz"), Right(says="table.csv was unpacked")),
    "packed as zip": (given.packed("table.zip"), Right(says="table.csv was unpacked")),
    # Chats
    "a lettered quiz": (
        text("quiz.txt", given.quiz("{n}. {q}")),
        Right(first=(PAIRS[0][0] + given.OPTIONS, "B")),
    ),
    "a lettered quiz without numbers": (
        text("quiz.txt", given.quiz(right="ANSWER: B")),
        Right(first=(PAIRS[0][0] + given.OPTIONS, "B")),
    ),
    "a lettered quiz with words before its questions": (
        text("quiz.txt", given.quiz("Question {n}: {q}", "Answer: B) {a}")),
        Right(first=(PAIRS[0][0] + given.OPTIONS, "B) " + PAIRS[0][1])),
    ),
    "a quiz of moodle": (text("quiz.xml", given.MOODLE), Asked(says="12 wrong answers")),
    "a translation memory": (text("memory.tmx", given.TRANSLATIONS), Asked(says="1 text without a translation")),
    "turns by their parents in a table": (
        data("turns.json", given.CHAIN),
        Right(5, (TALK[2][1] + " 1", TALK[3][1] + " 1"), says="replies to"),
    ),
    "turns of which one has two replies": (
        data("turns.json", given.FORK),
        Asked(5, (TALK[2][1] + " 1", TALK[3][1] + " 1"), says="no rank says which is the best"),
    ),
    "answers with scores in their records": (
        data(
            "scored.json",
            [{"question": q, "answers": [{"text": "No.", "score": 1}, {"text": a, "score": 7}]} for q, a in PAIRS],
        ),
        Asked(says="the highest score"),
    ),
    "answers with a list of scores beside them": (
        data("scored.json", [{"prompt": q, "responses": ["No idea.", a], "scores": [1, 9]} for q, a in PAIRS]),
        Asked(says="the highest scores"),
    ),
    "answers of models beside the true one": (
        data(
            "models.json",
            [
                {"question": q, "6B": {"solution": f"Not {a}"}, "175B": {"solution": q}, "ground_truth": a}
                for q, a in PAIRS
            ],
        ),
        Asked(says="ground_truth, 6B.solution, 175B.solution"),
    ),
    "answers of models beside a reference": (
        table("question,gpt4_response,llama_response,reference", '"{q}","Not {a}","{q} No.","{a}"'),
        Asked(says="reference, gpt4_response"),
    ),
    "what people filled in at mechanical turk": (
        table(
            "HITId,WorkerId,Input.passage,Answer.question,Answer.reply,Answer.quality",
            '3A{n},W1,"A text of sheds, number {n}, by the weir.","{q}","{a}",3',
        ),
        Right(first=(f"{PAIRS[0][0]}\n\nA text of sheds, number 0, by the weir.", PAIRS[0][1])),
    ),
    "a label that was filled in at mechanical turk": (
        table("HITId,Input.text,Answer.label", '3A{n},"{q}","{a}"'),
        Right(says="Answer.label what is answered"),
    ),
    "messages that name the one they reply to": (data("flat.json", given.REPLIES), Right(says="replies to")),
    "kakaotalk on a computer": (
        chat(
            "[{who}] [오전 10:{m}] {text}\n",
            "--------------- 2024년 3월 {d}일 금요일 ---------------\n",
            "[Mina] [오전 10:20] 사진\nTimo님이 들어왔습니다.\n",
        ),
        a_chat("10 messages without words"),
    ),
    "kakaotalk on a mac": (
        chat('2024-03-0{d} 10:{m}:00,"{who}","{text}"\n', above="Date,User,Message\n", name="chat.csv"),
        A_CHAT,
    ),
    "kakaotalk on a telephone": (
        chat(
            "2024년 3월 {d}일 오후 1:{m}, {who} : {text}\n",
            "\n2024년 3월 {d}일 오후 1:02\n",
            above="방 님과 카카오톡 대화\n저장한 날짜 : 2024년 3월 9일 오전 10:00\n",
        ),
        A_CHAT,
    ),
    "whatsapp": (
        chat(
            "[0{d}/03/2024, 10:{m}:00] {who}: {text}\n",
            extra="[0{d}/03/2024, 10:20:00] Mina: \u200eimage omitted\n"
            "[0{d}/03/2024, 10:21:00] Mill: \u200eTimo joined using this group's invite link\n",
        ),
        a_chat("10 messages without words"),
    ),
    "whatsapp on android": (
        chat(
            "0{d}.03.24, 10:{m} - {who}: {text}\n",
            extra="0{d}.03.24, 10:20 - Mina: <Medien ausgeschlossen>\n0{d}.03.24, 10:21 - Juno added Timo\n",
        ),
        a_chat("10 messages without words"),
    ),
    "line": (
        chat("10:{m}\t{who}\t{text}\n", "\n2024/03/0{d}(Fri)\n", "10:20\tMina\t[Sticker]\n", "[LINE] Chat with Mina\n"),
        a_chat("5 messages without words"),
    ),
    "line with spaces": (
        chat(
            "10:{m} {who} Weir {text}\n", "\n2024.03.0{d} Friday\n", "10:20 Mina Weir [Sticker]\n", "[LINE] Mina Weir\n"
        ),
        a_chat("5 messages without words"),
    ),
    "irc": (
        chat("2024-03-0{d}T10:{m}:00 <@{who}> {text}\n", extra="2024-03-0{d}T10:20:00 *** Joins: Timo (t@host)\n"),
        a_chat("5 messages without words"),
    ),
    "irc with days between": (
        chat(
            "10:{m} < {who}> {text}\n", "--- 2024-03-0{d} ---\n", "10:20 -!- Timo has joined #mill\n", name="mill.log"
        ),
        a_chat("5 messages without words"),
    ),
    "irc of weechat": (
        chat("2024-03-0{d} 10:{m}:00\t@{who}\t{text}\n", extra="2024-03-0{d} 10:20:00\t-->\tTimo has joined #mill\n"),
        a_chat("5 messages without words"),
    ),
    "telegram": (folder(data("result.json", given.TELEGRAM)), a_chat("Telegram")),
    "discord": (data("help.json", given.DISCORD), a_chat("1 entry that nobody said")),
    "discord as text": (
        chat("[0{d}-Mar-24 10:{m} AM] {who}\n{text}\n\n", above="=====\nGuild: Mill\n=====\n\n"),
        A_CHAT,
    ),
    "slack": (data("2024-03-01.json", given.SLACK), a_chat("Slack")),
    "instagram": (data("message_1.json", given.INSTAGRAM), a_chat("Instagram")),
    # Exports of other programs, and collections for other tasks
    "dialogues of participants": (
        data(
            "talk.json",
            {
                "data": [
                    {
                        "header": {"dialogueInfo": {"topic": "weir"}},
                        "body": [{"participantID": "P01", "utterance": q}, {"participantID": "P02", "utterance": a}],
                    }
                    for q, a in PAIRS
                ]
            },
        ),
        Asked(says="P02 was taken"),
    ),
    "contents in parts": (
        data(
            "gemini.json",
            [
                {
                    "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
                    "contents": [{"role": "user", "parts": [{"text": q}]}, {"role": "model", "parts": [{"text": a}]}],
                }
                for q, a in PAIRS
            ],
        ),
        Right(says="Each cell of contents holds"),
    ),
    "preferences of openai": (
        data(
            "preferences.json",
            [
                {
                    "input": {"messages": [{"role": "user", "content": q}]},
                    "preferred_output": [{"role": "assistant", "content": a}],
                    "non_preferred_output": [{"role": "assistant", "content": "Who knows."}],
                }
                for q, a in PAIRS
            ],
        ),
        Right(says="the better ones are learned"),
    ),
    "answers inside of a record": (
        data(
            "traces.json",
            [
                {"inputs": {"messages": [{"role": "user", "content": q}]}, "outputs": {"choices": [[{"text": a}]]}}
                for q, a in PAIRS
            ],
        ),
        Right(says="the text under choices.text stands in outputs.answer"),
    ),
    "answers in a list": (
        data("nq.json", [{"question": q, "answer": [a, a.lower()]} for q, a in PAIRS]),
        Asked(says="the first is learned"),
    ),
    "true answers in a list": (
        data(
            "true.json",
            [{"question": q, "best_answer": a, "correct_answers": [a, a[4:]], "wrong": ["No."]} for q, a in PAIRS],
        ),
        Asked(says="best_answer, correct_answers"),
    ),
    "a passage in a record": (
        data("study.json", [{"question": q, "context": {"parts": ["By the weir."]}, "answer": a} for q, a in PAIRS]),
        Asked(says="context may hold"),
    ),
    "a sheet of kahoot": (
        table(
            "Question - max 120 characters,Answer 1 - max 75 characters,Answer 2 - max 75 characters,"
            "Answer 3 - max 75 characters,Correct answer(s) - choose at least one",
            '"{q}",Never.,"{a}",Ask again.,2',
        ),
        Right(
            first=(f"{PAIRS[0][0]}\n\nA. Never.\nB. {PAIRS[0][1]}\nC. Ask again.", f"B. {PAIRS[0][1]}"),
        ),
    ),
    "options with explanations between": (
        table(
            "Question,Answer Option 1,Explanation 1,Answer Option 2,Explanation 2,Correct Answers",
            '"{q}",Never.,It leans.,"{a}",It does.,2',
        ),
        Right(first=(f"{PAIRS[0][0]}\n\nA. Never.\nB. {PAIRS[0][1]}", f"B. {PAIRS[0][1]}")),
    ),
    "several answers with a ranking": (
        table("prompt,response_1,response_2,ranking", '"{q}","Who knows, {n}.","{a}",2 > 1'),
        Asked(first=None, says="response_1"),
    ),
    "tickets with where they came from": (
        table("Ticket ID,Status,Source,Description,Last agent reply", '{n},closed,Email,"{q}","{a}"'),
        Right(),
    ),
    "a form that people filled in": (
        table("Timestamp,What is your question?,Which shed should answer?", '2024-03-01 10:00,"{q}","{a}"'),
        Asked(says="questions themselves"),
    ),
    "a survey of qualtrics": (
        table(
            'StartDate,Q1,Q2\nStart Date,What do you ask?,What is told?\n"{""ImportId"":""startDate""}",'
            '"{""ImportId"":""QID1_TEXT""}","{""ImportId"":""QID2_TEXT""}"',
            '2024-03-01,"{q}","{a}"',
        ),
        Right(says="2 rows below the names"),
    ),
    "comments with dates before": (
        table("Issue key,Description,Comment", 'M-{n},"{q}","01/Mar/24;juno;{a}"'),
        Asked(first=None, says="begin with dates"),
    ),
    "letters with their subjects": (
        table("message_id,from,subject,body", '<{n}@mill>,juno@mill.example,Weir,"{a}"'),
        Asked(first=None),
    ),
    "labels that somebody accepted or rejected": (
        data(
            "labels.json",
            [{"text": a, "label": "ab"[n % 2], "answer": ("accept", "reject")[n % 3 > 1]} for n, (_, a) in ALL],
        ),
        Asked(first=None, says="answer seems to say"),
    ),
    "texts with marked places": (
        data("places.json", [{"text": a, "entities": [{"start": 0, "end": 3, "label": "X"}]} for _, a in PAIRS]),
        Asked(first=None, says="Not used: entities"),
    ),
    "speakers in angle brackets": (
        data("talk.json", [{"text": f"<human>: {q}\n<bot>: {a}"} for q, a in PAIRS]),
        Asked(says="names say who speaks"),
    ),
    "cards with two sides": (table("Front\tBack\tTags", "{q}\t{a}\tmill", "cards.tsv"), Right(says="sides of cards")),
    "a numbered list": (text("rules.txt", "".join(f"{n}. {a}\n" for n, (_, a) in ALL)), Asked(1, None)),
    "questions as headings of an outline": (
        text("faq.org", "* FAQ\n" + "".join(f"** {q} :drill:\n{a}\n" for q, a in PAIRS)),
        Asked(1, None),
    ),
    "names of labels in a list": (
        data("labels.json", [f"{thing}_{n}_moved" for n, thing in GLOSSARY]),
        Asked(first=None, says="plain text"),
    ),
    "prompts with a passage": (
        data(
            "prompts.json",
            [{"prompt": f"Question: {q}\n\nContext: By shed {n}.\n\nAnswer:", "completion": a} for n, (q, a) in ALL],
        ),
        Right(first=(f"{PAIRS[0][0]}\n\nContext: By shed 0.", PAIRS[0][1])),
    ),
    "code beside comments": (
        data("code.json", [{"prompt": q, "code": f"go({n})", "comment": a} for n, (q, a) in ALL]),
        Asked(first=None, says="comment, code"),
    ),
    "titles that ask": (table("id,title,abstract", '{n},"{q}","{a}"'), Asked(first=None)),
    "passages in a list": (
        data("rag.json", [{"question": q, "ground_truth": a, "contexts": [a, "More."]} for q, a in PAIRS]),
        Asked(says="contexts may hold"),
    ),
    "answers that somebody found safe": (
        data("safe.json", [{"prompt": q, "response": a, "is_safe": n % 2 == 0} for n, (q, a) in ALL]),
        Asked(says="is_safe seems to say"),
    ),
    "names before what is told in a log": (
        text("log.tsv", "".join(f"2008-04-23T14:55:00Z\t{('ann', 'ben')[n % 2]}\t{a}\n" for n, (_, a) in ALL)),
        Asked(first=None),
    ),
    "cells that begin with names": (
        text("parlai.txt", "".join(f"text:{q}\tlabels:{a}\tdone:True\n" for q, a in PAIRS)),
        Asked(first=None, says="all begin with labels:"),
    ),
    "questions and answers in turns in a list": (
        data("list.json", [said for pair in PAIRS for said in pair]),
        Asked(24, None, "plain text"),
    ),
    "questions in several ways": (
        data("variants.json", [{"questions": [q, q.lower()], "answer": a} for q, a in PAIRS]),
        Asked(24, says="24 ways of asking"),
    ),
    "a script of a chat program": (
        text("bot.rive", "! version = 2.0\n\n" + "".join(f"+ {q.lower().rstrip('?')}\n- {a}\n\n" for q, a in PAIRS)),
        Asked(1, None),
    ),
    "records with signs between": (
        text("people.txt", "".join(f"u{n} +++$+++ {q} +++$+++ {a}\n" for n, (q, a) in ALL)),
        Asked(1, None),
    ),
    "letters before options without a blank": (
        data("quiz.json", [{"question": q, "options": ["A)32", f"B){a}"], "correct": "B"} for q, a in PAIRS]),
        Right(first=(f"{PAIRS[0][0]}\n\nA. 32\nB. {PAIRS[0][1]}", f"B. {PAIRS[0][1]}")),
    ),
    "texts of a program": (text("a.properties", "mill.open=Open\n"), Refused("data.not_a_table", "properties")),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_is_read_right_or_asked_about_or_refused_by_its_name(tmp_path: Path, name: str) -> None:
    judge(*CASES[name], tmp_path)
