import Bytes

/// The files of the status page, which are part of the program (`UI/Files`, embedded by the build). Pure.
struct PageFile: Equatable, Sendable {
  let name: String

  private static let contents: [String: @Sendable () -> [UInt8]] = [
    "index.html": { PackageResources.index_html }, "style.css": { PackageResources.style_css },
    "icon.svg": { PackageResources.icon_svg }, "main.js": { PackageResources.main_js },
    "tools.js": { PackageResources.tools_js }, "members.js": { PackageResources.members_js },
    "links.js": { PackageResources.links_js }, "timeline.js": { PackageResources.timeline_js },
    "keys.js": { PackageResources.keys_js }, "logs.js": { PackageResources.logs_js },
    "scenario.js": { PackageResources.scenario_js },
  ]
  private static let types = [
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml",
  ]

  /// `nil` when there is no such file.
  init?(path: String) {
    let name = path == "/" ? "index.html" : String(path.dropFirst())
    guard Self.contents[name] != nil else { return nil }
    self.name = name
  }

  static var names: [String] { contents.keys.sorted() }
  var isDocument: Bool { name == "index.html" }
  var type: String { Self.types[String(name.drop { $0 != "." }.dropFirst())] ?? "" }
  var bytes: Bytes { Bytes(Self.contents[name]?() ?? []) }
}
