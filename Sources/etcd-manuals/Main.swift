import Bytes
import CommandLineTool
import DevClusterKit
import EtcdConfig
import EtcdCtlKit
import EtcdUtlKit
import FileSystem
import GoText
import Platform

/// Writes what packages hold besides programs, of the tables that the programs are made of.
///
///     etcd-manuals man PROGRAM
///     etcd-manuals completion SHELL PROGRAM
@main
struct Main {
  static func main() {
    guard let text = text(Array(ProcessEnvironment.words.dropFirst())) else {
      StandardStreams.write(
        "usage: etcd-manuals man PROGRAM | completion bash|fish|zsh PROGRAM\n"
          + "PROGRAM is etcd, etcdctl, etcdutl or devcluster\n", to: StandardStreams.error)
      Program.exit(2)
    }
    StandardStreams.write(text, to: StandardStreams.output)
    Program.exit(0)
  }

  private static func text(_ words: [String]) -> String? {
    switch (words.first, words.count) {
    case ("man", 2): manual(words[1])
    case ("completion", 3):
      words[2] == "etcd"
        ? ServerManual.completion(words[1])
        : tool(words[2])?.completionScript(for: words[1])
    default: nil
    }
  }

  private static func tool(_ program: String) -> Tool? {
    switch program {
    case "etcdctl": EtcdCtl.tool(world)
    case "etcdutl": EtcdUtl.tool(world.files)
    case "devcluster": DevCluster.describedTool
    default: nil
    }
  }

  /// Of the day that `SOURCE_DATE_EPOCH` names, so that the same sources give the same page.
  private static var date: String {
    guard let epoch = ProcessEnvironment.variables["SOURCE_DATE_EPOCH"].flatMap(Int.init) else {
      return ""
    }
    return String(CivilTime(secondsSinceEpoch: epoch).rfc3339().prefix(10))
  }

  private static func manual(_ program: String) -> String? {
    let source = "etcd in Swift \(ServerVersion.own)"
    if program == "etcd" { return ServerManual.text(date: date, source: source) }
    guard let tool = tool(program) else { return nil }
    var manual = ToolManual(tool, date: date, source: source)
    return manual.text { page in
      if program == "etcdctl" {
        page.section("ENVIRONMENT")
        page.paragraph(
          "Each global option has a variable, ETCDCTL_ and its name in capitals with _ for -; the "
            + "option wins.")
        page.section("EXIT STATUS")
        page.item("0", "", "It is done.")
        page.item(
          "1", "", "It failed; a line on standard error says why, and one behind it what to do.")
        page.item(
          "2, 3, 4, 5", "",
          "Bad connection, input, feature; interrupted. For doctor 2 is a broken cluster.")
        page.item("128", "", "Bad arguments.")
      }
      page.section("SEE ALSO")
      let others = ["etcd", "etcdctl", "etcdutl", "devcluster"].filter { $0 != program }
      page.paragraph(others.map { "\($0)(1)" }.joined(separator: ", "))
    }
  }

  /// A machine that no command is run on.
  private static let world = EtcdCtl.World(
    files: EtcdUtl.World(
      fileSystem: RealFileSystem(), now: { 0 }, pause: {}, random: { 0 }, resolve: { _ in nil }),
    environment: [:], write: { _ in }, read: { _ in Bytes() }, askPassword: { _ in "" },
    preciseNow: { 0 }, showsProgress: false, exit: { _ in })
}
