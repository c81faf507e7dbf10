"""`python -m accounts_service.cli`: the command, wherever its script is."""

from accounts_service.cli import main

main()
