"""The two programs as a user starts them, for the comparisons beside this file."""

import pathlib
import subprocess
import sys


def run(*arguments):
    """Runs a command to its end; returns what it wrote, or ends with what it said."""
    command = [str(argument) for argument in arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def bundle(programs, model, work, flags):
    """Imports a model folder of nnU-Net with `flags`, exports and signs it; returns the bundle and the folder of the run.

    The key to verify it with is `work / "pub.pem"`.
    """
    train, edge = programs / "unnunet-train", programs / "unnunet"
    lines = run(train, "import", model, "--results", work / "results", *flags).splitlines()
    folder = pathlib.Path(lines[-1].split("\t")[1])
    _, plans, configuration = folder.name.split("__")
    run(train, "export", folder.parent.name, configuration, "--plans", plans, "--results", work / "results",
        "--id", "parity/import", "--version", "1.0.0", "-o", work / "unsigned.unb")
    run(edge, "bundle", "keygen", "--no-passphrase", "--private-key", work / "key.pem", "--public-key", work / "pub.pem")
    run(edge, "bundle", "sign", work / "unsigned.unb", "--private-key", work / "key.pem", "--output", work / "model.unb")
    return work / "model.unb", folder
