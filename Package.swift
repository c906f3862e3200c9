// swift-tools-version: 6.2
import PackageDescription

/// One list of settings for every Swift target: warnings are errors, and `any` is spelled out. No unsafe
/// flags: they would go along into the programs of those who depend on `EtcdClient`, and tools that allow
/// none would refuse it. The Makefile gives release builds theirs.
let settings: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
  ] + (Context.environment["ETCD_FAILPOINTS"] == nil ? [] : [.define("FAILPOINTS")])

/// A Swift library target of this package.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A test target; `Tests/<Target>Tests` mirrors `Sources/<Target>`.
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A system library found through pkg-config.
func system(_ name: String, _ pkgConfig: String, _ apt: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt]), .brew([pkgConfig])])
}

/// A program of Examples, on the client library alone.
func example(_ name: String) -> Target {
  .executableTarget(
    name: name, dependencies: ["EtcdClient"], path: "Examples/\(name)", swiftSettings: settings)
}

/// Fuzzing alone builds the program that libFuzzer drives: it has no `main` of its own (`make fuzz`).
let fuzzing: [Target] =
  Context.environment["ETCD_FUZZ"] == nil
  ? []
  : [
    .executableTarget(
      name: "etcd-fuzz", dependencies: ["FuzzTargets", "Bytes"], path: "Tests/etcd-fuzz",
      swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])])
  ]

