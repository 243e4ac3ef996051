"""The inner loops, compiled; thin wrappers that check shapes and pass pointers.  No IO, nothing above
them.
"""
