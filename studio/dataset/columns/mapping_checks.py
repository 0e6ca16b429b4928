"""Whether anything could be learned with the parts that columns were given; every mistake in a plain sentence."""

from __future__ import annotations

from itertools import islice

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_
from studio.dataset.columns.formats import choices, labels, turns
from studio.dataset.columns.formats.conversations import in_turn, looks_like_conversation
from studio.dataset.columns.formats.pairs import QuestionTemplate, nearest
from studio.dataset.table import Table, cell_text


def check_mapping(table: Table, mapping: ColumnMapping) -> None:
    """Raises `ProblemError` when nothing could be learned with this mapping."""
    template = QuestionTemplate(mapping.question_template) if mapping.question_template else None
    if template is not None:
        _check_template(template)
    for name in (*mapping.columns(), *(template.columns if template else ())):
        if name not in table.columns:
            raise _unknown_column(table, name)
    data_format = mapping.format
    if data_format is None:
        raise _no_roles(table)
    _check_conflicts(mapping)
    if data_format in ("pair", "options"):
        _check_question_and_answer(mapping, template)
    if data_format == "options":
        _check_options(table, mapping)
    elif data_format == "labels":
        _check_labels(table, mapping, template)
    elif data_format == "turns":
        _check_turns(table, mapping)
    elif data_format == "messages":
        _check_messages(table, mapping)
    _check_contents(table, mapping, template)


def _check_template(template: QuestionTemplate) -> None:
    if template.is_broken:
        raise mapping_problem(
            "data.template_braces",
            N_("A curly bracket in the pattern of the question has no partner."),
            N_("Column names stand between an opening and a closing one, so it can't be told what is meant."),
            N_("Close it, or write it twice where the bracket itself is meant."),
        )
    if not template.columns:
        raise mapping_problem(
            "data.template_without_columns",
            N_("The pattern of the question names no column, so every question would be the same."),
            N_("Column names stand in it in curly brackets."),
            N_("Put in the columns that make up the question, or choose a single column."),
        )


def _unknown_column(table: Table, name: str) -> ProblemError:
    near = nearest(name, table.columns)
    if near:
        return mapping_problem(
            "data.unknown_column",
            N_("The file has no column called {column}."),
            N_("It has: {columns}."),
            N_("Did you mean {near}? Choose the columns again."),
            column=name or '""',
            near=near,
            columns=", ".join(table.columns)[:300],
        )
    return mapping_problem(
        "data.unknown_column",
        N_("The file has no column called {column}."),
        N_("It has: {columns}."),
        N_("Choose the columns again."),
        column=name or '""',
        columns=", ".join(table.columns)[:300],
    )


def _no_roles(table: Table) -> ProblemError:
    if len(table.columns) == 1:
        return mapping_problem(
            "data.one_column",
            N_("The file has only one column, {column}, so there are questions or answers, but not both."),
            N_("The model learns from pairs: what is asked, and what you would answer."),
            N_("Add a column with the answers, or mark this column as plain text to learn its style."),
            column=table.columns[0],
        )
    return mapping_problem(
        "data.no_roles",
        N_("It isn't clear which column asks and which answers."),
        N_("The columns are: {columns}."),
        N_("Choose the column with the questions and the one with the answers."),
        columns=", ".join(table.columns)[:300],
    )


def _check_conflicts(mapping: ColumnMapping) -> None:
    asked = bool(mapping.question or mapping.question_template or mapping.answer)
    asked = asked or bool(mapping.context or mapping.thinking or mapping.history)
    in_rows = bool(mapping.conversation or mapping.speaker or mapping.content)
    picked = bool(mapping.options or mapping.label)
    if sum((bool(mapping.messages), bool(mapping.text), in_rows, asked or picked)) > 1:
        raise mapping_problem(
            "data.roles_conflict",
            N_("Whole conversations, plain text, and questions with answers can't be chosen together."),
            N_("An example is one of these three."),
            N_("Keep one of them and clear the others."),
        )
    if mapping.system and (mapping.text or in_rows):
        raise mapping_problem(
            "data.system_without_question",
            N_("The column {column} holds standing instructions, which plain text and turns in rows can't take."),
            N_("They belong to questions with answers, or to whole conversations."),
            N_("Clear this column, or write the instructions once for all examples."),
            column=mapping.system,
        )
    if mapping.label and (mapping.options or mapping.answer):
        raise mapping_problem(
            "data.label_and_answer",
            N_("A label and an answer can't be chosen together."),
            N_("The label is what the model answers with."),
            N_("Clear one of the two."),
        )
    if mapping.has_pairs or mapping.better:
        _check_pairs(mapping)
    if mapping.tools and (mapping.text or in_rows or picked):
        raise mapping_problem(
            "data.tools_without_conversation",
            N_("The column {column} holds tools, but there are no conversations in which they could be used."),
            N_("Tools belong to whole conversations, or to questions with answers."),
            N_("Choose the column with the conversations, or clear the one with the tools."),
            column=mapping.tools,
        )


