import Foundation
import TestSupport
import Testing

/// The client as others get it: a package of theirs that depends on a version of this one. By path
/// SwiftPM would also take what it refuses by version, such as files that are in no commit.
@Suite struct PackageTests {
  private static let isAsked = ProcessInfo.processInfo.environment["PACKAGE"] != nil
  private static let git = ["/usr/bin/git", "/usr/local/bin/git"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }
  private static let hasRepository = FileManager.default.fileExists(
    atPath: Binaries.packageRoot + "/.git")

  private static let manifest = """
    // swift-tools-version: 6.0
    import PackageDescription

    let package = Package(
      name: "hello",
      dependencies: [.package(url: "file://REPOSITORY", from: "0.9.0")],
      targets: [
        .executableTarget(
          name: "hello", dependencies: [.product(name: "EtcdClient", package: "etcd")])
      ])
    """

  private static let program = """
    import EtcdClient

    let client = try EtcdClient(endpoints: [CommandLine.arguments[1]])
    try await client.kv.put("greeting", "hello")
    let answer = try await client.kv.get("greeting")
    print(answer.kvs.first?.value.string ?? "nothing")
    do {
      try await client.leases.revoke(1)
    } catch {
      print(error.etcdError == .leaseNotFound ? "no lease" : "\\(error)")
    }
    client.close()
    """

  @Test(
    .enabled(if: isAsked, "builds everything once more: PACKAGE=1, as make nightly"),
    .enabled(if: git != nil, "there is no git"),
    .enabled(if: hasRepository, "this is no clone of the repository"))
  func aPackageDependsOnAVersion() throws {
    let git = try #require(Self.git)
    let scratch = Scratch()
    let (repository, package) = (scratch.path + "/etcd", scratch.path + "/hello")
    for words in [
      ["clone", "--quiet", Binaries.packageRoot, repository], ["-C", repository, "tag", "0.9.1"],
    ] {
      let done = run(git, words)
      try #require(done.status == 0, "git \(words): \(done.error)")
    }
    try FileManager.default.createDirectory(
      atPath: package + "/Sources/hello", withIntermediateDirectories: true)
    try Self.manifest.replacingOccurrences(of: "REPOSITORY", with: repository)
      .write(toFile: package + "/Package.swift", atomically: false, encoding: .utf8)
    try Self.program.write(
      toFile: package + "/Sources/hello/main.swift", atomically: false, encoding: .utf8)
    let swift = run("/bin/sh", [Binaries.packageRoot + "/scripts/find-swift.sh"])
    try #require(swift.status == 0, "\(swift.error)")
    let tool = swift.output.trimmingCharacters(in: .whitespacesAndNewlines)
    // SwiftPM refuses them in packages whose tools version is below 6.2 only.
    let description = run(tool, ["package", "dump-package", "--package-path", repository])
    try #require(description.output.contains("swiftLanguageMode"), "\(description.error)")
    #expect(!description.output.contains("unsafeFlags"))
    let built = run(
      tool,
      ["build", "--package-path", package, "--cache-path", scratch.path + "/cache"], timeout: 600)
    try #require(built.status == 0, "\(built.output.suffix(4000)) \(built.error.suffix(4000))")
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let told = run(package + "/.build/debug/hello", [cluster.endpoints])
    #expect(told == Finished(status: 0, output: "hello\nno lease\n", error: ""))
  }
}
