"""The only folder that imports torch: what a child process runs. `python -m studio.engine JOB FOLDER`."""
