"""Recognising questions with answers: by names that the contents bear out, else by the contents."""

from __future__ import annotations

import re

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.detection.conversations import (
    DESIRABLE,
    desirable_column,
    history_column,
    rejected_column,
    share,
    tools_column,
)
from studio.dataset.columns.detection.preferences import LEARNED_FROM_PAIRS, rated_answers_column
from studio.dataset.columns.formats.cells import is_answer_list, text_of
from studio.dataset.columns.formats.choices import mark_of
from studio.dataset.columns.formats.tools import looks_like_calls
from studio.dataset.readers.derived.columns import BEST
from studio.dataset.table import cell_text
from studio.dataset.vocabulary import EXACT, PAIRS_OF_TEXTS, SIDES, ends_asking, is_about, part_of, plain, rank

MOSTLY = 0.6
"""The share of texts that have to ask for a column to be sure to hold questions."""


def detect_named_pair(seen: TableProfile) -> DetectedMapping | None:
    """A column named as a question and one named as an answer."""
    filled = [name for name in seen.columns if seen.profiles[name].filled > 0.5]
    sides = {plain(name): name for name in reversed(filled)}
    for front, back in SIDES:
        if front in sides and back in sides:
            told = sentence(N_("{front} and {back} are the sides of cards."), front=sides[front], back=sides[back])
            others = [name for name in filled if plain(name) in (front, back) and name not in sides.values()]
            text = N_("More than one column could be the question: {names}.")
            doubts = [sentence(text, names=", ".join([sides[front], *others]))] if others else []
            return _complete(seen, sides[front], sides[back], [told], doubts)
    answer = _named_answer(seen)
    if answer is None:
        return None
    question = _named_question(seen, answer)
    if question is None or (plain(question) == "source" and _are_kinds(seen, question, answer)):
        return None  # where texts come from and what they are for
    text = N_("{question} holds what is asked, and {answer} what is answered.")
    why = [sentence(text, question=question, answer=answer)]
    return _complete(seen, question, answer, why, [])


def _are_kinds(seen: TableProfile, question: str, answer: str) -> bool:
    """Whether both hold one or two words alone, and something else in the table holds texts."""
    few = all(seen.profiles[name].is_category and seen.profiles[name].different <= 2 for name in (question, answer))
    return few and bool(seen.prose({question, answer}))


def detect_half_named_pair(seen: TableProfile) -> DetectedMapping | None:
    """One of the two has a name, and there is but one other column that it could belong to."""
    answer = _named_answer(seen)
    question = _named_question(seen, answer or "")
    if answer is None and question is None:
        short = list(seen.named("summary", prose=True))
        if len(short) == 1:
            answer = short[0]
            question = next(
                (n for r in ("text", "context", "messages") for n in seen.named(r, {answer}, prose=True)), None
            )
            if question is not None:
                text = N_("{question} holds what is asked, and {answer} what is answered.")
                return _complete(seen, question, answer, [sentence(text, question=question, answer=answer)], [])
        return None
    known = answer or question or ""
    others = seen.prose({known, rejected_column(seen) or known})
    if answer is not None and all(rank(name, "answer") is not None for name in others):
        # A column that is called as one of names or kinds may hold the questions, as Notion's first one does.
        worse = rejected_column(seen)
        asking = [n for n in seen.columns if n != worse and rank(n, "answer") is None and seen.profiles[n].is_prose]
        others = [n for n in asking if seen.profiles[n].spaced > 0.8] or others
    if answer is not None:
        # A heading with what stands under it is one question in two columns.
        titles = [n for n in seen.named("title", {answer}, below=EXACT) if seen.profiles[n].is_text]
        bodies = [n for n in seen.named("text", {answer}, below=EXACT, prose=True) if n not in titles]
        if len(titles) == 1 and len(bodies) == 1:
            pattern = f"{_name_in_pattern(titles[0])}\n\n{_name_in_pattern(bodies[0])}"
            why = sentence(
                N_("{title} and {body} together are taken as the question."), title=titles[0], body=bodies[0]
            )
            return DetectedMapping(ColumnMapping(question_template=pattern, answer=answer), False, (why,))
    if not others:
        return None
    other = others[0]
    asked, replied = (other, answer) if answer is not None else (known, other)
    text = N_("{question} holds what is asked, and {answer} what is answered.")
    doubts: list[Sentence] = []
    asks = seen.profiles[asked]
    if answer is None and max(asks.marked, asks.ending) < MOSTLY:
        doubts.append(sentence(N_("No column is named as an answer; {column} was taken."), column=other))
    code = [n for n in seen.columns if n not in others and plain(n) in _CODE and seen.profiles[n].filled > 0.5]
    if len(others) > 1 or (code and answer is None):
        doubts.append(_candidates([*others[:4], *code]))
    if answer is not None and rank(other, "title") in range(EXACT):
        doubts.append(sentence(N_("It isn't clear which column holds the question; {column} was taken."), column=other))
    if answer is None and (rank(other, "question") is not None or seen.profiles[other].asking > 0.3):
        doubts.append(sentence(N_("{column} seems to ask as well, and no column is named as an answer."), column=other))
    elif (
        _is_something_else(other, answer is None) or rank(other, "context" if answer is None else "answer") is not None
    ):
        otherwise = N_("By its name {column} is something else than what is asked or answered.")
        doubts.append(sentence(otherwise, column=other))
    return _complete(seen, asked, replied, [sentence(text, question=asked, answer=replied)], doubts)


