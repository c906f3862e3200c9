import Bytes
import COpenSSL

/// What is to be known of a certificate. Unsafe: reads OpenSSL's objects, keeps none.
public struct CertificateFacts: Sendable, Equatable {
  /// Lower case hexadecimal digits, two a byte.
  public let serial: String
  /// Of the subject; empty when it has none.
  public let commonName: String
  public let dnsNames: [String]
  /// As Go writes addresses.
  public let ipAddresses: [String]
  /// Seconds since 1970.
  public let notBefore: Int64
  public let notAfter: Int64

  init(_ certificate: OpaquePointer) {
    serial = Self.serial(X509_get0_serialNumber(certificate))
    commonName = Self.commonName(X509_get_subject_name(certificate))
    notBefore = Self.seconds(X509_get0_notBefore(certificate))
    notAfter = Self.seconds(X509_get0_notAfter(certificate))
    (dnsNames, ipAddresses) = Self.names(certificate)
  }

  /// The first certificate of a PEM text.
  public init?(pem: Bytes) {
    let certificate = PEMReader.withInput(pem) {
      PEM_read_bio_X509($0, nil, noPassword, nil)
    }
    guard let certificate else { return nil }
    defer { X509_free(certificate) }
    self.init(certificate)
  }

  /// Every certificate of a PEM text.
  public static func all(pem: Bytes) -> [CertificateFacts] {
    PEMReader.certificates(pem).map { certificate in
      defer { X509_free(certificate) }
      return CertificateFacts(certificate)
    }
  }

  static func serial(_ number: UnsafePointer<ASN1_INTEGER>?) -> String {
    guard let number, let big = ASN1_INTEGER_to_BN(number, nil) else { return "" }
    defer { BN_free(big) }
    guard let text = BN_bn2hex(big) else { return "" }
    defer { CRYPTO_free(text, "", 0) }
    return String(cString: text).lowercased()
  }

  private static func commonName(_ subject: OpaquePointer?) -> String {
    guard let subject else { return "" }
    let at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
    guard at >= 0, let entry = X509_NAME_get_entry(subject, at),
      let value = X509_NAME_ENTRY_get_data(entry)
    else { return "" }
    var text: UnsafeMutablePointer<UInt8>?
    let count = ASN1_STRING_to_UTF8(&text, value)
    guard count > 0, let text else { return "" }
    defer { CRYPTO_free(text, "", 0) }
    // checked: above zero, and a length in memory
    return String(decoding: UnsafeBufferPointer(start: text, count: Int(count)), as: UTF8.self)
  }

  /// Seconds since 1970, by the difference to that day.
  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
    guard let epoch = ASN1_TIME_set(nil, 0) else { return 0 }
    defer { ASN1_STRING_free(epoch) }
    var days: Int32 = 0
    var seconds: Int32 = 0
    guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return 0 }
    // checked: 32 bits times 86,400 fit into 64
    return Int64(days) * 86_400 + Int64(seconds)
  }

  private static func names(_ certificate: OpaquePointer) -> (dns: [String], ip: [String]) {
    guard let found = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else {
      return ([], [])
    }
    let names = OpaquePointer(found)
    defer { GENERAL_NAMES_free(names) }
    var dns: [String] = []
    var addresses: [String] = []
    for at in 0..<max(0, cossl_count_names(names)) {
      guard let name = cossl_name_at(names, at) else { continue }
      var kind: Int32 = 0
      guard let value = GENERAL_NAME_get0_value(name, &kind) else { continue }
      let text = OpaquePointer(value)
      if kind == GEN_DNS { dns.append(String(decoding: content(text), as: UTF8.self)) }
      if kind == GEN_IPADD, let address = AddressText.text(content(text)) {
        addresses.append(address)
      }
    }
    return (dns, addresses)
  }

  private static func content(_ string: OpaquePointer) -> [UInt8] {
    let string = UnsafePointer<ASN1_STRING>(string)
    guard let start = ASN1_STRING_get0_data(string) else { return [] }
    return Array(UnsafeBufferPointer(start: start, count: Int(max(0, ASN1_STRING_length(string)))))
  }
}

/// Without this OpenSSL would ask the terminal for the password of an encrypted key.
func noPassword(
  _ memory: UnsafeMutablePointer<CChar>?, _ count: Int32, _ writes: Int32,
  _ owner: UnsafeMutableRawPointer?
) -> Int32 { 0 }

/// Reading PEM. Unsafe: OpenSSL's inputs are pointers that live for one call.
enum PEMReader {
  /// Calls `body` with the text as OpenSSL's input.
  static func withInput<R>(_ pem: Bytes, _ body: (OpaquePointer) -> R?) -> R? {
    ERR_clear_error()
    return pem.withUnsafeBytes { memory -> R? in
      guard let count = Int32(exactly: memory.count),
        let input = BIO_new_mem_buf(memory.baseAddress, count)
      else { return nil }
      defer { BIO_free(input) }
      return body(input)
    }
  }

  /// Every certificate of a text; the caller frees them.
  static func certificates(_ pem: Bytes) -> [OpaquePointer] {
    var found: [OpaquePointer] = []
    _ = withInput(pem) { input -> Bool? in
      while let certificate = PEM_read_bio_X509(input, nil, noPassword, nil) {
        found.append(certificate)
      }
      return nil
    }
    ERR_clear_error()
    return found
  }
}

/// Addresses as Go's `net.IP.String` writes them.
enum AddressText {
  /// - Parameter bytes: 4 or 16; `nil` for other numbers of them.
  static func text(_ bytes: [UInt8]) -> String? {
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    guard bytes.count == 16 else { return nil }
    if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 255, bytes[11] == 255 {
      return bytes[12...].map { String($0) }.joined(separator: ".")
    }
    let words = stride(from: 0, to: 16, by: 2).map {
      UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
    }
    let gap = longestGap(words)
    var text = ""
    var at = 0
    while at < 8 {
      if let gap, gap.lowerBound == at {
        text += "::"
        at = gap.upperBound
        continue
      }
      if !text.isEmpty, !text.hasSuffix(":") { text += ":" }
      text += String(words[at], radix: 16)
      at += 1
    }
    return text
  }

  /// The first of the longest runs of zeros that has two or more.
  private static func longestGap(_ words: [UInt16]) -> Range<Int>? {
    var best: Range<Int>?
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, words[end] == 0 { end += 1 }
      if end - start >= 2, end - start > (best?.count ?? 0) { best = start..<end }
      start = max(end, start + 1)
    }
    return best
  }
}
