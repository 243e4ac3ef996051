"""One measurement in a process of its own: python -m bench.child RIVAL PROBLEM NODES prints it as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from bench.problems import PROBLEMS
from bench.rivals import RIVALS


def main() -> None:
    rival, name, nodes = sys.argv[1:]
    problem = next(p for p in PROBLEMS if p.name == name)
    measurement = RIVALS[rival].measure(problem, int(nodes) if nodes.isdigit() else nodes)
    print("\n" + json.dumps(asdict(measurement)))


if __name__ == "__main__":
    main()