def _is_something_else(name: str, as_answer: bool) -> bool:
    """Whether a name says plainly that a column is neither a question nor an answer."""
    mapping = ("system", "thinking", "label", "speaker", *(("title", "context") if as_answer else ()))
    found = [role for role in mapping if (place := rank(name, role)) is not None and place < EXACT]
    return bool(found) and plain(name) != "본문"


def detect_by_contents(seen: TableProfile) -> DetectedMapping | None:
    """Two columns of text without names that say anything: the one that asks is the question, else the shorter."""
    written = [n for n in seen.columns if seen.profiles[n].is_text and not seen.profiles[n].is_nested]
    written = [n for n in written if not (seen.profiles[n].is_boolean or seen.profiles[n].is_category)]
    prose = seen.prose()
    if rejected_column(seen) is not None and len(prose) <= 2:
        return None  # the better and the worse of two answers, to questions that aren't in the file
    candidates = prose if len(prose) >= 2 else [n for n in written if not is_about(n) and seen.profiles[n].about < 0.5]
    if len(candidates) < 2:
        return _terms(seen) or coded(seen)
    order = sorted(candidates, key=lambda name: -seen.profiles[name].information)
    first, second = sorted(order[:2], key=seen.columns.index)
    one, two = seen.profiles[first], seen.profiles[second]
    question, answer = (second, first) if two.ending > one.ending + 0.2 else (first, second)
    if (part_of(question), part_of(answer)) == ("assistant", "user"):
        question, answer = answer, question
    mapping = ColumnMapping(question=question, answer=answer)
    names = (plain(first), plain(second))
    compared = names in PAIRS_OF_TEXTS or bool(_LANGUAGES & set(names))
    named_otherwise = compared or any(
        rank(n, role) in range(EXACT) for n in (question, answer) for role in ("title", "label")
    )
    if len(candidates) == 2 and question == first and not named_otherwise and not _is_form(question, answer):
        asked, replied = seen.profiles[question], seen.profiles[answer]
        # What only begins as questions do may be a definition: "what is left after sorting".
        if (asked.marked >= MOSTLY and replied.marked <= 0.1) or (asked.ending >= MOSTLY and replied.asking <= 0.15):
            text = N_("Most texts in {question} ask something, and those in {answer} don't.")
            return DetectedMapping(mapping, True, (sentence(text, question=question, answer=answer),))
    text = N_("No name says which column asks; {question} was taken as the question, {answer} as the answer.")
    return DetectedMapping(mapping, False, (sentence(text, question=question, answer=answer),))


