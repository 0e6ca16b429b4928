"""The desk: a second process that opens files of strangers, examines what is in them and renders chat templates.

`python -m studio.data` answers one question after another over a pipe. It imports neither torch nor Qt, is limited in
memory, and can be killed at any time without losing anything: what it has finished lies in the folder of `store`.
"""
