"""What is kept of what a model wrote down about a turn, and which of it a question touches."""

from __future__ import annotations

from studio.chat.knowledge import as_told, goes_round, names_of, read_facts, request_for, touching
from studio.core.conversation import Fact

TURN = "My sister Anna moved to Busan last spring. She works in a bakery, and Mr. Okafor owns it."


def subjects(written: str, text: str = TURN) -> list[str]:
    return [fact.subject for fact in read_facts("entity", written, text)]


def triples(written: str, text: str = TURN) -> list[tuple[str, str, str]]:
    return [(fact.subject, fact.relation, fact.object) for fact in read_facts("relation", written, text)]


def test_an_entity_is_kept_with_the_sentence_that_names_it() -> None:
    anna, busan, bakery = read_facts("entity", "Anna\n- Busan\n3. a bakery", TURN)
    assert (anna.subject, anna.statement) == ("Anna", "My sister Anna moved to Busan last spring.")
    assert busan.statement == anna.statement
    assert (bakery.subject, bakery.statement) == ("bakery", "She works in a bakery, and Mr. Okafor owns it.")


def test_what_does_not_stand_in_the_turn_is_dropped() -> None:
    assert subjects("Seoul\nAnnabelle\nBus\nAnna Busan\nwork") == []


def test_what_names_nobody_is_dropped() -> None:
    assert subjects("She\nthe\nit\nnone\n\n2019", "She paid it in 2019.") == []


def test_a_whole_sentence_is_no_name() -> None:
    assert subjects(TURN) == []
    assert subjects("Anna works", "Anna works.") == []


def test_a_line_that_comes_again_counts_once_whatever_the_case() -> None:
    assert subjects("Anna\nANNA\nanna") == ["Anna"]


def test_a_title_with_a_dot_does_not_end_a_sentence() -> None:
    (fact,) = read_facts("entity", "Mr Okafor", TURN)
    assert fact.statement == "She works in a bakery, and Mr. Okafor owns it."


def test_a_korean_name_is_found_before_its_particle() -> None:
    (fact,) = read_facts("entity", "수진", "수진이는 대전에서 빵집을 합니다.")
    assert fact.statement == "수진이는 대전에서 빵집을 합니다."


def test_a_triple_is_kept_where_all_its_words_stand_in_one_sentence() -> None:
    assert triples("Anna | moved to | Busan\nMr Okafor | owns | it") == [
        ("Anna", "moved to", "Busan"),
        ("Mr Okafor", "owns", "it"),
    ]


def test_a_triple_of_another_form_or_with_other_words_is_dropped() -> None:
    wrong = "Anna moved to Busan\nAnna | Busan\nAnna | lives in | Busan\nAnna | works in | bakery\n| moved to | Busan"
    assert triples(f"{wrong}\nAnna | moved to | Busan | last spring\nAnna | moved to | Anna") == []


def test_a_model_that_only_repeats_itself_is_noticed() -> None:
    assert goes_round("dog\ndog\nd")
    assert not goes_round("dog\nDora\ndog")  # the last line may go on
    assert not goes_round("")


def test_only_the_beginning_of_a_long_message_is_read() -> None:
    assert len(request_for("entity", "word " * 5000)[-1].content) < 2000


def fact(subject: str, statement: str) -> Fact:
    return Fact(kind="entity", subject=subject, statement=statement)


ANNA = fact("Anna", "My sister Anna moved to Busan.")
BRUNO = fact("Bruno", "Our dog Bruno has a bad hip.")
WORKS = Fact(kind="relation", subject="Anna", relation="works in", object="bakery", statement="")
OPENS = Fact(kind="relation", subject="bakery", relation="opens at", object="five", statement="")
LEO = Fact(kind="relation", subject="Leo", relation="builds", object="robots", statement="")


def test_a_question_touches_whom_it_names_and_what_shares_its_words() -> None:
    assert touching("Where does Anna's husband live?", [ANNA, BRUNO]) == (ANNA,)
    assert touching("How is our dog?", [ANNA, BRUNO]) == (BRUNO,)
    assert touching("What did I say?", [ANNA, BRUNO]) == ()


def test_what_is_related_to_what_a_question_names_comes_after_it() -> None:
    assert touching("When does Anna begin?", [LEO, OPENS, WORKS]) == (WORKS, OPENS)


def test_no_more_than_a_few_facts_are_told_and_each_sentence_once() -> None:
    both = [ANNA, fact("Busan", ANNA.statement)]
    assert touching("Anna in Busan?", both) == (both[1],)
    assert len(touching("Anna?", [fact("Anna", f"Anna is {n}.") for n in range(40)])) == 12


def test_a_model_is_told_whose_words_a_fact_is() -> None:
    said = ANNA.model_copy(update={"said_by": "assistant"})
    assert as_told([said, WORKS]).splitlines()[1:] == [
        "- My sister Anna moved to Busan. (said by you)",
        "- Anna works in bakery",
    ]


def test_a_name_stands_once_as_it_was_written_first() -> None:
    assert names_of([WORKS, fact("ANNA", "")]) == {"anna": "Anna", "bakery": "bakery"}
