"""The command line: fit, study, site, demo."""

from sumwise.cli.main import main as main
