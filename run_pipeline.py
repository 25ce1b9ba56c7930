"""Entry point: `python run_pipeline.py COMMAND`, the same as the installed `streamproc COMMAND`."""

if __name__ == "__main__":
    # Inside the guard: the spawned stages import this file again, and need nothing of the command line.
    from pipelines.cli import main

    main()
