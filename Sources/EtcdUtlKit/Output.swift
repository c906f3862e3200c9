import CommandLineTool

/// A result in the formats of `--write-out`.
struct Output {
  /// One named value.
  struct Item {
    /// Name in JSON.
    let json: String
    /// Name in the format `fields`.
    let field: String
    /// Name over a column.
    let column: String
    /// The number as JSON and `fields` show it.
    let number: String
    /// The number as columns show it.
    let shown: String
  }
  let items: [Item]

  /// The formats a command line may ask for.
  enum Format: String {
    case fields, json, protobuf, simple, table
  }

  /// - Throws: for a format that does not exist, before any work is done.
  static func format(_ invocation: Invocation) throws(CommandFailure) -> Format {
    guard let format = Format(rawValue: invocation.string("write-out")) else {
      throw CommandFailure("unsupported output format", exitCode: CommandFailure.badFeature)
    }
    return format
  }

  /// - Throws: for `protobuf`: these results are no messages.
  func text(_ format: Format) throws(CommandFailure) -> String {
    switch format {
    case .simple: return items.map(\.shown).joined(separator: ", ") + "\n"
    case .json:
      return "{" + items.map { "\"\($0.json)\":\($0.number)" }.joined(separator: ",") + "}\n"
    case .fields: return items.map { "\"\($0.field)\" : \($0.number)\n" }.joined()
    case .table: return table
    case .protobuf:
      throw CommandFailure(
        "protobuf not supported as output format", exitCode: CommandFailure.badFeature)
    }
  }

  private var table: String {
    TextTable.render(header: items.map(\.column), rows: [items.map(\.shown)])
  }
}
