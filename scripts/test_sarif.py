#!/usr/bin/env python3
"""The SARIF that triage writes against the schema of SARIF 2.1.0, with a bug of every broken example in it.

OASIS publishes the schema; it comes here with the crate serde-sarif, which carries it as it is.

    pip install jsonschema
    scripts/test_sarif.py target/release/lockstorm
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import jsonschema

SCENARIOS = pathlib.Path(__file__).resolve().parent.parent / "examples/scenarios"
PACKAGE = """[package]
name = "sarif-schema"
version = "0.0.0"
edition = "2021"

[dependencies]
serde-sarif = "=0.8.0"
"""


def schema(folder):
    """The schema, out of the crate's source."""
    manifest = folder / "Cargo.toml"
    manifest.write_text(PACKAGE)
    (folder / "src").mkdir()
    (folder / "src/lib.rs").touch()
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--manifest-path", manifest],
                              check=True, stdout=subprocess.PIPE).stdout
    crates = json.loads(metadata)["packages"]
    source = next(crate["manifest_path"] for crate in crates if crate["name"] == "serde-sarif")
    return json.loads((pathlib.Path(source).parent / "src/schema.json").read_text())


def main(lockstorm):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        broken = sorted(SCENARIOS.glob("*-broken.ron"))
        triage = subprocess.run([lockstorm, "triage", "puppet", *broken, "-o", folder / "out"],
                                check=False, stdout=subprocess.DEVNULL)
        if triage.returncode != 1:
            raise SystemExit(f"triage: exit status {triage.returncode}")
        log = json.loads((folder / "out/findings.sarif").read_text())
        published = schema(folder)
    validator = jsonschema.validators.validator_for(published)(published)
    errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(log)]
    bugs = len(log["runs"][0]["results"])
    if errors or bugs < len(broken) // 2:
        raise SystemExit("\n".join([*errors, f"{bugs} bugs of {len(broken)} scenarios"]))
    # The schema forbids something, too: a validator that says yes to everything would not be noticed.
    log["runs"][0]["results"][0]["level"] = "fatal"
    if validator.is_valid(log):
        raise SystemExit("a level that SARIF does not know is taken for valid")
    print(f"{bugs} bugs of {len(broken)} scenarios: valid SARIF {log['version']}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(pathlib.Path(sys.argv[1]).resolve())
