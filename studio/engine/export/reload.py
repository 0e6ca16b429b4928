"""Answers of a model folder in a process of its own, loaded as any other program would load it.

`python -m studio.engine.export.reload MODEL EXAMPLES ANSWERS LIMIT`: reads examples (JSON lines, as frozen), writes
their greedy answers as a JSON list of lists of tokens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    from studio.core.events import BASE
    from studio.dataset.examples import read_frozen
    from studio.engine.evaluation.generate import of_folder
    from studio.tokenization.end_tokens import generation_ends

    model, examples, answers, limit = arguments
    generator = of_folder(Path(model))
    generator.ends = sorted(generation_ends(Path(model)))
    found = generator.answer_all(read_frozen(Path(examples)), BASE, int(limit))
    Path(answers).write_text(json.dumps([answer.tokens for answer in found]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
