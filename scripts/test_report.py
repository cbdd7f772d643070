#!/usr/bin/env python3
"""The report's pages as a browser shows them, driven by keyboard and mouse.

Every page is opened at 1280 and 1920 pixels, light and dark: nothing is cut off, labels and lanes do not overlap, text can
be read, and zoom and pan do what they say. Needs Chromium (CHROMIUM names it otherwise) and nothing but Python's own
modules: it speaks the DevTools protocol over a pipe.

    scripts/test_report.py target/release/lockstorm [SCREENSHOTS]
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "examples/scenarios"
LOCKSTORM = None
SCREENSHOTS = None

# A run of more than 5,000 events that ends with a lock held.
LONG = f"""(
    version: 1,
    setup: (processors: 3),
    steps: [
        {"Script(routine: BuildIo, op: Synchronize)," * 11}
        Script(routine: BuildIo, op: KeAcquire),
        Script(routine: BuildIo, op: KeRelease),
        {"Script(routine: Synchronized, op: QuerySystemTime)," * 8}
        Script(routine: ResetBus, op: KeAcquire),
        {"Read(processor: 1), Read(processor: 2), Read()," * 13}
        Reset(what: Bus, gap: 12),
    ],
)"""


class Browser:
    """Chromium, and one page in it."""

    def __init__(self):
        program = os.environ.get("CHROMIUM") or next(
            filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
        if program is None:
            raise SystemExit("no Chromium here: install it, or set CHROMIUM")
        self.profile = tempfile.TemporaryDirectory()
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        def place_pipes():
            # The protocol's places; first away from them, since either may be in the other's.
            first, second = os.dup2(to_browser, 10), os.dup2(from_browser, 11)
            os.dup2(first, 3)
            os.dup2(second, 4)
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-dev-shm-usage", f"--user-data-dir={self.profile.name}",
             "--remote-debugging-pipe", "about:blank"],
            preexec_fn=place_pipes, close_fds=False, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.rest, self.session, self.errors = 0, b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"]["exceptionDetails"])
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def read(self):
        while b"\0" not in self.rest:
            piece = os.read(self.answers, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def open(self, path, width, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=pathlib.Path(path).as_uri())
        while not self.evaluate("document.readyState == 'complete' && location.protocol == 'file:'"):
            time.sleep(0.02)
        self.settle()

    def settle(self):
        """Waits until what was asked for is drawn; how long the page took to draw it, in milliseconds."""
        return self.evaluate("""new Promise((done) => { const began = performance.now();
            requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began))); })""")

    def key(self, key):
        code = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        return self.settle()

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start, end):
        self.mouse("mousePressed", *start, button="left", clickCount=1)
        self.mouse("mouseMoved", *end, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)
        return self.settle()

    def screenshot(self, name, whole=True):
        if SCREENSHOTS:
            picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
            (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        with contextlib.suppress(RuntimeError, OSError):
            self.session = None
            self.call("Browser.close")
        self.process.wait(30)
        self.profile.cleanup()


# What lies where in the picture. Labels under the gutter's panel are not seen, so only those right of it count.
LOOK = r"""(() => {
  const svg = document.querySelector("#timeline svg"), area = svg.getBoundingClientRect();
  const box = (node) => { const b = node.getBoundingClientRect();
    return { text: node.textContent, shape: node.getAttribute("class"), left: b.left - area.left, right: b.right - area.left,
             top: b.top - area.top, bottom: b.bottom - area.top }; };
  const texts = [...svg.querySelectorAll("text")].map(box);
  const bars = [...svg.querySelectorAll("rect.callback, rect.hold, rect.wait")].map(box);
  const window_ = box(svg.querySelector(".window"));
  const violations = [...svg.querySelectorAll("line.violation")].length;
  const first = svg.querySelector("rect.callback");
  return { width: area.width, height: area.height, texts, bars, window: window_, violations,
           drawn: svg.querySelectorAll("*").length, page: document.documentElement.scrollWidth, inner: innerWidth };
})()"""

# What of the page's own text reaches out of the window or of a box that cuts it off.
CUT = r"""[...document.querySelectorAll("header *, main *, footer *")].filter((node) => {
  if (node.closest("svg, #events, pre, .wide, #tip") || node.offsetParent === null) return false;
  const box = node.getBoundingClientRect();
  return box.right > innerWidth + 1 || box.left < -1 || node.scrollWidth > node.clientWidth + 1 &&
    getComputedStyle(node).overflowX !== "visible" && node.clientWidth > 0;
}).map((node) => node.tagName + "." + node.className + ": " + node.textContent.slice(0, 60))"""

# The lowest contrast of a text with what lies behind it, by WCAG's formula.
CONTRAST = r"""(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (color) => rgb(color).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (node) => { for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor; if (rgb(color)[3] > 200) return color; } return "#fff"; };
  let worst = [99, ""];
  const note = (value, what) => { if (value < worst[0]) worst = [value, what]; };
  for (const node of document.querySelectorAll("header *, main *, footer *")) {
    if (node.closest("svg") || ![...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    note(ratio(getComputedStyle(node).color, behind(node)), node.tagName + "." + node.className);
  }
  const panel = behind(document.querySelector("#timeline"));
  for (const node of document.querySelectorAll("#timeline text")) {
    const bar = node.previousElementSibling, on = node.classList.contains("on-lock");
    note(ratio(getComputedStyle(node).fill, on ? getComputedStyle(bar).fill : panel), "svg text." + node.classList);
  }
  return worst;
})()"""


def overlap(a, b, slack=1.5):
    return (min(a["right"], b["right"]) - max(a["left"], b["left"]) > slack
            and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > slack)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.browser = Browser()
        cls.pages = {name: cls.page(SCENARIOS / f"{name}-broken.ron")
                     for name in ["run-deadlock", "lock-order", "interrupt-self-deadlock", "irql-below-lock"]}
        long = pathlib.Path(cls.folder.name) / "long.ron"
        long.write_text(LONG)
        cls.pages["long"] = cls.page(long)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    @classmethod
    def page(cls, scenario):
        html = pathlib.Path(cls.folder.name) / f"{scenario.stem}.html"
        run = subprocess.run([LOCKSTORM, "run", "puppet", scenario, "--html", html], stdout=subprocess.PIPE, check=False)
        if run.returncode != 1:
            raise SystemExit(f"{scenario}: exit status {run.returncode}\n{run.stdout.decode()}")
        return html

    def tearDown(self):
        self.assertEqual(self.browser.errors, [])

    def everywhere(self, check):
        """Checks every page at every width, light and dark."""
        for name, html in self.pages.items():
            for width in [1280, 1920]:
                for scheme in ["light", "dark"]:
                    with self.subTest(page=name, width=width, scheme=scheme):
                        self.browser.open(html, width, scheme)
                        self.browser.screenshot(f"{name}-{width}-{scheme}")
                        check()

    def look(self):
        seen = self.browser.evaluate(LOOK)
        for text in seen["texts"]:
            self.assertGreaterEqual(text["left"], -0.5, text)
            self.assertLessEqual(text["right"], seen["width"] + 0.5, text)
            self.assertLessEqual(text["bottom"], seen["height"] + 0.5, text)
        texts = sorted(seen["texts"], key=lambda text: text["left"])
        for at, one in enumerate(texts):
            for other in texts[at + 1:]:
                if other["left"] > one["right"]:
                    break
                self.assertFalse(overlap(one, other), (one, other))
        bars = sorted((bar for bar in seen["bars"] if "wait" not in bar["shape"]), key=lambda bar: bar["left"])
        for at, one in enumerate(bars):
            for other in bars[at + 1:]:
                if other["left"] > one["right"]:
                    break
                # Bars have a least width, so that those of one event can touch.
                self.assertFalse(overlap(one, other, slack=2.5), (one, other))
        return seen

    def test_nothing_is_cut_and_nothing_overlaps(self):
        def check():
            self.assertEqual(self.browser.evaluate(CUT), [])
            seen = self.look()
            self.assertLessEqual(seen["page"], seen["inner"])
            self.assertGreaterEqual(seen["violations"], 1)
            self.browser.evaluate("document.querySelector('#timeline').focus()")
            for keys in ["++++", "f", "v------"]:
                for key in keys:
                    self.browser.key(key)
                self.look()
        self.everywhere(check)

    def test_texts_can_be_read_light_and_dark(self):
        grounds = set()
        def check():
            grounds.add(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"))
            contrast, where = self.browser.evaluate(CONTRAST)
            self.assertGreaterEqual(contrast, 4.5, where)
        self.everywhere(check)
        self.assertEqual(len(grounds), 2, "light and dark")

    def window(self):
        window = self.browser.evaluate(LOOK)["window"]
        return window["left"], window["right"] - window["left"]

    def test_keys_zoom_and_pan(self):
        self.browser.open(self.pages["long"], 1280, "light")
        self.browser.evaluate("document.querySelector('#timeline').focus()")
        self.browser.key("f")
        left, whole = self.window()
        self.browser.key("+")
        zoomed_left, zoomed = self.window()
        self.assertAlmostEqual(zoomed, whole / 1.4, delta=2)
        self.assertGreater(zoomed_left, left, "zooms around the middle")
        self.browser.key("-")
        self.assertAlmostEqual(self.window()[1], whole, delta=2)
        for _ in range(4):
            self.browser.key("+")
        self.browser.key("Home")
        start, shown = self.window()
        self.assertAlmostEqual(start, left, delta=1)
        self.browser.key("ArrowRight")
        self.assertAlmostEqual(self.window()[0], start + shown / 3, delta=2)
        self.browser.key("ArrowLeft")
        self.assertAlmostEqual(self.window()[0], start, delta=1)
        self.browser.key("End")
        end, shown = self.window()
        self.assertAlmostEqual(end + shown, left + whole, delta=2)
        self.browser.key("Home")
        self.browser.key("v")
        self.assertGreater(self.window()[0], start, "goes to the violation")
        row = "document.querySelector('#events .row.current').dataset.at"
        before = int(self.browser.evaluate(row))
        self.browser.key("ArrowUp")
        self.assertEqual(int(self.browser.evaluate(row)), before - 1)
        self.browser.key("ArrowDown")
        self.assertEqual(int(self.browser.evaluate(row)), before)

    def test_the_mouse_zooms_and_pans(self):
        self.browser.open(self.pages["long"], 1280, "light")
        area = self.browser.evaluate(
            "(() => { const b = document.querySelector('#timeline svg').getBoundingClientRect();"
            " return [b.left, b.top, b.width, b.height]; })()")
        self.browser.evaluate("document.querySelector('#timeline').focus()")
        self.browser.key("f")
        whole = self.window()[1]
        middle = (area[0] + area[2] / 2, area[1] + 60)
        self.browser.mouse("mouseWheel", *middle, deltaX=0, deltaY=-800)
        self.browser.settle()
        left, shown = self.window()
        self.assertLess(shown, whole / 5)
        self.browser.drag(middle, (middle[0] + 200, middle[1]))
        dragged = self.window()[0]
        self.assertLess(dragged, left, "dragging to the right shows what was before")
        self.browser.mouse("mouseWheel", *middle, deltaX=300, deltaY=0)
        self.browser.settle()
        self.assertGreater(self.window()[0], dragged)
        # A click in the overview goes there.
        self.browser.drag((area[0] + area[2] - 60, area[1] + area[3] - 20), (area[0] + area[2] - 60, area[1] + area[3] - 20))
        self.assertGreater(self.window()[0], area[2] / 2)
        tip = "(() => { const tip = document.querySelector('#tip'); return tip.hidden ? '' : tip.textContent; })()"
        bar = next(bar for bar in self.browser.evaluate(LOOK)["bars"] if bar["right"] - bar["left"] > 6 and bar["left"] > 90)
        self.browser.mouse("mouseMoved", area[0] + (bar["left"] + bar["right"]) / 2, area[1] + (bar["top"] + bar["bottom"]) / 2)
        self.assertTrue(self.browser.evaluate(tip), "a bar tells what it is")

    def test_long_runs_stay_usable(self):
        self.browser.open(self.pages["long"], 1920, "light")
        events = self.browser.evaluate("JSON.parse(document.getElementById('run').textContent).length")
        self.assertGreater(events, 5000)
        self.browser.evaluate("document.querySelector('#timeline').focus()")
        took = {key: self.browser.key(key) for key in ["f", "+", "ArrowRight", "-", "v", "ArrowUp"]}
        rows = self.browser.evaluate("document.querySelectorAll('#events .row').length")
        self.assertLess(rows, 100, "only the rows in sight exist")
        # A measurement and no judgement: machines differ.
        times = ", ".join(f"{key} {ms:.0f}" for key, ms in took.items())
        print(f"{events} events; redrawn after a key in ms: {times}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    LOCKSTORM = str(pathlib.Path(sys.argv[1]).resolve())
    if len(sys.argv) > 2:
        SCREENSHOTS = pathlib.Path(sys.argv[2])
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)
