import Bytes
import CommandLineTool
import EtcdAPI
import GoText
import JSON
import Protobuf

/// The formats of `--write-out`.
enum Format: String, Sendable {
  case simple, json, fields, protobuf, table
}

/// The views of one result; those that are `nil` do not exist for it.
struct Views {
  var simple: (inout ByteWriter) -> Void = { _ in }
  var json: (() -> JSONValue)?
  var fields: ((inout FieldsText) -> Void)?
  var table: (header: [String], rows: [[String]])?
  /// The message as it came.
  var raw: Bytes?
}

/// Writes results in the format that was asked for.
///
/// - Source: etcd `etcdctl/ctlv3/command/printer*.go`.
struct Printer {
  let format: Format
  let isHex: Bool
  /// Whether keys are left out of key-value pairs.
  var valueOnly = false
  let write: @Sendable (Bytes) -> Void

  init(format: Format, isHex: Bool, write: @escaping @Sendable (Bytes) -> Void) {
    self.format = format
    self.isHex = isHex
    self.write = write
  }

  /// - Throws: `CommandFailure` when the result has no such view.
  func show(_ views: Views) throws(CommandFailure) {
    var out = ByteWriter(capacity: 256)
    switch format {
    case .simple: views.simple(&out)
    case .json:
      guard let json = views.json else { throw unsupported }
      JSONWriter.write(json(), to: &out, escapeHTML: true)
      out.append("\n")
    case .fields:
      guard let fields = views.fields else { throw unsupported }
      var text = FieldsText()
      fields(&text)
      out.append(text.finish())
    case .protobuf:
      guard let raw = views.raw else { throw unsupported }
      out.append(raw)
    case .table:
      guard let table = views.table else { throw unsupported }
      out.append(TextTable.render(header: table.header, rows: table.rows))
    }
    write(out.finish())
  }

  private var unsupported: CommandFailure {
    CommandFailure(
      "\(format.rawValue) not supported as output format", exitCode: CommandFailure.badFeature)
  }

  // MARK: Key-value pairs

  func line(_ pair: Mvccpb.KeyValue, _ out: inout ByteWriter) {
    if !valueOnly { line(pair.key, &out) }
    line(pair.value, &out)
  }

  private func line(_ bytes: Bytes, _ out: inout ByteWriter) {
    if isHex {
      for byte in bytes {
        let digits = String(byte, radix: 16)
        out.append(digits.utf8.count == 1 ? "\\x0\(digits)" : "\\x\(digits)")
      }
    } else {
      out.append(bytes)
    }
    out.append("\n")
  }

  func simple(_ reply: Etcdserverpb.RangeResponse, _ out: inout ByteWriter) {
    for pair in reply.kvs { line(pair, &out) }
  }

  func simple(_ reply: Etcdserverpb.PutResponse, _ out: inout ByteWriter) {
    out.append("OK\n")
    if let pair = reply.prevKv { line(pair, &out) }
  }

  func simple(_ reply: Etcdserverpb.DeleteRangeResponse, _ out: inout ByteWriter) {
    out.append("\(reply.deleted)\n")
    for pair in reply.prevKvs { line(pair, &out) }
  }

  func simple(_ reply: Etcdserverpb.WatchResponse, _ out: inout ByteWriter) {
    for event in reply.events {
      out.append(event.type.goName + "\n")
      if let pair = event.prevKv { line(pair, &out) }
      if let pair = event.kv { line(pair, &out) }
    }
  }

  func simple(_ reply: Etcdserverpb.TxnResponse, _ out: inout ByteWriter) {
    out.append(reply.succeeded ? "SUCCESS\n" : "FAILURE\n")
    for operation in reply.responses {
      out.append("\n")
      switch operation.response {
      case .responseRange(let reply): simple(reply, &out)
      case .responsePut(let reply): simple(reply, &out)
      case .responseDeleteRange(let reply): simple(reply, &out)
      case .responseTxn(let reply): simple(reply, &out)
      case nil: out.append("unexpected response\n")
      }
    }
  }
}

/// Text of the format `fields`: `"Name" : value`, one a line.
struct FieldsText: ~Copyable {
  private var out = ByteWriter(capacity: 256)

  consuming func finish() -> Bytes { out.finish() }

  mutating func plain(_ name: String, _ value: some CustomStringConvertible) {
    out.append("\"\(name)\" : \(value)\n")
  }
  mutating func quoted(_ name: String, _ value: Bytes) {
    out.append("\"\(name)\" : \(GoQuote.text(value))\n")
  }
  mutating func quoted(_ name: String, _ value: String) { quoted(name, Bytes(value)) }
  mutating func line(_ text: String = "") { out.append(text + "\n") }

  mutating func header(_ header: Etcdserverpb.ResponseHeader?) {
    let header = header ?? Etcdserverpb.ResponseHeader()
    plain("ClusterID", header.clusterID)
    plain("MemberID", header.memberID)
    plain("Revision", header.revision)
    plain("RaftTerm", header.raftTerm)
  }

  mutating func pair(_ prefix: String, _ pair: Mvccpb.KeyValue) {
    quoted(prefix + "Key", pair.key)
    plain(prefix + "CreateRevision", pair.createRevision)
    plain(prefix + "ModRevision", pair.modRevision)
    plain(prefix + "Version", pair.version)
    quoted(prefix + "Value", pair.value)
    plain(prefix + "Lease", pair.lease)
  }

  mutating func add(_ reply: Etcdserverpb.RangeResponse) {
    header(reply.header)
    for one in reply.kvs { pair("", one) }
    plain("More", reply.more)
    plain("Count", reply.count)
  }

  mutating func add(_ reply: Etcdserverpb.PutResponse) {
    header(reply.header)
    if let one = reply.prevKv { pair("Prev", one) }
  }

  mutating func add(_ reply: Etcdserverpb.DeleteRangeResponse) {
    header(reply.header)
    plain("Deleted", reply.deleted)
    for one in reply.prevKvs { pair("Prev", one) }
  }

  mutating func add(_ reply: Etcdserverpb.WatchResponse) {
    header(reply.header)
    for event in reply.events {
      plain("Type", event.type.goName)
      if let one = event.prevKv { pair("Prev", one) }
      if let one = event.kv { pair("", one) }
    }
  }

  mutating func add(_ reply: Etcdserverpb.TxnResponse) {
    header(reply.header)
    plain("Succeeded", reply.succeeded)
    for operation in reply.responses {
      switch operation.response {
      case .responseRange(let reply): add(reply)
      case .responsePut(let reply): add(reply)
      case .responseDeleteRange(let reply): add(reply)
      case .responseTxn(let reply): add(reply)
      case nil: quoted("Unknown", "<nil>")
      }
    }
  }
}

extension Mvccpb.Event.EventType {
  /// Its name, or its number when it has none.
  var goName: String { protoName ?? "\(rawValue)" }
}
