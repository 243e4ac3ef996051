"""python -m sumwise: the command line."""

from sumwise.cli import main

main()
