"""`python -m einlass_cli`, the same as the console script."""

from einlass_cli.main import app

if __name__ == "__main__":
    app()
