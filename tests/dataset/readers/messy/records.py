"""Messy JSON, and multiple choice in tables."""

from __future__ import annotations

import json
import random

from tests.dataset.readers.messy.tables import PLAIN
from tests.dataset.readers.messy.truth import Messy, Truth, as_json, ends, pair_truth, type_of_column
from tests.dataset.readers.messy.writing import delimited, some

_CHOICES = (
    ("Which vitamin does the skin make in sunlight?", ("A", "B12", "C", "D"), 4),
    ("What is the capital of Australia?", ("Sydney", "Canberra", "Melbourne", "Perth"), 2),
    ("Which gas do plants take in?", ("Carbon dioxide", "Oxygen", "Nitrogen", "Helium"), 1),
    ("How many sides has a hexagon?", ("Five", "Eight", "Six", "Seven"), 3),
    ("Who wrote Frankenstein?", ("Jane Austen", "Mary Shelley", "Emily Brontë", "Bram Stoker"), 2),
    ("Which planet has the shortest year?", ("Venus", "Mars", "Mercury", "Saturn"), 3),
    ("What does a barometer measure?", ("Air pressure", "Humidity", "Wind", "Heat"), 1),
    ("Which is a prime number?", ("21", "27", "33", "29"), 4),
    ("In which organ is bile made?", ("The liver", "The stomach", "A kidney", "The spleen"), 1),
    ("Which river flows through Vienna?", ("Rhine", "Elbe", "Danube", "Oder"), 3),
)

KOREAN_CHOICES = (
    ("다음 중 조선 시대의 궁궐이 아닌 것은?", ("경복궁", "창덕궁", "안압지", "덕수궁"), 3),
    ("우리 몸에서 가장 큰 장기는?", ("간", "피부", "폐", "심장"), 2),
    ("'나그네'를 쓴 시인은 누구인가?", ("박목월", "윤동주", "김소월", "한용운"), 1),
    ("빛의 삼원색이 아닌 것은?", ("빨강", "초록", "파랑", "노랑"), 4),
    ("대한민국 국회의원의 임기는?", ("3년", "4년", "5년", "6년"), 2),
    ("다음 중 포유류는?", ("펭귄", "상어", "고래", "악어"), 3),
    ("원의 넓이를 구할 때 필요한 것은?", ("반지름", "둘레의 두 배", "현의 수", "호의 색"), 1),
    ("세종대왕 때 만들어진 것이 아닌 것은?", ("측우기", "앙부일구", "자격루", "거중기"), 4),
)


def wrapper(seed: str = "") -> Messy:
    pairs = some("medicine_english", 11, seed + "wrapper")
    records = [{"id": n, "question": q, "answer": a, "reviewed": n % 3 == 0} for n, (q, a) in enumerate(pairs)]
    value = {"version": "1.4", "source": {"name": "practice", "year": 2024}, "total": len(pairs), "data": records}
    content = json.dumps(value, indent=2).encode()
    return Messy("wrapper.json", content, pair_truth(pairs, "question", "answer", PLAIN))


def broken_tail(seed: str = "") -> Messy:
    """Lines as a program left them that was stopped while writing."""
    pairs = some("cooking_english", 10, seed + "broken tail")
    lines = [json.dumps({"instruction": q, "response": a}) for q, a in pairs]
    content = "\n".join([lines[0], "", *lines[1:5], "   ", "", *lines[5:9], "", lines[9][:-31]]).encode()
    roles = {"question": "instruction", "answer": "response"}
    truth = Truth("pair", roles, 9, ends(pairs[:9]), PLAIN, told=True)
    return Messy("broken_tail.jsonl", content, truth)


def share_gpt(seed: str = "") -> Messy:
    chance = random.Random(seed + "sharegpt")
    talks = []
    for talk in range(5):
        turns = []
        for question, answer in some("cooking_english" if talk % 2 else "cooking_korean", 2, seed + f"talk {talk}"):
            turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        talks.append({"id": f"{chance.getrandbits(64):x}_{talk}", "model": "", "conversations": turns})
    content = json.dumps(talks, ensure_ascii=False).encode()
    cells = ((1, "messages", as_json(talks[0]["conversations"])), (-1, "messages", as_json(talks[-1]["conversations"])))
    return Messy("sharegpt.json", content, Truth("messages", {"messages": "conversations"}, 5, cells, PLAIN))


def open_ai_tools(seed: str = "") -> Messy:
    """Chat messages with tools, calls, results and a weight, as the fine-tuning service takes them."""
    about = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
    tools = [{"type": "function", "function": {"name": "find_order", "description": "Look up", "parameters": about}}]
    lines = []
    for n, (question, answer) in enumerate(some("support_english", 6, seed + "tools")):
        call = {"name": "find_order", "arguments": json.dumps({"order": f"48{n:03}"})}
        messages: list[dict[str, object]] = [{"role": "system", "content": "You answer for a shop. Be brief."}]
        messages.append({"role": "user", "content": question})
        if n % 2 == 0:
            calls = [{"id": f"call_{n}", "type": "function", "function": call}]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages.append({"role": "tool", "tool_call_id": f"call_{n}", "content": '{"state": "packed"}'})
        messages.append({"role": "assistant", "content": answer, "weight": 1 if n else 0})
        lines.append({"messages": messages, "tools": tools})
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    cells = ((1, "messages", as_json(lines[0]["messages"])), (-1, "tools", as_json(tools)))
    roles = {"messages": "messages", "tools": "tools"}
    return Messy("openai_tools.jsonl", content, Truth("messages", roles, 6, cells, PLAIN))


def alpaca(seed: str = "") -> Messy:
    chance = random.Random(seed + "alpaca")
    records = [
        {"instruction": q, "input": chance.choice(["", "", "Answer for a beginner."]), "output": a}
        for q, a in some("cooking_english", 10, seed + "alpaca")
    ]
    pairs = [(r["instruction"], r["output"]) for r in records]
    roles = {"question": "instruction", "context": "input", "answer": "output"}
    content = json.dumps(records, indent=4).encode()
    return Messy("alpaca.json", content, Truth("pair", roles, 10, ends(pairs), PLAIN))


def choices_with_letters(seed: str = "") -> Messy:
    rows = [(q, *options, "ABCD"[right - 1]) for q, options, right in _CHOICES]
    content = delimited([("Question", "A", "B", "C", "D", "Correct answer"), *rows]).encode()
    roles: dict[str, type_of_column] = {
        "question": "Question",
        "options": ("A", "B", "C", "D"),
        "answer": "Correct answer",
    }
    cells = ((1, "question", rows[0][0]), (1, "answer", rows[0][-1]), (-1, "answer", rows[-1][-1]))
    return Messy("choices_letters.csv", content, Truth("options", roles, len(rows), cells, PLAIN, ","))


RECORDS = (wrapper, broken_tail, share_gpt, open_ai_tools, alpaca, choices_with_letters)
