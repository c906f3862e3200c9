extension WireReader {
  /// Steps over the value of a field that is not declared.
  public mutating func skip() throws(ProtobufError) {
    switch key & 7 {
    case 3: try skipGroup()
    default: try skipValue()
    }
  }

  private mutating func skipValue() throws(ProtobufError) {
    switch key & 7 {
    case 0: _ = try readVarint()
    case 1: try advance(8)
    case 2: position = try readLength()
    case 5: try advance(4)
    default: throw ProtobufError.unmatchedGroup
    }
  }

  private mutating func advance(_ count: Int) throws(ProtobufError) {
    guard count <= end - position else { throw ProtobufError.truncated }
    position += count
  }

  /// Groups are walked with a list of open numbers instead of recursion.
  private mutating func skipGroup() throws(ProtobufError) {
    var open = [number]
    while let innermost = open.last {
      try readKey()
      switch key & 7 {
      case 3:
        guard open.count < WireReader.depthLimit else { throw ProtobufError.tooDeep }
        open.append(number)
      case 4:
        guard number == innermost else { throw ProtobufError.unmatchedGroup }
        open.removeLast()
      default: try skipValue()
      }
    }
  }
}
