"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""


def main() -> None:
    """Runs the command of `sys.argv`; exits with 0 when it worked, 1 when the work failed, 2 when asked wrongly."""
    from pipelines.loading import loading

    with loading():
        from pipelines.cli.app import app

    app()
