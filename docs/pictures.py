"""Makes the pictures in ``docs/pictures``: ``python docs/pictures.py``, with Chromium, playwright and Pillow installed.

The network of the course notes on handwritten digits; dW1 is 30% too large in a block, and every element is measured.
"""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import gradproof as gp
from gradproof import network

FOLDER = Path(__file__).parent / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def gradients(parameters: Any, X: Any, Y: Any, **options: Any) -> dict[str, Any]:
    """The network's gradient with one block of dW1 too large."""
    found = dict(network.gradients(parameters, X, Y, **options))
    found["dW1"][6:11, 24:40] *= 1.3  # planted
    return found


def main() -> None:
    """Checks the gradient and takes the pictures of its page."""
    X, Y = network.load_digits()
    parameters = network.initialize_parameters((64, 25, 16, 10), seed=3)
    options = {"lambd": 0.7, "hidden": "tanh"}
    report = gp.check(
        network.cost, parameters, gradients, args=(X[:, :64], Y[:, :64]), options=options, method="exhaustive"
    )
    FOLDER.mkdir(exist_ok=True)
    executable = next(filter(None, map(shutil.which, BROWSERS)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "report.html"
        report.to_html(path)
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            # As tall as the page: what lies at a fixed place on the screen stays beside what it belongs to.
            page = browser.new_page(viewport={"width": 1160, "height": 2600}, color_scheme=scheme)
            page.goto(path.as_uri())
            page.locator(".plot").first.focus()
            page.keyboard.press("ArrowRight")
            page.evaluate("document.activeElement.style.outline = 'none'")
            evidence = page.locator("section.evidence").bounding_box()
            top = 0 if scheme == "light" else evidence["y"] - 24
            clip = {"x": 0, "y": top, "width": 1160, "height": evidence["y"] + evidence["height"] + 24 - top}
            taken = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
            # A page has few colours: with a palette of its own a picture weighs a third.
            taken.quantize(256).save(FOLDER / f"report-{scheme}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
