"""The table in words and in numbers, and the plot with both."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

from studio.runs.compare_methods.plot import PlotColours, as_svg
from studio.runs.compare_methods.table import as_csv, as_lines, as_markdown
from tests.runs.compare_methods.made_results import failed, measured

ROWS = (measured("qlora", 34, memory=1.25, forgot=9), measured("prompt", 10), measured("full", 35), failed("lora"))


def test_people_read_what_was_measured_and_what_cannot_be() -> None:
    heading, qlora, prompt, full, lora = as_lines(ROWS)
    assert heading[:2] == ["Method", "Status"]
    assert qlora[1:6] == ["Done", "1,000,000", "4.00", "1.25", "250"]
    assert qlora[6:] == ["34 of 40 (71 to 93 %)", "1.150", "6 of 20, was 15: forgot", "24.0", "30.0"]
    assert (prompt[-1], full[-1]) == ("can't", "is one model")
    assert lora == ["LoRA", "Failed", *["-"] * 9]


def test_other_programs_get_numbers_and_the_reason_of_a_failure() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert [line["method"] for line in lines] == ["qlora", "prompt", "full", "lora"]
    assert (lines[0]["peak_memory"], lines[0]["score"]) == (str(5 << 28), "0.85")
    assert lines[1]["merged_answering_tokens_per_second"] == ""
    assert lines[3]["problem"] == "Memory ran out at 4 GB. Take less."


def test_the_markdown_has_the_advice_below_the_table_and_why_one_failed() -> None:
    text = as_markdown(ROWS, "Numbers: all read the same.")
    about, table, told, why = text.split("\n\n")
    assert about == "Numbers: all read the same."
    assert len(table.splitlines()) == 2 + len(ROWS)
    assert told.startswith("Use Full fine-tuning: it is as good as QLoRA, and forgot less")
    assert why.splitlines() == ["- LoRA: Memory ran out at 4 GB. Take less."]


def test_the_plot_is_a_whole_picture_in_the_colours_and_words_that_were_asked_for() -> None:
    words = {"Peak memory, GB": "<memory> & more"}
    svg = as_svg(ROWS, PlotColours(accent="#123456"), lambda text: words.get(text, text))
    drawn = ElementTree.fromstring(svg)
    texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"QLoRA", "Full fine-tuning", "<memory> & more", "85 %", "1.25"} <= set(texts)
    assert texts.count("-") == 4, "nothing is drawn of what wasn't measured"
    assert "#123456" in svg