def coded(seen: TableProfile) -> DetectedMapping | None:
    """A text and a code beside it that differs from row to row, such as that of a diagnosis."""
    left = [n for n in seen.columns if seen.profiles[n].filled > 0.5 and not seen.profiles[n].is_nested]
    told = [name for name in left if seen.profiles[name].is_prose]
    codes = [n for n in left if n not in told and plain(n).endswith(_CODES) and seen.profiles[n].spaced < 0.1]
    if len(told) != 1 or len(codes) != 1:
        return None
    text = N_("Perhaps {code} is what the model should say to {column}.")
    why = sentence(text, code=codes[0], column=told[0])
    return DetectedMapping(ColumnMapping(question=told[0], answer=codes[0]), False, (why,))


_CODES = ("code", "codes", "코드", "icd10", "icd9", "cpt", "snomed", "loinc", "atc")
_LANGUAGES = frozenset(
    (
        *(
            "english",
            "korean",
            "german",
            "french",
            "spanish",
            "japanese",
            "chinese",
            "en",
            "ko",
            "de",
            "fr",
            "es",
            "ja",
        ),
        *(
            "zh",
            "deutsch",
            "français",
            "español",
            "한국어",
            "영어",
            "영문",
            "국문",
            "일본어",
            "중국어",
            "日本語",
            "中文",
        ),
    )
)
"""Languages by whose names translations stand beside each other."""


def _terms(seen: TableProfile) -> DetectedMapping | None:
    """Single words in one of two columns, and texts in the other: words with what they mean, or questions with short
    answers."""
    left = [n for n in seen.columns if seen.profiles[n].filled > 0.5 and not seen.profiles[n].is_nested]
    told = [name for name in left if seen.profiles[name].is_prose]
    if len(left) == 2 and len(told) == 1 and seen.profiles[told[0]].ending >= MOSTLY:
        other = next(name for name in left if name != told[0])
        text = N_("No column is named as an answer; {column} was taken.")
        mapping = ColumnMapping(question=told[0], answer=other)
        return None if is_about(other) else DetectedMapping(mapping, False, (sentence(text, column=other),))
    left = [n for n in left if seen.profiles[n].about < 0.5 and seen.profiles[n].numbers < 0.5]
    if len(left) != 2 or len(told) != 1 or told[0] not in left:
        return None
    word, meaning = next(name for name in left if name != told[0]), told[0]
    if seen.profiles[word].distinct < 0.9 or is_about(word):
        return None
    if seen.columns.index(meaning) < seen.columns.index(word):
        word, meaning = meaning, word  # what stands on the left is given
    text = N_("Perhaps it is a list of words: {word} was taken as the question, and {meaning} as the answer.")
    mapping = ColumnMapping(question=word, answer=meaning)
    return DetectedMapping(mapping, False, (sentence(text, word=word, meaning=meaning),))


_CODE = ("code", "sql", "program", "script")
"""What answers in a programming language are called, which hardly look like texts."""
_INSTRUCTIONS = frozenset(
    (
        "instruction",
        "instructions",
        "지시문",
        "지시",
        "명령",
        "명령어",
        "指示",
        "指令",
        "anweisung",
        "consigne",
        "instrucción",
    )
)


_MARKS = ("?", "？")
_INPUTS = ("input", "inputs", "입력", "入力", "输入", "eingabe", "entrée", "entrada")
_GOLD = ("gold", "groundtruth", "reference", "expectedanswer", "expectedoutput", "humananswer", "정답", "모범답")
"""What an answer is called that others, such as those of several models, are measured by."""
_ALSO_SOURCES = ("reference", "references")
"""Which may as well name where an answer comes from."""


def _lone_letters(seen: TableProfile) -> set[str]:
    """Columns called A or Q: question and answer only where there are both, else perhaps just columns A and B."""
    letters = {name for name in seen.columns if plain(name) in ("q", "a")}
    return letters if len(letters) < 2 else set()


def _named_answer(seen: TableProfile) -> str | None:
    lone = _lone_letters(seen)
    usable = [n for n in seen.named("answer", lone, prose=True) if not is_about(n)]
    best = [n for n in seen.prose(lone) if n.endswith(BEST)]
    gold = [n for n in seen.prose(lone) if plain(n).startswith(_GOLD)]
    if (
        len(gold) == 1
        and usable
        and not (plain(gold[0]) in _ALSO_SOURCES and rank(usable[0], "answer") in range(EXACT))
    ):
        return gold[0]
    if best:
        return best[0]
    if usable and rank(usable[0], "answer") in range(EXACT):
        return usable[0]
    exact = [
        n for n in seen.named("answer", lone, below=EXACT) if seen.profiles[n].filled > 0
    ]  # yes and no, or numbers
    partial = [n for n in seen.named("answer", lone) if seen.profiles[n].filled > 0 and seen.profiles[n].about < 0.5]
    return next(iter([*exact, *usable, *partial]), None)


