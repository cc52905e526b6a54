"""A visitor without a browser: speaks Streamlit's protocol, refreshes as a browser does, and draws nothing."""

from __future__ import annotations

import json
import sys
import threading
import time
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets import State, Subprotocol
from websockets.sync.client import ClientConnection, connect


class Visitor:
    """One session on a server.

    Parameters
    ----------
    address : str
        Of a page, e.g. "http://127.0.0.1:8501/train?run=0123456789ab".

    Attributes
    ----------
    received : int
        Bytes that came over the websocket.
    messages : list[ForwardMsg]
        What came, if `keep`; hashes of messages that need not be sent twice are not resolved.
    """

    def __init__(self, address: str, keep: bool = False) -> None:
        parts = urlsplit(address)
        self.received, self.refreshes = 0, 0
        self.messages: list[ForwardMsg] = []
        self._keep = keep
        self._page, self._query = parts.path.strip("/"), parts.query
        self._timers: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._url = f"ws://{parts.netloc}/_stcore/stream"
        self._socket: ClientConnection | None = None
        connected = threading.Event()
        threading.Thread(target=self._receive, args=(connected,), daemon=True).start()
        if not connected.wait(20):
            raise TimeoutError(f"{self._url} does not answer.")
        self.send(BackMsg())
        threading.Thread(target=self._refresh, daemon=True).start()

    def send(self, message: BackMsg, fragment: str = "") -> None:
        """Ask for a run of the page or of one fragment, with what else stands in `message`."""
        state = message.rerun_script
        state.query_string, state.page_name, state.fragment_id = self._query, self._page, fragment
        self.say(message)

    def press(self, button: str) -> None:
        """Send what a browser sends when the button with this id is pressed, whether it was ever shown or not."""
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add()
        widget.id, widget.trigger_value = button, True
        self.send(message)

    def say(self, message: BackMsg) -> None:
        """Send any message as it is."""
        assert self._socket is not None
        with self._lock:
            self._socket.send(message.SerializeToString())

    def close(self) -> None:
        """Leave, as one who closes a tab."""
        self._timers.clear()
        assert self._socket is not None
        self._socket.close()

    def _receive(self, connected: threading.Event) -> None:
        with connect(self._url, subprotocols=[Subprotocol("streamlit")], max_size=None) as self._socket:
            connected.set()
            for data in self._socket:
                assert isinstance(data, bytes)
                self.received += len(data)
                self._take(ForwardMsg.FromString(data))

    def _take(self, message: ForwardMsg) -> None:
        if self._keep:
            self.messages.append(message)
        if message.WhichOneof("type") == "auto_rerun":
            rerun = message.auto_rerun
            self._timers[rerun.fragment_id] = (rerun.interval, time.monotonic() + rerun.interval)
        for fragment in message.stop_auto_rerun.fragment_ids:
            self._timers.pop(fragment, None)

    def _refresh(self) -> None:
        while self._socket is not None and self._socket.state is State.OPEN:
            time.sleep(0.05)
            for fragment, (interval, due) in list(self._timers.items()):
                if time.monotonic() >= due:
                    self._timers[fragment] = (interval, time.monotonic() + interval)
                    self.refreshes += 1
                    message = BackMsg()
                    message.rerun_script.is_auto_rerun = True
                    self.send(message, fragment)


def main() -> None:
    """So many visitors at an address, until a line comes in; then what they received a second, as JSON."""
    address, number = sys.argv[1], int(sys.argv[2])
    visitors = [Visitor(address) for _ in range(number)]
    time.sleep(8)  # each has had its first picture
    print("there", flush=True)
    before = [(v.refreshes, v.received) for v in visitors]
    began, cpu = time.monotonic(), time.process_time()
    sys.stdin.readline()
    seconds = time.monotonic() - began
    refreshes = sum(v.refreshes - n for v, (n, _) in zip(visitors, before, strict=True))
    received = sum(v.received - n for v, (_, n) in zip(visitors, before, strict=True))
    share = (time.process_time() - cpu) / seconds
    print(json.dumps({"refreshes": refreshes / seconds, "bytes": received / seconds, "share": share}))


if __name__ == "__main__":
    main()