let package = Package(
  name: "etcd",
  products: [.library(name: "EtcdClient", targets: ["EtcdClient"])],
  targets: [
    // Pure: no Foundation, Glibc, clock, task or randomness.
    .target(name: "CBytes"),
    library("Bytes", ["CBytes"]),
    tests("BytesTests", ["Bytes"]),
    // Texts as Go writes them, dates, times of day.
    library("GoText", ["Bytes"]),
    tests("GoTextTests", ["TestSupport", "GoText", "Bytes"]),
    library("JSON", ["Bytes"]),
    tests("JSONTests", ["JSON", "Bytes"]),
    library("Protobuf", ["Bytes", "JSON"]),
    tests("ProtobufTests", ["Protobuf", "Bytes"]),
    library("EtcdAPI", ["Protobuf", "JSON", "Bytes"]),
    tests("EtcdAPITests", ["EtcdAPI", "Protobuf", "JSON", "Bytes"]),
    .executableTarget(
      name: "protoc-gen-etcd-swift", dependencies: ["Protobuf", "Platform", "Bytes"],
      swiftSettings: settings),
    // How locks and elections are had.
    library("Concurrency", ["Bytes", "EtcdAPI"]),
    library("Raft", ["Bytes", "GoText", "EtcdAPI", "Protobuf"]),
    tests("RaftTests", ["Raft", "Bytes", "EtcdAPI", "Protobuf"]),
    .target(
      name: "MVCC", dependencies: ["Bytes", "EtcdAPI", "Protobuf"],
      path: "Sources/StateMachine/MVCC", swiftSettings: settings),
    // Who is told of which changes.
    .target(
      name: "Watch", dependencies: ["Bytes", "EtcdAPI", "Protobuf", "MVCC"],
      path: "Sources/StateMachine/Watch", swiftSettings: settings),
    tests(
      "WatchTests",
      ["TestSupport", "Watch", "MVCC", "Raft", "EtcdAPI", "Protobuf", "Bytes"]),
    .target(
      name: "V2Store", dependencies: ["Bytes", "GoText", "JSON", "EtcdAPI", "Protobuf"],
      path: "Sources/StateMachine/V2Store", swiftSettings: settings),
    tests("V2StoreTests", ["V2Store", "JSON", "EtcdAPI", "Bytes", "Protobuf"]),
    .target(
      name: "Membership", dependencies: ["Bytes", "JSON", "EtcdAPI", "Protobuf", "V2Store"],
      path: "Sources/StateMachine/Membership", swiftSettings: settings),
    .target(
      name: "Auth", dependencies: ["Bytes", "EtcdAPI", "Protobuf", "MVCC"],
      path: "Sources/StateMachine/Auth", swiftSettings: settings),
    tests("AuthTests", ["TestSupport", "Auth", "MVCC", "EtcdAPI", "Protobuf", "Bytes"]),
    library(
      "Member",
      ["Bytes", "JSON", "EtcdAPI", "Protobuf", "Raft", "MVCC", "Membership", "V2Store", "Auth"]),
    tests(
      "MemberTests",
      [
        "TestSupport", "Member", "MVCC", "Membership", "V2Store", "Bytes", "EtcdAPI", "Protobuf",
        "Raft",
      ]),
    tests(
      "MVCCTests",
      [
        "TestSupport", "MVCC", "Bytes", "EtcdAPI", "Protobuf", "Simulation", "MemberStorage",
        "Bolt",
        "Raft",
      ]),
    // Formats over a FileSystem protocol.
    .target(name: "CDisk"),
    library("FileSystem", ["Bytes", "CDisk"]),
    // Nothing, unless the build has ETCD_FAILPOINTS.
    library("Failpoints", ["GoText", "Platform"]),
    tests("FailpointsTests", ["Failpoints"]),
    library("Bolt", ["Bytes", "FileSystem"]),
    tests("BoltTests", ["TestSupport", "Bolt", "Bytes", "FileSystem"]),
    library("WAL", ["Bytes", "FileSystem", "Failpoints", "EtcdAPI", "Protobuf"]),
    library("Snap", ["Bytes", "FileSystem", "EtcdAPI", "Protobuf"]),
    tests(
      "WALTests",
      ["WAL", "Snap", "Bytes", "FileSystem", "EtcdAPI", "Protobuf", "Simulation", "Raft"]),
    system("COpenSSL", "openssl", "libssl-dev"),
    system("CCrypt", "libcrypt", "libcrypt-dev"),
    library(
      "MemberStorage",
      [
        "Bytes", "FileSystem", "Failpoints", "EtcdAPI", "Protobuf", "Raft", "MVCC", "Membership",
        "V2Store", "Member", "Bolt", "WAL", "Snap", "COpenSSL",
      ]),
    // What a history of operations must be: for the simulation and for scenarios of devcluster.
    library("Checkers"),
    tests("CheckersTests", ["Checkers", "TestSupport"]),
    // Disks, networks and clocks that fail on purpose, decided by a seed.
    library(
      "Simulation",
      [
        "Auth", "Bytes", "Checkers", "FileSystem", "EtcdAPI", "Protobuf", "Raft", "MVCC",
        "Membership", "V2Store", "Watch", "Member", "MemberStorage", "Bolt", "Snap", "Concurrency",
      ]),
    tests(
      "SimulationTests",
      [
        "Simulation", "Bytes", "Checkers", "FileSystem", "EtcdAPI", "Protobuf", "Raft", "MVCC",
        "Membership", "Member", "MemberStorage", "Bolt",
      ]),
    .executableTarget(
      name: "etcd-sim", dependencies: ["Simulation", "Platform", "Bytes", "FileSystem"],
      swiftSettings: settings),
    system("CYAML", "yaml-0.1", "libyaml-dev"),
    library("YAML", ["GoText", "CYAML"]),
    tests("YAMLTests", ["YAML"]),
    library("EtcdConfig", ["Bytes", "GoText", "JSON", "YAML"]),
    tests("EtcdConfigTests", ["TestSupport", "EtcdConfig", "GoText"]),
    // Commands, flags and usage texts of the command line tools.
    library("CommandLineTool", ["GoText"]),
    tests("CommandLineToolTests", ["CommandLineTool"]),
    // The one door to system calls that no other target owns.
    library("Platform", ["Bytes"]),
    tests("PlatformTests", ["TestSupport", "Platform", "Bytes"]),
    // Edges: the event loop, sockets, threads, logs and metrics; HTTP/1.1 and gRPC above them.
    system("CUV", "libuv", "libuv1-dev"),
    system("CNghttp2", "libnghttp2", "libnghttp2-dev"),
    system("CZlib", "zlib", "zlib1g-dev"),
    library("EventLoops", ["Bytes", "Platform", "GoText", "JSON", "CUV", "CZlib"]),
    tests("EventLoopsTests", ["TestSupport", "EventLoops", "GoText", "Bytes"]),
    library("HTTP", ["Bytes", "Platform", "GoText", "EventLoops", "CZlib"]),
    tests("HTTPTests", ["TestSupport", "HTTP", "EventLoops", "Bytes"]),
    // TLS as a layer between sockets and protocols; certificates that members make for themselves.
    library("TLS", ["Bytes", "Platform", "GoText", "EventLoops", "COpenSSL"]),
    tests("TLSTests", ["TestSupport", "TLS", "EventLoops", "Bytes"]),
    // Where services are, by the DNS.
    system("CAres", "libcares", "libc-ares-dev"),
    library("DNS", ["CAres"]),
    tests("DNSTests", ["TestSupport", "DNS"]),
    // Calls as services see them; gRPC over HTTP/2 is one way to bring them.
    library("Calls", ["Bytes", "Protobuf", "EventLoops"]),
    tests("CallsTests", ["TestSupport", "Calls", "Protobuf", "EventLoops", "Bytes"]),
    library(
      "GRPC",
      ["Bytes", "GoText", "Protobuf", "EventLoops", "Calls", "HTTP", "CNghttp2", "CZlib"]),
    library(
      "PeerTransport",
      [
        "Bytes", "Platform", "GoText", "Failpoints", "EtcdAPI", "Protobuf", "Member", "EventLoops",
        "HTTP",
      ]),
    tests(
      "PeerTransportTests",
      [
        "TestSupport", "PeerTransport", "Member", "HTTP", "EventLoops", "EtcdAPI", "Protobuf",
        "Bytes",
      ]),
    // The client, as a product: what it stands on may have no unsafe flags.
    library(
      "EtcdClient",
      [
        "Bytes", "GoText", "EtcdAPI", "Protobuf", "Concurrency", "EventLoops", "HTTP", "Calls",
        "GRPC", "TLS",
      ]),
    tests(
      "EtcdClientTests",
      [
        "TestSupport", "EtcdClient", "Calls", "GRPC", "HTTP", "EventLoops", "EtcdAPI", "Protobuf",
        "Bytes",
      ]),
    tests(
      "GRPCTests", ["TestSupport", "Calls", "GRPC", "HTTP", "EventLoops", "Bytes", "CNghttp2"]),
    // Clients of the v2 API: of etcdctl, and of members that look for their cluster.
    library(
      "V2API",
      ["Bytes", "GoText", "JSON", "EventLoops", "HTTP", "EtcdClient"]),
    // How new members find their cluster by a service that all know.
    library(
      "Discovery",
      [
        "Bytes", "GoText", "JSON", "EtcdAPI", "Protobuf", "EventLoops", "HTTP", "TLS", "EtcdClient",
        "V2API", "V2Store", "CommandLineTool",
      ]),
    tests(
      "DiscoveryTests",
      [
        "TestSupport", "Discovery", "EventLoops", "HTTP", "Bytes", "EtcdAPI", "V2Store",
        "EtcdClient",
      ]),
    // Local clusters of real processes. The library's name differs from the executable's by more than
    // case, for file systems that ignore it.
    .target(name: "CDevCluster"),
    // Connections between members that are cut, slow or lossy on purpose.
    .target(name: "CFaultRelay"),
    library("FaultRelay", ["Bytes", "EventLoops", "CFaultRelay"]),
    tests("FaultRelayTests", ["FaultRelay", "EventLoops", "Bytes"]),
    // Disks of processes that are slow, full or broken on purpose.
    .target(name: "CDiskFaults"),
    library("DiskFaults", ["Bytes", "Platform", "EventLoops", "CDiskFaults"]),
    tests("DiskFaultsTests", ["DiskFaults", "Platform"]),
    .target(
      name: "DevClusterKit",
      dependencies: [
        "Bytes", "GoText", "JSON", "YAML", "Platform", "FileSystem", "EventLoops", "HTTP", "TLS",
        "FaultRelay", "DiskFaults", "CommandLineTool", "CUV", "CDevCluster", "Checkers",
        "EtcdClient", "Protobuf", "MemberStorage", "Membership", "Discovery",
      ],
      // The status page, in the program itself: nothing has to be found where it is installed.
      resources: [.embedInCode("UI/Files")], swiftSettings: settings),
    .executableTarget(
      name: "devcluster", dependencies: ["DevClusterKit", "Platform"], swiftSettings: settings),
    tests(
      "DevClusterTests",
      [
        "TestSupport", "DevClusterKit", "FaultRelay", "DiskFaults", "Platform", "devcluster",
        "CommandLineTool", "Bytes", "JSON", "Checkers", "EtcdClient", "EtcdAPI", "Protobuf",
        "Calls",
        "GRPC", "HTTP", "EventLoops",
      ]),
    // Glue: the running member.
    library(
      "EtcdServer",
      [
        "Bytes", "Platform", "GoText", "JSON", "FileSystem", "Failpoints", "EtcdAPI", "Protobuf",
        "Raft", "MVCC", "Membership",
        "Watch", "Member", "V2Store",
        "MemberStorage", "Bolt", "EtcdConfig", "EventLoops", "HTTP", "Calls", "GRPC",
        "PeerTransport",
        "Auth", "Concurrency",
        "CCrypt", "COpenSSL", "TLS", "DNS", "Discovery", "EtcdClient",
      ]),
    tests(
      "EtcdServerTests",
      [
        "TestSupport", "EtcdServer", "EtcdConfig", "HTTP", "Calls", "GRPC", "Auth", "FileSystem",
        "EtcdAPI", "Bytes", "GoText",
        "MVCC", "Bolt", "PeerTransport",
        "Member", "MemberStorage", "Membership", "Protobuf", "Raft", "EventLoops",
      ]),

    // What stands in front of members: for connections as they are, and for the v2 API.
    .target(name: "CSplice"),
    library(
      "Proxies",
      [
        "Bytes", "Platform", "GoText", "JSON", "FileSystem", "Membership", "EventLoops", "HTTP",
        "TLS", "DNS", "PeerTransport", "EtcdConfig", "EtcdServer", "CommandLineTool", "CSplice",
      ]),
    tests(
      "ProxiesTests",
      [
        "TestSupport", "Proxies", "CommandLineTool", "EtcdConfig", "EventLoops", "HTTP", "GoText",
        "DNS", "Bytes",
      ]),
    // What stands in front of members for the v3 API.
    library(
      "GRPCProxy",
      [
        "Bytes", "Platform", "GoText", "JSON", "EtcdAPI", "Protobuf", "EventLoops", "HTTP", "TLS",
        "Calls", "GRPC", "EtcdClient", "EtcdServer", "Proxies", "CommandLineTool",
      ]),
    tests(
      "GRPCProxyTests",
      [
        "TestSupport", "GRPCProxy", "Proxies", "CommandLineTool", "EtcdAPI", "Protobuf",
        "EventLoops", "Calls",
        "GRPC", "HTTP", "EtcdClient", "GoText", "JSON", "Bytes",
      ]),
    system("CSystemd", "libsystemd", "libsystemd-dev"),
    .target(
      name: "Systemd",
      dependencies: [.target(name: "CSystemd", condition: .when(platforms: [.linux]))],
      swiftSettings: settings),
    .executableTarget(
      name: "etcd",
      dependencies: [
        "EtcdServer", "EtcdConfig", "Proxies", "GRPCProxy", "Discovery", "EtcdClient",
        "CommandLineTool", "EventLoops", "HTTP", "Platform", "Systemd", "Failpoints",
        "Bytes", "GoText",
      ],
      swiftSettings: settings),
    // Manual pages and completions of the tables that the programs are made of; for packages.
    .executableTarget(
      name: "etcd-manuals",
      dependencies: [
        "Bytes", "CommandLineTool", "DevClusterKit", "EtcdConfig", "EtcdCtlKit", "EtcdUtlKit",
        "FileSystem",
        "GoText", "Platform",
      ], swiftSettings: settings),
    // The library's name differs from the executable's by more than case, as above.
    library(
      "EtcdUtlKit",
      [
        "Bytes", "GoText", "JSON", "FileSystem", "MVCC", "Membership", "Member",
        "MemberStorage", "Bolt", "EtcdAPI", "Protobuf", "V2Store",
        "EtcdConfig", "CommandLineTool",
      ]),
    .executableTarget(
      name: "etcdutl", dependencies: ["EtcdUtlKit", "CommandLineTool", "FileSystem", "Platform"],
      swiftSettings: settings),
    library(
      "EtcdCtlKit",
      [
        "Bytes", "Platform", "GoText", "JSON", "FileSystem", "EtcdAPI", "Protobuf", "EtcdConfig",
        "EventLoops", "HTTP", "Calls", "GRPC", "TLS", "DNS", "EtcdClient", "V2API", "Discovery",
        "CommandLineTool",
        "EtcdUtlKit",
      ]),
    .executableTarget(
      name: "etcdctl",
      dependencies: [
        "EtcdCtlKit", "EtcdUtlKit", "CommandLineTool", "FileSystem", "EventLoops", "Platform",
      ], swiftSettings: settings),
    tests(
      "EtcdCtlKitTests",
      [
        "TestSupport", "EtcdCtlKit", "EtcdUtlKit", "DNS", "CommandLineTool", "EtcdClient",
        "EtcdAPI",
        "Protobuf", "Calls", "GRPC", "HTTP", "EventLoops", "FileSystem", "Bytes",
      ]),
    tests(
      "EtcdUtlKitTests",
      [
        "TestSupport",
        "EtcdUtlKit", "CommandLineTool", "MemberStorage", "Membership", "V2Store", "MVCC", "Bolt",
        "WAL",
        "FileSystem", "EtcdAPI", "Protobuf", "Raft", "Bytes",
      ]),
    .target(
      name: "TestSupport", dependencies: ["Bytes", "MVCC", "EventLoops", "HTTP", "Calls", "GRPC"],
      path: "Tests/TestSupport",
      swiftSettings: settings),
    .testTarget(
      name: "TidyTests", exclude: ["Mutants", "known-arithmetic.txt", "known-conversions.txt"],
      swiftSettings: settings),
    // The guides' tests have a folder of their own and share what starts members.
    .testTarget(
      name: "InteropTests",
      dependencies: [
        "TestSupport", "etcd", "etcdutl", "etcdctl", "etcd-manuals", "config-reload",
        "service-registry",
        "leader-election", "distributed-lock", "EtcdClient", "Calls", "GRPC", "EventLoops",
        "EtcdAPI",
        "Protobuf",
        "Bytes", "Bolt", "FileSystem", "Failpoints", "MVCC", "MemberStorage", "V2Store", "WAL",
      ], path: "Tests", sources: ["InteropTests", "GuideTests"], swiftSettings: settings),
    example("config-reload"), example("service-registry"), example("leader-election"),
    example("distributed-lock"),
    .executableTarget(
      name: "grpc-echo-bench", dependencies: ["Calls", "GRPC", "HTTP", "EventLoops", "Bytes"],
      path: "benchmarks/grpc-echo-bench", swiftSettings: settings),
    .executableTarget(
      name: "etcd-bench",
      dependencies: [
        "Calls", "GRPC", "HTTP", "TLS", "EventLoops", "EtcdAPI", "Protobuf", "Bytes", "COpenSSL",
      ], path: "benchmarks/etcd-bench", swiftSettings: settings),
    // Decoders of foreign bytes, as tests and a fuzzer drive them.
    .target(
      name: "FuzzTargets",
      dependencies: [
        "Bytes", "GoText", "JSON", "YAML", "Protobuf", "EtcdAPI", "MVCC", "Membership", "V2Store",
        "Auth", "FileSystem", "Bolt", "WAL", "Snap", "Simulation", "EventLoops", "HTTP", "TLS",
        "Calls", "GRPC", "Member", "PeerTransport", "Discovery", "EtcdConfig", "EtcdServer",
        "EtcdCtlKit",
        "CommandLineTool", "DevClusterKit",
      ], path: "Tests/FuzzTargets", swiftSettings: settings),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzTargets", "TestSupport", "Bytes"],
      exclude: ["Corpus"], swiftSettings: settings),
  ] + fuzzing
)

// What lies beside the two folders of InteropTests belongs to other targets.
for target in package.targets where target.name == "InteropTests" {
  target.exclude =
    package.targets.filter { $0.type == .test && $0.name != target.name }.map(\.name)
    + ["TestSupport", "FuzzTargets", "etcd-fuzz"]
}
