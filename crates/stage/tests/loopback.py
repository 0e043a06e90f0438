"""Runs the demo inside a network namespace that leads nowhere, and looks at it from inside.

Usage: unshare --map-root-user --net python3 loopback.py CASEMATE_STAGE ARG...

Brings loopback up and, where the kernel has them, a sink: an interface with the route to everywhere, whose packets
come to this program and go no further. Starts the program with the arguments, traced where strace is installed, waits
until it serves, fetches the page and the investigations, interrupts it as Ctrl-C would, and prints one JSON document:
what the demo printed, what the pages answered, which packets came to the sink, which system calls named an address
elsewhere, and whether anything outside could be reached. Standard library only.
"""

import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import urllib.request

SIOCADDRT = 0x890B
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
TUNSETIFF = 0x400454CA
IFF_UP = 0x1
IFF_TUN = 0x1
IFF_NO_PI = 0x1000
RTF_UP = 0x1
CALLS = "trace=connect,sendto,sendmsg,sendmmsg"
TRACE = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", CALLS, "-e", "signal=none"]


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def ipv4(text):
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))


def open_sink():
    """An interface with the default route; the descriptor that its packets come to. None where there is none."""
    try:
        # What the kernel says by itself on a new interface is not what is looked for.
        with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as switch:
            switch.write("1")
        sink = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(sink, TUNSETIFF, struct.pack("16sH22x", b"sink", IFF_TUN | IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for call, address in [(SIOCSIFADDR, "198.51.100.1"), (SIOCSIFNETMASK, "255.255.255.0")]:
                fcntl.ioctl(probe, call, struct.pack("16s16s8x", b"sink", ipv4(address)))
            fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"sink", IFF_UP))
            held = ctypes.create_string_buffer(b"sink")
            route = struct.pack(
                "L16s16s16sHhLPHh4xPLLH6x",
                0,
                ipv4("0.0.0.0"),
                ipv4("0.0.0.0"),
                ipv4("0.0.0.0"),
                RTF_UP,
                0,
                0,
                0,
                0,
                0,
                ctypes.addressof(held),
                0,
                0,
                0,
            )
            fcntl.ioctl(probe, SIOCADDRT, route)
        return sink
    except OSError as error:
        print(f"no sink: {error}", file=sys.stderr)
        return None


def packets(sink):
    """What came to the sink since it was last asked, in hex."""
    found = []
    while sink is not None:
        try:
            found.append(os.read(sink, 65536)[:64].hex())
        except BlockingIOError:
            break
    return found


def can_trace():
    """Whether strace is installed, and allowed."""
    if not shutil.which("strace"):
        return False
    return subprocess.run(TRACE + ["-o", os.devnull, "true"], stderr=subprocess.DEVNULL).returncode == 0


def elsewhere(trace):
    """Lines of a trace that name an address other than this machine's."""
    with open(trace) as lines:
        return [
            line.strip()
            for line in lines
            if "sin_addr" in line and "127.0.0.1" not in line or "sin6_addr" in line and '"::1"' not in line
        ]


def outside_can_be_reached():
    """A documentation address (RFC 5737): without a route the attempt fails at once and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(("192.0.2.1", 80))
        except OSError:
            return False
        return True


def interrupt(demo, is_traced):
    """As Ctrl-C would; a tracer keeps such signals to itself."""
    process = demo.pid
    if is_traced:
        with open(f"/proc/{demo.pid}/task/{demo.pid}/children") as children:
            process = int(children.read().split()[0])
    os.kill(process, signal.SIGINT)


def fetch(address, path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address + path, timeout=30) as answer:
        return answer.status, answer.read().decode()


def main():
    bring_loopback_up()
    sink = open_sink()
    result = {"interfaces": [name for _, name in socket.if_nameindex()]}
    result["outside_reached"] = outside_can_be_reached()
    # That attempt shows that the sink takes what leaves.
    result["sink"] = None if sink is None else len(packets(sink)) > 0
    command = sys.argv[1:]
    trace = None
    if can_trace():
        trace = tempfile.mktemp()
        command = TRACE + ["-o", trace] + command
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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
        interrupt(demo, trace is not None)
    said.extend(demo.stderr)
    output = demo.stdout.read()
    result["status"] = demo.wait(timeout=60)
    result["packets"] = packets(sink)
    result["elsewhere"] = None
    if trace:
        result["elsewhere"] = elsewhere(trace)
        os.remove(trace)
    result["stderr"] = "".join(said)[-4000:]
    try:
        result["demo"] = json.loads(output)
    except ValueError:
        result["demo"] = None
    json.dump(result, sys.stdout)


main()
