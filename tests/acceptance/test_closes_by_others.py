"""Node, Java and Chromium close and are closed, and none of them has an error to tell of."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Figure
from tests.acceptance.replies import AS_EXPECTED, BODY, UNREAD, Replies, replies
from tests.acceptance.support import MODES
from tests.acceptance.test_clients import _trust_in_nss
from tests.acceptance.visitors import VERSIONS
from tests.needs import need

pytestmark = [pytest.mark.acceptance]

_SECONDS = 60.0

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module", params=MODES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replies]:
    with replies(request.param, tmp_path_factory.mktemp("replies") / "served") as running:
        yield running


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """What it prints; it must have nothing to say on stderr."""
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_NODE = """
const [url, ca, alive, version, size, unread] = process.argv.slice(1);
const https = require('https');
const failed = what => { console.log('failed: ' + what); process.exitCode = 1; };
process.on('warning', failed);
const agent = new https.Agent({
  keepAlive: alive === 'true', maxSockets: 1, ca: require('fs').readFileSync(ca),
  minVersion: version, maxVersion: version,
});
let sockets = 0, last;
function watch(socket) {
  if (socket === last) return;
  last = socket;
  sockets++;
  socket.on('error', error => failed('socket: ' + error));
  socket.closed_ = new Promise(resolve => socket.on('close', hadError => {
    if (hadError) failed('a socket closed with an error');
    resolve();
  }));
}
const ask = (method, path, body) => new Promise((resolve, reject) => {
  const request = https.request(url + path, {method, agent}, response => {
    let got = 0;
    response.on('data', piece => { got += piece.length; });
    response.on('aborted', () => reject(new Error(path + ' aborted')));
    response.on('error', reject);
    response.on('end', () => {
      if (!response.complete) failed(path + ' is not complete');
      resolve([response.statusCode, got]);
    });
  });
  request.on('socket', watch);
  request.on('error', error => reject(new Error(method + ' ' + path + ': ' + error)));
  request.end(body);
});
async function expect(method, path, status, length, body) {
  const [told, got] = await ask(method, path, body);
  if (told !== status || (length !== null && got !== length)) failed([method, path, told, got]);
}
async function all() {
  await expect('GET', '/length', 200, +size);
  await expect('HEAD', '/length', 200, 0);
  await expect('GET', '/chunked', 200, +size);
  await expect('GET', '/close', 200, +size);
  await expect('GET', '/304', 304, 0);
  await expect('POST', '/upload', 413, null, Buffer.alloc(+unread));
  await expect('GET', '/length', 200, +size);
  last.ref();  // the agent lets node end while it waits
  await last.closed_;  // with keepAlive by the proxy, for being idle
}
all().then(all).then(() => console.log('connections: ' + sockets), failed);
"""


@every_version
@pytest.mark.parametrize("alive", ["true", "false"], ids=["keepAlive", "no agent"])
def test_node(served: Replies, figure: Figure, version: str, alive: str) -> None:
    node = need("node", "nodejs")
    given = [served.url, served.server.ca, alive, f"TLSv{version}", str(len(BODY))]
    said = run([node, "-e", _NODE, *given, str(len(UNREAD))])
    figure(f"node {run([node, '--version']).strip()}, {said.strip()}")
    word, _, number = said.strip().partition(": ")
    assert word == "connections"
    assert (int(number) < 14) == (alive == "true")


_JAVA = """
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.charset.StandardCharsets;
import javax.net.ssl.*;

public class Closes {
  static String url;
  static int size, unread;

  static void check(String what, int status, int told, int length, int got) {
    if (told != status || (length >= 0 && got != length))
      throw new RuntimeException(what + ": " + told + ", " + got + " bytes");
  }