def _named_question(seen: TableProfile, answer: str) -> str | None:
    for name in seen.columns:
        # One short instruction for all rows, with an input for each: the instruction still is the question.
        if name != answer and plain(name) in _INSTRUCTIONS and seen.profiles[name].is_text:
            return name
    taken = {answer, *_lone_letters(seen)}
    if not any(plain(name).startswith("target") for name in (answer, *seen.columns)):
        taken |= {name for name in seen.columns if plain(name) == "source"}  # else it says where a row comes from
    usable = list(seen.named("question", taken, prose=True))
    if usable and rank(usable[0], "question") in range(EXACT):
        return usable[0]
    exact = [
        n
        for n in seen.named("question", taken, below=EXACT)
        if seen.profiles[n].about < 0.5 and seen.profiles[n].filled > 0 and not seen.profiles[n].is_boolean
    ]
    partial = [
        n for n in seen.named("question", taken) if seen.profiles[n].is_text and not seen.profiles[n].is_category
    ]
    partial = [n for n in partial if seen.profiles[n].about < 0.5]
    usable.sort(key=lambda name: plain(name).endswith(_TITLES))  # the question itself before its title
    return next(iter([*exact, *usable, *partial]), None)


_TITLES = ("title", "subject", "제목", "件名", "标题")


def _complete(
    seen: TableProfile, question: str, answer: str, why: list[Sentence], doubts: list[Sentence]
) -> DetectedMapping:
    """The other parts beside question and answer, and everything that speaks against the two."""
    taken = {question, answer}
    system = _beside(seen, "system", taken, below=EXACT)
    thinking = _beside(seen, "thinking", taken | {system or ""}, below=EXACT)
    tools = tools_column(seen, taken)
    if tools is not None and share(seen, answer, looks_like_calls) < 0.5 and seen.profiles[answer].is_nested:
        tools = None
    history = history_column(seen, taken)
    taken |= {name for name in (system, thinking, tools, history) if name}
    contexts = _contexts(seen, taken)
    context = contexts[0] if contexts else None
    if context:
        taken.add(context)
        why.append(sentence(N_("{column} is put below the question."), column=context))
    if len(contexts) > 1:
        text = N_("More than one column could stand below the question: {names}.")
        doubts.append(sentence(text, names=", ".join(contexts)[:300]))
    if share(seen, answer, is_answer_list) > 0.8:
        several = sentence(N_("Of several right answers in {column} the first is learned."), column=answer)
        placed = share(seen, answer, lambda cell: "answer_start" in cell_text(cell)) > 0.8
        (why if placed else doubts).append(several)  # a list may as well be one answer in parts
    elif seen.profiles[answer].is_nested and tools is None:
        text = N_("{column} holds lists or records, which would be learned as they are written.")
        doubts.append(sentence(text, column=answer))
    if answer.endswith(BEST):
        text = N_("{column} holds the answer with the highest score of each list; the others aren't used.")
        doubts.append(sentence(text, column=answer))
    doubts += _against(seen, question, answer, taken)
    desirable, doubt = desirable_column(seen, taken)
    if desirable is not None:
        why.append(sentence(DESIRABLE, column=desirable))
    elif doubt is not None:
        doubts.append(doubt)
    rejected = rejected_column(seen) if plain(answer).startswith(("chosen", "preferred")) else None
    if rejected is not None:
        why.append(sentence(LEARNED_FROM_PAIRS, better=answer, worse=rejected))
    rating = rated_answers_column(seen, question, answer) if rejected is None else None
    if rating is not None:
        text = N_("{column} rates several answers to the same questions: the best of each is learned.")
        doubts.append(sentence(text, column=rating))
    if tools:
        why.append(sentence(N_("{column} says which tools there are."), column=tools))
    if thinking:
        why.append(sentence(N_("{column} is learned as what is thought before the answer."), column=thinking))
    mapping = ColumnMapping(
        question=question,
        context=context,
        answer=answer,
        system=system,
        thinking=thinking,
        history=history,
        tools=tools,
        desirable=desirable,
        rejected=rejected,
        ratings=(rating,) if rating is not None else (),
    )
    return DetectedMapping(mapping, not doubts, (*why, *doubts))