def _check_pairs(mapping: ColumnMapping) -> None:
    if mapping.format not in ("pair", "messages"):
        raise mapping_problem(
            "data.pairs_without_answers",
            N_("A worse answer, or ratings of answers, belong to questions with answers or to conversations."),
            N_("They stand beside the better answer to the same question."),
            N_("Choose the columns with the question and the better answer, or clear this one."),
        )
    if mapping.rejected and mapping.rejected in (mapping.answer, mapping.messages, mapping.question):
        raise mapping_problem(
            "data.same_column",
            N_("The column {column} can't be the worse answer and something else at once."),
            N_("The model learns what is better in one answer than in the other."),
            N_("Choose another column for one of the two."),
            column=mapping.rejected,
        )
    if (mapping.better or len(mapping.ratings) == 2) and not mapping.rejected:
        raise mapping_problem(
            "data.no_second_answer",
            N_("No column with the other answer has been chosen."),
            N_("Which of two answers is better can only be said where there are two."),
            N_("Choose it as the worse answer: the verdict says for each row which one is better."),
        )


def _check_question_and_answer(mapping: ColumnMapping, template: QuestionTemplate | None) -> None:
    if not mapping.answer:
        if mapping.options:
            raise mapping_problem(
                "data.options_without_answer",
                N_("There are options, but no column has been chosen that says which of them is right."),
                N_("The right option is what the model learns."),
                N_("Choose the column with the letter, the number or the text of the right option."),
            )
        raise mapping_problem(
            "data.no_answer_column",
            N_("No column with answers has been chosen."),
            N_("The answers are what the model learns."),
            N_("Choose the column that holds what you would answer."),
        )
    if not mapping.question and template is None:
        raise mapping_problem(
            "data.no_question_column",
            N_("No column with questions has been chosen."),
            N_("The model has to know what each answer belongs to."),
            N_("Choose the column that holds what is asked, or mark the answers as plain text."),
        )
    asked = (mapping.question, mapping.context, mapping.system, *(template.columns if template else ()))
    if mapping.answer in asked:
        raise mapping_problem(
            "data.same_column",
            N_("The column {column} can't be question and answer at once."),
            N_("The model would only learn to repeat what it is told."),
            N_("Choose another column for one of the two."),
            column=mapping.answer,
        )


def _check_options(table: Table, mapping: ColumnMapping) -> None:
    if mapping.answer in mapping.options:
        raise mapping_problem(
            "data.answer_is_option",
            N_("The column {column} can't be an option and the answer at once."),
            N_("The answer says which of the options is right, by letter, number or text."),
            N_("Choose another column for the answer, or take this one out of the options."),
            column=str(mapping.answer),
        )
    if len(set(mapping.options)) < len(mapping.options):
        raise mapping_problem(
            "data.option_twice",
            N_("One column stands twice among the options."),
            N_("Each option needs a column of its own, or all of them stand in a single one."),
            N_("Choose the columns with the options again."),
        )
    if len(mapping.options) == 1 and choices.share_with_options(table.rows, mapping.options[0]) < 0.2:
        raise mapping_problem(
            "data.one_option",
            N_("The column {column} alone doesn't hold a list of options."),
            N_("Options stand in a column each, or all in one cell: as a list, one a line, or after letters."),
            N_("Choose all columns with options, or another one."),
            column=mapping.options[0],
        )
    key = choices.find_key(islice(table.rows, 5_000), mapping.options, str(mapping.answer), mapping.first_option)
    if key.looked_at and not key.resolved:
        raise mapping_problem(
            "data.answers_match_no_option",
            N_("What stands in {column} is none of the options, in any row."),
            N_("It should be the letter, the number or the text of the right option."),
            N_("Choose the column that says which option is right, or other columns as options."),
            column=str(mapping.answer),
        )


def _check_labels(table: Table, mapping: ColumnMapping, template: QuestionTemplate | None) -> None:
    if not mapping.question and template is None:
        raise mapping_problem(
            "data.label_without_text",
            N_("No column with the texts has been chosen that the labels belong to."),
            N_("The model reads a text and learns which label it belongs under."),
            N_("Choose the column with the texts as the question."),
        )
    label = str(mapping.label)
    if label in (mapping.question, mapping.context, mapping.system, *(template.columns if template else ())):
        raise mapping_problem(
            "data.same_column",
            N_("The column {column} can't be question and answer at once."),
            N_("The model would only learn to repeat what it is told."),
            N_("Choose another column for one of the two."),
            column=label,
        )
    known = labels.labels_of(table.rows, label)
    if len(known) == 1:
        raise mapping_problem(
            "data.one_label",
            N_("The column {column} holds the same label in every row."),
            N_("Where there is nothing to choose between, a model only learns to say that one word."),
            N_("Choose a file with different labels, or another column."),
            column=label,
        )
    if len(known) > labels.MOST_LABELS or any(len(one) > 3 * labels.LONGEST_LABEL for one in known):
        raise mapping_problem(
            "data.too_many_labels",
            N_("The column {column} holds more than {most} different texts, or long ones, so they aren't labels."),
            N_("All labels are named in every question, so that the model can choose."),
            N_("Choose this column as the answer instead, or another one as the label."),
            column=label,
            most=labels.MOST_LABELS,
        )


