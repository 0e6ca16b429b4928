"""Examples that are too long: what is kept of them, and that nothing is lost where nothing has to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.engine.objectives.supervised import tokenize_examples
from studio.tokenization.encoded import Encoded
from studio.tokenization.encoding import Encoder
from studio.tokenization.truncation import truncate, truncate_pair
from tests.tokenization.conversations import EXAMPLES
from tests.tokenization.families import FAMILIES, save_family

STORY = (
    "The parcel left the depot at nine. It was raining.\n\nNobody had written the number down! Who could tell where "
    "it was? 아무도 몰랐습니다. 비가 오고 있었습니다. (It was late.) The van came back. "
    "荷物は届きました。次の日でした。"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(FAMILIES["chatml"], tmp_path_factory.mktemp("model"), marked=False)


def learned_texts(encoder: Encoder, parts: tuple[Encoded, ...]) -> list[str]:
    return [piece.text for part in parts for piece in encoder.pieces(part) if piece.kind == "learned"]


def test_what_fits_is_left_as_it_is(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 4096)
    for example in (*EXAMPLES.values(), Example(text=STORY)):
        for how in ("cut", "leave_out", "split"):
            assert truncate(encoder, example, how) == (encoder.encode(example),)


def test_what_does_not_fit_is_cut_or_left_out(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 24)
    told = Message(role="assistant", content=STORY)
    example = Example(messages=(Message(role="user", content="A story?"), told))
    (cut,) = truncate(encoder, example, "cut")
    assert len(cut.ids) == 24 and cut.truncated_tokens > 0
    assert truncate(encoder, example, "leave_out") == truncate(encoder, Example(text=STORY), "leave_out") == ()


def test_nothing_of_a_text_is_cut_away(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 90)
    parts = truncate(encoder, Example(text=STORY), "cut")
    assert parts == truncate(encoder, Example(text=STORY), "split") and not any(part.truncated_tokens for part in parts)


def test_of_a_pair_each_answer_is_learned_alone(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 400)
    asked = Message(role="user", content="Where is it?")
    kind, curt = (Message(role="assistant", content=text) for text in ("It is just around the corner.", "No idea."))
    pair = truncate_pair(encoder, Example(messages=(asked, kind), rejected=curt), "cut")
    assert pair is not None
    for encoded, said in zip(pair, (kind, curt), strict=True):
        assert learned_texts(encoder, (encoded,))[0].startswith(said.content)
    assert {piece.kind for piece in encoder.pieces(pair[1], avoided=True)} == {"read", "avoided"}
    assert truncate_pair(encoder, Example(messages=(asked, kind)), "cut") is None


def test_a_text_is_split_at_the_ends_of_sentences_and_only_its_end_is_an_end(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 90)
    parts = truncate(encoder, Example(text=STORY), "split")
    assert len(parts) > 2
    assert "".join(part.text for part in parts) == STORY
    assert all(len(part.ids) <= 90 and part.truncated_tokens == 0 for part in parts)
    assert [part.ids[-1] == encoder.eos_id for part in parts] == [False] * (len(parts) - 1) + [True]
    for part in parts[:-1]:
        assert part.text.rstrip().endswith((".", "!", "?", ")", "。")), part.text
    assert learned_texts(encoder, parts) == [part.text for part in parts]


def test_a_sentence_longer_than_the_limit_is_split_between_words(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 16)
    text = "one two three four five six seven eight nine ten " * 6
    parts = truncate(encoder, Example(text=text), "split")
    assert "".join(part.text for part in parts) == text
    assert all(part.text.endswith(" ") for part in parts)
    assert all(part.truncated_tokens == 0 for part in parts)


TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(list("ab  .!?\n。각🙂"))),
    min_size=1,
    max_size=200,
)


def test_a_text_that_misses_by_its_special_token_alone_is_split_and_its_last_part_ends(folder: Path) -> None:
    whole = Encoder.from_folder(folder, 4096).encode(Example(text=STORY))
    encoder = Encoder.from_folder(folder, len(whole.ids) - 1)
    parts = truncate(encoder, Example(text=STORY), "split")
    assert "".join(part.text for part in parts) == STORY and len(parts) == 2
    assert parts[-1].ids[-1] == encoder.eos_id


@settings(max_examples=100, deadline=None)
@given(text=TEXT, limit=st.integers(6, 40))
def test_any_text_is_split_without_loss(folder: Path, text: str, limit: int) -> None:
    encoder = Encoder.from_folder(folder, limit)
    parts = truncate(encoder, Example(text=text), "split")
    assert "".join(part.text for part in parts) == text
    assert all(len(part.ids) <= limit for part in parts)
    if limit >= 12:  # one letter may take four tokens
        assert not any(part.truncated_tokens for part in parts)


def test_a_conversation_is_split_at_its_questions_with_its_rules_repeated(folder: Path) -> None:
    messages = [Message(role="system", content="Be brief.")]
    for number in range(9):
        messages.append(Message(role="user", content=f"Where is parcel {number}?"))
        messages.append(Message(role="assistant", content=f"Parcel {number} is late."))
    example = Example(messages=tuple(messages))
    whole = Encoder.from_folder(folder, 4096).encode(example)
    encoder = Encoder.from_folder(folder, len(whole.ids) // 3)
    parts = truncate(encoder, example, "split")
    assert 3 < len(parts) < 9
    assert all(part.truncated_tokens == 0 for part in parts)
    assert all(part.text.startswith("<|im_start|>system\nBe brief.") for part in parts)
    assert learned_texts(encoder, parts) == [f"Parcel {number} is late.<|im_end|>" for number in range(9)]


def test_a_round_that_does_not_fit_by_itself_is_cut_and_says_so(folder: Path) -> None:
    short = [Message(role="user", content="a"), Message(role="assistant", content="b")]
    long = [Message(role="user", content="c"), Message(role="assistant", content="d e f g h " * 40)]
    example = Example(messages=(*short, *long, *short))
    encoder = Encoder.from_folder(folder, 60)
    parts = truncate(encoder, example, "split")
    assert [part.truncated_tokens > 0 for part in parts] == [False, True, False]
    dataset = tokenize_examples(encoder, [example], "split")
    counts = dataset.counts
    assert (counts.cut, counts.divided, counts.nothing_left, dataset.examples) == (1, 1, 0, (0, 0, 0))


def test_calls_and_their_results_stay_with_their_question(folder: Path) -> None:
    example = EXAMPLES["calls without ids, then more"]
    whole = Encoder.from_folder(folder, 4096).encode(example)
    encoder = Encoder.from_folder(folder, len(whole.ids) - 10)
    parts = truncate(encoder, example, "split")
    assert len(parts) == 2 and not any(part.truncated_tokens for part in parts)
    assert all("As on the label." in part.text for part in parts)
    assert "Where is 7?" not in parts[1].text and "In the van." not in parts[0].text


def test_parts_in_which_nothing_is_learned_are_dropped_and_the_rest_is_kept(folder: Path) -> None:
    read = [Message(role="user", content="a " * 30), Message(role="assistant", content="b", in_loss=False)]
    labelled = [Message(role="user", content="c " * 30), Message(role="assistant", content="d")]
    encoder = Encoder.from_folder(folder, 80)
    parts = truncate(encoder, Example(messages=(*read, *labelled)), "split")
    assert learned_texts(encoder, parts) == ["d<|im_end|>"]


def test_a_long_text_is_split_in_a_time_that_grows_with_its_length(folder: Path) -> None:
    encoder = Encoder.from_folder(folder, 64)
    text = (STORY + " ") * 250
    parts = truncate(encoder, Example(text=text), "split")
    assert "".join(part.text for part in parts) == text
