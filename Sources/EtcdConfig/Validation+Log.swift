import Bytes
import GoText
import JSON

extension Validation {
  /// Outputs, level, format and rotation of the log.
  ///
  /// - Source: etcd `embed.Config.setupLogging` and `setupLogRotation`.
  mutating func checkLog() throws(ConfigFailure) {
    switch settings.logger {
    case "zap": break
    case "capnslog": throw ConfigFailure("--logger=capnslog is removed in v3.5")
    default: throw ConfigFailure("unknown logger option \(GoQuote.text(settings.logger))")
    }
    if settings.logOutputs.count > 1 && settings.logOutputs.contains("default") {
      throw ConfigFailure("multi logoutput for \"default\" is not supported yet")
    }
    if settings.enableLogRotation {
      log.rotation = try Self.rotation(settings.logOutputs, settings.logRotation)
    }
    guard let level = LogConfig.level(named: settings.logLevel) else {
      throw ConfigFailure("unrecognized level: \(GoQuote.text(settings.logLevel))")
    }
    guard let format = LogConfig.Format(rawValue: settings.logFormat) else {
      throw ConfigFailure(
        "unknown log format: \(GoQuote.text(settings.logFormat)), only supports json, console")
    }
    log.level = level
    log.format = format
    log.outputs = try Self.outputs(settings.logOutputs)
  }

  private static func outputs(_ words: [String]) throws(ConfigFailure) -> [LogConfig.Output] {
    // A journal takes the place of every other output.
    if words.contains("systemd/journal") {
      guard words.count == 1 else {
        throw ConfigFailure(
          "running with systemd/journal but other '--log-outputs' values (\(GoQuote.list(words)))"
            + " are configured with 'default'; override 'default' value with something else")
      }
      return [.journal]
    }
    // This one file means that nobody wants the log.
    if words.contains("/dev/null") { return [.file("/dev/null")] }
    var outputs: [LogConfig.Output] = []
    for word in words {
      switch word {
      case "default": outputs.append(.automatic)
      case "stderr": outputs.append(.standardError)
      case "stdout": outputs.append(.standardOutput)
      case "": throw ConfigFailure("--log-outputs has an empty output")
      default: outputs.append(.file(word))
      }
    }
    return outputs
  }

  /// Rotation needs one file, and a JSON object for its limits; members may have any case.
  private static func rotation(
    _ outputs: [String], _ text: String
  ) throws(ConfigFailure) -> LogConfig.Rotation {
    let files = outputs.filter { !["default", "stderr", "stdout"].contains($0) }
    guard files.count == 1 else {
      throw ConfigFailure(
        "--log-outputs requires a single file path when --log-rotate-config-json is defined")
    }
    let value: JSONValue
    do throws(JSONError) { value = try JSONParser.parse(Bytes(text)) } catch {
      throw ConfigFailure("improperly formatted log rotation config: \(reason(error, text))")
    }
    var rotation = LogConfig.Rotation()
    switch value {
    case .null: return rotation
    case .object(let object):
      for member in object.members {
        switch member.name.lowercased() {
        case "maxsize": try read(member, into: &rotation.maxSize)
        case "maxage": try read(member, into: &rotation.maxAge)
        case "maxbackups": try read(member, into: &rotation.maxBackups)
        case "localtime": try read(member, into: &rotation.localTime)
        case "compress": try read(member, into: &rotation.compress)
        default: break
        }
      }
      return rotation
    default:
      throw ConfigFailure(
        "invalid log rotation config: json: cannot unmarshal \(value.kindName) into Go value of type"
          + " embed.logRotationConfig")
    }
  }

  private static func read(
    _ member: JSONObject.Member, into field: inout Int
  ) throws(ConfigFailure) {
    if case .null = member.value { return }
    guard case .number(let text) = member.value, let value = Int(text) else {
      throw mismatch(member, "int")
    }
    field = value
  }

  private static func read(
    _ member: JSONObject.Member, into field: inout Bool
  ) throws(ConfigFailure) {
    if case .null = member.value { return }
    guard case .bool(let value) = member.value else { throw mismatch(member, "bool") }
    field = value
  }

  private static func mismatch(_ member: JSONObject.Member, _ type: String) -> ConfigFailure {
    var shown = member.value.kindName
    if case .number(let text) = member.value, type == "int" { shown += " \(text)" }
    return ConfigFailure(
      "invalid log rotation config: json: cannot unmarshal \(shown) into Go struct field"
        + " logRotationConfig.Logger.\(member.name.lowercased()) of type \(type)")
  }

  private static func reason(_ error: JSONError, _ text: String) -> String {
    guard error.kind == .syntax, let byte = text.utf8.dropFirst(error.offset).first else {
      return "unexpected end of JSON input"
    }
    return "invalid character '\(Character(Unicode.Scalar(byte)))' at offset \(error.offset)"
  }
}
