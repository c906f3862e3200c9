import Bytes
import EventLoops
import GoText
import HTTP

/// An HTTP proxy on the way to a registry: asked with whole URLs for plain ones, and for a tunnel to secure ones.
///
/// - Source: Go `net/http.ProxyURL`, etcd `v2discovery.newProxyFunc`; RFC 9110 §9.3.6.
struct DiscoveryProxy: Sendable {
  private let origin: HTTPOrigin

  /// - Parameter text: a URL, or host and port alone; empty: no proxy, `nil`.
  /// - Throws: when it is neither.
  init?(_ text: String) throws(DiscoveryFailure) {
    guard !text.isEmpty else { return nil }
    let url: GoURL
    do throws(GoURL.Failure) {
      url = try GoURL(text.holds("://") ? text : "http://\(text)")
    } catch {
      throw .other("invalid proxy address \(GoQuote.text(text)): \(error.description)")
    }
    guard let scheme = HTTPOrigin.Scheme(rawValue: url.scheme) else {
      throw .other("invalid proxy address \(GoQuote.text(text)): it is no HTTP proxy")
    }
    let pair = HostPort(url.host)
    // checked: 16 bits
    let port = pair.flatMap { UInt16($0.port) }.map(Int.init) ?? (scheme == .https ? 443 : 80)
    origin = HTTPOrigin(.tcp(host: pair?.host ?? url.host, port: port), scheme: scheme)
  }

  /// Sends what is for a plain origin to the proxy instead.
  func forward(_ request: HTTPClientRequest) -> HTTPClientRequest {
    guard request.origin.scheme == .http else { return request }
    var forwarded = request
    let authority = request.headers["host"] ?? request.origin.authority
    forwarded.headers.set("Host", authority)
    forwarded.target = "http://\(authority)\(request.target)"
    forwarded.origin = origin
    return forwarded
  }

  /// Reaches secure origins through a tunnel, and the proxy itself, as `layer` secures both.
  func dial(_ layer: any ChannelLayer) -> HTTPClient.Dial {
    let direct = HTTPClient.dial(.layered(layer))
    return { [origin] target, loop, timeout, done in
      guard target.scheme == .https, target != origin else {
        return direct(target, loop, timeout, done)
      }
      let finish = LoopConfined(done)
      direct(origin, loop, timeout) { result in
        switch result {
        case .failure(let error): finish.value(.failure(error))
        case .success(let channel):
          let tunnel = Tunnel(to: target.authority, over: channel, timeout: timeout) { result in
            switch result {
            case .failure(let error): finish.value(.failure(error))
            case .success(let channel):
              guard case .tcp(let host, _) = target.endpoint else {
                preconditionFailure("a tunnel leads to a host")
              }
              layer.dial(over: channel, host: host, timeout: timeout, finish.value)
            }
          }
          tunnel.start()
        }
      }
    }
  }
}

/// Asks a proxy for a tunnel. On the channel's loop.
private final class Tunnel: ByteChannelHandler {
  private let target: String
  private let channel: any ByteChannel
  private let timeout: Duration
  private var done: ((Result<any ByteChannel, ChannelError>) -> Void)?
  private var head = ""
  private var timer: LoopTimer?

  /// Of a proxy's answer.
  private static let headBytesMax = 16 << 10

  init(
    to target: String, over channel: any ByteChannel, timeout: Duration,
    _ done: @escaping (Result<any ByteChannel, ChannelError>) -> Void
  ) {
    self.target = target
    self.channel = channel
    self.timeout = timeout
    self.done = done
  }

  func start() {
    channel.handler = self
    timer = channel.loop.schedule(after: timeout) { [weak self] in
      self?.fail(.timedOut(operation: "proxyconnect tcp: CONNECT \(self?.target ?? "")"))
    }
    channel.start()
    channel.write(Bytes("CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n"))
  }

  func channelRead(_ bytes: Bytes) {
    head += bytes.string
    guard head.holds("\r\n\r\n") else {
      guard head.utf8.count <= Self.headBytesMax else {
        return fail(
          .layer("proxyconnect tcp: the proxy's answer has more than \(Self.headBytesMax) bytes"))
      }
      return
    }
    let status = head.prefix { $0 != "\r\n" }
    let words = status.split(separator: " ", maxSplits: 2)
    guard words.count > 1, words[0].hasPrefix("HTTP/1."), words[1] == "200" else {
      // In Go's words.
      return fail(.layer(words.count > 2 ? String(words[2]) : LogText.shortened(String(status))))
    }
    guard head.hasSuffix("\r\n\r\n") else {
      return fail(.layer("proxyconnect tcp: the proxy sends more than the head of its answer"))
    }
    timer?.cancel()
    let finish = LoopConfined(done)
    done = nil
    channel.move(to: channel.loop) { moved in finish.value?(.success(moved)) }
  }

  func channelReadEnded() { fail(.layer("proxyconnect tcp: EOF")) }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { fail(error ?? .layer("proxyconnect tcp: EOF")) }

  private func fail(_ error: ChannelError) {
    timer?.cancel()
    guard let done else { return }
    self.done = nil
    channel.abort()
    done(.failure(error))
  }
}
