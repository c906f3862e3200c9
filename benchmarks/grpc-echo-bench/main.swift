import Bytes
import Calls
import EventLoops
import GRPC
import HTTP

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// A gRPC echo server on one loop, to measure network and framing alone:
//
//   swift run -c release grpc-echo-bench [port]
//   printf '\0\0\0\0\5hello' > /tmp/frame
//   h2load -n 500000 -c 8 -m 32 -d /tmp/frame -H 'content-type: application/grpc' \
//     -H 'te: trailers' http://127.0.0.1:PORT/bench.Echo/Unary
//
// Every second with traffic it prints the calls and the process' CPU time for each.

let port = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 0 : 0
let calls = Counter()
var router = CallRouter()
router.unary("/bench.Echo/Unary") { call, request in
  calls.add()
  call.respond(.bytes(request))
}
router.streaming("/bench.Echo/Stream") { stream in
  for try await message in stream.requests { try await stream.send(message) }
  return .ok
}
let server = GRPCServer(router)
let loop = EventLoop(name: "echo")

/// User and system time of the process in microseconds.
@Sendable func cpuMicroseconds() -> Int {
  var usage = rusage()
  // 0 is RUSAGE_SELF, which glibc's header gives another type.
  getrusage(0, &usage)
  let (user, system) = (usage.ru_utime, usage.ru_stime)
  return (Int(user.tv_sec) + Int(system.tv_sec)) * 1_000_000 + Int(user.tv_usec)
    + Int(system.tv_usec)
}

loop.start()
loop.execute { [loop, server, port] in
  do {
    let listener = try Listener(
      loop: loop, endpoint: .tcp(host: "127.0.0.1", port: port), policy: .plain
    ) {
      connection in
      ProtocolSniffer.begin(on: connection) { isHTTP2, initial in
        if isHTTP2 {
          server.accept(connection, initial: initial)
        } else {
          connection.abort()
        }
      }
      connection.start()
    }
    print("listening on \(listener.address)")
  } catch {
    print("cannot listen: \(error)")
    exit(1)
  }
  var last = (calls: 0, cpu: cpuMicroseconds())
  loop.schedule(after: .seconds(1), repeating: .seconds(1)) {
    let now = (calls: Int(calls.value), cpu: cpuMicroseconds())
    let count = now.calls - last.calls
    if count > 1_000 {
      let each = Double(now.cpu - last.cpu) / Double(count)
      print("\(count) calls, \(each) µs of CPU each")
    }
    last = now
  }
}
while true { sleep(3_600) }
