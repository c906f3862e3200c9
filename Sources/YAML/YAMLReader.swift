import CYAML

/// Reads the first document of a text by libyaml, with bounds on its length, depth and what its aliases
/// stand for.
///
/// Unsafe: libyaml's parser and events are C structures that are made, used and given back here; nothing of
/// them escapes.
public struct YAMLReader {
  /// Bytes of a text.
  public static let bytesMax = 1 << 20
  /// Lists and mappings inside each other.
  public static let depthMax = 64
  /// Values of a document, those counted again that an alias stands for.
  public static let nodesMax = 20_000

  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let text: UnsafeBufferPointer<UInt8>
  private var anchors: [String: (node: YAMLNode, size: Int)] = [:]
  private var nodes = 0

  /// The document; `nil` when there is none.
  /// - Throws: `YAMLError` with the place of what cannot be read.
  public static func read(_ text: [UInt8]) throws(YAMLError) -> YAMLNode? {
    let start = YAMLNode.Mark(line: 1, column: 1)
    guard text.count <= bytesMax else {
      throw YAMLError(start, "the file has more than \(bytesMax) bytes")
    }
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    defer { parser.deallocate() }
    guard yaml_parser_initialize(parser) == 1 else { throw YAMLError(start, "no memory for YAML") }
    defer { yaml_parser_delete(parser) }
    let result: Result<YAMLNode?, YAMLError> = text.withUnsafeBufferPointer { buffer in
      yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
      var reader = YAMLReader(parser: parser, text: buffer)
      do throws(YAMLError) { return .success(try reader.document()) } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private init(parser: UnsafeMutablePointer<yaml_parser_t>, text: UnsafeBufferPointer<UInt8>) {
    self.parser = parser
    self.text = text
  }

  private mutating func document() throws(YAMLError) -> YAMLNode? {
    while true {
      let event = try next()
      switch event.kind {
      case YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT: continue
      case YAML_STREAM_END_EVENT, YAML_DOCUMENT_END_EVENT: return nil
      default: return try node(event, depth: 0)
      }
    }
  }

  private mutating func node(_ event: Event, depth: Int) throws(YAMLError) -> YAMLNode {
    guard depth < Self.depthMax else {
      throw YAMLError(event.mark, "lists and mappings are nested deeper than \(Self.depthMax)")
    }
    let before = nodes
    try count(1, event.mark)
    let content: YAMLNode.Content
    switch event.kind {
    case YAML_ALIAS_EVENT:
      guard let target = anchors[event.anchor] else {
        throw YAMLError(event.mark, "*\(event.anchor) stands for nothing before it")
      }
      try count(target.size, event.mark)
      return YAMLNode(mark: event.mark, content: target.node.content)
    case YAML_SCALAR_EVENT: content = .scalar(try event.scalar())
    case YAML_SEQUENCE_START_EVENT: content = .list(try list(depth))
    case YAML_MAPPING_START_EVENT: content = .mapping(try mapping(depth))
    default: throw YAMLError(event.mark, "a value expected")
    }
    let node = YAMLNode(mark: event.mark, content: content)
    // checked: both are at most nodesMax
    if !event.anchor.isEmpty { anchors[event.anchor] = (node, nodes - before) }
    return node
  }

  private mutating func count(_ more: Int, _ mark: YAMLNode.Mark) throws(YAMLError) {
    nodes += more  // checked: both are at most nodesMax
    guard nodes <= Self.nodesMax else {
      throw YAMLError(mark, "the document has more than \(Self.nodesMax) values with its aliases")
    }
  }

  private mutating func list(_ depth: Int) throws(YAMLError) -> [YAMLNode] {
    var found: [YAMLNode] = []
    while true {
      let event = try next()
      if event.kind == YAML_SEQUENCE_END_EVENT { return found }
      found.append(try node(event, depth: depth + 1))  // checked: at most depthMax
    }
  }

  /// Entries of `<<` come first, without those that stand beside it.
  private mutating func mapping(_ depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
    var found: [YAMLNode.Entry] = []
    var merged: [YAMLNode.Entry] = []
    while true {
      let event = try next()
      if event.kind == YAML_MAPPING_END_EVENT { return Self.joined(merged, found) }
      let key = try node(event, depth: depth + 1)  // checked: at most depthMax
      let value = try node(try next(), depth: depth + 1)  // checked: at most depthMax
      if event.isMergeKey {
        let own = try Self.merge(value)
        try count(own.count, value.mark)
        merged += own
      } else {
        found.append(YAMLNode.Entry(key: key, value: value))
      }
    }
  }

  private static func joined(
    _ merged: [YAMLNode.Entry], _ own: [YAMLNode.Entry]
  ) -> [YAMLNode.Entry] {
    guard !merged.isEmpty else { return own }
    func name(_ entry: YAMLNode.Entry) -> String? {
      if case .scalar(.text(let text)) = entry.key.content { text } else { nil }
    }
    var named = Set(own.compactMap(name))
    var kept: [YAMLNode.Entry] = []
    // From the last on: it counts, where two mappings that are taken in have the same key.
    for entry in merged.reversed() {
      if let name = name(entry), !named.insert(name).inserted { continue }
      kept.append(entry)
    }
    return kept.reversed() + own
  }

  /// What `<<` takes in: a mapping, or several of which the first counts most.
  private static func merge(_ value: YAMLNode) throws(YAMLError) -> [YAMLNode.Entry] {
    switch value.content {
    case .mapping(let entries): return entries
    case .list(let parts):
      var found: [YAMLNode.Entry] = []
      for part in parts.reversed() {
        guard case .mapping(let entries) = part.content else { continue }
        found += entries
      }
      return found
    case .scalar: throw YAMLError(value.mark, "<< takes in a mapping, or a list of mappings")
    }
  }

  private func next() throws(YAMLError) -> Event {
    let event = UnsafeMutablePointer<yaml_event_t>.allocate(capacity: 1)
    defer { event.deallocate() }
    guard yaml_parser_parse(parser, event) == 1 else { throw problem() }
    defer { yaml_event_delete(event) }
    return Event(event.pointee)
  }

  /// Where a byte stands, for what is no text and so has no line yet.
  private func place(of offset: Int) -> YAMLNode.Mark {
    let before = text.prefix(max(0, offset))  // checked: at least 0
    let line = before.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    return YAMLNode.Mark(line: max(1, line.count), column: (line.last?.count ?? 0) + 1)
  }

  /// What libyaml says; it counts lines from 0.
  private func problem() -> YAMLError {
    var mark = YAMLNode.Mark(parser.pointee.problem_mark)
    var message = parser.pointee.problem.map { String(cString: $0) } ?? "this is not YAML"
    if parser.pointee.error == YAML_READER_ERROR {
      mark = place(of: parser.pointee.problem_offset)
    }
    if let context = parser.pointee.context { message += " " + String(cString: context) }
    return YAMLError(mark, message)
  }
}
