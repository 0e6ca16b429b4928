"""Recognising multiple choice, and texts with labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.formats import choices, labels
from studio.dataset.columns.formats.choices import mark_of, series
from studio.dataset.columns.formats.pairs import QuestionTemplate
from studio.dataset.readers.derived.columns import BEST
from studio.dataset.vocabulary import EXACT, PAIRS_OF_TEXTS, is_about, plain, rank

_ALL_RIGHT = ("correctanswer", "incorrectanswer", "rightanswer", "wronganswer", "acceptedanswer")
"""What lists are called of which every text is right, or none: nothing to choose from."""


_SORTING = (
    "category topic subject tag tags type kind genre section department kategorie catégorie categoría thema "
    "카테고리 분류 주제 유형 분류명 カテゴリ 分類 类别 分类"
)
"""Names of columns that as often merely sort the rows of a table as they label its texts."""
_NAMING = (
    "name",
    "product",
    "productname",
    "item",
    "itemname",
    "상품명",
    "제품명",
    "품명",
    "품목명",
    "商品名",
    "产品名称",
    "artikel",
)
"""What columns are called whose texts name what the rest of their row tells about."""


def detect_options(seen: TableProfile) -> DetectedMapping | None:
    """Options in columns A to D, 보기1 to 보기5 and so on, or all in one cell; and the column that says which."""
    columns = series([name for name in seen.columns if seen.profiles[name].filled > 0])
    unnamed = _unnamed_options(seen)
    if unnamed is not None:
        return unnamed
    if columns:
        found = _guess_columns(seen, columns)
        if found is not None:
            return found
    for name in seen.columns:
        by_name = rank(name, "options") is not None
        if plain(name).startswith(_ALL_RIGHT) or (not by_name and rank(name, "context") is not None):
            continue
        if name in seen.laid_out or name + BEST in seen.columns or (not by_name and not seen.profiles[name].is_nested):
            continue
        if choices.share_with_options(seen.rows, name) < 0.8 or _are_bare(seen, name):
            continue
        key = _key_column(seen, (name,), must_be_named=not by_name)
        if key is not None:
            text = N_("{column} holds the options, and {key} says which is right.")
            return _with_question(seen, (name,), key, sentence(text, column=name, key=key))
        if by_name and seen.named("question", {name}, below=EXACT):
            return _without_key(seen, (name,))
    return None


def _are_bare(seen: TableProfile, name: str) -> bool:
    """Whether the options are nothing but letters, because their texts stand in the question."""
    listed = [choices.options_of(row, (name,)) for row in seen.rows if row.get(name) not in (None, "")]
    return all(len(option.text.strip("() .")) == 1 for options in listed for option in options)


def _unnamed_options(seen: TableProfile) -> DetectedMapping | None:
    """A question, its options and a letter in columns without names, as MMLU and other tests are kept."""
    if len(seen.columns) not in range(4, 9) or not all(_UNNAMED.fullmatch(name) for name in seen.columns):
        return None
    question, *options, key = seen.columns
    letters = {text.upper() for text in seen.profiles[key].values}
    if not letters or letters - set("ABCDEFGH"[: len(options)]) or len(letters) != seen.profiles[key].different:
        return None
    if not seen.profiles[question].is_text or min(seen.profiles[name].filled for name in options) < 0.9:
        return None
    mapping = ColumnMapping(question=question, options=tuple(options), answer=key)
    text = N_("Columns {first} to {last} hold the options, and {key} says which is right.")
    return DetectedMapping(mapping, False, (sentence(text, first=options[0], last=options[-1], key=key),))


_UNNAMED = re.compile(r"column \d+")


def _guess_columns(seen: TableProfile, columns: tuple[str, ...]) -> DetectedMapping | None:
    key = _key_column(seen, columns)
    if key is not None:
        text = N_("Columns {first} to {last} hold the options, and {key} says which is right.")
        return _with_question(seen, columns, key, sentence(text, first=columns[0], last=columns[-1], key=key))
    mark = mark_of(columns[0])
    are_answers = mark is not None and mark.prefix in (
        "answer",
        "ans",
        "solution",
        "sol",
        "candidate",
        "réponse",
        "antwort",
    )
    if len(columns) >= 3 and not are_answers and seen.named("question", columns, below=EXACT):
        return _without_key(seen, columns)
    return None


def _without_key(seen: TableProfile, columns: tuple[str, ...]) -> DetectedMapping:
    question = _question(seen, set(columns))
    why = sentence(N_("There are options, but no column says which of them is right."))
    return DetectedMapping(ColumnMapping(question=question, options=columns), False, (why,))


def _key_column(seen: TableProfile, columns: Sequence[str], must_be_named: bool = False) -> str | None:
    """The column whose cells mean one of the options, by its name first and then by its contents."""
    left = [name for name in seen.columns if name not in columns and seen.profiles[name].filled > 0]
    by_name = seen.named("key", columns) + [n for n in seen.named("answer", columns) if n not in seen.named("key")]
    by_name = [name for name in by_name if name in left]
    others = [
        name
        for name in left
        if name not in by_name
        and not is_about(name)
        and rank(name, "question") is None
        and seen.profiles[name].length <= 30
    ]
    for name in by_name:
        if _resolves(seen, columns, name) >= 0.8:
            return name
    if must_be_named:
        return None
    fitting = [name for name in others if seen.profiles[name].numbers < 0.5 and _resolves(seen, columns, name) >= 0.95]
    return fitting[0] if len(fitting) == 1 else None


def _resolves(seen: TableProfile, columns: Sequence[str], name: str) -> float:
    key = choices.find_key(seen.rows, columns, name)
    return key.resolved / key.looked_at if key.looked_at else 0.0


def _with_question(
    seen: TableProfile, columns: tuple[str, ...], answer: str, recognised: Sentence
) -> DetectedMapping | None:
    taken = {*columns, answer}
    question = _question(seen, taken)
    if question is None:
        return None
    context = next(
        (
            n
            for n in seen.named("context", {*taken, question})
            if seen.profiles[n].is_text and not seen.profiles[n].is_category
        ),
        None,
    )
    key = choices.find_key(seen.table.rows, columns, answer)
    mapping = ColumnMapping(question=question, context=context, options=columns, answer=answer)
    why = [recognised]
    sure = key.is_told
    if any(choices.answers_of(row, columns, answer) > 1 for row in seen.rows):
        why.append(sentence(N_("Where several options are right, all of them are learned.")))
    if any(word in plain(answer) for word in ("winner", "prefer", "better", "chosen")):
        sure = False
        text = N_("Perhaps {column} says which of several answers is better, rather than which option is right.")
        why.append(sentence(text, column=answer))
    if not key.is_told:
        if key.disagreeing:
            text = N_("In {count} {count:row|rows} the answer could be an option's place as well as an option's text.")
            why.append(sentence(text, count=key.disagreeing))
        if key.is_numbered:
            text = N_("The numbers in {column} could count from 0 or from 1; {first} was taken.")
            why.append(sentence(text, column=answer, first=key.first))
            mapping = mapping.model_copy(update={"first_option": key.first})
        if key.resolved < 0.95 * key.looked_at:
            text = N_("{count} {count:answer is none of its|answers are none of their} options.")
            why.append(sentence(text, count=key.looked_at - key.resolved))
    if seen.profiles[question].is_category or not _is_named_question(seen, question):
        others = seen.prose({*taken, question, *([context] if context else [])})
        if others and seen.profiles[question].is_category and seen.profiles[question].different <= _FEW_KINDS:
            # COPA's "cause" and "effect": what is asked about the text beside.
            pattern = f"{{{_in_pattern(others[0])}}}\n\n{{{_in_pattern(question)}}}"
            mapping = mapping.model_copy(update={"question": None, "context": None, "question_template": pattern})
            text = N_("{title} and {body} together are taken as the question.")
            why.append(sentence(text, title=others[0], body=question))
            sure = False
        elif others or seen.profiles[question].is_category:
            sure = False
            text = N_("It isn't clear which column holds the question; {column} was taken.")
            why.append(sentence(text, column=question))
    return DetectedMapping(mapping, sure, tuple(why))


_FEW_KINDS = 4


def _is_named_question(seen: TableProfile, name: str) -> bool:
    return rank(name, "question") is not None


def _question(seen: TableProfile, taken: set[str]) -> str | None:
    for name in seen.named("question", taken):
        if seen.profiles[name].filled and not seen.profiles[name].is_nested:
            return name
    for name in (*seen.named("context", taken), *seen.named("text", taken)):
        if seen.profiles[name].is_prose:
            return name
    prose = seen.prose(taken)
    return prose[0] if prose else None


def detect_labels(seen: TableProfile) -> DetectedMapping | None:
    """A column of texts and one of a few short labels, where no column is named as an answer."""
    if seen.named("answer", prose=True):
        return None
    summaries = seen.named("summary", prose=True)
    if summaries and seen.prose(summaries):
        return None  # of something that stands beside it
    kinds = [name for name in seen.columns if _is_kind(seen, name)]
    named = [name for name in seen.named("label") if name in kinds]
    texts = [n for n in seen.columns if n not in kinds and seen.profiles[n].is_text and not seen.profiles[n].is_nested]
    texts = [n for n in texts if not is_about(n) and seen.profiles[n].about < 0.5 and not seen.profiles[n].is_category]
    pair = _pair_of_texts(seen)
    if not texts and pair is None:
        return None
    sure = True
    if named:
        candidates = named
    elif len(texts) == 1 and len(kinds) == 1 and len(seen.rows) >= 12 and not is_about(kinds[0]):
        candidates = kinds
        others = ("question", "answer", "speaker", "conversation", "title")
        elsewhere = any(rank(kinds[0], role) is not None for role in others)
        unnamed = _UNNAMED.fullmatch(kinds[0]) is not None  # as who spoke each line
        sure = seen.profiles[kinds[0]].different <= 20 and not elsewhere and not unnamed
    else:
        return None
    label, doubt = _one_label(seen, candidates)
    if seen.profiles[label].different < 2 and plain(label) in _SORTING.split() and len(texts) > 1:
        return None  # all rows are of one kind, and one text may answer the other
    question, template, clear = _labelled(seen, texts)
    why = [
        sentence(
            N_("{label} holds the labels for what stands in {columns}."),
            label=label,
            columns=question or ", ".join(QuestionTemplate(template).columns),
        )
    ]
    if doubt is not None:
        why.append(doubt)
        sure = False
    if not clear:
        sure = False
        why.append(sentence(N_("It isn't clear which column holds the text; {column} was taken."), column=question))
    all_labels = labels.labels_of(seen.table.rows, label)
    if len(all_labels) > labels.MOST_LABELS:
        return None
    if "-" in all_labels and "+" not in all_labels:
        sure = False
        text = N_("{column} holds a dash in some rows, which may mean that nobody agreed on a label.")
        why.append(sentence(text, column=label))
    if seen.profiles[label].different < 2:
        sure = False
        why.append(sentence(N_("{column} holds the same label in every row."), column=label))
    if seen.profiles[label].numbers > 0.5 or seen.profiles[label].is_boolean:
        sure = False
        text = N_("The labels in {column} are bare numbers or yes and no, so the model wouldn't know what they mean.")
        why.append(sentence(text, column=label))
    mapping = ColumnMapping(question=question or None, question_template=template or None, label=label)
    is_named = rank(label, "label") in range(EXACT) and plain(label) not in _SORTING.split()
    beside = [] if is_named else _beside_label(seen, mapping)
    if beside:
        sure = False
        text = N_("Perhaps {label} only sorts the rows, and nobody labelled the texts: the table also has {columns}.")
        why.append(sentence(text, label=label, columns=", ".join(beside)[:200]))
        naming = next((n for n in beside if plain(n) in _NAMING and seen.profiles[n].distinct > 0.9), None)
        if naming is not None and question:
            mapping = ColumnMapping(question=naming, answer=question)
            text = N_("{name} was taken as the question, and what {column} tells about it as the answer.")
            why = [sentence(text, name=naming, column=question), why[-1]]
    return DetectedMapping(mapping, sure, tuple(why))


_COUNTING = ("id", "idx", "index", "no", "num", "number", "uuid", "guid", "split", "연번", "순번", "번호", "아이디")


def _beside_label(seen: TableProfile, mapping: ColumnMapping) -> list[str]:
    """The columns beside texts and their labels that no data set of labelled texts has: prices, names, states."""
    used = {*mapping.columns(), *QuestionTemplate(mapping.question_template or "").columns}
    return [
        name
        for name in seen.columns
        if name not in used
        and seen.profiles[name].filled > 0.2
        and seen.profiles[name].about < 0.5
        and plain(name) not in _COUNTING
        and not (plain(name).endswith(("id", "번호")) and seen.profiles[name].distinct > 0.9)
        and not plain(name).startswith(plain(str(mapping.label)))
    ]


def _is_kind(seen: TableProfile, name: str) -> bool:
    found = seen.profiles[name]
    if found.is_nested or not found.filled or found.length > 60 or found.about > 0.5:
        return False
    if rank(name, "label") is not None and (rank(name, "label") or 0) < EXACT:
        return found.different <= max(2, 0.5 * len(seen.rows)) and found.length <= 40
    return found.is_category


def _one_label(seen: TableProfile, candidates: list[str]) -> tuple[str, Sentence | None]:
    """The label among several columns: of a number and its name the name (`label` and `label_text`), and what was
    agreed on before what single people said (`gold_label` and `label2`)."""
    agreed = [name for name in candidates if plain(name).startswith("gold")]
    if len(agreed) == 1:
        return agreed[0], None
    words = [n for n in candidates if seen.profiles[n].numbers < 0.5]
    numbers = [n for n in candidates if n not in words]
    if len(words) == 1 and all(plain(words[0]).startswith(plain(n)) for n in numbers):
        return words[0], None
    if len(candidates) == 1:
        return candidates[0], None
    best = (words or candidates)[0]
    text = N_("{names} could be the label as well.")
    return best, sentence(text, names=", ".join(n for n in candidates if n != best)[:200])


def _labelled(seen: TableProfile, texts: list[str]) -> tuple[str, str, bool]:
    """The column with the text, or a pattern over two, and whether that is clear."""
    pair = _pair_of_texts(seen)
    if pair is not None:
        a, b = pair
        return "", f"{_in_pattern(a)}: {{{a}}}\n{_in_pattern(b)}: {{{b}}}", True
    if len(texts) == 1:
        return texts[0], "", True
    named = [n for role in ("text", "question", "said") for n in seen.named(role, below=EXACT) if n in texts]
    longest = max(texts, key=lambda name: seen.profiles[name].information)
    if named and (len(set(named)) == 1 or named[0] == longest):
        return (
            named[0],
            "",
            all(seen.profiles[n].length < 0.5 * seen.profiles[named[0]].length for n in texts if n != named[0]),
        )
    return longest, "", False


def _pair_of_texts(seen: TableProfile) -> tuple[str, str] | None:
    """Two texts that a label compares, by their names: the second of them may be the same in many rows."""
    by_plain = {plain(name): name for name in seen.columns if seen.profiles[name].is_text}
    pairs = [(by_plain[a], by_plain[b]) for a, b in PAIRS_OF_TEXTS if a in by_plain and b in by_plain]
    return pairs[0] if pairs else None


def _in_pattern(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")
