import Foundation
import TestSupport
import Testing

/// Guide 003, "配置Etcd服务": the file of variables that systemd reads. `cfssl`, `yum` and `systemctl` are no commands of etcd.
///
/// The guide's notes stand behind `//`, which is no comment there: they become part of the values (systemd.exec(5)).
@Suite struct Guide003FileTests {
  /// What the file says as it stands, and how it is read by systemd.
  private static let noted: [(name: String, value: String)] = [
    ("ETCD_NAME", "etcd_node1  // 节点名称"),
    (
      "ETCD_LISTEN_CLIENT_URLS",
      "https://172.16.0.101:2379,https://127.0.0.1:2379  // 必须增加127.0.0.1否则启动会报错"
    ),
    (
      "ETCD_INITIAL_CLUSTER",
      "etcd_node1=https://172.16.0.101:2380,etcd_node2=https://172.16.0.102:2380,etcd_node3=https://172.16.0.103:2380  // 集群IP地址"
    ),
    ("ETCD_INITIAL_CLUSTER_STATE", "new  // 初始化集群,第二次启动时将状态改为: \"existing\""),
  ]

  /// Each note ends the start as with Go's etcd, with the same words.
  @Test(arguments: noted.indices) func notesAreNotComments(_ number: Int) throws {
    let note = Self.noted[number]
    let scratch = Scratch()
    var variables = [
      "ETCD_NAME": "etcd_node1", "ETCD_DATA_DIR": scratch.path + "/etcd_node1.etcd",
      "ETCD_LISTEN_PEER_URLS": "http://127.0.0.1:\(freePorts(1)[0])",
      "ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:\(freePorts(1)[0])",
      "ETCD_INITIAL_ADVERTISE_PEER_URLS": "https://172.16.0.101:2380",
      "ETCD_INITIAL_CLUSTER":
        "etcd_node1=https://172.16.0.101:2380,etcd_node2=https://172.16.0.102:2380",
      "ETCD_INITIAL_CLUSTER_STATE": "new", "ETCD_INITIAL_CLUSTER_TOKEN": "etcd-cluster",
      "ETCD_ADVERTISE_CLIENT_URLS": "https://172.16.0.101:2379",
    ]
    variables[note.name] = note.value
    let programs: [String] = [Binaries.ours, try #require(Binaries.go35)]
    let found = programs.map { program -> String in
      let done = run(program, [], timeout: 20, variables: variables)
      let text = done.output + done.error
      // Both write the reason into fields of their log, or as words where they have no log yet.
      let reason =
        text.matches(of: #/"error":"((?:[^"\\]|\\.)*)"/#).last.map { String($0.output.1) }
        ?? text.split(separator: "\n").last.map(String.init) ?? ""
      let bare = reason.replacing(#/"(?:level|ts|caller)":"[^"]*",?/#, with: "")
      return "\(bare); \(done.status)"
    }
    #expect(!found[0].hasSuffix("; 0"), "\(note): \(found)")
    #expect(found[0] == found[1], "\(note)")
  }
}
