"""`python -m pos_engine`."""

from __future__ import annotations

from pos_engine.cli import main

if __name__ == "__main__":
    main()