def _check_turns(table: Table, mapping: ColumnMapping) -> None:
    if not mapping.conversation:
        raise mapping_problem(
            "data.no_conversation_id",
            N_("No column has been chosen that says which rows belong to one conversation."),
            N_("Without it the whole file would be a single conversation."),
            N_("Choose the column with the number or name of the conversation, such as a ticket number."),
        )
    if not mapping.speaker:
        raise mapping_problem(
            "data.no_speaker",
            N_("No column has been chosen that says who speaks."),
            N_("The model learns what one side says, so it has to know which side that is."),
            N_("Choose the column with the speakers, such as customer and agent."),
        )
    if not mapping.content:
        raise mapping_problem(
            "data.nothing_said",
            N_("No column has been chosen that holds what is said."),
            N_("The turns of the conversations are what the model learns from."),
            N_("Choose the column with the texts."),
        )
    if len({mapping.conversation, mapping.speaker, mapping.content}) < 3:
        raise mapping_problem(
            "data.turns_same_column",
            N_("Conversation, speaker and what is said need a column each."),
            N_("One column was chosen for two of them."),
            N_("Choose another column for one of the two."),
        )
    order = turns.order_of(table.rows, mapping)
    if not order.speakers:
        raise _empty(mapping.speaker)
    names = ", ".join(list(order.speakers)[:8])[:300]
    if mapping.assistant_speaker is not None and mapping.assistant_speaker not in order.speakers:
        raise mapping_problem(
            "data.unknown_speaker",
            N_("Nobody called {name} speaks in this file."),
            N_("These do: {names}."),
            N_("Choose one of them as the one who answers."),
            name=mapping.assistant_speaker,
            names=names,
        )
    speakers = turns.speaker_roles(order, mapping.assistant_speaker)
    if "assistant" not in speakers.parts.values() or "user" not in speakers.parts.values():
        raise mapping_problem(
            "data.one_side",
            N_("Only one side speaks in {column}: {names}."),
            N_("A conversation needs someone who asks and someone who answers."),
            N_("Choose the column with the speakers again, or say who of them answers."),
            column=mapping.speaker,
            names=names,
        )


def _check_messages(table: Table, mapping: ColumnMapping) -> None:
    column = str(mapping.messages)
    cells = [cell for row in islice(table.rows, 300) if (cell := row.get(column)) not in (None, "")]
    if cells and not any(looks_like_conversation(cell) or in_turn(cell) for cell in cells):
        raise mapping_problem(
            "data.no_conversations",
            N_("The column {column} doesn't hold conversations."),
            N_("Each cell should be a list of turns, and each turn say who speaks and what."),
            N_("Choose another column, or mark this one as a question, an answer or plain text."),
            column=column,
        )


def _check_contents(table: Table, mapping: ColumnMapping, template: QuestionTemplate | None) -> None:
    learned = mapping.messages or mapping.text or mapping.label or mapping.content or mapping.answer or ""
    named = (
        mapping.question,
        mapping.context,
        mapping.answer,
        mapping.messages,
        mapping.text,
        mapping.label,
        mapping.content,
    )
    chosen = [name for name in (*named, *mapping.options, *(template.columns if template else ())) if name]
    seen: set[str] = set()
    filled = 0
    for row in table.rows:
        if cell_text(row.get(learned)).strip():
            filled += 1
        if len(seen) < 2:
            seen.add("\x1f".join(cell_text(row.get(name)).strip() for name in chosen))
        if filled and len(seen) > 1:
            return
    if not filled:
        raise _empty(learned)
    if len(table.rows) > 1 and mapping.format != "turns":
        raise mapping_problem(
            "data.all_equal",
            N_("All {count} rows are the same."),
            N_("From one example told many times a model only learns to say that one thing."),
            N_("Choose a file with different examples, or other columns."),
            count=len(table.rows),
        )


def _empty(column: str) -> ProblemError:
    return mapping_problem(
        "data.no_answers",
        N_("The column {column} is empty in every row."),
        N_("What stands there is what the model learns, so there is nothing to learn."),
        N_("Fill it in, or choose another column."),
        column=column,
    )


def mapping_problem(code: str, what: str, why: str, fix: str, **values: str | int) -> ProblemError:
    """A problem that is solved by choosing other columns."""
    return problem(code, what, why, fix, remedy=Remedy.choose_columns, **values)
