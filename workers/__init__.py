"""The processes behind the intake: one process, one file, one line of the Procfile."""
