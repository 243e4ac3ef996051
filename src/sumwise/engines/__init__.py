"""Whoever adds: this process, a folder of messages, a network."""
