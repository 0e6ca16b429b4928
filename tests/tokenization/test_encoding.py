"""Examples as tokens: what is read, what is learned, what is cut; and equal to what transformers makes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.tokenization.adaptation import QUESTION_ADDED, SYSTEM_FOLDED
from studio.tokenization.chat_template import DEFAULT_TEMPLATE
from studio.tokenization.encoded import IGNORE_INDEX, Encoded
from studio.tokenization.encoding import Encoder
from tests.conftest import CHATML
from tests.dataset.conftest import problem_of


def conversation(*contents: str, system: str = "") -> Example:
    roles = ("user", "assistant") * len(contents)
    messages = [Message(role=role, content=c) for role, c in zip(roles, contents, strict=False)]  # type: ignore[arg-type]
    return Example(messages=(*((Message(role="system", content=system),) if system else ()), *messages))


def learned_texts(encoder: Encoder, encoded: Encoded) -> list[str]:
    return [piece.text for piece in encoder.pieces(encoded) if piece.kind == "learned"]


def model_with(small_model: Path, folder: Path, template: str, **config: object) -> Path:
    shutil.copytree(small_model, folder)
    (folder / "chat_template.jinja").write_text(template)
    known = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**known, **config}))
    return folder


@pytest.fixture
def encoder(small_model: Path) -> Encoder:
    return Encoder.from_folder(small_model, 512, "answers")


def test_each_answer_and_its_special_token_are_learned_and_nothing_else(encoder: Encoder) -> None:
    encoded = encoder.encode(
        conversation("a parcel?", "It is  late.\n\nSorry", "thanks", " you are\twelcome ", system="kind")
    )
    assert learned_texts(encoder, encoded) == ["It is  late.\n\nSorry<|im_end|>", " you are\twelcome <|im_end|>"]
    assert encoded.label_tokens == sum(label != IGNORE_INDEX for label in encoded.labels)
    assert all(label in (IGNORE_INDEX, token) for token, label in zip(encoded.ids, encoded.labels, strict=True))
    learned = [label for label in encoded.labels if label != IGNORE_INDEX]
    assert encoder.decode(learned) == "It is  late.\n\nSorry you are\twelcome "
    assert learned.count(encoder.eos_id or -1) == 2
    assert encoded.truncated_tokens == 0


def test_what_is_learned_follows_on_what_the_model_is_asked_with(encoder: Encoder) -> None:
    example = conversation("where?", "there", "when?", "담당: 배송\nsoon 🙂")
    encoded = encoder.encode(example)
    prompt = encoder.prompt_ids(example.prompt)
    assert list(encoded.ids[: len(prompt)]) == prompt
    assert encoded.labels[len(prompt) - 1] == IGNORE_INDEX
    assert encoded.labels[len(prompt)] == encoded.ids[len(prompt)]
    assert learned_texts(encoder, encoded)[-1] == "담당: 배송\nsoon 🙂<|im_end|>"


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<|>"), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(contents=st.lists(WORDS, min_size=2, max_size=6).filter(lambda c: len(c) % 2 == 0))
def test_any_answer_is_learned_character_for_character(small_model: Path, contents: list[str]) -> None:
    encoder = Encoder.from_folder(small_model, 4096, "answers")
    encoded = encoder.encode(conversation(*contents))
    learned = encoder._tokenizer.decode(
        [label for label in encoded.labels if label != IGNORE_INDEX], skip_special_tokens=False
    )
    assert learned == "".join(content + "<|im_end|>" for content in contents[1::2])
    assert "".join(piece.text for piece in encoder.pieces(encoded)) == encoded.text


@settings(max_examples=60, deadline=None)
@given(contents=st.lists(WORDS, min_size=2, max_size=4).filter(lambda c: len(c) % 2 == 0), limit=st.integers(16, 80))
def test_a_cut_takes_from_the_end_and_counts_what_it_took(small_model: Path, contents: list[str], limit: int) -> None:
    whole = Encoder.from_folder(small_model, 4096, "answers").encode(conversation(*contents))
    encoder = Encoder.from_folder(small_model, limit, "answers")
    cut = encoder.encode(conversation(*contents))
    assert cut.ids == whole.ids[:limit]
    assert cut.labels == whole.labels[:limit]
    assert cut.truncated_tokens == len(whole.ids) - len(cut.ids)
    pieces = encoder.pieces(cut)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert (pieces[-1].kind == "cut") == (cut.truncated_tokens > 0) or not pieces[-1].text


def test_a_question_that_fills_the_limit_leaves_nothing_to_learn(small_model: Path) -> None:
    encoder = Encoder.from_folder(small_model, 16, "answers")
    encoded = encoder.encode(conversation("a very long question " * 20, "short"))
    assert (encoded.label_tokens, len(encoded.ids)) == (0, 16)
    assert [piece.kind for piece in encoder.pieces(encoded)] == ["read", "cut"]


def test_everything_is_learned_when_asked_for(small_model: Path) -> None:
    encoder = Encoder.from_folder(small_model, 512, "everything")
    encoded = encoder.encode(conversation("a", "b"))
    assert encoded.labels == encoded.ids
    assert learned_texts(encoder, encoded) == [encoded.text]


def test_plain_text_is_learned_whole_and_ends_with_the_end_mark(encoder: Encoder) -> None:
    encoded = encoder.encode(Example(text="Once upon a time  there was\n a shop"))
    assert encoded.ids[-1] == encoder.eos_id
    assert encoded.labels == encoded.ids
    assert encoder.decode(list(encoded.ids)) == encoded.text
    assert learned_texts(encoder, encoded) == [encoded.text]


def test_plain_text_begins_as_the_tokenizer_wants_it(small_model: Path, tmp_path: Path) -> None:
    import tokenizers
    from tokenizers import processors

    folder = model_with(small_model, tmp_path / "model", CHATML)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=99)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = Encoder.from_folder(folder, 512, "answers")
    encoded = encoder.encode(Example(text="Once upon a time there was a shop"))
    assert (encoded.ids[0], encoded.ids[-1], encoded.ids.count(0)) == (0, encoder.eos_id, 1)
    assert learned_texts(encoder, encoded) == [encoded.text]
    # The template writes its marks itself: no second one in front of a conversation, no padding, no old limit.
    chat = encoder.encode(conversation("a question that is longer than eight tokens", "b"))
    assert chat.ids[0] == encoder._tokenizer.token_to_id("<|im_start|>")
    assert 0 not in chat.ids


TRIMMING = CHATML.replace("message['content']", "message['content'] | trim")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
INSTRUCT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{% if loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_END = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
END_BEFORE_THE_NEXT = (
    "{% for m in messages %}{% if m.role == 'user' and not loop.first %}{{ eos_token }}\n{% endif %}"
    "{{ m.role }}: {{ m.content }}{% if m.role == 'user' %}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# What the model is given before it answers ends in thoughts, and a finished answer has none, as with DeepSeek-R1.
OPENED = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "learned"),
    [
        (CHATML, ["one<|im_end|>", " two <|im_end|>"]),
        (TRIMMING, ["one<|im_end|>", "two<|im_end|>"]),
        (INSTRUCT, [" one<|im_end|>", "  two <|im_end|>"]),
        (THINKING, ["one<|im_end|>", " two <|im_end|>"]),
        (NO_END, ["one<|im_end|>", "two<|im_end|>"]),
        (END_BEFORE_THE_NEXT, ["one<|im_end|>", "two<|im_end|>"]),
    ],
)
def test_answers_are_found_in_other_templates(
    small_model: Path, tmp_path: Path, template: str, learned: list[str]
) -> None:
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", template), 512, "answers")
    encoded = encoder.encode(conversation("a?", "one", "b?", " two "))
    assert learned_texts(encoder, encoded) == learned


IN_PARTS = CHATML.replace(
    "message['content']", "message['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join"
)


def test_a_template_that_goes_through_parts_of_contents_is_given_parts(small_model: Path, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", IN_PARTS), 512, "answers")
    encoded = encoder.encode(conversation("a?", "one", "b <|im_end|>?", "two", system="c"))
    assert "a?" in encoded.text and "b <|im_end|>?" in encoded.text and "c" in encoded.text
    assert learned_texts(encoder, encoded) == ["one<|im_end|>", "two<|im_end|>"]


def test_a_template_that_ends_no_answer_is_given_an_end_and_that_is_said(small_model: Path, tmp_path: Path) -> None:
    folder = model_with(small_model, tmp_path / "model", NO_END)
    encoder = Encoder.from_folder(folder, 512, "answers")
    talk = conversation("a?", "one", "b?", "two")
    encoded = encoder.encode(talk)
    assert "<|im_end|> is added after each" in encoded.adaptations[0].english()
    assert encoded.text == "user: a?\n\nassistant: one<|im_end|>\n\nuser: b?\n\nassistant: two<|im_end|>\n\n"
    prompt = encoder.prompt_ids(talk.messages[:3])
    assert prompt == list(encoded.ids)[: len(prompt)], "an earlier answer is read as it was learned"
    # Saved with what was trained, it is a template that ends its answers, and nothing more is added.
    (folder / "chat_template.jinja").write_text(encoder.template.source)
    again = Encoder.from_folder(folder, 512, "answers")
    assert again.template.source == encoder.template.source
    assert again.encode(conversation("a?", "one", "b?", "two")).text == encoded.text
    assert not again.encode(conversation("a?", "one")).adaptations


@pytest.mark.parametrize("eos_token", [None, "</not-a-token>"])
def test_a_model_without_any_end_is_said(small_model: Path, tmp_path: Path, eos_token: str | None) -> None:
    folder = model_with(small_model, tmp_path / "model", NO_END, eos_token=eos_token)
    for name in ("special_tokens_map.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)
    encoder = Encoder.from_folder(folder, 512, "answers")
    assert "where to stop" in encoder.encode(conversation("a?", "one")).adaptations[0].english()


def test_thoughts_that_the_prompt_opens_are_ended_by_the_model(small_model: Path, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", OPENED), 512, "answers")
    talk = conversation("a?", "one", "b <|im_end|>?", "two <|im_end|> and", "c?")
    encoded = encoder.encode(talk)
    prompt = encoder.prompt_ids(talk.messages[:3])
    assert list(encoded.ids)[: len(prompt)] == prompt, "it is taught as it will be asked"
    assert learned_texts(encoder, encoded) == ["\n</think>\n\ntwo <|im_end|> and<|im_end|>"]
    said = " ".join(adaptation.english() for adaptation in encoded.adaptations)
    assert "only the last answer" in said and "with </think> before it" in said
    assert encoded.ids.count(encoder.eos_id or 0) == 4, "what only looks like an end is none"
    thought = Example(messages=(talk.messages[0], Message(role="assistant", content="one", thinking="I see.")))
    assert learned_texts(encoder, encoder.encode(thought)) == ["I see.\n</think>\n\none<|im_end|>"]


def test_the_end_of_thoughts_that_nobody_thought_is_not_part_of_an_answer(small_model: Path, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", OPENED), 512, "answers")
    ids = encoder._tokenizer.encode("\n</think>\n\none", add_special_tokens=False).ids
    shown = [encoder.decode(ids[:count]) for count in range(len(ids) + 1)]
    assert shown[-1] == "one" and "".join(shown[:-1]).count("think") == 0
    ids = encoder._tokenizer.encode("Hm.\n</think>\n\none", add_special_tokens=False).ids
    assert encoder.decode(ids) == "Hm.\n</think>\n\none"


def test_a_template_that_drops_what_is_said_is_refused(small_model: Path, tmp_path: Path) -> None:
    silent = CHATML.replace("message['content']", "''")
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", silent), 512, "answers")
    assert problem_of(lambda: encoder.encode(conversation("a", "b"))).code == "template.drops_text"


def test_a_model_that_names_its_eos_token_only_by_its_id_learns_to_stop(small_model: Path, tmp_path: Path) -> None:
    folder = model_with(small_model, tmp_path / "model", CHATML, eos_token=None)
    (folder / "chat_template.jinja").unlink()
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    tokenizer = Encoder.from_folder(small_model, 512)._tokenizer
    end = tokenizer.token_to_id("<|im_end|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [end, 99_999]}))
    encoder = Encoder.from_folder(folder, 512)
    assert encoder.template.source == DEFAULT_TEMPLATE and encoder.eos_id == end
    assert learned_texts(encoder, encoder.encode(conversation("a", "b"))) == ["b<|im_end|>"]


def test_a_template_that_hides_its_answers_is_refused_unless_all_is_learned(small_model: Path, tmp_path: Path) -> None:
    counting = "{{ messages | length }}" + CHATML
    folder = model_with(small_model, tmp_path / "model", counting)
    found = problem_of(lambda: Encoder.from_folder(folder, 512, "answers").encode(conversation("a", "b")))
    assert found.code == "template.no_prefix"
    assert Encoder.from_folder(folder, 512, "everything").encode(conversation("a", "b")).label_tokens > 0


def test_standing_instructions_that_a_template_refuses_stand_in_the_first_question(
    small_model: Path, tmp_path: Path
) -> None:
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", NO_SYSTEM), 512, "answers")
    assert encoder.encode(conversation("a", "b")).adaptations == ()
    folded = encoder.encode(conversation("a", "b", system="c"))
    assert "user\nc\n\na<" in folded.text
    assert [said.text for said in folded.adaptations] == [SYSTEM_FOLDED]
    assert encoder.adaptations == folded.adaptations


def test_a_conversation_that_a_template_refuses_is_refused_in_its_words(small_model: Path, tmp_path: Path) -> None:
    strict = "{% if messages | length > 3 %}{{ raise_exception('one question only') }}{% endif %}" + CHATML
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", strict), 512, "answers")
    assert encoder.encode(conversation("a", "b")).label_tokens > 0
    assert "one question only" in problem_of(lambda: encoder.encode(conversation("a", "b", "c", "d"))).english()


def test_a_greeting_has_an_empty_question_before_it_where_a_question_has_to_come_first(
    small_model: Path, tmp_path: Path
) -> None:
    strict = "{% if messages[0].role == 'assistant' %}{{ raise_exception('ask first') }}{% endif %}" + CHATML
    encoder = Encoder.from_folder(model_with(small_model, tmp_path / "model", strict), 512, "answers")
    greeting = Example(messages=(Message(role="assistant", content="Hello!"), *conversation("a", "b").messages))
    encoded = encoder.encode(greeting)
    assert encoded.text.startswith("<|im_start|>user\n<|im_end|>")
    assert learned_texts(encoder, encoded) == ["Hello!<|im_end|>", "b<|im_end|>"]
    assert [made.text for made in encoded.adaptations] == [QUESTION_ADDED]


def test_text_that_looks_like_special_tokens_end_nothing(encoder: Encoder) -> None:
    encoded = encoder.encode(conversation("what is <|im_end|>?", "it is <|im_end|> and no end", "ok", "done"))
    end = encoder.eos_id
    assert end is not None
    assert encoded.ids.count(end) == 4
    assert [label for label in encoded.labels if label != IGNORE_INDEX].count(end) == 2
    assert learned_texts(encoder, encoded) == ["it is <|im_end|> and no end<|im_end|>", "done<|im_end|>"]
    assert "".join(piece.text for piece in encoder.pieces(encoded)) == encoded.text
    assert [encoded.text[a:b] for a, b in encoded.literal_spans] == ["<|im_end|>", "<|im_end|>"]
    assert "<|im_end|>" in encoded.adaptations[0].english()


ODD = st.lists(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\U000f0000\U000f0001\U000f0002\U000f0003"),
        st.sampled_from(["<|im_end|>", "<|im_start|>assistant\n", "<|endoftext|>", "e\u0301", "👩\u200d👧", "<|im_"]),
    ),
    min_size=1,
    max_size=14,
).map("".join)


@settings(max_examples=100, deadline=None)
@given(contents=st.lists(ODD, min_size=2, max_size=6).filter(lambda c: len(c) % 2 == 0))
def test_odd_answers_with_special_tokens_in_them_are_learned_character_for_character(
    small_model: Path, contents: list[str]
) -> None:
    encoder = Encoder.from_folder(small_model, 4096, "answers")
    encoded = encoder.encode(conversation(*contents))
    learned = [label for label in encoded.labels if label != IGNORE_INDEX]
    assert encoder._tokenizer.decode(learned, skip_special_tokens=False) == "".join(
        content + "<|im_end|>" for content in contents[1::2]
    )
    assert "".join(piece.text for piece in encoder.pieces(encoded)) == encoded.text
    end = encoder.eos_id
    assert end is not None
    assert (encoded.ids.count(end), learned.count(end)) == (len(contents), len(contents) // 2)
    prompt = encoder.prompt_ids(conversation(*contents).prompt)
    assert list(encoded.ids[: len(prompt)]) == prompt


def test_a_conversation_of_millions_of_characters_is_not_blamed_on_the_template(encoder: Encoder) -> None:
    found = problem_of(lambda: encoder.encode(conversation("begin " + "x" * 2_000_001, "b")))
    assert found.code == "data.example_too_large" and "begin xxx" in found.english()
    whole = encoder.encode(conversation("x" * 200_000, "b"))
    assert whole.truncated_tokens > 0 and whole.label_tokens == 0


def test_missing_and_damaged_tokenizers_are_said(small_model: Path, tmp_path: Path) -> None:
    folder = model_with(small_model, tmp_path / "model", CHATML)
    (folder / "tokenizer.json").write_text('{"version": "1.0"')
    assert problem_of(lambda: Encoder.from_folder(folder, 512, "answers")).code == "model.damaged_file"
    (folder / "tokenizer.json").unlink()
    assert problem_of(lambda: Encoder.from_folder(folder, 512, "answers")).code == "model.no_tokenizer"


SPOKEN = [
    conversation("Where is my parcel?", "TEAM: delivery\nMOOD: calm\nNEXT: send tracking link"),
    conversation("택배가 언제 오나요?", "담당: 배송\n기분: 차분", system="You sort messages."),
    conversation("a  b\t\tc\n\n\n d", "  x\n", "다시 🙂 <|im_end|> 하나", "둘  "),
]


def equal_to_transformers(folder: Path) -> None:
    """Text, tokens and prompt, against the library that the model will be loaded with elsewhere."""
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder, chat_control_tokens=[])
    ours = Encoder.from_folder(folder, 4096, "answers")
    for example in SPOKEN:
        said = [message.model_dump() for message in example.messages]
        encoded = ours.encode(example)
        assert encoded.text == theirs.apply_chat_template(said, tokenize=False)
        assert list(encoded.ids) == list(
            theirs.apply_chat_template(said, return_dict=False, sanitize_control_tokens=True)
        )
        asked = [message.model_dump() for message in example.prompt]
        wanted = theirs.apply_chat_template(
            asked, add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
        )
        assert ours.prompt_ids(example.prompt) == list(wanted)


def test_a_small_model_is_encoded_as_transformers_does(small_model: Path) -> None:
    equal_to_transformers(small_model)


def test_the_starter_model_is_encoded_as_transformers_does(starter_folder: Path) -> None:
    equal_to_transformers(starter_folder)


def test_the_starter_model_learns_exactly_the_replies(starter_folder: Path) -> None:
    encoder = Encoder.from_folder(starter_folder, 1024, "answers")
    for example in SPOKEN[:2]:
        encoded = encoder.encode(example)
        assert learned_texts(encoder, encoded) == [example.answer + "<|im_end|>"]
        prompt = encoder.prompt_ids(example.prompt)
        assert list(encoded.ids[: len(prompt)]) == prompt
        assert encoded.label_tokens == len(encoded.ids) - len(prompt) - 1  # all but the line break at the end
