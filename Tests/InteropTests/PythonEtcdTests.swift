import Foundation
import TestSupport
import Testing

/// python-etcd, the client of the v2 API, as it is: the same program says the same of Go's server and of ours.
@Suite(.serialized) struct PythonEtcdTests {
  private static let python = PythonClientTests.tools + "/python-etcd/bin/python"

  @Test(.enabled(if: Binaries.isThere(python) && Binaries.go34 != nil)) func saysTheSameOfBoth()
    throws
  {
    let scratch = Scratch()
    let path = scratch.path + "/use.py"
    try Self.program.write(toFile: path, atomically: false, encoding: .utf8)
    let told = try [try #require(Binaries.go34), Binaries.ours].map { binary in
      let cluster = Cluster([binary, binary, binary], extra: ["--enable-v2"])
      try cluster.start()
      let done = run(
        Self.python, [path] + cluster.members.map { "\($0.clientPort)" }, timeout: 120)
      #expect(done.status == 0 && done.output.hasSuffix("the end\n"), "\(binary): \(done.error)")
      return done.output.split(separator: "\n")
    }
    for (theirs, mine) in zip(told[0], told[1]) { #expect(mine == theirs) }
    #expect(told[0].count == told[1].count && told[0].count > 45)
  }

  private static let program = #"""
    import re, sys, threading, time
    import etcd

    ports = [int(port) for port in sys.argv[1:]]
    hosts = tuple(("127.0.0.1", port) for port in ports)
    client = etcd.Client(host=hosts, allow_reconnect=True, read_timeout=20)

    def tell(what, result=None):
        """What of a result two servers have in common."""
        def node(r):
            return (r.key, r.value, r.dir, r.newKey, bool(r.expiration), sorted(
                (c.key, c.value) for c in r.leaves if c is not r) if r.dir else None)
        text = f"{what}: {result!r}" if not isinstance(result, etcd.EtcdResult) else f"{what}: {result.action} {node(result)}" + (
            f" before {node(result._prev_node)}" if getattr(result, "_prev_node", None) else "")
        print(text)

    def refused(what, body):
        try:
            tell(what, body())
        except etcd.EtcdException as error:
            print(re.sub(r"port=\d+| \d+\]", "", f"{what}: {type(error).__name__}: {error}"))

    # Keys, directories, comparisons.
    tell("write", client.write("/nodes/n1", "1"))
    tell("again", client.write("/nodes/n1", "2"))
    tell("read", client.read("/nodes/n1"))
    tell("in", "/nodes/n1" in client and "/nodes/none" not in client)
    refused("missing", lambda: client.read("/nodes/none"))
    refused("file as directory", lambda: client.write("/nodes/n1/below", "x"))
    refused("exists", lambda: client.write("/nodes/n1", "x", prevExist=False))
    refused("other value", lambda: client.test_and_set("/nodes/n1", "3", "9"))
    tell("swap", client.test_and_set("/nodes/n1", "3", "2"))
    refused("other index", lambda: client.write("/nodes/n1", "4", prevIndex=1))
    result = client.read("/nodes/n1")
    result.value = "updated"
    tell("update", client.update(result))
    tell("directory", client.write("/folder", None, dir=True))
    for name in ("one", "two"):
        tell("append", client.write("/folder", name, append=True).value)
    tell("children", [c.value for c in client.read("/folder", recursive=True, sorted=True).children])
    refused("not empty", lambda: client.delete("/folder", dir=True))
    refused("a directory", lambda: client.delete("/folder"))
    tell("delete", client.delete("/folder", recursive=True))
    tell("pop", client.pop("/nodes/n1"))
    tell("unicode", client.write("/nodes/你好", "é<&>\n"))
    tell("quorum", client.read("/nodes", quorum=True, recursive=True))

    # Lifetimes.
    tell("ttl", client.write("/short", "x", ttl=1))
    tell("refresh", client.refresh("/short", ttl=2))
    assert 0 < client.read("/short").ttl <= 2
    while "/short" in client:
        time.sleep(0.05)
    tell("expired", client.watch("/short", index=client.read("/nodes").etcd_index))
    tell("dir ttl", client.write("/leased", None, dir=True, ttl=100))

    # Waiting.
    def later(body):
        thread = threading.Thread(target=lambda: (time.sleep(0.2), body()))
        thread.start()
        return thread

    thread = later(lambda: client.write("/watched/a", "1"))
    tell("watch", client.watch("/watched", recursive=True, timeout=20))
    thread.join()
    refused("nothing happens", lambda: client.watch("/watched/none", timeout=0.3))
    start = client.read("/watched").etcd_index + 1
    thread = later(lambda: [client.write("/watched/b", str(n)) for n in range(5)])
    values = []
    for event in client.eternal_watch("/watched/b", index=start):
        values.append(event.value)
        if len(values) == 5: break
    thread.join()
    tell("eternal", values)
    for n in range(1005): client.write("/many", str(n))
    try:
        client.watch("/many", index=5)
    except etcd.EtcdEventIndexCleared as error:
        tell("cleared", error.payload["errorCode"])

    # Locks, and a leader by locks.
    lock = etcd.Lock(client, "name")
    tell("acquire", lock.acquire(blocking=True, lock_ttl=60))
    other = etcd.Lock(etcd.Client(host=hosts, allow_reconnect=True, read_timeout=20), "name")
    tell("held", (other.acquire(blocking=False), lock.is_acquired, other.is_acquired))
    thread = later(lock.release)
    tell("waited", other.acquire(blocking=True, lock_ttl=60))
    thread.join()
    tell("handed over", (lock.is_acquired, other.is_acquired))
    other.release()

    leaders = []
    def run(name):
        own = etcd.Client(host=hosts, allow_reconnect=True, read_timeout=20)
        place = etcd.Lock(own, "leader")
        place.acquire(blocking=True, lock_ttl=60)
        own.write("/leader", name)
        leaders.append(own.read("/leader", quorum=True).value == name)
        place.release()
    candidates = [threading.Thread(target=run, args=(f"c{n}",)) for n in range(6)]
    for c in candidates: c.start()
    for c in candidates: c.join()
    tell("leaders", leaders)

    # Members, statistics.
    tell("machines", sorted(client.machines) == sorted(f"http://127.0.0.1:{port}" for port in ports))
    tell("members", [sorted(m) for m in client.members.values()])
    tell("leader", sorted(client.leader))
    tell("stats", sorted(k for k in client.stats if not k.endswith("Rate")))
    tell("store stats", sorted(client.store_stats))
    tell("version", len(client.version.split(".")) )

    # Users.
    from etcd import auth
    root = auth.EtcdUser(client, "root"); root.password = "pw"; root.write()
    role = auth.EtcdRole(client, "some"); role.grant("/mine/*", "RW"); role.grant("/nodes", "R"); role.write()
    ann = auth.EtcdUser(client, "ann"); ann.password = "pw"; ann.roles = ["some"]; ann.write()
    tell("users", sorted(u["user"] for u in auth.EtcdUser(client, "x").names))
    tell("rights", sorted(auth.EtcdRole(client, "some").acls.items()))
    read = auth.EtcdRole(client, "some"); read.read(); tell("read rights", sorted(read.acls.items()))
    client.api_execute_json("/v2/auth/enable", client._MPUT)
    admin = etcd.Client(host=hosts, allow_reconnect=True, username="root", password="pw")
    guest = auth.EtcdRole(admin, "guest"); guest.read(); guest.revoke("*", "RW"); guest.revoke("/*", "RW"); guest.write()
    named = etcd.Client(host=hosts, allow_reconnect=True, username="ann", password="pw")
    wrong = etcd.Client(host=hosts, allow_reconnect=True, username="ann", password="no")
    refused("nobody", lambda: client.write("/mine/a", "x"))
    refused("ann", lambda: named.write("/mine/a", "x"))
    refused("ann elsewhere", lambda: named.write("/nodes/a", "x"))
    refused("wrong", lambda: wrong.write("/mine/a", "x"))
    refused("users of ann", lambda: auth.EtcdUser(named, "ann").read())
    auth.EtcdUser(admin, "ann").delete()
    refused("ann is gone", lambda: named.read("/mine/a"))
    admin.api_execute("/v2/auth/enable", admin._MDELETE)
    refused("free", lambda: client.write("/mine/a", "x"))
    print("the end")
    """#
}
