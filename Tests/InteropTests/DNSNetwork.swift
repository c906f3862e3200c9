import Foundation
import TestSupport

/// A network of a test's own, in which a DNS server of Debian's answers for the domain `example.test` and nothing else
/// is reached; shell texts run in it, with processes of their own that end with the text.
struct DNSNetwork {
  private static let programs = ["/usr/bin/unshare", "/usr/sbin/dnsmasq", "/usr/sbin/ip"]

  /// As root, and where the kernel lets one.
  static let canRun =
    programs.allSatisfy(Binaries.isThere)
    && InteropTests.run(programs[0], ["--net", "--mount", "--pid", "--fork", "/bin/true"]).status
      == 0

  let scratch = Scratch()
  /// dnsmasq's words: records and addresses of names.
  let records: [String]
  /// Further addresses of the one machine.
  private let addresses: [String]

  init(_ records: [String] = [], addresses: [String] = []) {
    self.records =
      records + (1...3).map { "--address=/etcd\($0).example.test/127.0.0.1" }
    self.addresses = addresses
  }

  /// An SRV record of `example.test`.
  static func service(_ label: String, _ host: String, _ port: Int, _ priority: Int = 0) -> String {
    "--srv-host=_\(label)._tcp.example.test,\(host),\(port),\(priority),10"
  }

  /// Words of a text that wait for a command to succeed, half a minute and more.
  static func until(_ condition: String) -> String {
    "for i in $(seq 300); do \(condition) && break; read -rt 0.1 <> <(:) || :; done\n"
  }

  /// - Parameter text: for bash, in the scratch directory; `etcd` and `etcdctl` are programs.
  func run(
    _ text: String, etcd: String = Binaries.ours, ctl: String = Binaries.ourCtl,
    variables: [String: String] = [:]
  ) -> Finished {
    let script = """
      set -eu
      ip link set lo up
      for address in \(addresses.joined(separator: " ")); do ip address add "$address/32" dev lo; done
      cd '\(scratch.path)'
      echo 'nameserver 127.0.0.1' >resolv.conf
      mount --bind resolv.conf /etc/resolv.conf
      dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address 127.0.0.1 --bind-interfaces \\
        --user=root --pid-file= --log-facility='\(scratch.path)/dns.log' --local=/test/ \(records.joined(separator: " ")) &
      until grep -q started dns.log 2>/dev/null; do read -rt 0.05 <> <(:) || :; done
      mkdir -p bin
      ln -sf '\(etcd)' bin/etcd
      ln -sf '\(ctl)' bin/etcdctl
      PATH="$PWD/bin:$PATH"
      set +e
      \(text)
      """
    return InteropTests.run(
      Self.programs[0],
      ["--net", "--mount-proc", "--pid", "--fork", "--kill-child", "/bin/bash", "-c", script],
      timeout: 120, variables: variables)
  }
}
