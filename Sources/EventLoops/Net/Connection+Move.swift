import CUV

extension Connection {
  public func move(to target: EventLoop, _ done: @escaping @Sendable (any ByteChannel) -> Void) {
    guard let socket = detach() else { return }
    let kind = kind
    target.execute {
      let moved = Connection(loop: target, kind: kind)
      let descriptor = socket.descriptor
      let result =
        kind == .tcp ? uv_tcp_open(moved.tcp, descriptor) : uv_pipe_open(moved.pipe, descriptor)
      guard result == 0 else { return moved.abort() }
      moved.admission = socket.release()
      moved.configure()
      done(moved)
    }
  }
}