def _against(seen: TableProfile, question: str, answer: str, taken: set[str]) -> list[Sentence]:
    doubts: list[Sentence] = []
    asks, replies = seen.profiles[question], seen.profiles[answer]
    thoughts = next((n for n in seen.named("thinking", taken) if seen.profiles[n].length >= 40), None)
    if thoughts is not None:
        text = N_("{column} may hold what is thought before the answer, and isn't used.")
        doubts.append(sentence(text, column=thoughts))
    rivals = [n for n in seen.named("answer", taken) if _could_be_answer(seen, n, answer)]
    if rivals:
        doubts.append(_candidates([answer, *rivals[:3]]))
    siblings = [
        n
        for n in seen.columns
        if n not in taken - {question} and n != answer and _stem(n) == _stem(answer) and seen.profiles[n].filled > 0.2
    ]
    if siblings and not rivals and _stem(answer) != plain(answer):
        doubts.append(_candidates([answer, *siblings[:3]]))
    if _is_form(question, answer):
        text = N_("{question} and {answer} are questions themselves, as in a form that people filled in.")
        doubts.append(sentence(text, question=question, answer=answer))
    is_task = plain(question) in _INSTRUCTIONS and len(taken) > 2  # with what it is about beside
    if asks.is_category and asks.different <= 2 < replies.different and not is_task:
        text = N_("{column} holds the same in nearly all rows.")
        doubts.append(sentence(text, column=question))
    askers = [
        n
        for n in seen.named("question", taken, below=EXACT, prose=True)
        if seen.profiles[n].filled > 0.2 and plain(n) not in ("source", "message", "메시지", "고객", "사용자", "user")
    ]
    certain = ("question", "prompt", "query", "질문", "문제", "質問", "问题")
    askers += [n for n in seen.columns if n not in taken and plain(n) in certain and seen.profiles[n].is_category]
    twins = [
        n
        for n in seen.columns
        if n not in taken and plain(n).rstrip("0123456789") == plain(question).rstrip("0123456789")
    ]
    askers += [n for n in twins if n not in askers and seen.profiles[n].is_prose]
    if rank(question, "question") is not None:
        askers += [n for n in _could_ask(seen, question, taken) if n not in askers]
    if askers:
        text = N_("More than one column could be the question: {names}.")
        doubts.append(sentence(text, names=", ".join([question, *askers[:3]])))
    if replies.marked >= 0.6 and asks.marked <= 0.2 and asks.asking <= 0.4:
        text = N_("By their names {question} asks and {answer} answers, but most questions stand in {answer}.")
        doubts.append(sentence(text, question=question, answer=answer))
    if asks.about >= 0.5 or (asks.numbers >= 0.8 and asks.length < 12):
        text = N_("{column} holds numbers, dates or addresses rather than questions.")
        doubts.append(sentence(text, column=question))
    if part_of(question) is not None and asks.spaced < 0.2 and asks.asking < 0.2:
        text = N_("{column} holds single words, perhaps names, rather than questions.")
        doubts.append(sentence(text, column=question))
    if replies.about >= 0.5:
        text = N_("{column} holds numbers, dates or addresses rather than answers.")
        doubts.append(sentence(text, column=answer))
    if replies.filled < 0.05 or asks.filled < 0.05:
        text = N_("{column} is nearly empty.")
        doubts.append(sentence(text, column=answer if replies.filled < 0.05 else question))
    values = replies.values
    if values and len(values) == replies.different <= 6 and all(mark_of(value) is not None for value in values):
        beside = [name for name in seen.columns if name not in taken and seen.profiles[name].is_text]
        if len(beside) >= 2:
            text = N_("{column} holds nothing but letters or numbers, which may point at what stands in {columns}.")
            doubts.append(sentence(text, column=answer, columns=", ".join(beside)[:200]))
    parent = parent_column(seen, taken)
    if parent is not None and any(rank(name, "history") is not None for name in taken):
        text = N_("If {column} ties the rows together in another way than turns, choose no column for earlier turns.")
        doubts.append(sentence(text, column=parent))
    elif parent is not None:
        text = N_("{column} says which row a row goes on from; the turns before an answer would not be read.")
        doubts.append(sentence(text, column=parent))
    return doubts


