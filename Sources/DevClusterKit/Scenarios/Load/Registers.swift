import Checkers
import EtcdClient

/// Writes, compares, deletes and reads keys.
struct RegisterWork: ScenarioWork {
  let client: ScenarioClient
  let keys: [String]
  var random: SplitMix
  /// What the client saw last, to compare with.
  private var seen: [String: Int] = [:]

  init(_ client: ScenarioClient, keys count: Int, _ random: SplitMix) {
    self.client = client
    self.random = random
    keys = (1...count).map { "\(WatchVerdict.prefix)\($0)" }
  }

  mutating func next() async {
    guard let key = keys.randomElement(using: &random) else { return }
    let value = client.recorder.newValue()
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<7:
      if case .wrote = await client.put(key, value) { seen[key] = value }
    case 7..<11:
      let expected = seen[key] ?? 0
      let outcome = await client.compare(
        key, expected, Self.comparison(key, expected), value, text: String(value))
      if case .wrote = outcome { seen[key] = value }
    case 11:
      if case .wrote = await client.delete(key) { seen[key] = 0 }
    case 12: note(await client.read(keys, in: .prefix(Bytes(WatchVerdict.prefix))).values)
    default: note(await client.read([key], in: .key(Bytes(key))).values)
    }
  }

  private mutating func note(_ found: [String: SeenValue]) {
    for (key, value) in found { seen[key] = value.value }
  }

  /// Holds when the key has this value, or none for 0.
  private static func comparison(_ key: String, _ expected: Int) -> Etcdserverpb.Compare {
    expected == 0
      ? .init(result: .equal, target: .create, key: Bytes(key), targetUnion: .createRevision(0))
      : .init(
        result: .equal, target: .value, key: Bytes(key),
        targetUnion: .value(Bytes(String(expected))))
  }
}

/// Appends to lists: reads one, and writes it with one element more if it is still the same.
struct AppendWork: ScenarioWork {
  let client: ScenarioClient
  let count: Int
  var random: SplitMix
  /// Which list is the present one of each name: a full one is left for the next.
  private var generations: [Int: Int] = [:]
  /// Elements of a list; more would make histories that nobody wants to read.
  private static let elementsMax = 100
  static let prefix = "append/"

  init(_ client: ScenarioClient, keys count: Int, _ random: SplitMix) {
    self.client = client
    self.count = count
    self.random = random
  }

  mutating func next() async {
    let number = Int.random(in: 1...count, using: &random)
    let key = "\(Self.prefix)\(number)/\(generations[number] ?? 0)"
    let (values, lists) = await client.read([key], in: .key(Bytes(key)), areLists: true)
    guard let seen = values[key] else { return }
    let list = lists[key] ?? []
    guard list.count < Self.elementsMax else {
      generations[number, default: 0] += 1  // checked: counts lists
      return
    }
    let value = client.recorder.newValue()
    // Lists with the same last change are the same.
    let isSame = Etcdserverpb.Compare(
      result: .equal, target: .mod, key: Bytes(key), targetUnion: .modRevision(seen.modified))
    _ = await client.compare(
      key, seen.value, isSame, value, text: (list + [value]).map(String.init).joined(separator: ",")
    )
  }
}

/// Puts elements into a set, and reads it whole now and then.
struct SetWork: ScenarioWork {
  let client: ScenarioClient
  private var sinceLook = 0
  /// Adds of one client between two of its looks: they cost what the set has.
  private static let addsBetweenLooks = 20

  init(_ client: ScenarioClient) { self.client = client }

  mutating func next() async {
    sinceLook += 1  // checked: small
    if sinceLook > Self.addsBetweenLooks {
      sinceLook = 0
      await Self.look(client)
      return
    }
    let element = client.recorder.newValue()
    await client.perform(.add(element)) { () async throws(EtcdClientError) in
      let key = HistoryOperation.setPrefix + String(element)
      let answer = try await client.etcd.kv.put(Bytes(key), Bytes(String(element)))
      return .wrote(revision: answer.header?.revision ?? 0)
    }
  }

  /// Reads the set.
  static func look(_ client: ScenarioClient) async {
    await client.perform(.members) { () async throws(EtcdClientError) in
      let answer = try await client.etcd.kv.get(.prefix(Bytes(HistoryOperation.setPrefix)))
      return .elements(
        revision: answer.header?.revision ?? 0, answer.kvs.compactMap { Int($0.value.string) })
    }
  }
}
