"""Documents in: paragraphs, tables, questions and answers, turns."""