def _is_form(question: str, answer: str) -> bool:
    """Whether the names of both columns are questions or requests, to which people gave what stands below."""
    return all(ends_asking(name) and " " in name.strip() for name in (question, answer))


_WHICH = re.compile(r"[\s_\-.]+[A-Za-z]$|(?<=[a-z])[A-Z]$")


def _stem(name: str) -> str:
    """A name without what tells it from others of its kind: `response` of response_2, response_b and responseB."""
    return re.sub(r"\d+", "", plain(_WHICH.sub("", name)))


def _could_ask(seen: TableProfile, question: str, taken: set[str]) -> list[str]:
    """Other columns that hold as much as the question does, where its name only resembles one of a question."""
    if rank(question, "question") in range(EXACT) or plain(question) in _INSTRUCTIONS:
        return []
    least = 0.5 * seen.profiles[question].information
    others = [name for name in seen.prose(taken) if seen.profiles[name].information >= least]
    said = ("answer", "title", "system", "thinking", "context")
    return [n for n in others if not any(rank(n, role) is not None for role in said) and rejected_column(seen) != n]


def parent_column(seen: TableProfile, taken: set[str]) -> str | None:
    """A column that names other rows by what stands in their column of ids."""
    for name in seen.columns:
        if name in taken or not plain(name).startswith(("parent", "replyto", "inreplyto")):
            continue
        named = {text for row in seen.rows if (text := text_of(row, name))}
        for other in seen.columns:
            if other != name and named & {text_of(row, other) for row in seen.rows}:
                return name
    return None


def _could_be_answer(seen: TableProfile, name: str, answer: str) -> bool:
    """Whether a person would have to say which of the two is the answer."""
    found = seen.profiles[name]
    if found.filled < 0.2 or found.about >= 0.5 or found.is_boolean or (plain(name) == "target" and found.is_category):
        return False
    if rejected_column(seen) == name or name + BEST == answer or answer.startswith(name + "."):
        return False
    if (rank(name, "answer") or 0) < EXACT:
        return True  # a column called answer beside one called solution, even if it holds numbers
    if found.numbers >= 0.8 or (found.is_category and not seen.profiles[answer].is_category):
        return False
    return found.is_text or found.is_nested


def _candidates(names: list[str]) -> Sentence:
    return sentence(N_("More than one column could be the answer: {names}."), names=", ".join(names)[:300])


def _beside(seen: TableProfile, role: str, taken: set[str], below: int = 10_000) -> str | None:
    for name in seen.named(role, taken, below=below):
        found = seen.profiles[name]
        if found.is_nested or (
            found.is_category and found.length < 20 and not plain(name).startswith(("system", "시스템"))
        ):
            continue
        return name
    return None


def _contexts(seen: TableProfile, taken: set[str]) -> list[str]:
    """The column that holds what a question is about, and those that are called so no less clearly."""
    found = [name for name in seen.named("context", taken) if _could_be_context(seen, name, taken)]
    return [name for name in found if rank(name, "context") == rank(found[0], "context")]


def _could_be_context(seen: TableProfile, name: str, taken: set[str]) -> bool:
    found = seen.profiles[name]
    is_task = bool(taken & {name for name in seen.columns if plain(name) in _INSTRUCTIONS})
    if is_task and plain(name) in _INPUTS and found.filled > 0:
        return True  # what the instruction is about, be it a word, a number or a list
    exact = (rank(name, "context") or 0) < EXACT
    is_code = found.is_category and found.length < 30 and found.filled > 0.5 and not (exact and found.spaced > 0.8)
    if found.is_nested or found.about >= 0.5 or is_code:
        return False
    return (found.is_text and (exact or found.length >= 40)) or (exact and found.filled < 0.5)


def _name_in_pattern(name: str) -> str:
    return "{" + name + "}"
