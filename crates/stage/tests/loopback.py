"""Runs the demo inside a network namespace that has only loopback, and looks at it from inside.

Usage: unshare --map-root-user --net python3 loopback.py CASEMATE_STAGE ARG...

Brings loopback up, starts the program with the arguments, waits until it serves, fetches the page and an
investigation, interrupts it as Ctrl-C would, and prints one JSON document: what the demo printed, what the
pages answered, and whether anything outside could be reached meanwhile. Standard library only.
"""

import fcntl
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.request

SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def outside_can_be_reached():
    """A documentation address (RFC 5737): without a route the attempt fails at once and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(("192.0.2.1", 80))
        except OSError:
            return False
        return True


def fetch(address, path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address + path, timeout=30) as answer:
        return answer.status, answer.read().decode()


def main():
    bring_loopback_up()
    result = {"interfaces": [name for _, name in socket.if_nameindex()]}
    result["outside_reached"] = outside_can_be_reached()
    demo = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = []
    address = None
    for line in demo.stderr:
        said.append(line)
        found = re.search(r"casemate: serving on (http://[0-9.:]+)", line)
        if found:
            address = found.group(1)
            break
    if address:
        result["page"] = fetch(address, "/")
        result["investigations"] = fetch(address, "/v1/investigations")
        demo.send_signal(signal.SIGINT)
    said.extend(demo.stderr)
    output = demo.stdout.read()
    result["status"] = demo.wait(timeout=60)
    result["stderr"] = "".join(said)[-4000:]
    try:
        result["demo"] = json.loads(output)
    except ValueError:
        result["demo"] = None
    json.dump(result, sys.stdout)


main()
