"""The command `artrec`: every step is a subcommand, and so is every tool."""

import importlib
import sys

import typer

from jobs.step import run_command, step_command

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Recommend art: every night, every user is scored against every artwork.\n\n"
    "Start with [bold]artrec doctor --config infra/recipes/demo.toml[/bold], then "
    "[bold]artrec nightly --config infra/recipes/demo.toml --date 2026-03-30[/bold].",
)


@app.callback()
def _keep_command_names() -> None:
    # Without a callback, Typer drops the name of a command that is alone.
    pass


# Panel of the help -> the modules of jobs/ whose commands it shows, in their order.
PANELS = {
    "A whole night": ("nightly",),
    "Its steps, in order": ("crawl", "validate", "prepare", "train", "embed", "score", "publish", "report"),
    "Retraining": ("retrain", "tune", "models"),
    "Looking": ("show", "evaluate", "doctor", "recipe", "mlflow"),
}


def main() -> None:
    """Run the command line. It imports the module of the command that was asked for, or for a list all in PANELS."""
    commands = [(panel, name) for panel, names in PANELS.items() for name in names]
    requested = [(panel, name) for panel, name in commands if [name] == sys.argv[1:2]]
    for panel, name in requested or commands:
        module = importlib.import_module(f"jobs.{name}")
        if hasattr(module, "APP"):  # a command with subcommands
            app.add_typer(module.APP, name=name, rich_help_panel=panel)
            continue
        command = module.command if hasattr(module, "command") else step_command(module.STEP)
        app.command(name, rich_help_panel=panel)(command)
    run_command(app, "artrec")


if __name__ == "__main__":
    main()
