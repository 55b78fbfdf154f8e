"""Models of Keras on each backend: right ones are correct, a slip is wrong in its own tensor alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("planted_keras.py")


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_models(backend: str) -> None:
    for package in (backend, "keras"):
        pytest.importorskip(package)
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-4000:]
    assert found.stdout.strip().endswith("all right")
