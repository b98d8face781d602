"""What the two containers of a build pod run, both at the same time: repo2docker, to fetch and to build.

One after the other, as init container and container, a build would take a second more: the kubelet looks once a second
whether a container has ended, then makes the next one, which has to load repo2docker again. Here the builder has loaded
it when the repository is there.

Each prints `END` as its last line when all went well. Its reader has seen everything then, and need not wait until the
kubelet notices that the container has ended.

Two programs load repo2docker where upstream has one. On a node whose processors are all busy that is time of other
builds: so nothing is looked through for garbage while it is loaded, and nothing is taken apart at a good end. Together
that is a fifth of what loading takes.
"""

import json

END = json.dumps({"binderhub-service": "end"})
ANSWERS = ["cat"]
"""What the builder has run by its engine: it answers a line with that line, until its input ends with the builder."""
AUTHORITIES = "BINDERHUB_SERVICE_AUTHORITIES"
"""Where this is set, it is a file with certificates of authorities that fetching trusts beside those of its image."""

# repo2docker's own content providers, so that every kind of repository is fetched as repo2docker would. How far it is
# lies beside what is fetched: a file that is locked as long as this program runs, however it ends, and then one more.
# git, requests and Python's own client each look into one file only for whom to trust, perhaps one that somebody named.
FETCH_PROGRAM = f"""
import fcntl, gc, os, pathlib, sys
path, *arguments = sys.argv[1:]
beside = pathlib.Path(path).parent
lock = open(beside / "begins", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
(beside / "begins").rename(beside / "fetching")
if {AUTHORITIES!r} in os.environ:
    import ssl
    names = ("GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    named = [os.environ.get(name) for name in (*names, {AUTHORITIES!r})]
    own = [ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt"]
    files = dict.fromkeys(pathlib.Path(one).resolve() for one in own + named if one)
    trusted = beside / "authorities.crt"
    trusted.write_bytes(b"\\n".join(file.read_bytes() for file in files if file.is_file()))
    os.environ.update(dict.fromkeys(names, str(trusted)))
gc.disable()
from repo2docker.__main__ import make_r2d
gc.enable()
app = make_r2d(["--no-build", *arguments])
app.initialize()
app.fetch(app.repo, app.ref, path)
(beside / "fetched").touch()
sys.stdout.flush()
print({END!r}, file=sys.stderr, flush=True)
os._exit(0)
"""

# The first argument is the engine's command around `ANSWERS`, as JSON; the others are repo2docker's. Where the other
# program has ended without a repository the exit code is 1: that container's own says more.
BUILD_PROGRAM = f"""
import fcntl, gc, json, os, pathlib, subprocess, sys, time
command, path, *sys.argv = sys.argv[1:]
gc.disable()
from repo2docker.__main__ import main
gc.enable()
beside = pathlib.Path(path).parent
def ended():
    try:
        with open(beside / "fetching") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except (FileNotFoundError, BlockingIOError):
        return False
while not (beside / "fetched").exists():
    if ended() and not (beside / "fetched").exists():
        sys.exit(1)
    time.sleep(0.02)
engine = subprocess.Popen(json.loads(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
engine.stdin.write(b"\\n")
engine.stdin.flush()
if not engine.stdout.readline():
    sys.exit(engine.wait())
try:
    main()
except SystemExit as ended:
    if ended.code:
        raise
sys.stdout.flush()
print({END!r}, file=sys.stderr, flush=True)
os._exit(0)
"""
