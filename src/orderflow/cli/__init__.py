"""The command line, on the top floor. Commands only read arguments, call the rooms below, and print.

What starts up is light: a command's module, and what it needs, is imported when the command runs (main.py).
"""
