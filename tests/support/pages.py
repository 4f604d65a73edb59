"""A browser for what this package shows in one."""

import contextlib
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@contextlib.contextmanager
def browsing():
    """Run a browser as long as the block runs; where there is none the test is skipped."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, a package of Debian")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        try:
            found = driver.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-dev-shm-usage", *_CAMERA],
            )
        except playwright.Error as problem:
            pytest.skip(f"chromium does not start here: {problem}")
        yield found
        found.close()


@contextlib.contextmanager
def opened(browser, address, *, width=360, may_say=()):
    """Open an address; what goes wrong, or is asked of others, fails the test.

    Args:
        browser: of `browsing`.
        address: of the page.
        width: of the window, px; the page must fit into it.
        may_say: words of errors in the console that are none.
    """
    context = browser.new_context(viewport={"width": width, "height": 740})
    found, wrong = context.new_page(), []
    found.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    found.on("pageerror", lambda one: wrong.append(str(one)))
    found.goto(address)
    yield found
    names = "performance.getEntriesByType('resource').map((one) => one.name)"
    own = (address, "blob:", "data:")
    others = [one for one in found.evaluate(names) if not one.startswith(own)]
    needed = found.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert others == []
    assert [one for one in wrong if not any(word in one for word in may_say)] == []
    assert needed <= width


def until(page, expression):
    """Wait until an expression is true; the page's policy forbids what playwright would wait by."""
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it does not come to {expression}")
