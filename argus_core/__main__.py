"""`python -m argus_core` is `argus`."""

from argus_core.cli import main

main()
