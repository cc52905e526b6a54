"""Audience mode on a real server: through the page, and by requests that no page would send."""

from __future__ import annotations

from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg

from benchmarks.visitor import Visitor
from bsqh_core.store import Store
from helpers import app_button, wait_until

APP = Path(__file__).parents[2] / "app.py"
TOKEN = "open sesame"


def test_the_audience_changes_nothing(serve, open_page, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    base = serve(APP, env={"BSQH_STORE": str(folder), "BSQH_HOST_TOKEN": TOKEN})
    host = open_page(f"{base}/")
    host.get_by_role("button", name="I am the host").click()
    host.get_by_label("Host token").fill(TOKEN)
    host.keyboard.press("Enter")
    host.get_by_text("You are the host").wait_for()
    host.keyboard.press("Escape")
    host.get_by_role("spinbutton", name="Iterations", exact=True).fill("1000000")
    host.keyboard.press("Enter")
    host.get_by_role("button", name="Start training").click()
    host.get_by_role("button", name="Pause").wait_for()
    store = Store(folder)
    (run,) = store.runs()

    guest = open_page(f"{base}/?run={run.uid}", width=390, height=844)
    guest.get_by_text(f"Run {run.number}:").first.wait_for()
    wait_until(lambda: guest.locator(".main-svg").count() > 0, "the charts")
    for name in ("Start training", "Pause", "Stop", "Resume"):
        assert app_button(guest, name, exact=True).count() == 0

    watching = Visitor(f"{base}/train?run={run.uid}", keep=True)
    wait_until(lambda: watching.refreshes > 1, "a refresh of a visitor without a browser")
    # The ids that the host's buttons have, as far as an outsider can know or guess them.
    pressed = [f"$$ID-{'0' * 32}-stop_{run.uid}", f"stop_{run.uid}", f"pause_{run.uid}"]
    for button in pressed + host_buttons(base, run.uid):
        watching.press(button)
    for claim in ("bsqh_host_token", "typed_host_token"):
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add()
        widget.id, widget.string_value = claim, "guess"
        watching.send(message)
    watching.say(BackMsg(clear_cache=True))
    watching.say(BackMsg(stop_script=True))
    watching.say(BackMsg(debug_shutdown_runtime=True))
    refreshes, done = watching.refreshes, store.run(run.uid).latest.iterations
    wait_until(lambda: watching.refreshes > refreshes + 1, "the page to go on")
    wait_until(lambda: store.run(run.uid).latest.iterations > done + 3, "training to go on")
    assert (store.run(run.uid).wanted, len(store.runs())) == ("run", 1)
    watching.close()

    app_button(host, "Stop").click()
    host.get_by_text("as asked").wait_for()
    guest.get_by_text("as asked").wait_for()
    store.close()


def host_buttons(base: str, uid: str) -> list[str]:
    """The ids of the host's buttons, learned by a visitor who knows the token."""
    host = Visitor(f"{base}/train?run={uid}", keep=True)
    wait_until(lambda: typed_field(host) != "", "the field for the token")
    message = BackMsg()
    widget = message.rerun_script.widget_states.widgets.add()
    widget.id, widget.string_value = typed_field(host), TOKEN
    host.send(message)
    wait_until(lambda: len(buttons(host)) >= 3, "the host's buttons")
    found = buttons(host)
    host.close()
    return found


def elements(visitor: Visitor) -> list:
    deltas = [m.delta.new_element for m in visitor.messages if m.WhichOneof("type") == "delta"]
    return [element for element in deltas if element.WhichOneof("type")]


def buttons(visitor: Visitor) -> list[str]:
    return sorted({e.button.id for e in elements(visitor) if e.WhichOneof("type") == "button"})


def typed_field(visitor: Visitor) -> str:
    return next((e.text_input.id for e in elements(visitor) if e.WhichOneof("type") == "text_input"), "")