  static void ask(HttpClient client, String method, String path, int status, int length,
                  HttpRequest.BodyPublisher body) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(url + path)).method(method, body).build();
    HttpResponse<byte[]> reply = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
    check(method + " " + path, status, reply.statusCode(), length, reply.body().length);
  }

  static void old(String path) throws Exception {
    HttpsURLConnection connection = (HttpsURLConnection) new URL(url + path).openConnection();
    try (InputStream stream = connection.getInputStream()) {
      check("old " + path, 200, connection.getResponseCode(), size, stream.readAllBytes().length);
    }
  }

  // Reads to close_notify: a FIN alone is an SSLException, see the command below.
  static void raw(String request) throws Exception {
    URI where = URI.create(url);
    SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
    try (Socket socket = factory.createSocket(where.getHost(), where.getPort())) {
      socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
      socket.getOutputStream().flush();
      byte[] reply = socket.getInputStream().readAllBytes();
      if (reply.length <= size) throw new RuntimeException(request + reply.length + " bytes");
    }
  }

  public static void main(String[] words) throws Exception {
    url = words[0];
    size = Integer.parseInt(words[1]);
    unread = Integer.parseInt(words[2]);
    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    HttpRequest.BodyPublisher none = HttpRequest.BodyPublishers.noBody();
    for (int turn = 0; turn < 2; turn++) {
      ask(client, "GET", "/length", 200, size, none);
      ask(client, "HEAD", "/length", 200, 0, none);
      ask(client, "GET", "/chunked", 200, size, none);
      ask(client, "GET", "/close", 200, size, none);
      ask(client, "GET", "/304", 304, 0, none);
      ask(client, "POST", "/upload", 413, -1,
          HttpRequest.BodyPublishers.ofByteArray(new byte[unread]));
      for (String path : new String[] {"/length", "/chunked", "/close"}) {
        old(path);
        raw("GET " + path + " HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n");
      }
      raw("GET /length HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n");  // idle
    }
    System.out.println("fine with " + System.getProperty("java.version"));
  }
}
"""


@every_version
def test_java(served: Replies, figure: Figure, tmp_path: Path, version: str) -> None:
    java = need("java", "default-jdk-headless")
    store, source = tmp_path / "trusted.p12", tmp_path / "Closes.java"
    run([
        need("keytool", "default-jdk-headless"), "-importcert", "-noprompt", "-alias", "kssl",
        "-file", served.server.ca, "-keystore", str(store), "-storepass", "changeit",
    ])  # fmt: skip
    source.write_text(_JAVA)
    said = run([
        java, f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit",
        f"-Djdk.tls.client.protocols=TLSv{version}",
        "-Dcom.sun.net.ssl.requireCloseNotify=true",  # else it takes a FIN for the end
        str(source),
        served.url, str(len(BODY)), str(len(UNREAD)),
    ])  # fmt: skip
    assert said.startswith("fine with ")
    figure(said.strip())


def test_chromium(served: Replies, figure: Figure, tmp_path: Path) -> None:
    chromium, log = need("chromium"), tmp_path / "net.json"
    environment = dict(os.environ) | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "x")}
    _, trust = _trust_in_nss(served.server.process, tmp_path, environment)
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
        *trust, "--dump-dom", f"{served.url}/page",
    ]  # fmt: skip
    page = run(command, environment)
    assert AS_EXPECTED in page, page
    errors, seen = net_errors(log)
    version = run([chromium, "--version"], environment).split(" built ")[0]
    figure(f"{len(errors)} errors in {seen} events of sockets, {version.strip()}")
    assert seen
    assert errors == [], errors


def net_errors(log: Path) -> tuple[list[Any], int]:
    """Errors in Chromium's net log that a socket had behind its connect, and how many events of
    sockets there are."""
    document = json.loads(log.read_text())
    constants = document["constants"]
    names = {number: name for name, number in constants["logEventTypes"].items()}
    errors, seen = [], 0
    for event in document["events"]:
        name = names[event["type"]]
        # localhost is ::1 too, where nobody listens.
        if event["source"]["type"] != constants["logSourceType"]["SOCKET"] or "TCP_CONN" in name:
            continue
        seen += 1
        if name.endswith("_ERROR") or event.get("params", {}).get("net_error", 0) < 0:
            errors.append((name, event.get("params")))
    return errors, seen
