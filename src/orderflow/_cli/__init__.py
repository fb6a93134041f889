"""The command line. A command reads arguments, calls the library and prints; it decides nothing about orders.

``orderflow --help`` must be fast: a command's module, and what that needs, is imported when the command runs (main.py).
"""
