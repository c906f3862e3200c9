import Bytes
import JSON
import Protobuf

/// Whether the cluster is on its way to an older version, and to which. Replicated; kept in row
/// `downgrade` of bucket `cluster`, as JSON.
///
/// - Source: etcd `membership/downgrade.go`.
public struct Downgrade: Hashable, Sendable {
  /// `MAJOR.MINOR.0`; empty while none is under way.
  public let target: String

  /// No downgrade.
  public static let none = Downgrade(target: "")

  /// - Parameter target: `MAJOR.MINOR.0`; empty for none.
  public init(target: String) { self.target = target }

  public var isEnabled: Bool { !target.isEmpty }

  /// The row in the backend.
  public var json: Bytes {
    let value: JSONValue = [
      "target-version": .string(target), "enabled": .bool(isEnabled),
    ]
    return value.encoded()
  }

  /// A target that is no version is kept: Go etcd does not start with one, whoever wrote it.
  /// - Throws: `malformed` when the row is not JSON.
  public init(json: Bytes) throws(MembershipError) {
    let value: JSONValue
    do { value = try JSONValue.parse(json) } catch {
      throw .malformed("downgrade information is not JSON: \(error)")
    }
    guard value["enabled"]?.bool == true else {
      self = .none
      return
    }
    self.init(target: value["target-version"]?.string ?? "")
  }
}

/// `MAJOR.MINOR.PATCH`, where a suffix `-…` or `+…` says nothing that a cluster goes by.
///
/// - Source: etcd uses coreos/go-semver, which takes exactly three numbers.
public struct SemanticVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let major: Int64
  public let minor: Int64
  public let patch: Int64

  public init(major: Int64, minor: Int64, patch: Int64 = 0) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
  }

  /// - Returns: `nil` when it has not three numbers.
  public init?(_ text: String) {
    let plain = text.prefix { $0 != "+" && $0 != "-" }
    let parts = plain.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3 else { return nil }
    var numbers: [Int64] = []
    for part in parts {
      guard let number = Int64(part), number >= 0 else { return nil }
      numbers.append(number)
    }
    self.init(major: numbers[0], minor: numbers[1], patch: numbers[2])
  }

  /// The version of a cluster of such servers.
  public var cluster: SemanticVersion { SemanticVersion(major: major, minor: minor) }

  /// The only version that a cluster of this one may be taken down to.
  /// - Source: etcd `AllowedDowngradeVersion`.
  public var allowedDowngrade: SemanticVersion { SemanticVersion(major: major, minor: minor - 1) }

  /// The version of a cluster that is on its way down to this one.
  public var nextMinor: SemanticVersion { SemanticVersion(major: major, minor: minor + 1) }

  /// The cluster version that somebody asks for, with or without its third number.
  /// - Source: etcd `convertToClusterVersion`.
  public static func clusterVersion(asked text: String) -> SemanticVersion? {
    (SemanticVersion(text) ?? SemanticVersion(text + ".0"))?.cluster
  }

  /// Whether a leader may change the cluster's version to another: up within the major version, or one
  /// minor version down, which a member of the older version must have been let in for.
  /// - Source: etcd `IsValidVersionChange`.
  public static func mayChange(_ current: SemanticVersion, to decided: SemanticVersion) -> Bool {
    let (current, decided) = (current.cluster, decided.cluster)
    return decided == current.allowedDowngrade
      || (current.major == decided.major && current < decided)
  }

  public static func < (a: SemanticVersion, b: SemanticVersion) -> Bool {
    (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
  }

  public var description: String { "\(major).\(minor).\(patch)" }
}
