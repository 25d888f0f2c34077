"""Drops a file on a window as a file manager does: the source's side of XDND, version 5.

python xdnd_source.py TITLE FILE [SECONDS]   holds FILE over the window for SECONDS before it lets go

Says `accepted` or `rejected`. Needs python-xlib.
"""

import pathlib
import sys
import time

from Xlib import X, display
from Xlib.protocol import event

TITLE, FILE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
HOLD = float(sys.argv[3]) if len(sys.argv) > 3 else 0.3

d = display.Display()
root = d.screen().root


def atom(name):
    return d.intern_atom(name)


def with_title(window):
    """The window of that title, or None."""
    try:
        name = window.get_wm_name()
        if name and str(name).startswith(TITLE):
            return window
        children = window.query_tree().children
    except Exception:  # it was closed meanwhile
        return None
    return next(filter(None, map(with_title, children)), None)


def aware(window):
    """The window itself or one inside that takes drops: a host's has the plugin's in it."""
    if window.get_full_property(atom("XdndAware"), X.AnyPropertyType):
        return window
    return next(filter(None, map(aware, window.query_tree().children)), None)


target = with_title(root)
target = target and aware(target)
if not target:
    sys.exit("xdnd: no window of that title takes drops")

source = root.create_window(0, 0, 1, 1, 0, d.screen().root_depth, event_mask=X.PropertyChangeMask)
source.set_selection_owner(atom("XdndSelection"), X.CurrentTime)
geometry = target.get_geometry()
middle = target.translate_coords(root, 0, 0)
at = (-middle.x + geometry.width // 2, -middle.y + geometry.height // 2)


def send(kind, *data):
    data = [source.id, *data]
    data += [0] * (5 - len(data))
    message = event.ClientMessage(window=target, client_type=atom(kind), data=(32, data))
    target.send_event(message)
    d.flush()


def answer(kind, seconds=10.0):
    """Serves the selection until the window sends a message of that kind; its data."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not d.pending_events():
            time.sleep(0.01)
            continue
        got = d.next_event()
        if got.type == X.SelectionRequest:
            text = f"{FILE.as_uri()}\r\n".encode()
            got.requestor.change_property(got.property, got.target, 8, text)
            notify = event.SelectionNotify(time=got.time, requestor=got.requestor,
                                           selection=got.selection, target=got.target,
                                           property=got.property)
            got.requestor.send_event(notify)
            d.flush()
        elif got.type == X.ClientMessage and got.client_type == atom(kind):
            return got.data[1]
    sys.exit(f"xdnd: no {kind} within {seconds} s")


now = int(time.monotonic() * 1000) & 0xFFFFFFFF
send("XdndEnter", 5 << 24, atom("text/uri-list"))
send("XdndPosition", 0, at[0] << 16 | at[1], now, atom("XdndActionCopy"))
accepted = answer("XdndStatus")[1] & 1
time.sleep(HOLD)
send("XdndDrop", 0, now)
answer("XdndFinished")
print("accepted" if accepted else "rejected")
