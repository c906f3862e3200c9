import Foundation
import TestSupport
import Testing

/// Clients in Python that speak to the JSON gateway run as they are, against Go's server and against ours.
@Suite(.serialized) struct PythonClientTests {
  static let tools = Binaries.packageRoot + "/.build/tools/clients"
  private static let python = tools + "/gateway/bin/python"

  /// Runs a script against each server.
  /// - Parameter secure: the client's parameters for TLS, a dictionary in Python of `ca`, `cert` and `key`; the script has
  ///   it as `tls`. Then it is run over TLS too, by a client with a certificate that the server asks for.
  static func runs(
    _ script: String, _ last: String, _ python: String, secure: String? = nil
  ) throws {
    let scratch = Scratch()
    let path = scratch.path + "/script.py"
    let parameters = """
      import sys
      ca, cert, key = (sys.argv[2:] + [None] * 3)[:3]
      tls = \(secure ?? "{}") if ca else {}

      """
    try (parameters + script).write(toFile: path, atomically: false, encoding: .utf8)
    for binary in [Binaries.go35, Binaries.ours].compactMap({ $0 }) {
      for isSecure in [false, true] where !isSecure || secure != nil {
        let authority = try isSecure ? TestAuthority() : nil
        let certificates = try authority.map { authority in
          let pair = try authority.issue("both")
          return [authority.certificate, pair.certificate, pair.key]
        }
        let cluster = Cluster([binary], security: certificates.map(security) ?? .init())
        try cluster.start()
        // A list of authorities of the machine would stand in the way of the client's own.
        let done = run(
          python, [path, "\(cluster.members[0].clientPort)"] + (certificates ?? []), timeout: 120,
          variables: ["REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""])
        #expect(
          done.status == 0 && done.output == last + "\n",
          "\(binary), TLS: \(isSecure): \(done.error)")
      }
    }
  }

  /// A server that asks clients for certificates.
  private static func security(_ files: [String]) -> ClusterSecurity {
    ClusterSecurity(
      clientScheme: "https",
      memberFlags: [
        "--cert-file", files[1], "--key-file", files[2], "--trusted-ca-file", files[0],
        "--client-cert-auth",
      ],
      curl: ["--cacert", files[0], "--cert", files[1], "--key", files[2]])
  }

  @Test(.enabled(if: Binaries.isThere(python))) func etcd3gwRuns() throws {
    try Self.runs(
      Self.etcd3gw, "etcd3gw is content", Self.python,
      secure: #"dict(protocol="https", ca_cert=ca, cert_cert=cert, cert_key=key)"#)
  }

  @Test(.enabled(if: Binaries.isThere(python))) func etcd3pyRuns() throws {
    try Self.runs(
      Self.etcd3py, "etcd3-py is content", Self.python, secure: "dict(cert=(cert, key), verify=ca)")
  }

  private static let etcd3gw = #"""
    import sys, threading, time, warnings
    warnings.simplefilter("ignore")
    import etcd3gw
    from etcd3gw import exceptions

    client = etcd3gw.client(host="127.0.0.1", port=int(sys.argv[1]), timeout=20, **tls)
    assert client.status()["version"].startswith("3.5")
    assert len(client.members()) == 1
    assert client.put("k", "v") is True
    assert client.get("k") == [b"v"]
    assert client.get("none") == []
    assert client.get("k", metadata=True)[0][1]["version"] >= "1"
    client.put("dir/b", "2"), client.put("dir/a", "1"), client.put("dir/c", "3")
    assert [v for v, _ in client.get_prefix("dir/", sort_order="ascend", sort_target="key")] == [b"1", b"2", b"3"]
    assert client.get_prefix("dir/", sort_order="descend", sort_target="key")[0][1]["key"] == b"dir/c"
    assert len(client.get_all()) >= 4
    assert client.create("k", "x") is False and client.create("new", "x") is True
    assert client.replace("k", "v", "w") is True and client.replace("k", "v", "z") is False
    assert client.delete("none") is False and client.delete("new") is True
    assert client.delete_prefix("dir/") is True
    lease = client.lease(ttl=100)
    assert client.put("leased", "v", lease) is True
    assert 0 < lease.refresh() <= 100 and 0 < lease.ttl() <= 100 and lease.keys() == [b"leased"]
    assert lease.revoke() is True and client.get("leased") == []
    with client.lock("name", ttl=20) as lock:
        assert lock.is_acquired()
        other = client.lock("name", ttl=20)
        assert other.acquire() is False
    assert client.lock("name").acquire() is True
    events, cancel = client.watch("watched")
    done = []
    threading.Thread(target=lambda: [client.put("watched", str(i)) for i in range(3)]).start()
    for event in events:
        done.append(event["kv"]["value"])
        if len(done) == 3: break
    cancel()
    assert done == [b"0", b"1", b"2"], done
    try:
        client.watch_once("nothing", timeout=1)
        raise AssertionError("no timeout")
    except exceptions.WatchTimedOut: pass
    try:
        client.transaction({"compare": [], "success": [{"requestPut": {"key": "", "value": ""}}]})
        raise AssertionError("no error")
    except exceptions.Etcd3Exception as error:
        assert "key is not provided" in error.detail_text, error.detail_text
    print("etcd3gw is content")
    """#

  private static let etcd3py = #"""
    import asyncio, sys, threading, time, warnings
    warnings.simplefilter("ignore")
    import etcd3
    from etcd3.stateful import watch, lease, lock

    client = etcd3.Client("127.0.0.1", int(sys.argv[1]), timeout=20, **tls)
    assert client.version().etcdserver.startswith("3.5")
    client.put("k", "v")
    assert client.range("k").kvs[0].value == b"v"
    assert client.delete_range("k", prev_kv=True).deleted == 1
    for i in range(5): client.put("folder/%d" % i, str(i))
    assert client.range("folder/", prefix=True, count_only=True).count == 5
    txn = client.Txn()
    txn.compare(txn.key("folder/0").value == b"0")
    txn.success(txn.put("folder/0", "zero")).success(txn.range("folder/0")).failure(txn.delete("folder/0"))
    assert txn.commit().succeeded
    assert client.range("folder/0").kvs[0].value == b"zero"
    with client.Lease(ttl=100) as held:
        client.put("leased", "v", lease=held.ID)
        assert 0 < held.time_to_live().TTL <= 100
        held.refresh()
    assert not client.range("leased").kvs
    with client.Lock("name", lock_ttl=20) as held:
        assert held.is_acquired
    seen = []
    watcher = client.Watcher(key="watched")
    watcher.onEvent(lambda event: seen.append((event.type.value, event.value)))
    watcher.runDaemon()
    time.sleep(1)
    for i in range(3): client.put("watched", str(i))
    client.delete_range("watched")
    for _ in range(100):
        if len(seen) == 4: break
        time.sleep(0.1)
    watcher.stop()
    assert [kind for kind, _ in seen] == ["PUT", "PUT", "PUT", "DELETE"], seen
    client.user_add("u", "p")
    client.role_add("r")
    client.user_grant_role("u", "r")
    assert list(client.user_get("u").roles) == ["r"]
    client.user_delete("u"), client.role_delete("r")
    assert client.member_list().members and client.status().leader
    assert client.hash().hash and client.alarm_get(0, None) is not None
    revision = client.put("k", "v").header.revision
    client.compact(revision)
    try:
        client.range("k", revision=1)
        raise AssertionError("no error")
    except etcd3.errors.ErrCompacted: pass

    async def also():
        client = etcd3.AioClient("127.0.0.1", int(sys.argv[1]), timeout=20, **tls)
        await client.put("aio", "v")
        assert (await client.range("aio")).kvs[0].value == b"v"
        await client.close()
    asyncio.run(also())
    print("etcd3-py is content")
    """#
}
