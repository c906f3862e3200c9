import FaultRelay
import JSON

/// Where members are, and how long bytes are on their way between zones. Pure.
///
/// A latency is no fault: it is there as long as the cluster is, and nothing heals it. A fault that delays the same
/// link counts instead.
public struct ZonePlan: Sendable, Equatable {
  public struct Zone: Sendable, Equatable {
    public var name: String
    /// Names of members, and `clients`.
    public var parties: [String]
  }

  /// How long each byte is on its way from one zone to the other, and back.
  public struct Latency: Sendable, Equatable {
    public var from: String
    public var to: String
    /// Nanoseconds.
    public var delay: UInt64
    /// Nanoseconds by which it varies to either side.
    public var jitter: UInt64
  }

  public var zones: [Zone] = []
  public var latencies: [Latency] = []

  public init() {}

  var isEmpty: Bool { zones.isEmpty }
  /// Whether clients are somewhere, so that their connections have to be relayed.
  var hasClients: Bool { zones.contains { $0.parties.contains("clients") } }

  /// What the relay is told.
  var rules: LinkRules {
    var rules: LinkRules = [:]
    for latency in latencies {
      for from in parties(latency.from) {
        for to in parties(latency.to) where from != to {
          var rule = LinkRule()
          (rule.delay, rule.jitter) = (latency.delay, latency.jitter)
          let link = Link(from: from, to: to)
          rules[link] = rule
          rules[link.reversed] = rule
        }
      }
    }
    return rules
  }

  private func parties(_ zone: String) -> [Party] {
    (zones.first { $0.name == zone }?.parties ?? []).map {
      $0 == "clients" ? .clients : .member($0)
    }
  }

  /// A line for each zone and each latency, for people.
  var lines: [String] {
    zones.map { "zone \($0.name): \($0.parties.joined(separator: ", "))" }
      + latencies.map {
        "\($0.from)<->\($0.to) \(FaultOrder.Kind.slow($0.delay, jitter: $0.jitter).text)"
      }
  }

  /// Takes `eu-us` apart: names of zones may have a `-` themselves.
  /// - Returns: `nil` when no two zones are called so, or more than one pair is.
  func pair(_ text: String) -> (from: String, to: String)? {
    let names = Set(zones.map(\.name))
    let found = text.indices.compactMap { index -> (from: String, to: String)? in
      guard text[index] == "-" else { return nil }
      let (from, to) = (String(text[..<index]), String(text[text.index(after: index)...]))
      return names.contains(from) && names.contains(to) ? (from, to) : nil
    }
    return found.count == 1 ? found[0] : nil
  }

  var json: JSONValue {
    [
      "zones": .array(
        zones.map {
          ["name": .string($0.name), "parties": .array($0.parties.map(JSONValue.string))]
        }),
      "latencies": .array(
        latencies.map {
          [
            "from": .string($0.from), "to": .string($0.to), "delay": .integer($0.delay),
            "jitter": .integer($0.jitter),
          ]
        }),
    ]
  }

  init(_ json: JSONValue) {
    zones = (json["zones"]?.array ?? []).compactMap { zone in
      zone["name"]?.string.map {
        Zone(name: $0, parties: (zone["parties"]?.array ?? []).compactMap(\.string))
      }
    }
    latencies = (json["latencies"]?.array ?? []).compactMap { latency in
      guard let from = latency["from"]?.string, let to = latency["to"]?.string,
        let delay = latency["delay"]?.integer(as: UInt64.self),
        let jitter = latency["jitter"]?.integer(as: UInt64.self)
      else { return nil }
      return Latency(from: from, to: to, delay: delay, jitter: jitter)
    }
  }
}
