import DevClusterKit
import Platform

Program.exit(DevCluster.run(Array(CommandLine.arguments.dropFirst())))
