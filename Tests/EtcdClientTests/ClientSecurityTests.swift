import EtcdClient
import HTTP
import Testing

/// Which endpoints are reached by TLS.
/// - Source: etcd `client/v3/internal/endpoint`.
@Suite struct ClientSecurityTests {
  @Test(arguments: [
    ("h:1", "http", "https"), ("http://h:1", "http", "http"), ("https://h:1", "https", "https"),
    ("unix:///s", "http", "https"), ("unixs:///s", "https", "https"),
    ("https://[::1]:2", "https", "https"), ("https://h:1/path", "https", "https"),
  ])
  func schemesDecide(_ endpoint: String, _ without: String, _ with: String) throws {
    for (tls, scheme) in [(nil, without), (EtcdClientConfiguration.TLS(), with)] {
      let configuration = EtcdClientConfiguration(endpoints: [endpoint], tls: tls)
      let security = try ClientSecurity(configuration, for: .grpc)
      #expect(security.origin(endpoint)?.scheme.rawValue == scheme)
    }
    #expect(Endpoint.target(endpoint) != nil)
  }

  @Test func filesThatCannotBeReadAreRefused() {
    let tls = EtcdClientConfiguration.TLS(trustedCAFile: "/nowhere")
    do throws(EtcdClientError) {
      _ = try EtcdClient(EtcdClientConfiguration(endpoints: ["h:1"], tls: tls))
      Issue.record("taken")
    } catch {
      #expect("\(error)".contains("open /nowhere: no such file or directory"), "\(error)")
    }
  }
}
